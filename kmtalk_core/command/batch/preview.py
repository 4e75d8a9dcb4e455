"""What a report shows of a line without its result: how far the lips open, and the words, in few bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ...finish.report import ContactReport
    from ...motion import Animation

WIDEST = 24.0  # mm that the largest digit stands for
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
POINTS = 160  # of a curve, at the most
WORDS = 60  # that are kept, at the most
STEP = 0.04  # s between two points of a short line

Preview = dict[str, object]
"""`opening`: a digit for each `step` seconds; `words`: label, start, end, confidence; `missed`: phone, start, end."""


def preview_of(animation: Animation, contacts: ContactReport) -> Preview:
    """The preview of a result, for JSON."""
    from ...finish.contacts import lips_apart

    duration = animation.alignment.duration
    count = max(2, min(POINTS, round(duration / STEP)))
    instants = np.linspace(0.0, duration, count)
    apart = lips_apart(animation.controls, animation.control_names)
    opening = np.interp(instants, animation.times + animation.sliders.offset, apart)
    digits = np.clip(np.rint(opening / WIDEST * (len(DIGITS) - 1)), 0, len(DIGITS) - 1).astype(int)
    words = animation.alignment.words[:WORDS]
    return {
        "opening": "".join(DIGITS[digit] for digit in digits),
        "step": round(duration / (count - 1), 4),
        "words": [[w.label[:40], round(w.start, 2), round(w.end, 2), round(w.confidence, 2)] for w in words],
        "missed": [[v.phone, round(v.start, 2), round(v.end, 2)] for v in contacts.violations[:WORDS]],
    }
