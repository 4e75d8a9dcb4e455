"""How well each family of shape keys speaks: `python -m benchmarks.rigs`, on heads made in each family's own shapes.

A family's head is the demo head (or FLAME's sample) whose shape keys are posed as the family's shapes are meant, so
that what its shapes do is known and differs from our controls as the families themselves do. Its lips are found again
from these shapes alone, as on a user's head. Blinks do not count for max_jump: lids are as quick as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kmtalk_core.assets import DEMO_HEAD, SAMPLE_SPEECH
from kmtalk_core.audio import load_sound
from kmtalk_core.motion import Animation
from kmtalk_core.phones import Phone
from kmtalk_core.request import Request
from kmtalk_core.retarget.families import families
from kmtalk_core.retarget.measure import measured
from kmtalk_core.retarget.recognition import target_face
from kmtalk_core.retarget.solver import Face, meant, worn
from kmtalk_core.rig.articulation import Rig, build_rig
from kmtalk_core.rig.controls import ALL_CONTROLS, SPEECH_CONTROLS
from kmtalk_core.rig.mesh import load_mesh
from training.captured.raster import Painter, View, material_colours

from .clips import DEV, JudgedClip, load_clips
from .measures import Observed, figures, observe
from .stage import FPS, Motion, animator, default_head, landmark_rig, landmarks_of

COLUMNS = ("bilabial", "labiodental", "open_auc", "round_auc", "aperture90", "jitter", "max_jump")
SHOWN = ("B", "AY", "F", "IH", "OW", "UW")  # phones of the sample speech
CELL, LABEL = 110, 190  # pixels
ANY = "vrm1"  # for families whose contacts are made of their own shapes, a line is animated once


@lru_cache(maxsize=64)
def spoken(clip: JudgedClip, family: str, head: Path) -> Animation:
    """The clip's animation with its text known, for the lips of a head in this family's shapes."""
    return animator(None).animate(
        load_sound(clip.path), Request(transcript=clip.text, fps=FPS, lip_line=face_of(family, head).lip_line)
    )


def performed(clip: JudgedClip, family: str, head: Path) -> tuple[Observed, float]:
    """What a viewer sees of the clip on such a head, and the largest change of a shape's weight between two frames."""
    face = face_of(family, head)
    animation = spoken(clip, family if face.direct else ANY, head)
    weights = worn(face, animation.controls, animation.control_names, FPS)
    moving = landmarks_of(Motion(meant(face, weights).astype(np.float32), ALL_CONTROLS), head)
    speech = (face.looks[:, [name in SPEECH_CONTROLS for name in ALL_CONTROLS]] > 0).any(1)
    jump = float(np.abs(np.diff(weights[:, speech], axis=0)).max())
    return observe(moving, landmark_rig(head)[0], FPS, clip.phones, clip.duration), jump


@lru_cache(maxsize=4)
def rig_of(head: Path) -> Rig:
    return build_rig(load_mesh(head))


@lru_cache(maxsize=64)
def face_of(family: str, head: Path) -> Face:
    """The face of a head in this family's shapes, its lips found from them alone."""
    rig, face = rig_of(head), target_face(families()[family])
    shapes = np.tensordot(face.looks, rig.shapes, axes=1)
    return measured(face, rig.neutral, shapes)


def draw_sheet(names: Sequence[str], path: Path) -> None:
    """One line on every family: a row of the demo head for each, at a b, an open vowel, f, i, o and u."""
    mesh, rig = load_mesh(DEMO_HEAD), rig_of(DEMO_HEAD)
    text = SAMPLE_SPEECH.with_suffix(".txt").read_text(encoding="utf-8")
    phones: tuple[Phone, ...] = ()
    painter = Painter(mesh, None, material_colours(DEMO_HEAD))
    marks = rig.neutral[rig.anatomy.vertex_of[rig.anatomy.marks]]
    view = View(12.0, marks[33] - [0.0, 0.1 * np.ptp(marks[:, 1]), 0.0], 0.8 * np.ptp(marks[:, 1]))
    font = ImageFont.load_default(13)
    sheet = Image.new("RGB", (LABEL + CELL * len(SHOWN), 22 + CELL * len(names)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, name in enumerate(names):
        face = face_of(name, DEMO_HEAD)
        request = Request(transcript=text, fps=FPS, lip_line=face.lip_line, head=0.0)
        animation = animator(None).animate(load_sound(SAMPLE_SPEECH), request)
        controls = meant(face, worn(face, animation.controls, animation.control_names, FPS))
        phones = phones or animation.alignment.phones
        pen.text((6, 22 + CELL * row + CELL / 2 - 8), families()[name].title, "black", font)
        for column, label in enumerate(SHOWN):
            of_kind = [p for p in phones if p.label == label]
            phone = max(of_kind, key=lambda p: p.end - p.start)
            frame = round((phone.start + phone.end) / 2 * FPS)
            picture = painter.paint(rig.vertices(controls[frame : frame + 1], ALL_CONTROLS)[0], view, 2 * CELL)
            sheet.paste(Image.fromarray(picture).resize((CELL, CELL)), (LABEL + CELL * column, 22 + CELL * row))
            if not row:
                pen.text((LABEL + CELL * column + CELL / 2 - 8, 4), label, "black", font)
    sheet.quantize(96).save(path, optimize=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--family", action="append", choices=tuple(families()), help="only these (all)")
    parser.add_argument("--clips", type=int, default=0, help="only so many clips (all)")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw a line on every family instead of measuring")
    options = parser.parse_args()
    if options.sheet is not None:
        draw_sheet(options.family or list(families()), options.sheet)
        return 0
    clips = load_clips(DEV)[: options.clips or None]
    print("| family | " + " | ".join(COLUMNS) + " |\n|---" + "|---" * len(COLUMNS) + "|", flush=True)
    for name in options.family or families():
        seen, jumps = zip(*(performed(clip, name, default_head()) for clip in clips), strict=True)
        found = {**figures(seen), "max_jump": max(jumps)}
        print(f"| {families()[name].title} | " + " | ".join(f"{found[c]:.2f}" for c in COLUMNS) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
