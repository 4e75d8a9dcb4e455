"""What Blender and its worker say to each other: one JSON object per line, arrays beside them in .npz files.

A request names its `op` and an `id`; every answer repeats the `id` and names its `event`. One request is worked on at
a time, and is answered by any number of `progress` and `alive` events and then one `result` or one `error`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any, ClassVar

from ..archives import parsed
from ..errors import InputError
from ..settings import KeySettings, LocalizerSettings, Settings


@dataclass(frozen=True)
class Ping:
    """Asks whether the worker runs; the result names its `version` and its `python`."""

    op: ClassVar[str] = "ping"


@dataclass(frozen=True)
class Examine:
    """Asks what works in the worker's Python; `findings` of the result are those of doctor.Finding, as mappings."""

    op: ClassVar[str] = "examine"


@dataclass(frozen=True)
class Quit:
    """Ends the worker, as closing its standard input does."""

    op: ClassVar[str] = "quit"


@dataclass(frozen=True)
class Animate(Settings):
    """Animate `duration` seconds of the file `audio` from `start` on (to its end if None) into `out` (OUT.npz).

    `as_strip`: read the sound as Blender's strips play it, where `start` counts from the first sample and nothing is
    heard of gaps; the result's `delay` (s) is what is to be added for times of the file. `fps` is the rate of the
    frames per second of *sound*. The key motions come out on whole frames, where a user wants them. `alignment` is
    the path of another tool's alignment that is used instead of localization; its times and those of subtitles count
    from the beginning of the file. The times of `corrections` (arguments of localization.corrections.Correction) count
    as `start` does; they are left out if the file has another checksum than `corrections_of`. `mesh` is the head, where
    its mouth has shapes of its own to fit contacts to: an .npz as of BuildRig, with `control_names` (C,) and `shapes`
    (C, V, 3); `face` instead: what MeasureFace has told of its shapes. `tools` are arguments of
    localization.tools.Tools; they win over the environment's. With a `checkpoint`
    at paper scale the vertices of `mesh` are moved; of the layers and sliders the intensity counts then.
    """

    op: ClassVar[str] = "animate"
    audio: str
    out: str
    start: float = 0.0
    duration: float | None = None
    as_strip: bool = False
    transcript: str | None = None
    alignment: str | None = None
    corrections: Sequence[Mapping[str, Any]] = ()
    corrections_of: str | None = None
    mesh: str | None = None
    face: str | None = None
    checkpoint: str | None = None
    tools: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Complete:
    """Re-run completion of the OUT.npz `animation` from the edited `keys` (.npz as for `load_keys`) into `out`.

    Results in vertex space name their `checkpoint`; their keys are `key_times` and `key_vertices`.
    """

    op: ClassVar[str] = "complete"
    animation: str
    keys: str
    out: str
    checkpoint: str | None = None


@dataclass(frozen=True)
class Correct(LocalizerSettings, KeySettings):
    """Apply `corrections` to the OUT.npz `animation` of `duration` s of `audio` from `start` on, into `out`.

    Words near them are aligned again and the motion near them is made anew; the rest stays. Times count from the
    beginning of the file, or from the first sample if `as_strip`.
    """

    op: ClassVar[str] = "correct"
    animation: str
    audio: str
    out: str
    corrections: Sequence[Mapping[str, Any]]
    start: float = 0.0
    duration: float | None = None
    as_strip: bool = False


@dataclass(frozen=True)
class BuildRig:
    """Build the articulation rig of `mesh` (.npz with `vertices` (V, 3) and `faces` (F, 3)).

    Its `landmarks` (68,) have to be in it, or known by its topology.

    `out` gets `control_names` (C,) and `shapes` (C, V, 3), displacements in the mesh's units at control 1.
    """

    op: ClassVar[str] = "rig"
    mesh: str
    out: str


@dataclass(frozen=True)
class FindLandmarks:
    """Find the 68 landmarks of `mesh` (.npz as of BuildRig) about which nothing is known; `details` of the result:
    `landmarks`, 68 vertex numbers, and `sure`, a probability."""

    op: ClassVar[str] = "landmarks"
    mesh: str


@dataclass(frozen=True)
class MeasureFace:
    """Measure what the shapes of `mesh` do to its lips; `out` gets that, packed (`retarget.solver.Face`).

    `mesh` is an .npz with `vertices` (V, 3), `target_names` (n,), `looks` (n, A) and `shapes` (n, V, 3).
    """

    op: ClassVar[str] = "face"
    mesh: str
    out: str


Request = Ping | Examine | Quit | Animate | Complete | Correct | BuildRig | FindLandmarks | MeasureFace


@dataclass(frozen=True)
class Advance:
    """`fraction` 0…1 of the request is done; `message` says what is being done."""

    event: ClassVar[str] = "progress"
    id: int
    fraction: float
    message: str


@dataclass(frozen=True)
class Result:
    """The request is done; its output file is there.

    `details` of `animate`: `warnings`, sentences for the user, and `delay`, seconds.
    """

    event: ClassVar[str] = "result"
    id: int
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """The request failed, and nothing was written; `message` is one sentence with a remedy.

    `wrong_input` tells an InputError from other errors.
    """

    event: ClassVar[str] = "error"
    id: int
    message: str
    wrong_input: bool = False


@dataclass(frozen=True)
class Alive:
    """Comes every second while a request is worked on, so that a worker that hangs is noticed."""

    event: ClassVar[str] = "alive"
    id: int


Answer = Advance | Result | Failure | Alive

_REQUESTS: Mapping[str, type] = {
    kind.op: kind for kind in (Ping, Examine, Quit, Animate, Complete, Correct, BuildRig, FindLandmarks, MeasureFace)
}
_ANSWERS: Mapping[str, type] = {kind.event: kind for kind in (Advance, Result, Failure, Alive)}


def encode_request(number: int, request: Request) -> str:
    """One line, without its end."""
    return json.dumps({"id": number, "op": request.op, **asdict(request)})


def decode_request(line: str) -> tuple[int, Request]:
    """The id and the request of one line; raises InputError if it is none."""
    return _decoded(line, "op", _REQUESTS)


def encode_answer(answer: Answer) -> str:
    """One line, without its end."""
    return json.dumps({"event": answer.event, **asdict(answer)})


def decode_answer(line: str) -> Answer:
    """The answer of one line; raises InputError if it is none."""
    return _decoded(line, "event", _ANSWERS)[1]


def _decoded(line: str, tag: str, kinds: Mapping[str, type]) -> tuple[int, Any]:
    try:
        message = parsed(line)
        number, kind = int(message.pop("id")), kinds[message.pop(tag)]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{line[:80]!r} is no message of the worker; send JSON with id and {tag}.") from None
    known = {f.name: f for f in fields(kind)}
    unknown = [name for name in message if name not in known]
    if unknown:
        raise InputError(f"{kind.__name__} has no argument {unknown[0]}; it takes {', '.join(known)}.")
    if "id" in known:
        message["id"] = number
    if missing := [name for name, f in known.items() if name not in message and _has_no_default(f)]:
        raise InputError(f"{kind.__name__} lacks the argument {missing[0]}.")
    return number, kind(**message)


def _has_no_default(f: Field[Any]) -> bool:
    return f.default is MISSING and f.default_factory is MISSING
