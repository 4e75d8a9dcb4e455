"""Make the styles that ship: `python -m training.styles --corpus CORPUS [--out DIR] [--clips N]`.

Lively is one end of what one captured person does: how much more, and how much faster, the lips part in the tenth of
CORPUS/captured's clips in which they part most, against the model's motion for the same sounds, with the median clip as
1. Precise is what the articulation rules do with the effort CLEAR, learned from the phones of the whole corpus as any
style is. Mumbling is both other ends: the tenth of the clips in which the lips part least, and the effort SLURRED.
Writes NAME.style for each into DIR.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kmtalk_core.animator import Animator
from kmtalk_core.assets import ASSETS
from kmtalk_core.audio import SAMPLE_RATE, Sound
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import load_npz
from kmtalk_core.finish.learning import FASTEST, Example, learn
from kmtalk_core.finish.manner import styled
from kmtalk_core.phones import Alignment, Phone
from kmtalk_core.request import Request
from kmtalk_core.rig.controls import SPEECH_CONTROLS
from kmtalk_core.rig.mouth_measures import mouth_measures
from kmtalk_core.settings import STYLE_ENDING
from kmtalk_core.styles import GROUPS, Style, save_style
from training.articulation import synthesize
from training.articulation.style import Style as Speaker
from training.compact.data import HELD_OUT

SHARE = 0.1  # of the clips that are an end
CLEAR, SLURRED = 2.0, 0.5  # efforts of articulation (`articulation.style.Style`); 1 is the mean speaker's
RATE = 25.0  # Hz
RULED = 120  # utterances whose phones the rules speak


@dataclass(frozen=True)
class Clip:
    """What a captured clip and the model's motion for it amount to: (2,) each, standard deviation of the opening in mm
    and its FASTEST percentile of speed in mm/s; `speech` (T, S) is the model's motion at `times` (T,)."""

    person: np.ndarray
    model: np.ndarray
    times: np.ndarray
    speech: np.ndarray
    alignment: Alignment


def main() -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.styles", description=__doc__.partition(":")[0] + ".")
    parser.add_argument("--corpus", type=Path, required=True, help="what training.corpus and its captured people wrote")
    parser.add_argument("--out", type=Path, default=ASSETS, help="folder to write the styles to (the core's assets)")
    parser.add_argument("--clips", type=int, default=400, help="captured clips to look at, evenly chosen (400)")
    options = parser.parse_args()
    try:
        for style in make(options.corpus, options.clips):
            save_style(style, options.out / f"{style.name}{STYLE_ENDING}")
            print(f"{style.name}: {style.made_from}; gains {dict(style.gains)}, speed {style.speed}", file=sys.stderr)
    except KMTalkError as error:
        print(f"styles: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


def make(corpus: Path, clips: int) -> list[Style]:
    """The styles that ship. Raises InputError where the corpus lacks what they are made from."""
    captured = _evenly(sorted((corpus / "captured").glob("*.npz")), clips)
    said = [f for f in sorted(corpus.glob("*/*.npz")) if f.parent.name not in ("captured", HELD_OUT)]
    if len(captured) < 1 / SHARE or not said:
        raise InputError(f"{corpus} lacks captured people or speech; make it with training.corpus and its captured.")
    animator = Animator()
    seen = [_clip(path, animator) for path in captured]
    spoken = _evenly(said, RULED)
    slurred = _ruled("mumbling", spoken, SLURRED)
    least = _end(seen, "mumbling", -1.0, "least")
    gains = {group: round(gain * least.gains[group], 3) for group, gain in slurred.gains.items()}
    made_from = f"{least.made_from}; and {slurred.made_from[0].lower()}{slurred.made_from[1:]}"
    return [
        _end(seen, "lively", 1.0, "most"),
        replace(slurred, gains=gains, made_from=made_from),  # and as slow as that makes him
        _ruled("precise", spoken, CLEAR),
    ]


def _end(clips: Sequence[Clip], name: str, side: float, how: str) -> Style:
    """The style of the clips in which the lips part `how`."""
    ratios = np.log([clip.person / clip.model for clip in clips])
    ratios -= np.median(ratios, axis=0)
    count = round(SHARE * len(clips))
    opening, speed = np.exp(ratios[np.argsort(-side * ratios[:, 0])[:count]].mean(0))
    made_from = (
        f"The {count} of {len(clips)} clips of GRID's speaker 1 in which he parts his lips {how}, against his median "
        "clip"
    )
    gains = dict.fromkeys(GROUPS, 1.0) | dict.fromkeys(("jaw", "lips"), round(float(opening), 3))
    return Style(name, made_from, "", gains, round(_speed(clips, float(speed / opening)), 3))


def _speed(clips: Sequence[Clip], wanted: float) -> float:
    """The speed of a style that makes the opening of the model's motion `wanted` times as fast."""
    low, high = 0.1, 3.0
    before = np.median([clip.model[1] for clip in clips])
    for _ in range(14):
        middle = (low + high) / 2
        after = [
            _amounts(styled(c.speech, c.times, c.alignment, Style(speed=middle)))[1] for c in clips[:: len(clips) // 40]
        ]
        low, high = (middle, high) if np.median(after) / before < wanted else (low, middle)
    return (low + high) / 2


def _ruled(name: str, files: Sequence[Path], effort: float) -> Style:
    """What the rules do with another effort, learned from both."""
    even = Speaker(asymmetry=0.0, variation=0.0)
    lessons = []
    for path in files:
        z = load_npz(path)
        alignment, stress = _alignment(z), z["stress"]
        times = np.arange(int(alignment.duration * RATE)) / RATE
        plain, clear = (
            synthesize(alignment, times, stress=stress, style=style) for style in (even, replace(even, effort=effort))
        )
        lessons.append(Example(path.stem, times, alignment, plain, clear, np.ones(len(times))))
    made_from = f"The articulation rules with an effort of {effort:g} for 1, on the phones of {len(files)} utterances"
    return replace(learn(lessons, name, made_from).style, rest={})


def _clip(path: Path, animator: Animator) -> Clip:
    z = load_npz(path)
    alignment = _alignment(z)
    sound = Sound(z["samples"].astype(np.float32) / 32768, "0" * 64, str(path))
    fps = float(z["control_fps"])
    result = animator.animate(sound, Request(alignment=alignment, fps=fps))
    count = min(len(z["controls"]), len(result.times))
    times, speech = result.times[:count], result.to_finish.speech[:count]
    goal = z["controls"][:count].astype(np.float32)
    spoken = Example(path.stem, times, alignment, speech, goal, np.ones(count)).spoken & z["usable"][:count]
    return Clip(_amounts(goal[spoken], fps), _amounts(speech[spoken], fps), times, speech, alignment)


def _amounts(motion: np.ndarray, fps: float = RATE) -> np.ndarray:
    """(2,): standard deviation of the opening (mm) and its fast speed (mm/s)."""
    opening = motion @ mouth_measures(SPEECH_CONTROLS)[:, 0]
    return np.array([opening.std(), np.percentile(np.abs(np.diff(opening)), FASTEST) * fps]) + 1e-6


def _alignment(z: dict[str, np.ndarray]) -> Alignment:
    phones = zip(z["phone_labels"], z["phone_starts"], z["phone_ends"], strict=True)
    return Alignment(
        tuple(Phone(str(label), float(a), float(b)) for label, a, b in phones),
        (),
        len(z["samples"]) / SAMPLE_RATE,
        "corpus",
    )


def _evenly(files: Sequence[Path], count: int) -> list[Path]:
    return [files[k] for k in np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int)]


if __name__ == "__main__":
    sys.exit(main())
