"""`python -m benchmarks.people SET`: how alike the head is to the person who really said it, part by part.

SET is a set of tracked clips as in docs/training.md (`SET.json`, `SET.npz`, the folder `SET/` of sounds) of people who
were not trained on. The figures are those of `judge_faces.py`, which has to lie beside the project as the tracked faces
do: correlation of opening, width and jaw (`ap_r`, `wd_r`, `jaw_r`), spread over the person's (`ap_sd`, `wd_sd`), share
of the person's closures that the head has (`closed`), share of frames shut while theirs are apart (`false_closed`), and
speed over the person's. All rows have the same transcripts and phones, and the contact step, but for those that say so.

with, without transcript        as a user gets it
without LKMA                    the fitted rules' poses at the key instants, completed by CMC
without contacts                neither the seal of key motions nor the contact step at the end
literature's, fitted rules      the articulation synthesizer on the aligned phones, no networks
loudness moves the jaw, visemes simple systems, as in `benchmarks.judge`
OpenFaceFX                      the package (MIT), given the aligned phones, through its own map to ARKit's shapes

Another table says how faces come to rest: how far opening, width and jaw are from where they stay after the last sound,
means over clips, shares of their range in the clip, at 0, .1 … .5 s; and the fastest twentieth of opening and closing.

`--network NAME=FILE` adds rows for other checkpoints: what they were trained on is told by their names.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np

from kmtalk_core import animator as animator_module
from kmtalk_core.animator import Request, frame_times
from kmtalk_core.audio import Sound, load_sound
from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz
from kmtalk_core.finish import compose
from kmtalk_core.localization.keys import KeyInstants
from kmtalk_core.motion import KeyMotions, Unfinished
from kmtalk_core.phones import SILENCE, Alignment
from kmtalk_core.rig.controls import ALL_CONTROLS, CONTROL_INDEX, SPEECH_CONTROLS
from kmtalk_core.rig.frame import EYE_CORNERS_MM

from .ablations import _not_held, _unsealed
from .baselines import BASELINES
from .clips import SHARED, JudgedClip
from .judge import guarded
from .stage import FLAME_HEAD, FPS, Motion, animator, landmarks_of, lips_of
from .table import record

JUDGE = SHARED / "faces" / "judge_faces.py"
SHOWN = ("ap_r", "wd_r", "jaw_r", "ap_sd", "wd_sd", "closed", "false_closed", "speed")
AFTER = np.arange(6) / 10  # s after the voice
FASTEST = 95  # percentile of speed
LAG = 1  # frames that sound and picture may be off
_SPEECH = np.array([CONTROL_INDEX[name] for name in SPEECH_CONTROLS])


@dataclass(frozen=True)
class Person:
    """A tracked clip: opening, width and jaw of the person (3 of (T,)), and when the voice sounds, s."""

    sound: Sound
    text: str | None
    fps: float
    real: tuple[np.ndarray, np.ndarray, np.ndarray]
    spoken: tuple[float, float]


System = Callable[[Person], Motion]
"""A person's sound → motion at their frame rate."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.people", description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, help="SET.json, SET.npz and the folder SET of sounds, named without ending")
    parser.add_argument("--every", type=int, default=1, help="take every n-th clip (default: 1)")
    parser.add_argument("--network", nargs="+", default=[], metavar="NAME=FILE", help="rows for other checkpoints")
    parser.add_argument("--only", nargs="+", help="rows to measure (default: all)")
    parser.add_argument("--json", type=Path, help="results file to put the figures into")
    options = parser.parse_args()
    return guarded(parser.prog, lambda: measure(options))


def measure(options: argparse.Namespace) -> None:
    """Print the table. Raises InputError."""
    judge = _judge()
    people = _people(options.set, options.every, judge)
    print(f"| {options.set.name}, {len(people)} clips | {' | '.join(SHOWN)} |\n|---{'|---' * len(SHOWN)}|")
    found = {}
    for name, system in _systems(options.network).items():
        if options.only is None or name in options.only:
            found[name] = _figures(system, people, judge)
            cells = (f"{found[name][figure]:.3f}".removeprefix("0") for figure in SHOWN)
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    record(options.json, f"people {options.set.name}", found)
    if options.only is None or "rest" in options.only:
        _print_rest(people, judge)


def _systems(networks: list[str]) -> dict[str, System]:
    systems: dict[str, System] = {"with transcript": KMTalk(), "without transcript": KMTalk(transcript=False)}
    for named in networks:
        name, equals, file = named.partition("=")
        if not equals:
            raise InputError(f"{named} names no checkpoint; write --network NAME=FILE.")
        systems[name] = KMTalk(checkpoint=Path(file))
    systems |= {
        "without LKMA": KMTalk(posed="rules"),
        "without contacts": KMTalk(contacts=False),
        "literature's rules": Rules("literature"),
        "fitted rules": Rules("fitted"),
    }
    systems |= {name: Baseline(name) for name in BASELINES}
    return {**systems, "OpenFaceFX": open_face_fx}


@dataclass(frozen=True)
class KMTalk:
    """KMTalk as a user gets it, or without one of its parts. `posed`: who poses the keys, "network" or "rules"."""

    transcript: bool = True
    checkpoint: Path | None = None
    posed: str = "network"
    contacts: bool = True

    def __call__(self, person: Person) -> Motion:
        request = _request(person, person.text if self.transcript else None)
        performer = animator(self.checkpoint)
        changes: list[Any] = []
        if self.posed == "rules":
            changes.append(mock.patch.object(animator_module, "acquire_keys", _posed_by_rules))
        if not self.contacts:
            changes.append(mock.patch.object(animator_module, "seal_lips", _unsealed))
            changes.append(mock.patch.object(compose, "hold_contacts", _not_held))
        for change in changes:
            change.start()
        try:
            animation = performer.animate(person.sound, request)
        finally:
            for change in changes:
                change.stop()
        return Motion(animation.controls, animation.control_names)


@dataclass(frozen=True)
class Rules:
    """The articulation synthesizer on the aligned phones, finished as the networks' motion is."""

    kind: str

    def __call__(self, person: Person) -> Motion:
        from training.articulation import loudness_curve, synthesize
        from training.articulation.targets import FITTED, LITERATURE

        animation = animator(None).animate(person.sound, _request(person, person.text))
        loud = loudness_curve(person.sound.samples, animation.times)
        rules = FITTED if self.kind == "fitted" else LITERATURE
        speech = synthesize(animation.alignment, animation.times, loudness=loud, rules=rules)
        unfinished: Unfinished = replace(animation.to_finish, speech=speech)
        finished = compose.finish(replace(animation, unfinished=unfinished))
        return Motion(finished.controls, finished.control_names)


@dataclass(frozen=True)
class Baseline:
    """One of BASELINES, put on the person's frames."""

    name: str

    def __call__(self, person: Person) -> Motion:
        clip = JudgedClip("", Path(), person.text or "", (), person.sound.duration)
        motion = BASELINES[self.name](person.sound, clip)
        return Motion(_on_frames(motion.controls, FPS, person), motion.names)


def open_face_fx(person: Person) -> Motion:
    """The package OpenFaceFX with the aligned phones, its defaults, and its own map to ARKit's shapes."""
    try:
        from openfacefx import PRESETS, PhonemeSegment, generate_from_alignment, retarget
    except ImportError:
        raise InputError(
            "OpenFaceFX is not installed; `pip install openfacefx`, or leave it out with --only."
        ) from None
    alignment = animator(None).align(person.sound, _request(person, person.text))
    segments = [PhonemeSegment("sil" if p.label == "SIL" else p.label, p.start, p.end) for p in alignment.phones]
    track = retarget(generate_from_alignment(segments), PRESETS["arkit"])
    times = frame_times(person.sound.duration, person.fps)
    known = [channel for channel in track.channels if channel.name in CONTROL_INDEX]
    curves = [np.interp(times, [k.time for k in c.keys], [k.value for k in c.keys]) for c in known]
    return Motion(np.stack(curves, 1), tuple(channel.name for channel in known))


def _posed_by_rules(
    backend: Any, audio: np.ndarray, rate: float, alignment: Alignment, instants: KeyInstants, *_: Any
) -> KeyMotions:
    from training.articulation import synthesize

    return KeyMotions(instants.times, synthesize(alignment, instants.times))


def _request(person: Person, text: str | None) -> Request:
    return Request(transcript=text, fps=person.fps, head=0.0, upper_face=0.0, lip_line=lips_of(FLAME_HEAD))


def _on_frames(curves: np.ndarray, rate: float, person: Person) -> np.ndarray:
    times = frame_times(person.sound.duration, person.fps)
    own = np.arange(len(curves)) / rate
    return np.stack([np.interp(times, own, column) for column in curves.T], 1)


def _figures(system: System, people: list[Person], judge: ModuleType) -> dict[str, float]:
    rows = []
    for person in people:
        rows.append(judge.compare(person.real, _measured(system(person), judge), person.fps, person.spoken, LAG))
    return {name: float(value) for name, value in judge.summary(rows).items()}


def _print_rest(people: list[Person], judge: ModuleType) -> None:
    """How captured people and the head come to rest, and how fast they open and close."""
    cells = [f"{seconds:.1f}" for seconds in AFTER]
    print(
        f"\n| s after the last sound | {' | '.join(cells)} | opens, closes (mm/s) |\n|---{'|---' * (len(AFTER) + 1)}|"
    )
    ends = [_last_sound(person) for person in people]
    rates = [person.fps for person in people]
    ours = [_measured(KMTalk()(person), judge) for person in people]
    for name, faces in (("people", [person.real for person in people]), ("the head", ours)):
        for which, what in ((0, "opening"), (1, "width"), (2, "jaw")):
            curves = [face[which] for face in faces]
            unrest = [_unrest(*seen) for seen in zip(curves, rates, ends, strict=True)]
            shown = " | ".join(f"{share:.2f}" for share in np.mean([u for u in unrest if u is not None], axis=0))
            opens, closes = _fastest(curves, rates)
            print(f"| {name}: {what} | {shown} | {opens:.0f}, {closes:.0f} |", flush=True)


def _last_sound(person: Person) -> float:
    """When the last phone ends, s."""
    phones = animator(None).align(person.sound, _request(person, person.text)).phones
    return max(phone.end for phone in phones if phone.label != SILENCE)


def _unrest(curve: np.ndarray, fps: float, end: float) -> np.ndarray | None:
    """How far `curve` (T,) is from where it stays, at AFTER from `end` s, as a share of its range; None if cut off."""
    times = np.arange(len(curve)) / fps
    still = times > end + AFTER[-1]
    if still.sum() < 2:
        return None
    from_rest = np.abs(np.interp(end + AFTER, times, curve) - np.median(curve[still]))
    return from_rest / max(float(np.ptp(curve)), 1e-9)


def _fastest(curves: list[np.ndarray], rates: list[float]) -> tuple[float, float]:
    """The fastest twentieth of opening and of closing, mm/s on a head of human size."""
    speed = np.concatenate([np.diff(curve) * fps for curve, fps in zip(curves, rates, strict=True)]) * EYE_CORNERS_MM
    return float(np.percentile(speed[speed > 0], FASTEST)), float(np.percentile(-speed[speed < 0], FASTEST))


def _measured(motion: Motion, judge: ModuleType) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Opening, width and jaw (T,) of the FLAME head in `motion`, as the judge takes them."""
    neutral = landmarks_of(Motion(np.zeros((1, len(ALL_CONTROLS))), ALL_CONTROLS), FLAME_HEAD)[0]
    # The judge picks the landmarks from vertices; here they are all there is.
    with mock.patch.object(judge, "MARKS", np.arange(len(neutral))):
        opening, width, jaw = judge.head(landmarks_of(motion, FLAME_HEAD), neutral)
    return opening, width, jaw


def _people(tracked: Path, every: int, judge: ModuleType) -> list[Person]:
    try:
        listing = json.loads(tracked.with_suffix(".json").read_text(encoding="utf-8"))[::every]
    except OSError:
        raise InputError(f"There is no {tracked.with_suffix('.json')}; name a set of tracked clips.") from None
    arrays = load_npz(tracked.with_suffix(".npz"))
    people = []
    for clip in listing:
        path = next(p for p in sorted(tracked.glob(f"{clip['clip']}.*")))
        points = arrays["points"][clip["first"] : clip["first"] + clip["frames"]].astype(np.float32) / 64
        words = clip.get("words") or []
        spoken = (words[0][1] - 0.1, words[-1][2] + 0.1) if words else judge.spoken(path)
        real = judge.person(points, arrays["point_ids"])
        people.append(Person(load_sound(path), clip.get("text"), float(clip["fps"]), real, spoken))
    return people


def _judge() -> ModuleType:
    """`judge_faces.py`, which lies beside the project. Raises InputError."""
    spec = importlib.util.spec_from_file_location("judge_faces", JUDGE)
    if spec is None or spec.loader is None or not JUDGE.is_file():
        raise InputError(f"There is no {JUDGE}; this measure needs the tracked faces beside the project.")
    judge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(judge)
    return judge


if __name__ == "__main__":
    raise SystemExit(main())
