"""No control flashes: what speech moves goes no further from one frame of film to the next than eyes can follow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

FASTEST = 7.0  # of a control's range a second: .29 from one frame of film to the next
AT_ONCE = 1 << 19  # values that are worked on together


def paced(motion: np.ndarray, fps: float, fastest: float = FASTEST) -> np.ndarray:
    """`motion` (T, C) at `fps` Hz, no faster than `fastest` a second; where it is not, bit for bit as it was.

    Midway between the largest such motion that is nowhere above it and the smallest that is nowhere below it: what was
    too fast begins as much earlier as it ends later.
    """
    step = fastest / fps
    out = motion
    for some in _columns(motion):
        here = motion[:, some]
        if len(motion) < 2 or not (np.abs(np.diff(here, axis=0)) > step).any():
            continue
        out = motion.copy() if out is motion else out
        below, above = under(here, step), -under(-here, step)
        out[:, some] = np.where(below == above, here, (below + above) / 2)
    return out


def paced_within(
    motion: np.ndarray, fps: float, least: np.ndarray, most: np.ndarray, fastest: float = FASTEST
) -> np.ndarray:
    """As `paced`, nowhere below `least` (T, C) nor, which comes first, above `most` (T, C).

    These bounds are infinite where nothing is asked for. What they ask for is approached in time.
    """
    step = fastest / fps
    if len(motion) < 2:
        return np.minimum(np.maximum(motion, least), most)
    out = np.empty_like(motion)
    for some in _columns(motion):
        slow = np.maximum(paced(motion[:, some], fps, fastest), -under(-least[:, some], step))
        out[:, some] = np.minimum(slow, under(most[:, some], step))
    return out


def _columns(motion: np.ndarray) -> Iterator[slice]:
    """Some columns at a time, which need no others, so that an hour takes little memory."""
    count = max(AT_ONCE // max(len(motion), 1), 1)
    return (slice(first, first + count) for first in range(0, motion.shape[1], count))


def under(motion: np.ndarray, step: float) -> np.ndarray:
    """The largest motion (T, C) nowhere above `motion`, infinite where nothing bounds it, that changes by `step` a
    frame at most."""
    out = np.array(motion)
    known = motion[np.isfinite(motion)]
    span = float(known.max() - known.min()) if len(known) else 0.0
    # What is within reach of a bound lies above it by the whole span of bounds and motion at most.
    for frames in range(1, min(int(np.ceil(max(span, 1.0) / step)), len(motion) - 1) + 1):
        for here, there in ((slice(frames, None), slice(None, -frames)), (slice(None, -frames), slice(frames, None))):
            out[here] = np.minimum(out[here], motion[there] + frames * step)
    return out
