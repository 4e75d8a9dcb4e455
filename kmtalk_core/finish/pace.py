"""No control flashes: what speech moves goes no further from one frame of film to the next than eyes can follow."""

from __future__ import annotations

import numpy as np

FASTEST = 7.0  # of a control's range a second: .29 from one frame of film to the next


def paced(motion: np.ndarray, fps: float, fastest: float = FASTEST) -> np.ndarray:
    """`motion` (T, C) at `fps` Hz, no faster than `fastest` a second; where it is not, bit for bit as it was.

    Midway between the largest such motion that is nowhere above it and the smallest that is nowhere below it: what was
    too fast begins as much earlier as it ends later.
    """
    step = fastest / fps
    if len(motion) < 2 or not (np.abs(np.diff(motion, axis=0)) > step).any():
        return motion
    below, above = under(motion, step), -under(-motion, step)
    return np.where(below == above, motion, (below + above) / 2)


def paced_within(
    motion: np.ndarray, fps: float, least: np.ndarray, most: np.ndarray, fastest: float = FASTEST
) -> np.ndarray:
    """As `paced`, nowhere below `least` (T, C) nor, which comes first, above `most` (T, C).

    These bounds are infinite where nothing is asked for. What they ask for is approached in time.
    """
    step = fastest / fps
    if len(motion) < 2:
        return np.minimum(np.maximum(motion, least), most)
    slow = np.maximum(paced(motion, fps, fastest), -under(-least, step))
    return np.minimum(slow, under(most, step))


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
