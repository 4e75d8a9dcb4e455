"""The process that works for Blender: `python -m kmtalk_core.service.worker`, requests on stdin, answers on stdout.

The model stays loaded between requests. The process ends when its standard input closes (Blender is gone), or in the
midst of work when nobody listens any more, and is simply killed to cancel: outputs are written whole or not at all. See
`protocol` for the messages.
"""

from __future__ import annotations

import contextlib
import io
import os
import platform
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from .. import __version__
from ..errors import InputError, KMTalkError, storage_trouble
from ..files import load_npz, save_npz
from ..motion import Animation
from ..results import load_animation, load_keys, save_animation
from .protocol import (
    Alive,
    Animate,
    Answer,
    BuildRig,
    Complete,
    Correct,
    Examine,
    Failure,
    Ping,
    Progress,
    Quit,
    Request,
    Result,
    decode_request,
    encode_answer,
)
from .vertex_requests import animate_vertices, complete_vertices

if TYPE_CHECKING:
    from ..animator import Animator
    from ..audio import Sound
    from ..localization.corrections import Correction
    from ..request import Request as Wish
    from ..rig.lip_line import LipLine

Report = Callable[[float, str], None]

_backend = "auto"  # of the networks; the process has one for good


def main(backend: str = "auto") -> None:
    """Serve standard input until it closes; `backend` runs the networks."""
    global _backend
    _backend = backend
    requests, answers = _own_streams()
    one_at_a_time = threading.Lock()

    def say(answer: Answer) -> None:
        with one_at_a_time:
            try:
                answers.write(encode_answer(answer) + "\n")
                answers.flush()
            except OSError:  # nobody is there any more; the rest of the work is for nobody
                os._exit(0)

    for line in requests:
        try:
            number, request = decode_request(line)
        except KMTalkError as error:
            say(Failure(0, str(error), wrong_input=True))
            continue
        if isinstance(request, Quit):
            say(Result(number))
            return
        with _signs_of_life(lambda: say(Alive(number))):  # noqa: B023
            answer = _answer(number, request, lambda fraction, text: say(Progress(number, fraction, text)))  # noqa: B023
        say(answer)


def _answer(number: int, request: Request, report: Report) -> Result | Failure:
    """Do the work; whatever goes wrong becomes one sentence."""
    try:
        return Result(number, serve(request, report))
    except KMTalkError as error:
        return Failure(number, str(error), isinstance(error, InputError))
    except OSError as error:
        return Failure(number, storage_trouble(error))
    except MemoryError:
        return Failure(number, "There is not enough memory; close other programs or work on a shorter sound.")
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        fault = f"lacks the package {error.name}" if missing else f"cannot load {error.name or 'a package'} ({error})"
        where = f"Python {platform.python_version()} ({sys.executable})"
        return Failure(number, f"{where} {fault}; in the preferences choose another Python or create an environment.")
    except Exception as error:
        with contextlib.suppress(OSError):  # no room for the log
            traceback.print_exc()
        name = type(error).__name__
        return Failure(number, f"KMTalk met an error of its own ({name}: {error}); please report it with the log.")


@contextlib.contextmanager
def _signs_of_life(give: Callable[[], None], interval: float = 1.0) -> Iterator[None]:
    """Call `give` every `interval` s from another thread for as long as the block runs."""
    done = threading.Event()

    def go_on() -> None:
        while not done.wait(interval):
            give()

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def serve(request: Request, report: Report) -> dict[str, Any]:
    """Do what `request` asks for; `report(fraction, message)` hears of the progress. Returns the result's details."""
    match request:
        case Animate(checkpoint=str()):
            return animate_vertices(request, report)
        case Complete(checkpoint=str()):
            return complete_vertices(request, report)
        case Animate():
            animation, details = _animated(request, report)
            save_animation(animation, request.out, compressed=False)
            return details
        case Complete():
            animation = load_animation(request.animation)
            keys = load_keys(request.keys, animation.control_names)
            save_animation(_animator().complete(animation, keys, progress=report), request.out, compressed=False)
        case Correct():
            save_animation(_corrected(request, report), request.out, compressed=False)
        case BuildRig():
            _build_rig(request, report)
        case Examine():
            from ..command.doctor import examine

            return {"findings": [asdict(finding) for finding in examine()]}
        case Ping():
            return {"version": __version__, "python": platform.python_version()}
    return {}


def _animated(request: Animate, report: Report) -> tuple[Animation, dict[str, Any]]:
    from ..audio import load_sound
    from ..finish.compose import finish
    from ..localization.tools import Tools
    from ..request import Request as Wish

    report(0.0, "reading the sound")
    sound = load_sound(request.audio, request.start, request.duration, request.as_strip)
    alignment = None
    if request.alignment is not None:
        from ..localization.importers import load_alignment

        # Its times count from the file's beginning. Moho's .dat files count frames of the scene.
        alignment = load_alignment(Path(request.alignment), request.fps).from_time(request.start + sound.delay)
    corrections, warnings = _corrections_of(request, sound)
    wish = Wish(
        transcript=_said(request, sound),
        alignment=alignment,
        localizer=request.localizer,
        language=request.language,
        corrections=corrections,
        fps=request.fps,
        key_rule=request.key_rule,
        key_density=request.key_density,
        intensity=request.intensity,
        jaw=request.jaw,
        lips=request.lips,
        smoothing=request.smoothing,
        offset=request.offset,
        upper_face=request.upper_face,
        head=request.head,
        expression=request.expression,
        expression_strength=request.expression_strength,
        seed=request.seed,
        tools=replace(Tools.from_environment(), **request.tools),
    )
    try:
        animation = _animator().animate(sound, wish, progress=report)
    except InputError:
        if not corrections:
            raise
        wish, unfit = _as_far_as_they_fit(sound, wish)
        warnings = (*warnings, *unfit)
        animation = _animator().animate(sound, wish, progress=report)
    if request.mesh is not None and (lips := _lips_of(Path(request.mesh))) is not None:
        animation = finish(animation, lip_line=lips)
    told = list(dict.fromkeys((*sound.warnings, *warnings, *animation.alignment.warnings)))
    return animation, {"warnings": told, "delay": sound.delay}


def _as_far_as_they_fit(sound: Sound, wish: Wish) -> tuple[Wish, tuple[str, ...]]:
    """`wish` with only those of its corrections that still fit what is heard, and a warning for each other one."""
    alignment = _animator().align(sound, replace(wish, corrections=()))
    warnings = []
    for correction in wish.corrections:
        try:
            alignment = _animator().align(sound, replace(wish, alignment=alignment, corrections=(correction,)))
        except InputError as error:
            warnings.append(f"A correction no longer fits and was left out: {error}")
    return replace(wish, alignment=alignment, corrections=()), tuple(warnings)


def _lips_of(path: Path) -> LipLine | None:
    """How the lips of a mesh with shapes of its own part; None where its landmarks are not known."""
    from ..rig.mesh import load_mesh
    from ..rig.mouth import lip_line, measure_mouth
    from ..rig.profiles import find_landmarks

    arrays, mesh = load_npz(path), load_mesh(path)
    shapes = dict(zip((str(name) for name in arrays["control_names"]), arrays["shapes"], strict=True))
    try:
        return lip_line(measure_mouth(mesh.vertices, shapes, find_landmarks(mesh)))
    except InputError:
        return None


def _corrected(request: Correct, report: Report) -> Animation:
    from ..audio import load_sound
    from ..request import Request as Wish

    report(0.0, "reading the sound")
    sound = load_sound(request.audio, request.start, request.duration, request.as_strip)
    before = load_animation(request.animation)
    if before.audio_sha256 != sound.sha256:
        raise InputError("The strip plays another sound than when it was animated; generate it again.")
    wish = Wish(
        corrections=_shifted(request.corrections, request.start, sound.duration),
        language=request.language,
        key_rule=request.key_rule,
        key_density=request.key_density,
    )
    return _animator().correct(before, sound, wish, report)


def _corrections_of(request: Animate, sound: Sound) -> tuple[tuple[Correction, ...], tuple[str, ...]]:
    """The corrections that lie within what is heard of `sound`, and a warning if they are of another one."""
    if not request.corrections:
        return (), ()
    if request.corrections_of not in (None, sound.sha256):
        return (), (
            "The corrections were made for another sound, so they were left out; remove them, or correct anew.",
        )
    return _shifted(request.corrections, request.start, sound.duration), ()


def _shifted(corrections: Sequence[Mapping[str, Any]], start: float, duration: float) -> tuple[Correction, ...]:
    """Corrections with times from the file's beginning → those within `duration` s from `start` on, from there."""
    from ..localization.corrections import Correction

    found = []
    for given in corrections:
        times = {name: given[name] - start for name in ("at", "start", "end") if given.get(name) is not None}
        if min(times.values()) >= 0 and max(times.values()) < duration:
            found.append(Correction(**{**given, **times}))
    return tuple(found)


def _said(request: Animate, sound: Sound) -> str | None:
    """The transcript; of subtitles only what is heard in the part that the request is of."""
    if request.transcript is None or (request.start == 0 and request.duration is None):
        return request.transcript
    from ..localization.transcript import subtitles

    cues = subtitles(request.transcript)
    if cues is None:
        return request.transcript
    start = request.start + sound.delay
    end = start + sound.duration
    return "\n".join(cue.text for cue in cues if start < (cue.start + cue.end) / 2 < end) or None


def _build_rig(request: BuildRig, report: Report) -> None:
    from ..rig.articulation import build_rig
    from ..rig.mesh import load_mesh

    report(0.0, "building shape keys")
    rig = build_rig(load_mesh(request.mesh))
    save_npz({"control_names": np.array(rig.control_names, dtype=str), "shapes": rig.shapes}, request.out)


@cache
def _animator() -> Animator:
    from ..animator import Animator

    if _backend != "torch":
        import_module("onnxruntime")  # what is wrong with it, if anything is, `_answer` says
    return Animator(backend=_backend)


def _own_streams() -> tuple[TextIO, TextIO]:
    """The pipes to Blender, taken away from everybody else: what libraries print goes to stderr."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # so that the log has all when the process is killed
    return requests, answers


if __name__ == "__main__":
    main()
