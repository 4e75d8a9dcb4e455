"""A picture of telling phones, each from the front and from the side, named by phone, word and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kmtalk_core.files import written_whole
from kmtalk_core.motion import Animation
from kmtalk_core.phones import SILENCE, Alignment, Phone

# What an animator looks for first, in the order of the sheet; the longest of each group is shown.
GROUPS = (
    (SILENCE,), ("M",), ("P", "B"), ("F", "V"), ("TH", "DH"), ("AA", "AE", "AY", "AO"),
    ("IY",), ("OW",), ("UW",), ("W",), ("L",), ("S", "Z"), ("SH", "CH", "JH", "ZH"), ("R", "ER"),
)  # fmt: skip
COLUMNS = 7  # at most
GAP, LABEL_HEIGHT = 8, 46  # pixels
PAPER, INK, FAINT = (24, 28, 32), (238, 240, 242), (150, 160, 168)


@dataclass(frozen=True)
class Pose:
    """One picture of the sheet: `frame` counts from 0."""

    phone: str
    word: str
    time: float
    frame: int


def choose_poses(animation: Animation) -> list[Pose]:
    """Pick the longest phone of each group, at the key motion inside it or else at its middle.

    Where no phones are known, take frames at even distances.
    """
    poses = []
    for group in GROUPS:
        found = [phone for phone in animation.alignment.phones if phone.label in group]
        if found:
            phone = max(found, key=lambda p: p.end - p.start)
            time = instant_of(phone, animation.keys.times)
            frame = min(round(time * animation.fps), len(animation.times) - 1)
            poses.append(Pose(phone.label, word_at(animation.alignment, time), time, frame))
    if not poses:
        frames = np.unique(np.linspace(0, len(animation.times) - 1, COLUMNS).astype(int)).tolist()
        poses = [Pose(f"frame {frame + 1}", "", float(animation.times[frame]), frame) for frame in frames]
    return poses


def instant_of(phone: Phone, key_times: np.ndarray) -> float:
    middle = (phone.start + phone.end) / 2
    inside = key_times[(key_times > phone.start) & (key_times < phone.end)]
    if phone.label == SILENCE or not len(inside):
        return middle
    return float(inside[np.abs(inside - middle).argmin()])


def word_at(alignment: Alignment, time: float) -> str:
    return next((word.label for word in alignment.words if word.start <= time <= word.end), "")


def write_sheet(poses: Sequence[Pose], fronts: Sequence[np.ndarray], sides: Sequence[np.ndarray], path: Path) -> None:
    """Lay out pictures (H, W, 3) uint8, all of one size, under each other, front above side; whole or not at all."""
    height, width = fronts[0].shape[:2]
    rows = -(-len(poses) // COLUMNS)
    columns = -(-len(poses) // rows)
    block = 2 * height + LABEL_HEIGHT + GAP
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, rows * block + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(22), ImageFont.load_default(15)
    for number, (pose, front, side) in enumerate(zip(poses, fronts, sides, strict=True)):
        x = GAP + number % columns * (width + GAP)
        y = GAP + number // columns * block
        sheet.paste(Image.fromarray(front), (x, y))
        sheet.paste(Image.fromarray(side), (x, y + height))
        middle = y + 2 * height + LABEL_HEIGHT // 2
        draw.text((x + 4, middle), pose.phone, INK, large, anchor="lm")
        word = f"“{pose.word}”  " if pose.word else ""
        draw.text((x + width - 4, middle), f"{word}{pose.time:.2f} s", FAINT, small, anchor="rm")
    with written_whole(path) as partial:
        sheet.save(partial, optimize=True)
