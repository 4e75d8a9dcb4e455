"""From a video, or its tracked points, to files: a result, its sound, the points, an overlay and a report."""

from __future__ import annotations

import wave
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kmtalk_core.animator import Animator
from kmtalk_core.audio import SAMPLE_RATE, Sound
from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz, save_npz, written_whole
from kmtalk_core.localization.keys import key_instants
from kmtalk_core.motion import Animation, KeyMotions, nearest_frames
from kmtalk_core.request import Request
from kmtalk_core.results import save_animation
from kmtalk_core.rig.controls import ALL_CONTROLS, CONTROL_INDEX, HEAD_CONTROLS, SPEECH_CONTROLS, UPPER_FACE_CONTROLS

from .frames import WELL_DEG, judge_frames
from .points import Points, Still, stilled
from .report import Fit, Report
from .solve import Measures, Solution, fit, lips_of, measures_of, neutral_pose, rig_measures
from .sync import MISFIT, Offset, find_offset
from .tracks import ENDING, Track, load_track
from .upper import upper_face

MODEL = "captured"
KEY_RULE = "apexes"
SMALL_PX = 50.0  # between the eyes: smaller faces have coarse lips
_SPEECH = np.array([CONTROL_INDEX[name] for name in SPEECH_CONTROLS])
_OTHERS = np.array([CONTROL_INDEX[name] for name in (*UPPER_FACE_CONTROLS, *HEAD_CONTROLS)])

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Captured:
    """A captured face: what was tracked, solved and heard."""

    track: Track
    still: Still
    neutral: Measures
    solution: Solution
    animation: Animation
    report: Report


def name_of(source: Path) -> str:
    """What the files made from a video, or its points, are called."""
    return source.name.removesuffix(ENDING) if source.name.endswith(ENDING) else source.stem


def capture(source: Path, out: Path, animator: Animator, progress: Progress = lambda share: None) -> Report:
    """Capture one video, or its NAME.points.npz, and write all files of it to the folder `out`.

    A text beside it, NAME.txt, is what is said. Raises InputError, one sentence, for what cannot be captured.
    """
    name, beat = name_of(source), None
    if source.name.endswith(ENDING):
        track = load_track(source)
    else:
        from .tracking import track as tracked
        from .video import find_beat

        beat, track = find_beat(source), tracked(source, progress)
    text = source.with_name(f"{name}.txt")
    transcript = text.read_text(encoding="utf-8").strip() if text.is_file() else None
    captured = solved(name, track, transcript, animator)
    out.mkdir(parents=True, exist_ok=True)
    captured.track.save(out / f"{name}{ENDING}")
    write_wav(out / f"{name}.wav", captured.track.samples)
    write_result(out / f"{name}.npz", captured)
    if beat is not None:
        from .overlay import write_overlay

        lips = captured.neutral.lips + lips_of(captured.solution.controls)
        shown = captured.still.in_picture(lips)
        write_overlay(
            out / f"{name}.mp4",
            source,
            beat,
            captured.track,
            shown,
            captured.solution.usable,
            captured.solution.error_mm,
        )
    return captured.report


def solved(name: str, track: Track, transcript: str | None, animator: Animator) -> Captured:
    """Everything that is computed from tracked points and sound; raises InputError where they do not suffice."""
    if len(track.points) < 2:
        raise InputError(f"{name} has fewer than two frames; film at least a second.")
    points = Points(track.points, track.ids)
    still = stilled(points, track.fps)
    measures = measures_of(still)
    frames = judge_frames(name, track, points, still, measures)
    neutral = neutral_pose(measures.only(frames.usable), track.fps)
    solution = fit(measures, neutral, frames.usable, track.fps)
    heard = animator.animate(_sound(name, track), Request(transcript=transcript, fps=track.fps))
    offset = find_offset(solution.controls, solution.usable, track.fps, heard)
    if offset.believed:
        track = replace(track, samples=_moved(track.samples, offset.seconds))
        heard = animator.animate(_sound(name, track), Request(transcript=transcript, fps=track.fps))
    controls = np.zeros((len(track.points), len(ALL_CONTROLS)), np.float32)
    controls[:, _SPEECH] = np.clip(solution.controls, 0.0, 1.0)
    controls[:, _OTHERS] = upper_face(still, track.fps).controls
    report = Report(
        name,
        len(track.points),
        track.fps,
        float(frames.usable.mean()),
        dict(frames.reasons),
        float(np.nanmedian(still.side_deg)),
        points.eye_distance(),
        _fit_of(solution, measures, neutral),
        offset.seconds,
        offset.agreement,
        offset.believed,
        [*track.notes, *_remarks(still, points, offset)],
    )
    return Captured(track, still, neutral, solution, _animation(controls, track, heard), report)


def write_result(path: Path, captured: Captured) -> None:
    """OUT.npz as `kmtalk` writes it, and `usable` (T,) bool with it."""
    with written_whole(path) as partial:
        save_animation(captured.animation, partial)
        save_npz({**load_npz(partial), "usable": captured.solution.usable}, partial)


def write_wav(path: Path, samples: np.ndarray) -> None:
    """(n,) float32, -1…1, at 16 kHz → 16 bits, mono."""
    with written_whole(path) as partial, wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())


def _animation(controls: np.ndarray, track: Track, heard: Animation) -> Animation:
    instants = key_instants(heard.alignment, KEY_RULE, track.fps)
    rows = np.clip(nearest_frames(instants.times, track.fps), 0, len(controls) - 1)
    return replace(
        heard,
        times=np.arange(len(controls)) / track.fps,
        controls=controls,
        keys=KeyMotions(instants.times, controls[rows]),
        model=MODEL,
        unfinished=None,
        origin=None,
    )


def _sound(name: str, track: Track) -> Sound:
    return Sound(track.samples, track.sha256, f"{name}.wav")


def _moved(samples: np.ndarray, seconds: float) -> np.ndarray:
    """The sound earlier by so much, of the same length."""
    count = round(seconds * SAMPLE_RATE)
    shifted = np.pad(samples, (max(-count, 0), max(count, 0)))
    return shifted[max(count, 0) :][: len(samples)]


def _fit_of(solution: Solution, measures: Measures, neutral: Measures) -> Fit:
    moved, usable = solution.controls @ rig_measures(SPEECH_CONTROLS), solution.usable
    theirs = (
        np.maximum(measures.opening - neutral.opening, 0.0),
        measures.width - neutral.width,
        measures.chin - neutral.chin,
    )
    alike = [_alike(a[usable], moved[usable, k]) for k, a in enumerate(theirs)]
    lips = float(np.sqrt(np.nanmean(np.square(solution.error_mm[usable]))))
    return Fit(lips, solution.opening_mm, solution.width_mm, solution.chin_mm, *alike)


def _alike(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if min(a.std(), b.std()) > 1e-6 else 0.0


def _remarks(still: Still, points: Points, offset: Offset) -> list[str]:
    out = []
    if (aside := float(np.nanmedian(still.side_deg))) > WELL_DEG:
        out.append(f"The face is filmed from {aside:.0f}° aside; beyond {WELL_DEG:.0f}° width and chin are rough.")
    if (eyes := points.eye_distance()) < SMALL_PX:
        out.append(f"The face is small ({eyes:.0f} pixels between the eyes); film it larger for finer lips.")
    if offset.agreement < MISFIT:
        out.append(f"The sound hardly fits the lips (r {offset.agreement:.2f}); is it the voice of this face?")
    return out
