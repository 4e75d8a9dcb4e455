"""`python -m benchmarks.key_density [--plot FILE] [--default]`: key rules and densities against the judge's figures.

The judge and its clips lie beside the repository, as for `benchmarks.judge`. All clips with their transcripts; then the
shipped rule with all key motions, with those of the default density, and as its sparse curves show these, with and
without transcripts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kmtalk_core.animator import Animator, Request
from kmtalk_core.audio import load_sound
from kmtalk_core.files import save_npz
from kmtalk_core.finish.reduced import reduced_curves
from kmtalk_core.motion import Animation
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.mesh import load_mesh
from kmtalk_core.settings import KeyDensitySettings

from .clips import DEV, SHARED, load_clips
from .stage import FLAME_HEAD, FPS, lips_of

JUDGE = SHARED / "judge" / "judge.py"
RULES = ("apexes", "boundaries", "both", "uniform")
DEFAULT = KeyDensitySettings().key_density
DENSITIES = (1.0, 0.75, 0.5, DEFAULT, 0.15)
FIGURES = ("bilabial", "labiodental", "silence", "open_auc", "round_auc", "openness_r", "jitter")
SIZE, MARGIN = (300, 190), 34  # of one plot, pixels
COLOURS = {"apexes": "#c03030", "boundaries": "#2060b0", "both": "#308030", "uniform": "#888888"}

Row = dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.key_density", description=__doc__.splitlines()[0])
    parser.add_argument("--plot", type=Path, help="picture to draw (.png)")
    parser.add_argument("--default", action="store_true", help="the default density alone, with and without text")
    options = parser.parse_args()
    if not JUDGE.is_file():
        print(f"The judge is not at hand ({JUDGE}); without it, there is nothing to measure.")
        return 0
    judge = Judge()
    measured: dict[str, list[Row]] = {}
    if not options.default:
        print(f"| rule | density | keys per second | {' | '.join(FIGURES)} |\n|---{'|---' * (2 + len(FIGURES))}|")
    for rule in () if options.default else RULES:
        for density in DENSITIES:
            row = judge(rule, density)
            measured.setdefault(rule, []).append(row)
            print(
                f"| {rule} | {density:g} | {row['keys']:.1f} | {' | '.join(str(row[f]) for f in FIGURES)} |", flush=True
            )
    print(
        f"\n| transcript | key motions | keys per second | {' | '.join(FIGURES)} |\n|---{'|---' * (2 + len(FIGURES))}|"
    )
    for text in (True, False):
        for what, density, sparse in (("all", 1.0, False), ("default", DEFAULT, False), ("sparse", DEFAULT, True)):
            row = judge(RULES[0], density, text, sparse)
            figures = " | ".join(str(row[f]) for f in FIGURES)
            print(f"| {'yes' if text else 'no'} | {what} | {row['keys']:.1f} | {figures} |", flush=True)
    if options.plot and measured:
        draw(measured, options.plot)
    return 0


class Judge:
    """Animates every clip with a rule and a density, with its transcript or not, and returns the judge's figures and
    `keys` per second; `sparse`: of what the sparse curves show."""

    def __init__(self) -> None:
        self._animator, self._rig = Animator(), build_rig(load_mesh(FLAME_HEAD))
        self._lips = lips_of(FLAME_HEAD)
        self._clips = [(clip.path.stem, load_sound(clip.path), clip.text) for clip in load_clips(DEV)]

    def __call__(self, rule: str, density: float, told: bool = True, sparse: bool = False) -> Row:
        keys = seconds = 0.0
        with tempfile.TemporaryDirectory(prefix="kmtalk-keys-") as folder:
            for stem, sound, text in self._clips:
                request = Request(
                    transcript=text if told else None,
                    fps=FPS,
                    key_rule=rule,
                    key_density=density,
                    lip_line=self._lips,
                )
                animation = self._animator.animate(sound, request)
                controls = as_curves(animation) if sparse else animation.controls
                keys += len(animation.keys.times)
                seconds += sound.duration
                vertices = self._rig.vertices(controls, animation.control_names)
                save_npz({"fps": np.float64(FPS), "vertices": vertices.astype(np.float32)}, Path(folder, f"{stem}.npz"))
            answer = Path(folder, "figures.json")
            command = [sys.executable, JUDGE, DEV, folder, FLAME_HEAD, "--json", answer]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            return {**json.loads(answer.read_text()), "keys": keys / seconds}


def as_curves(animation: Animation) -> np.ndarray:
    """(T, C) what the sparse curves of a motion show on its frames."""
    frames = np.arange(len(animation.times), dtype=np.float64)
    return np.stack([curve.at(frames) for curve in reduced_curves(animation, animation.control_names)], axis=1)


def draw(measured: dict[str, list[Row]], path: Path, figures: Sequence[str] = FIGURES) -> None:
    """One small plot per figure over keys per second; a line per rule."""
    from PIL import Image, ImageDraw

    columns = 4
    rows = -(-(len(figures) + 1) // columns)
    picture = Image.new("RGB", (columns * SIZE[0], rows * SIZE[1]), "white")
    pen = ImageDraw.Draw(picture)
    most = max(row["keys"] for series in measured.values() for row in series)
    for number, figure in enumerate(figures):
        left, top = number % columns * SIZE[0] + MARGIN, number // columns * SIZE[1] + MARGIN
        width, height = SIZE[0] - 1.5 * MARGIN, SIZE[1] - 2 * MARGIN
        values = [row[figure] for series in measured.values() for row in series]
        low, high = min(values), max(max(values), min(values) + 0.02)
        pen.text((left, top - 18), figure, "black")
        pen.rectangle((left, top, left + width, top + height), outline="#bbbbbb")
        for value, at in ((low, top + height - 6), (high, top - 4)):
            pen.text((left - MARGIN + 4, at), f"{value:.2f}", "#444444")
        for keys in range(0, int(most) + 1, 5):
            pen.text((left + width * keys / most - 4, top + height + 2), str(keys), "#444444")
        for rule, series in measured.items():
            points = [
                (left + width * row["keys"] / most, top + height * (high - row[figure]) / (high - low))
                for row in series
            ]
            pen.line(points, fill=COLOURS[rule], width=2)
            for x, y in points:
                pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=COLOURS[rule])
    left, top = len(figures) % columns * SIZE[0] + MARGIN, len(figures) // columns * SIZE[1] + MARGIN
    pen.text((left, top - 18), "over keys per second, by rule:", "black")
    for number, rule in enumerate(measured):
        pen.text((left, top + 4 + 18 * number), rule, COLOURS[rule])
    picture.quantize(16).save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
