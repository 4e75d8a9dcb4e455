"""What a line that an animator has corrected teaches: the model's motion, and the same with the corrections in it."""

from __future__ import annotations

import numpy as np

from ..completion import between_keys, edited_spans
from ..errors import InputError
from ..motion import Animation, nearest_frames
from ..rig.controls import ALL_CONTROLS, CONTROL_INDEX, SPEECH_CONTROLS
from .compose import free_keys, strengths
from .learning import Example
from .manner import styled

ACCEPTED = 0.3  # what frames count that no correction reaches: the animator may just not have minded them
FAINT = 0.05  # of a slider, below which nothing can be told from the motion
_SPEECH = np.array([CONTROL_INDEX[name] for name in SPEECH_CONTROLS])


def corrected_line(animation: Animation, name: str) -> Example | None:
    """The lesson of a result; None if its key motions are as they were generated. Raises InputError.

    Edits that were not completed yet count too. The style that the line was made in is part of the goal, so what is
    learned goes on from it; sliders, expression and head are not.
    """
    unfinished = animation.to_finish
    before, after, edited = free_keys(animation, animation.keys)
    spans = edited_spans(before, after)
    if not spans and not edited.any():
        return None
    if animation.control_names != ALL_CONTROLS:
        raise InputError(f"{name} has other controls than this version of KMTalk; generate it again.")
    change = unfinished.free - animation.generated.free
    frames = nearest_frames(after.times, animation.fps)
    inside = edited & (frames >= 0) & (frames < len(change))
    missing = np.zeros_like(after.controls)
    missing[inside] = after.controls[inside] - unfinished.free[frames[inside]]
    change = change + between_keys(after.times, missing, animation.times).astype(np.float32)
    strength = strengths(animation.sliders)
    asked = np.where(strength > FAINT, change[:, _SPEECH] / np.maximum(strength, FAINT), 0.0)
    asked = _earlier(asked, round(animation.sliders.offset * animation.fps))
    times = animation.times
    reached = np.zeros(len(times), bool)
    for span in spans:
        reached |= (times > span.start) & (times < span.end)
    weight = np.where(_earlier(reached, round(animation.sliders.offset * animation.fps)), 1.0, ACCEPTED)
    in_style = styled(unfinished.speech, times, animation.alignment, animation.style)
    lesson = Example(name, times, animation.alignment, unfinished.speech, in_style + asked, weight)
    weight[~lesson.spoken] = 0.0  # what is shown there is the rest pose, not the model's motion
    return lesson


def _earlier(rows: np.ndarray, frames: int) -> np.ndarray:
    """(T, …) by so many frames earlier; the first and the last go on beyond the ends."""
    return rows[np.clip(np.arange(len(rows)) + frames, 0, len(rows) - 1)]
