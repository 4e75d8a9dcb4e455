"""Blinks, brows and head of captured people beside those that KMTalk makes for the same sounds.

`python -m benchmarks.liveliness SET [--every N]` prints the table of docs/upper_face.md. SET is a set of tracked clips
as `training.corpus.captured` reads it, or a folder that `training.capture` wrote. Both faces are measured alike: at the
clip's frame rate, smoothed as the tracked head is, against their own usual place within the clip.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from kmtalk_core.animator import Animator
from kmtalk_core.audio import Sound, load_sound
from kmtalk_core.errors import KMTalkError
from kmtalk_core.finish.rhythm import Rhythm, find_rhythm
from kmtalk_core.motion import Animation
from kmtalk_core.request import Request
from kmtalk_core.rig.controls import CONTROL_INDEX, HEAD_CONTROLS, HEAD_DEG
from training.capture.points import TURN_SMOOTH, Points, stilled
from training.capture.tracks import ENDING, load_track
from training.capture.upper import BROW_SMOOTH, brow_moves, upper_face
from training.corpus.captured import clips_of

HALF = 0.5  # of a blink
NEAR_PAUSE = 0.05  # s
PROMINENT = 0.66  # of the rhythm's prominence: accented syllables
AROUND = np.arange(-0.5, 0.61, 0.04)  # s around an accent
BANDS = ((0.0, 1.0), (1.0, 2.0), (2.0, 5.0))  # Hz
RAISE_MM = 1.0  # brows above their usual place
COLUMNS = ("captured", "KMTalk")


@dataclass(frozen=True)
class Face:
    """Of one clip: `lids` (T,) 0 open … 1 shut, `brows_mm` (T,) and `head_deg` (T, 3) against their usual place."""

    lids: np.ndarray
    brows_mm: np.ndarray
    head_deg: np.ndarray
    fps: float


@dataclass
class Tally:
    """What is collected over clips."""

    seconds: float = 0.0
    paused: float = 0.0
    accented: float = 0.0
    blinks: list[tuple[float, float, float, float]] = field(default_factory=list)  # depth, half width, fall, rise
    in_pause: int = 0
    in_accent: int = 0
    brow_sd: list[float] = field(default_factory=list)
    raises: list[tuple[float, float]] = field(default_factory=list)  # height mm, seconds
    brow_at: list[np.ndarray] = field(default_factory=list)
    head_sd: list[np.ndarray] = field(default_factory=list)
    speeds: list[np.ndarray] = field(default_factory=list)
    power: list[np.ndarray] = field(default_factory=list)
    pitch_at: list[np.ndarray] = field(default_factory=list)

    def add(self, face: Face, rhythm: Rhythm) -> None:
        times = np.arange(len(face.lids)) / face.fps
        prominence = rhythm.prominence_at(times)
        pause = np.ones(len(times), bool)
        for phrase in rhythm.phrases:
            pause &= (times < phrase.start + NEAR_PAUSE) | (times > phrase.end - NEAR_PAUSE)
        self.seconds += len(times) / face.fps
        self.paused += pause.sum() / face.fps
        self.accented += (prominence > PROMINENT).sum() / face.fps
        for low, high in _runs(face.lids > HALF):
            if low == 0 or high == len(times):
                continue  # cut off by the clip
            self.blinks.append(_blink(face.lids, low, high, face.fps))
            start = min(max(round(low - 2), 0), len(times) - 1)  # where it begins
            self.in_pause += bool(pause[start])
            self.in_accent += bool(prominence[start] > PROMINENT)
        self.brow_sd.append(float(face.brows_mm.std()))
        for low, high in _runs(face.brows_mm > RAISE_MM):
            self.raises.append((float(face.brows_mm[low:high].max()), (high - low) / face.fps))
        self.head_sd.append(face.head_deg.std(0))
        velocity = np.gradient(face.head_deg, axis=0) * face.fps
        self.speeds.append(np.linalg.norm(velocity, axis=1))
        self.power.append(_shares(velocity, face.fps))
        for at in rhythm.accents:
            if at + AROUND[0] >= 0 and at + AROUND[-1] <= times[-1]:
                for curve, where in ((face.head_deg[:, 0], self.pitch_at), (face.brows_mm, self.brow_at)):
                    there = np.interp(at + AROUND, times, curve)
                    where.append(there - there.mean())

    def rows(self) -> dict[str, str]:
        """The figures by name, to print."""
        minutes, blinks = self.seconds / 60, np.array(self.blinks).reshape(-1, 4)
        speed = np.concatenate(self.speeds)
        sd, power = np.median(self.head_sd, axis=0), np.mean(self.power, axis=0)
        nod, brow = np.mean(self.pitch_at, axis=0), np.mean(self.brow_at, axis=0)
        raises = np.array(self.raises).reshape(-1, 2)
        out = {
            "blinks a minute": f"{len(blinks) / minutes:.1f}",
            "half shut or more, ms": _spread(1000 * blinks[:, 1], "{:.0f}"),
            "lids fall, ms": _spread(1000 * blinks[:, 2], "{:.0f}"),
            "lids rise, ms": _spread(1000 * blinks[:, 3], "{:.0f}"),
            "blinks that begin in pauses (which are)": self._where(self.in_pause, self.paused),
            "blinks that begin in accents (which are)": self._where(self.in_accent, self.accented),
            "brows, standard deviation, mm": f"{np.median(self.brow_sd):.2f}",
            f"brows above {RAISE_MM:g} mm, a minute": f"{len(raises) / minutes:.1f}",
            "their height, mm; length, s": f"{_spread(raises[:, 0], '{:.1f}')}; {_spread(raises[:, 1], '{:.2f}')}",
            "brows around accents, highest less lowest, mm": f"{np.ptp(brow):.2f}",
            "head, standard deviation of pitch, yaw, roll, °": " ".join(f"{v:.2f}" for v in sd),
            "its speed: median, 95 %, °/s": f"{np.median(speed):.1f} {np.percentile(speed, 95):.1f}",
            "velocity below 1, in 1–2, in 2–5 Hz": " ".join(f"{v:.0%}" for v in power),
            "nod around accents, lowest less highest, °": f"{np.ptp(nod):.2f}",
            "… lowest after the accent, ms": f"{1000 * AROUND[int(nod.argmax())]:.0f}",
        }
        return out

    def _where(self, blinks: int, seconds: float) -> str:
        return f"{_share(blinks, len(self.blinks))} ({seconds / self.seconds:.0%})"


def _blink(lids: np.ndarray, low: int, high: int, fps: float) -> tuple[float, float, float, float]:
    """Depth; s at half shut or more; s from a fifth shut to the deepest, and back."""
    peak = low + int(lids[low:high].argmax())
    return float(lids[peak]), _width(lids, peak, HALF, fps)[2], *_width(lids, peak, 0.2, fps)[:2]


def _width(curve: np.ndarray, peak: int, level: float, fps: float) -> tuple[float, float, float]:
    """s from crossing `level` to `peak`, from there to crossing it again, and both, between frames by interpolation."""
    out = []
    for step in (-1, 1):
        k = peak
        while 0 <= k + step < len(curve) and curve[k] > level:
            k += step
        inner, outer = curve[k - step], curve[k]
        part = (inner - level) / (inner - outer) if outer < level < inner else 1.0
        out.append((abs(k - step - peak) + part) / fps)
    return out[0], out[1], out[0] + out[1]


def _shares(velocity: np.ndarray, fps: float) -> np.ndarray:
    """(bands,) share of the head's velocity, all axes, by frequency."""
    power = np.square(np.abs(np.fft.rfft(velocity * np.hanning(len(velocity))[:, None], axis=0))).sum(1)
    hertz = np.fft.rfftfreq(len(velocity), 1 / fps)
    return np.array([power[(hertz >= low) & (hertz < high)].sum() for low, high in BANDS]) / max(power.sum(), 1e-12)


def _runs(mask: np.ndarray) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _spread(values: np.ndarray, form: str) -> str:
    if not len(values):
        return "–"
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{form.format(middle)} ({form.format(low)}–{form.format(high)})"


def _share(count: int, of: int) -> str:
    return f"{count / of:.0%}" if of else "–"


def tracked_face(points: np.ndarray, ids: np.ndarray, fps: float) -> Face | None:
    """What a person's face does; None where it is not seen throughout."""
    if not np.isfinite(points).all():
        return None
    found = upper_face(stilled(Points(points, ids), fps), fps)
    brows = found.brows_mm.mean(1)
    return Face(found.lids.mean(1), brows - np.median(brows), found.head_deg - np.median(found.head_deg, axis=0), fps)


def made_face(animation: Animation, frames: int) -> Face:
    """What KMTalk's face does, measured as `tracked_face` does."""
    controls, fps = animation.controls[:frames], animation.fps
    column = {name: controls[:, CONTROL_INDEX[name]].astype(np.float64) for name in CONTROL_INDEX}
    brows = np.mean(
        [
            level
            for side, (inner, outer, down) in brow_moves().items()
            for level in (
                inner * column["browInnerUp"] - down * column[f"browDown{side}"],
                outer * column[f"browOuterUp{side}"] - 0.5 * down * column[f"browDown{side}"],
            )
        ],
        axis=0,
    )
    brows = gaussian_filter1d(brows, BROW_SMOOTH * fps, mode="nearest")
    head = np.stack([column[name] for name in HEAD_CONTROLS], axis=1) * HEAD_DEG
    head = gaussian_filter1d(head, TURN_SMOOTH * fps, axis=0, mode="nearest")
    lids = (column["eyeBlinkLeft"] + column["eyeBlinkRight"]) / 2
    return Face(lids, brows - np.median(brows), head - np.median(head, axis=0), fps)


def clips(where: Path, every: int) -> Iterator[tuple[str, np.ndarray, np.ndarray, float, Sound, str]]:
    """(name, points, ids, fps, sound, text) of each clip."""
    if where.is_dir() and not where.with_suffix(".json").exists():
        for path in sorted(where.glob(f"*{ENDING}"))[::every]:
            track = load_track(path)
            name = path.name.removesuffix(ENDING)
            yield name, track.points, track.ids, track.fps, Sound(track.samples, track.sha256, path.name), ""
        return
    for about, points, ids, sound in clips_of(where, every):
        yield about["clip"], points, ids, float(about["fps"]), load_sound(sound), about.get("text", "")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.liveliness", description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, help="a set of tracked clips, or a folder that training.capture wrote")
    parser.add_argument("--every", type=int, default=1, help="look at every N-th clip only")
    options = parser.parse_args()
    theirs, ours, animator = Tally(), Tally(), Animator()
    try:
        for number, (_, points, ids, fps, sound, text) in enumerate(clips(options.set, options.every)):
            if (face := tracked_face(points, ids, fps)) is None:
                continue
            animation = animator.animate(sound, Request(transcript=text or None, fps=fps, seed=number))
            rhythm = find_rhythm(
                animation.alignment.later(animation.feature_lead), animation.to_finish.prosody, animation.feature_rate
            )
            theirs.add(face, rhythm)
            ours.add(made_face(animation, len(points)), rhythm)
    except KMTalkError as error:
        print(f"liveliness: {error}", file=sys.stderr)
        return 1
    first, second = theirs.rows(), ours.rows()
    print(f"| {theirs.seconds / 60:.1f} minutes | {' | '.join(COLUMNS)} |\n|---|---|---|")
    for name, figure in first.items():
        print(f"| {name} | {figure} | {second[name]} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
