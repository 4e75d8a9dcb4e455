"""How well faces are captured: films of the demo head, whose controls are known, are tracked and solved.

`python -m benchmarks.capture [--save FILE]` paints the head saying syllables, seen from the front, from 15° and from
30° aside through a lens 0.7 m away, with a camera's noise, captures the films (extra `capture`), and compares what was
solved with what was filmed. `--speech` has the head say the sample speech instead. `--save` keeps the tracked points
and the controls: tests/data/filmed_head.npz, by which the solver is tested where there is no tracker.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from kmtalk_core.animator import Animator
from kmtalk_core.assets import DEMO_HEAD, SAMPLE_SPEECH
from kmtalk_core.audio import SAMPLE_RATE, load_sound
from kmtalk_core.files import save_npz
from kmtalk_core.request import Request
from kmtalk_core.rig.articulation import Rig, build_rig
from kmtalk_core.rig.controls import ALL_CONTROLS, CONTROL_INDEX, HEAD_CONTROLS, SPEECH_CONTROLS
from kmtalk_core.rig.mesh import load_mesh
from training.capture.command import solved
from training.capture.points import INNER_BROW, KEPT, LIDS, NEEDED, OUTER_BROW
from training.capture.tracking import track
from training.captured.mp4 import encode
from training.captured.raster import Painter, View, material_colours

FPS, SECONDS, SIZE = 25.0, 7.0, 480  # pixels
ANGLES = (0.0, 15.0, 30.0)
CAMERA_MM, MIDDLE_MM, HEIGHT_MM = 700.0, np.array([0.0, -30.0, -60.0]), 330.0
GRAIN = 2.0  # grey levels, standard deviation
COMPARED = ("eyeBlinkLeft", "browInnerUp", "headPitch", "headYaw", "headRoll")
SYLLABLE = 0.22  # s
SUBPIXELS = 32  # of the points that are saved …
SAVED = (
    *NEEDED,
    *(n for part in (INNER_BROW, OUTER_BROW) for side in part for n in part[side]),
    *(n for side in LIDS for pair in LIDS[side] for n in pair),
)  # fmt: skip … and which these are


def syllables(seconds: float, fps: float, seed: int = 0) -> np.ndarray:
    """(T, C) over ALL_CONTROLS: open, round and wide syllables by lot, shut lips between some, blinks, brows, nods."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * fps)) / fps
    out = np.zeros((len(times), len(ALL_CONTROLS)), np.float32)

    def add(at: float, width: float, **peaks: float) -> None:
        bump = np.exp(-0.5 * ((times - at) / width) ** 2)
        for name, peak in peaks.items():
            for side in ("Left", "Right") if name.endswith("_") else ("",):
                column = CONTROL_INDEX[name.rstrip("_") + side]
                out[:, column] = np.maximum(out[:, column], peak * bump)

    at, number = 0.8, 0
    while at < seconds - 0.8:
        opening = rng.uniform(0.12, 0.45)
        add(at, 0.06, jawOpen=opening, mouthLowerDown_=rng.uniform(0, 0.3), mouthUpperUp_=rng.uniform(0, 0.2))
        if number % 3 == 1:
            add(at, 0.09, mouthPucker=rng.uniform(0.2, 0.6), mouthFunnel=rng.uniform(0, 0.3))
        elif number % 3 == 2:
            add(at, 0.09, mouthStretch_=rng.uniform(0.1, 0.4), mouthSmile_=rng.uniform(0, 0.2))
        at += SYLLABLE * rng.uniform(0.85, 1.2) + (0.35 if number % 9 == 8 else 0.0)
        number += 1
    for at in (1.6, 3.1, 5.3):
        add(at, 0.05, eyeBlink_=1.0)
    for at in (2.2, 4.4):
        add(at, 0.2, browInnerUp=0.5, browOuterUp_=0.4)
    for name, hertz, size in zip(HEAD_CONTROLS, (0.5, 0.3, 0.4), (0.2, 0.3, 0.15), strict=True):
        out[:, CONTROL_INDEX[name]] = size * np.sin(2 * np.pi * hertz * times)
    return out


def film(path: Path, rig: Rig, controls: np.ndarray, aside: float, samples: np.ndarray) -> None:
    """Paint `controls` (T, C) over ALL_CONTROLS from `aside` degrees as an .mp4 with sound (n,)."""
    painter = Painter(load_mesh(DEMO_HEAD), rig.anatomy.vertex_of[rig.anatomy.marks], material_colours(DEMO_HEAD))
    encode(path, _pictures(rig, painter, controls, np.radians(aside)), FPS, samples)


def _pictures(rig: Rig, painter: Painter, controls: np.ndarray, aside: float) -> Iterator[np.ndarray]:
    grain = np.random.default_rng(0)
    turn = np.array([[np.cos(aside), 0, -np.sin(aside)], [0, 1, 0], [np.sin(aside), 0, np.cos(aside)]])
    view = View(0.0, np.zeros(3), HEIGHT_MM)
    for pose in controls:
        points = (rig.anatomy.frame.to_frame(rig.vertices(pose[None], ALL_CONTROLS)[0]) - MIDDLE_MM) @ turn
        nearer = CAMERA_MM / (CAMERA_MM - points[:, 2:])
        picture = painter.paint(points * np.concatenate([nearer, nearer, np.ones_like(nearer)], 1), view, SIZE)
        yield np.clip(picture + grain.normal(0, GRAIN, picture.shape), 0, 255).astype(np.uint8)


def seen(rig: Rig, controls: np.ndarray) -> Mapping[str, np.ndarray]:
    """opening, width and jaw (height of the chin), (T,) mm, of `controls` (T, C) over SPEECH_CONTROLS."""
    marks = rig.anatomy.vertex_of[rig.anatomy.marks]
    lips = rig.anatomy.frame.to_frame(rig.vertices(controls, SPEECH_CONTROLS)[:, marks])
    opening = lips[:, [61, 62, 63], 1].mean(1) - lips[:, [67, 66, 65], 1].mean(1)
    return {"opening": opening, "width": lips[:, 54, 0] - lips[:, 48, 0], "jaw": lips[:, 8, 1]}


def compared(rig: Rig, true: np.ndarray, ours: np.ndarray) -> dict[str, tuple[float, float]]:
    """What is seen, and some controls → (correlation, spread of ours over the true one); (T, C) over ALL_CONTROLS."""
    speech = [CONTROL_INDEX[name] for name in SPEECH_CONTROLS]
    pairs = {what: (a, seen(rig, ours[:, speech])[what]) for what, a in seen(rig, true[:, speech]).items()} | {
        name: (true[:, CONTROL_INDEX[name]], ours[:, CONTROL_INDEX[name]]) for name in ("jawOpen", *COMPARED)
    }
    return {
        what: (float(np.corrcoef(a, b)[0, 1]), float(b.std() / a.std())) if min(a.std(), b.std()) > 1e-6 else (0.0, 0.0)
        for what, (a, b) in pairs.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capture", description=__doc__.splitlines()[0])
    parser.add_argument("--save", type=Path, help="keep the tracked points and the controls in this .npz")
    parser.add_argument("--speech", action="store_true", help="the sample speech, as the model animates it")
    options = parser.parse_args()
    rig, animator, sound = build_rig(load_mesh(DEMO_HEAD)), Animator(), load_sound(SAMPLE_SPEECH)
    samples = sound.samples[: round(SECONDS * SAMPLE_RATE)]
    controls = syllables(SECONDS, FPS)
    if options.speech:
        controls = animator.animate(sound, Request(fps=FPS)).controls[: len(controls)]
    kept: dict[str, np.ndarray] = {
        "controls": controls,
        "fps": np.array(FPS),
        "size": np.array([SIZE, SIZE]),
        "point_ids": np.array(SAVED),
    }
    with tempfile.TemporaryDirectory() as folder:
        for aside in ANGLES:
            path = Path(folder, f"{aside:.0f}.mp4")
            film(path, rig, controls, aside, samples)
            tracked = track(path)
            captured = solved(path.stem, tracked, None, animator)
            figures = compared(rig, controls, captured.animation.controls)
            print(f"{aside:3.0f}°  " + "  ".join(f"{what} {r:.3f} ×{size:.2f}" for what, (r, size) in figures.items()))
            columns = [KEPT.index(number) for number in SAVED]
            kept[f"points_{aside:.0f}"] = np.rint(tracked.points[:, columns] * SUBPIXELS).astype(np.int16)
    if options.save:
        save_npz(kept, options.save)
    return 0


if __name__ == "__main__":
    sys.exit(main())
