"""`python -m benchmarks.invariance`: how much of the motion changes where nothing that is heard does.

The same speech after one frame of silence, with a constant added, quieter, and at half the frame rate. A frame counts
as changed where any control differs by more than LIMIT. The clips are the judged ones where they are at hand, else the
sample speech.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from kmtalk_core.animator import Animator
from kmtalk_core.assets import ASSETS
from kmtalk_core.audio import SAMPLE_RATE, Sound, load_sound
from kmtalk_core.levelling import Leveller
from kmtalk_core.motion import Animation
from kmtalk_core.request import Request

from .clips import DEV, load_clips

LIMIT = 0.05  # of a control's range: nobody sees less
FPS = 24.0
FRAME = round(SAMPLE_RATE / FPS)  # samples

Pair = tuple[np.ndarray, np.ndarray]  # (T, C) motions that should be one and the same


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.invariance", description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=9, help="number of clips (9)")
    parser.add_argument("--controls", action="store_true", help="name the controls that change most")
    options = parser.parse_args()
    animator = Animator()
    spoken = list(clips(options.clips))
    print("| % of frames changed by more than .05 (worst clip) | without text | with text | aim |\n|---|---|---|---|")
    for name, change in CHANGES.items():
        row, worst = [], []
        for with_text in (False, True):
            pairs = [change(animator, path, text if with_text else None) for path, text in spoken]
            changed = [np.abs(a - b).max(1) > LIMIT for a, b in pairs]
            row.append(f"{100 * np.concatenate(changed).mean():.1f} ({100 * max(c.mean() for c in changed):.1f})")
            worst.append(np.mean([(np.abs(a - b) > LIMIT).mean(0) for a, b in pairs], 0))
        print(f"| {name} | {' | '.join(row)} | < 2 |", flush=True)
        if options.controls:
            names = animator.animate(load_sound(spoken[0][0], duration=1.0)).control_names
            for shares in worst:
                most = np.argsort(-shares)[:8]
                print("    " + ", ".join(f"{names[i]} {100 * shares[i]:.1f}" for i in most))
    return 0


def clips(count: int) -> Iterator[tuple[Path, str]]:
    """Sound files and what is said in them."""
    if DEV.is_file():
        for clip in load_clips(DEV)[:count]:
            yield clip.path, clip.text
    else:
        sample = ASSETS / "sample_speech.flac"
        yield sample, sample.with_suffix(".txt").read_text(encoding="utf-8")


def after_silence(animator: Animator, path: Path, text: str | None) -> Pair:
    """One frame of silence before: the same motion, one frame later."""
    samples = load_sound(path).samples
    shifted = animated(animator, np.concatenate([np.zeros(FRAME, np.float32), samples]), text).controls[1:]
    plain = animated(animator, samples, text).controls
    count = min(len(plain), len(shifted))
    return plain[:count], shifted[:count]


def with_constant(animator: Animator, path: Path, text: str | None) -> Pair:
    samples = load_sound(path).samples
    return animated(animator, samples, text).controls, animated(animator, samples + 0.05, text).controls


def quieter(animator: Animator, path: Path, text: str | None) -> Pair:
    samples = load_sound(path).samples
    return animated(animator, samples, text).controls, animated(animator, samples * 0.2, text).controls


def at_half_the_rate(animator: Animator, path: Path, text: str | None) -> Pair:
    samples = load_sound(path).samples
    twice = animated(animator, samples, text, 2 * FPS).controls[::2]
    return twice, animated(animator, samples, text).controls[: len(twice)]


CHANGES: dict[str, Callable[[Animator, Path, str | None], Pair]] = {
    "after one frame of silence": after_silence,
    "a constant of .05 added": with_constant,
    "a fifth of the amplitude": quieter,
    "24 against 48 frames a second": at_half_the_rate,
}


def animated(animator: Animator, samples: np.ndarray, text: str | None, fps: float = FPS) -> Animation:
    """As from a 16-bit file of these samples."""
    stored = Leveller()
    stored.add((np.rint(np.clip(samples, -1, 1) * 32767) / 32768).astype(np.float32))
    sound = Sound(stored.finish(), "", "")
    return animator.animate(sound, Request(transcript=text, fps=fps))


if __name__ == "__main__":
    sys.exit(main())
