"""The film: the whole speech from two sides; then, at least as long, one key motion edited, before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kmtalk_core.motion import Animation

from .contact_sheet import INK, PAPER
from .edit import Edit
from .lanes import EDITED, HEIGHT, Lanes

SECONDS = 20.0  # of speech in the film at most; .blend and .npz have it all
PICTURE = 480  # pixels
STILL = 2.5  # seconds that the edited key is looked at
BEFORE, AFTER = 2.2, 1.4  # seconds around the edited key that are played again
SLOWER, SLOW_AROUND = 3, 0.3  # slow motion, and the seconds before and after the changed frames that it shows
BORDER = 3

Picture = tuple["Played", Literal["front", "three_quarter"]]


@dataclass(frozen=True)
class Played:
    """Frame `frame` (between two frames where it is not whole) of the motion as generated, or as `edited`."""

    frame: float
    edited: bool = False


@dataclass(frozen=True)
class Moment:
    """One frame of the film. `sound` is the frame whose sound is heard, None for silence."""

    left: Picture
    right: Picture
    frame: float
    sound: int | None
    comparing: bool = False
    changed: bool = False
    note: str = ""


def moments(animation: Animation, edit: Edit | None) -> list[Moment]:
    """All frames of the film, in order."""
    count, fps = min(len(animation.times), round(SECONDS * animation.fps)), animation.fps
    film = [Moment((Played(f), "front"), (Played(f), "three_quarter"), f, f) for f in range(count)]
    if edit is None or not edit.frames:
        return film

    def compare(frame: float, sound: int | None, note: str = "") -> Moment:
        changed = edit.frames.start - 1 < frame < edit.frames.stop
        pose = Played(frame, edited=changed)
        return Moment((Played(frame), "front"), (pose, "front"), frame, sound, True, changed, note)

    key, last = int(animation.key_frames[edit.key]), len(animation.times) - 1
    a, b = edit.value
    told = f"One key motion edited, {edit.control} from {a:.2f} to {b:.2f}: Re-run Completion fits the motion around it"
    film += [compare(key, None, told)] * round(STILL * fps)
    played = [compare(f, f) for f in range(*passage(animation, edit))]
    around = round(SLOW_AROUND * fps)
    first, final = max(edit.frames.start - around, 0), min(edit.frames.stop + around, last)
    slowly = [compare(first + k / SLOWER, None, "Slow motion") for k in range((final - first) * SLOWER + 1)]
    film += played + slowly
    while len(film) < 2 * count:  # what the product is about gets half of the film
        film += played + slowly
    return film


def frames_needed(animation: Animation, key: int | None) -> list[int]:
    """All frames that `moments` may show, whatever an edit of that key changes."""
    frames = set(range(min(len(animation.times), round(SECONDS * animation.fps))))
    if key is not None:
        middle, reach = int(animation.key_frames[key]), round((BEFORE + AFTER + 1) * animation.fps)
        frames |= set(range(max(middle - reach, 0), min(middle + reach, len(animation.times))))
    return sorted(frames)


def passage(animation: Animation, edit: Edit) -> tuple[int, int]:
    """First frame, and one after the last, of what is played again: whole words around the edited key."""
    time = float(animation.keys.times[edit.key])
    words = [w for w in animation.alignment.words if time - BEFORE <= w.start and w.end <= time + AFTER]
    first = min([w.start - 0.15 for w in words], default=time - BEFORE)
    last = max([w.end + 0.35 for w in words], default=time + AFTER)
    frames = np.rint(np.clip([min(first, time - 0.5), max(last, time + 0.5)], 0, animation.times[-1]) * animation.fps)
    return int(frames[0]), int(frames[1]) + 1


def compose(
    film: Sequence[Moment], animation: Animation, edit: Edit | None, picture_of: Callable[[Picture], np.ndarray]
) -> Iterator[np.ndarray]:
    """The frames of the film, (H, W, 3) uint8 with even sides."""
    last = max(m.frame for m in film if not m.comparing) / animation.fps
    lanes = {False: Lanes(animation, 2 * PICTURE, (0, last))}
    if edit is not None:
        again = [m.frame / animation.fps for m in film if m.comparing]
        lanes[True] = Lanes(animation, 2 * PICTURE, (min(again), max(again)), edit)
    font = ImageFont.load_default(17)
    for moment in film:
        frame = Image.new("RGB", (2 * PICTURE, PICTURE + HEIGHT), PAPER)
        for x, picture in ((0, moment.left), (PICTURE, moment.right)):
            frame.paste(Image.fromarray(picture_of(picture)), (x, 0))
        pen = ImageDraw.Draw(frame)
        pen.line((PICTURE, 0, PICTURE, PICTURE), PAPER, 4)
        if moment.comparing:
            for x, label in ((0, "As generated"), (PICTURE, "One key edited, completed again")):
                box = (x + 10, 10, x + 30 + pen.textlength(label, font), 40)
                pen.rounded_rectangle(box, 6, PAPER)
                colour = EDITED if x and moment.changed else INK
                pen.text((x + 20, 25), label, colour, font, anchor="lm")
            if moment.changed:
                pen.rectangle((PICTURE + 2, 0, 2 * PICTURE - 1, PICTURE - 1), outline=EDITED, width=BORDER)
        time = moment.frame / animation.fps
        frame.paste(lanes[moment.comparing].draw(time, moment.note), (0, PICTURE))
        yield np.asarray(frame)


def soundtrack(film: Sequence[Moment], fps: float, sound: np.ndarray, rate: int) -> np.ndarray:
    """(N, channels) the sound of the film, from that of the scene (M, channels) at `rate` Hz."""
    edges = np.rint(np.arange(len(film) + 1) / fps * rate).astype(int)
    out = np.zeros((edges[-1], sound.shape[1]), sound.dtype)
    for moment, start, stop in zip(film, edges, edges[1:], strict=False):
        if moment.sound is not None:
            begin = round(moment.sound / fps * rate)
            piece = sound[begin : begin + stop - start]
            out[start : start + len(piece)] = piece
    return out
