"""`python -m benchmarks.styles [AUDIO] [STYLE…] --out SHEET.png`: the same line in several styles, a row each.

The columns are a closure, a rounded, an open and a spread vowel and other phones of the line, from the front and from
three-quarter. Under each picture: the phone, and the gap between the lips in mm on the articulation rig.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kmtalk_core.animator import Animator
from kmtalk_core.assets import DEMO_HEAD, SAMPLE_SPEECH
from kmtalk_core.audio import load_sound
from kmtalk_core.finish.contact_poses import lips_apart
from kmtalk_core.localization.transcript import read_transcript
from kmtalk_core.motion import Animation
from kmtalk_core.request import Request
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.mesh import load_mesh
from kmtalk_core.rig.profiles import find_landmarks
from kmtalk_core.settings import STYLES
from training.captured.raster import YAW, Painter, View, material_colours

SHOWN = ("M", "AA", "UW", "IY", "F", "AY", "OW", "EH", "S", "W")  # phones, where the line has them
CELL, LABEL, MARGIN = 150, 18, 80  # pixels


def main() -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.styles", description=__doc__.partition("\n")[0])
    parser.add_argument("audio", type=Path, nargs="?", default=SAMPLE_SPEECH, help="the line (the sample speech)")
    parser.add_argument("styles", nargs="*", default=[*STYLES], help="names or .style files (all that ship)")
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    options = parser.parse_args()
    animator, sound = Animator(), load_sound(options.audio)
    beside = options.audio.with_suffix(".txt")
    said = read_transcript(beside) if beside.is_file() else None
    worn = {
        Path(style).stem: animator.animate(sound, Request(transcript=said, style=style, head=0.0, upper_face=0.0))
        for style in options.styles
    }
    sheet_of(worn).save(options.out)
    for name, animation in worn.items():
        apart = lips_apart(animation.controls, animation.control_names)
        speed = np.percentile(np.abs(np.diff(apart)), 95) * animation.fps
        print(f"{name}: lips apart {np.percentile(apart, 90):.1f} mm (90 %), {speed:.0f} mm/s (95 %)")
    return 0


def sheet_of(worn: dict[str, Animation]) -> Image.Image:
    """A row for each animation of the same line, by the name of its style."""
    mesh = load_mesh(DEMO_HEAD)
    rig, marks = build_rig(mesh), find_landmarks(mesh)
    painter, rest = Painter(mesh, marks, material_colours(DEMO_HEAD)), rig.neutral[marks]
    centre, height = (rest[33] + rest[8]) / 2, 1.55 * float(np.linalg.norm(rest[33] - rest[8]))
    views = [View(yaw, centre, height) for yaw in YAW.values()]
    frames = instants(next(iter(worn.values())))
    sheet = Image.new("RGB", (MARGIN + len(views) * len(frames) * CELL, len(worn) * (CELL + LABEL)), (255, 255, 255))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for row, (name, animation) in enumerate(worn.items()):
        y = row * (CELL + LABEL)
        pen.text((4, y + CELL // 2), name, (0, 0, 0), font)
        poses = rig.vertices(animation.controls[[frame for _, frame in frames]], animation.control_names)
        gaps = lips_apart(animation.controls, animation.control_names)
        for column, (phone, frame) in enumerate(frames):
            for number, view in enumerate(views):
                x = MARGIN + (number * len(frames) + column) * CELL
                picture = Image.fromarray(painter.paint(poses[column], view, 2 * CELL))
                sheet.paste(picture.resize((CELL, CELL), Image.Resampling.BOX), (x, y))
                pen.text((x + 3, y + CELL + 2), f"{phone} {gaps[frame]:.1f}", (0, 0, 0), font)
    return sheet


def instants(animation: Animation) -> Sequence[tuple[str, int]]:
    """(phone, frame): the middle of the longest of each of SHOWN."""
    found = []
    for label in SHOWN:
        phones = [p for p in animation.alignment.phones if p.label == label]
        if phones:
            longest = max(phones, key=lambda p: p.end - p.start)
            found.append((label, round((longest.start + longest.end) / 2 * animation.fps)))
    return found


if __name__ == "__main__":
    raise SystemExit(main())
