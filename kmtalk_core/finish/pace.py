"""No control flashes: what speech moves goes no further from one frame of film to the next than eyes can follow."""

from __future__ import annotations

import numpy as np

FASTEST = 7.0  # of a control's range a second: .29 from one frame of film to the next


def paced(motion: np.ndarray, fps: float, fastest: float = FASTEST) -> np.ndarray:
    """`motion` (T, C) at `fps` Hz, no faster than `fastest` a second; where it is not, bit for bit as it was.

    Midway between the largest such motion that is nowhere above it and the smallest that is nowhere below it: what was
    too fast begins as much earlier as it ends later. Contacts are held after this, and may be faster.
    """
    step = np.float32(fastest / fps)
    if len(motion) < 2 or not (np.abs(np.diff(motion, axis=0)) > step).any():
        return motion
    reach = min(int(np.ceil(float(motion.max() - motion.min()) / step)), len(motion) - 1)
    below, above = motion.copy(), motion.copy()
    for frames in range(1, reach + 1):
        for here, there in ((slice(frames, None), slice(None, -frames)), (slice(None, -frames), slice(frames, None))):
            below[here] = np.minimum(below[here], motion[there] + frames * step)
            above[here] = np.maximum(above[here], motion[there] - frames * step)
    return np.where(below == above, motion, (below + above) / 2)
