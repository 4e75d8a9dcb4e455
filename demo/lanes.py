"""The strip under the film's pictures: what is said, its phones, key motions and one curve, as they pass by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kmtalk_core.motion import Animation
from kmtalk_core.phones import SILENCE, Word

from .contact_sheet import FAINT, INK, PAPER
from .edit import Edit

PACE = 320  # pixels a second
TEXT_HEIGHT, PHONE_HEIGHT, CURVE_HEIGHT, GAP = 52, 30, 66, 6  # pixels
HEIGHT = TEXT_HEIGHT + PHONE_HEIGHT + CURVE_HEIGHT + 2 * GAP
FINE = 2  # how much larger the strips are drawn, to be smooth
BOX, LIT, CURVE, EDITED = (46, 54, 62), (64, 140, 190), (120, 190, 230), (255, 168, 60)
CONTROL, FULL = "jawOpen", 0.9  # whose curve is shown, and the value at the lane's top
LINE_LETTERS, LINE_PAUSE = 46, 0.35  # at most, and seconds that end a line


class Lanes:
    """Draws the strip of an animation, `width` pixels wide, for any instant of `span` (start and end in seconds); with
    `edit`, what it changed as well."""

    def __init__(self, animation: Animation, width: int, span: tuple[float, float], edit: Edit | None = None) -> None:
        self._words, self._width, self._animation = subtitles(animation.alignment.words), width, animation
        self._begin = span[0] - width / 2 / PACE  # seconds at the strips' left edge
        self._end = span[1] + width / 2 / PACE
        self._plain, self._lit = self._strip(edit, False), self._strip(edit, True)
        self._large, self._small = ImageFont.load_default(25), ImageFont.load_default(13)

    def draw(self, time: float, note: str = "") -> Image.Image:
        """The strip at `time`: `note` instead of the words, if given."""
        picture = Image.new("RGB", (self._width, HEIGHT), PAPER)
        pen = ImageDraw.Draw(picture)
        if note:
            pen.text((self._width / 2, TEXT_HEIGHT / 2), note, EDITED, ImageFont.load_default(20), anchor="mm")
        else:
            self._say(pen, time)
        left = round((time - self._begin) * PACE - self._width / 2)
        picture.paste(self._plain.crop((left, 0, left + self._width, self._plain.height)), (0, TEXT_HEIGHT))
        now = next((p for p in self._animation.alignment.phones if p.start <= time < p.end), None)
        if now is not None:
            a, b = (round((t - time) * PACE + self._width / 2) for t in (now.start, now.end))
            a, b = max(a, 0), min(b, self._width)
            picture.paste(self._lit.crop((left + a, 0, left + b, PHONE_HEIGHT)), (a, TEXT_HEIGHT))
        middle = self._width // 2
        pen.line((middle, TEXT_HEIGHT, middle, HEIGHT), INK, 2)
        pen.text((8, TEXT_HEIGHT + PHONE_HEIGHT + GAP), CONTROL, FAINT, self._small)
        return picture

    def _say(self, pen: ImageDraw.ImageDraw, time: float) -> None:
        line = next((line for line in self._words if time < line[-1].end + LINE_PAUSE), None)
        if line is None or time < line[0].start - LINE_PAUSE:
            return
        x = self._width / 2 - pen.textlength(" ".join(w.label for w in line), self._large) / 2
        for word in line:
            colour = INK if word.start <= time < word.end else FAINT
            pen.text((x, TEXT_HEIGHT / 2), word.label, colour, self._large, anchor="lm")
            x += pen.textlength(word.label + " ", self._large)

    def _strip(self, edit: Edit | None, lit: bool) -> Image.Image:
        animation, height = self._animation, PHONE_HEIGHT + 2 * GAP + CURVE_HEIGHT
        length = round((self._end - self._begin) * PACE) + FINE
        strip = Image.new("RGB", (length * FINE, height * FINE), PAPER)
        pen, font = ImageDraw.Draw(strip), ImageFont.load_default(15 * FINE)

        def x(time: float) -> float:
            return (time - self._begin) * PACE * FINE

        frames = np.flatnonzero((animation.times >= self._begin) & (animation.times <= self._end)).tolist()
        for phone in animation.alignment.phones:
            a, b = x(phone.start) + FINE, x(phone.end) - FINE
            if phone.label == SILENCE or b <= max(a, 0) or a >= strip.width:
                continue
            pen.rectangle((a, 0, b, PHONE_HEIGHT * FINE), LIT if lit else BOX)
            if pen.textlength(phone.label, font) <= b - a + 4 * FINE:
                colour = INK if lit else FAINT
                pen.text(((a + b) / 2, PHONE_HEIGHT * FINE / 2), phone.label, colour, font, anchor="mm")

        top, column = (PHONE_HEIGHT + 2 * GAP) * FINE, animation.control_names.index(CONTROL)
        scale = (CURVE_HEIGHT - 2 * GAP) * FINE

        def y(value: float | np.ndarray) -> float | np.ndarray:
            return top + scale * (1 - np.clip(value / FULL, 0, 1))

        pen.line((x(0), y(0), x(animation.alignment.duration), y(0)), BOX, FINE)

        def curve(source: Animation, frames: Sequence[int], colour: tuple[int, int, int], width: int) -> None:
            points = [(x(source.times[f]), float(y(source.controls[f, column]))) for f in frames]
            if len(points) > 1:
                pen.line(points, colour, width * FINE, joint="curve")

        def key(time: float, value: float, colour: tuple[int, int, int], size: float) -> None:
            at, size = (x(time), float(y(value))), size * FINE
            pen.polygon(
                [(at[0], at[1] - size), (at[0] + size, at[1]), (at[0], at[1] + size), (at[0] - size, at[1])], colour
            )

        curve(animation, frames, CURVE, 2)
        if edit:
            around = [f for f in frames if edit.frames.start - 1 <= f <= edit.frames.stop]
            curve(animation, around, PAPER, 3)
            curve(animation, around, FAINT, 1)
            curve(edit.after, around, EDITED, 3)
        for number, time in enumerate(animation.keys.times):
            if not self._begin <= time <= self._end:
                continue
            if edit and number == edit.key:
                key(time, edit.value[0], FAINT, 4)
                key(time, edit.value[1], EDITED, 8)
            else:
                key(time, float(animation.keys.controls[number, column]), INK, 4)
        return strip.reduce(FINE)


def subtitles(words: Sequence[Word]) -> list[list[Word]]:
    """The words in lines that are read at a glance, broken where the speaker pauses."""
    lines: list[list[Word]] = []
    for word in words:
        line = lines[-1] if lines else []
        letters = sum(len(w.label) + 1 for w in line) + len(word.label)
        if not line or letters > LINE_LETTERS or word.start - line[-1].end > LINE_PAUSE:
            lines.append([word])
        else:
            line.append(word)
    return lines
