"""Key motions that are pinned: on their instants, with their poses, whatever a result was made from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..completion import SAME_VALUE, between_keys
from ..motion import ON_FRAME, Animation, KeyMotions, nearest_frames

CLOSE = 0.5  # frames within which a pin takes the place of another key


def with_pins(keys: KeyMotions, pins: KeyMotions, fps: float) -> KeyMotions:
    """`keys` with the `pins` among them, over the same controls; keys that are as good as on one give way to it."""
    apart = np.abs(keys.times[:, None] - pins.times[None]).min(axis=1, initial=np.inf) * fps
    stays = apart > CLOSE
    times = np.concatenate([keys.times[stays], pins.times])
    order = np.argsort(times)
    return KeyMotions(times[order], np.concatenate([keys.controls[stays], pins.controls])[order])


def without(pins: KeyMotions, time: float, fps: float) -> KeyMotions:
    """The pins that are not on the frame of `time` s."""
    others = np.abs(pins.times - time) * fps >= CLOSE
    return KeyMotions(pins.times[others], pins.controls[others])


def hold_pins(animation: Animation, pins: KeyMotions) -> Animation:
    """The result with key motions at the `pins`, exactly so: what they lack is added smoothly up to the keys beside.

    Nothing changes where they are exact already. Raises InputError if the result does not hold what finishing needs.
    """
    unfinished = animation.to_finish
    keys = with_pins(animation.keys, pins, animation.fps)
    frames = nearest_frames(keys.times, animation.fps)
    shown = animation.controls[np.clip(frames, 0, len(animation.controls) - 1)].astype(np.float32)
    known = np.searchsorted(animation.keys.times, keys.times).clip(max=len(animation.keys.times) - 1)
    there = np.abs(animation.keys.times[known] - keys.times) * animation.fps < ON_FRAME
    shown[there] = animation.keys.controls[known[there]]
    missing = np.where(np.isin(keys.times, pins.times)[:, None], keys.controls - shown, 0.0).astype(np.float32)
    changed = np.abs(missing).max(axis=1, initial=0.0) > SAME_VALUE
    if not changed.any() and there.all() and len(keys.times) == len(animation.keys.times):
        return animation
    edited = changed | ~there
    edited[there] |= unfinished.edited[known[there]]
    more = between_keys(keys.times, missing, animation.times)
    on = (np.abs(keys.times * animation.fps - frames) < ON_FRAME) & (frames >= 0) & (frames < len(animation.times))
    exact = on & np.isin(keys.times, pins.times)
    controls, free = animation.controls + more, unfinished.free + more
    controls[frames[exact]] = free[frames[exact]] = keys.controls[exact]
    return replace(
        animation,
        controls=controls,
        keys=keys,
        unfinished=replace(unfinished, free=free, edited=edited, generated=animation.generated),
        vertices=None,
        faces=None,
    )
