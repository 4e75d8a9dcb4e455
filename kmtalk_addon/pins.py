"""Pinned key motions: keyframes of type EXTREME, which stay on their frames of the scene with their poses."""

from __future__ import annotations

import numpy as np

from kmtalk_core.finish.pins import hold_pins
from kmtalk_core.motion import Animation, KeyMotions

from . import live, takes
from .live import AsLeft
from .strip import Played
from .takes import Clip


def held(result: bytes, pins: KeyMotions) -> bytes:
    """The bytes of a result with key motions at the `pins`, exactly so."""
    if not len(pins.times):
        return result
    animation = takes.loaded(result)
    exact = hold_pins(animation, pins)
    return result if exact is animation else takes.packed(exact)


def on_new_line(clip: Clip, left: AsLeft, line: Played, new: Animation) -> tuple[KeyMotions, tuple[str, ...]]:
    """The pins of a line on another result of its strip, which plays as `line` now; and of each that lies beyond it, a
    sentence. They stay on their frames of the scene; controls that they lack are those of the new result."""
    shown, base = takes.shown(clip.take), takes.read_take(clip.take)[1]
    later = (round(shown.sliders.offset * base.fps) - round(base.sliders.offset * base.fps)) / base.fps
    columns = [(base.control_names.index(n), i) for i, n in enumerate(new.control_names) if n in base.control_names]
    times, poses, told = [], [], []
    for time, pose in zip(left.pins.times, left.pins.controls, strict=True):
        frame = live.frame_of(clip.take, float(time) + later)
        at = (frame - line.first_frame) / line.frames_per_second_of_sound
        number = round(at * new.fps)
        if not 0 <= number < len(new.times):
            told.append(f"The key motion pinned on frame {frame:.0f} is beside the line now and was left out.")
            continue
        made = new.controls[number].copy()
        for column, to in columns:
            made[to] = pose[column]
        times.append(number / new.fps if abs(at * new.fps - number) < live.CLOSE else at)
        poses.append(made)
    if not times:
        return KeyMotions(np.zeros(0), np.zeros((0, len(new.control_names)), np.float32)), tuple(told)
    return KeyMotions(np.array(times), np.stack(poses)), tuple(told)
