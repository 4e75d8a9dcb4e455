"""A face that lives while nothing is said: blinks, small shifts of gaze and brows, and a head that drifts."""

from __future__ import annotations

import numpy as np

from ..motion import Animation, KeyMotions, frame_times
from ..phones import SILENCE, Alignment, Phone
from ..rig.controls import ALL_CONTROLS, CONTROL_INDEX, HEAD_CONTROLS, UPPER_FACE_CONTROLS
from .head import head_motion
from .rhythm import Phrase, Rhythm
from .upper_face import upper_face

RATE = 25.0  # Hz
LIFT, LIFT_SPREAD = 7.0, 0.4  # s, median between small lifts of the brows, and standard deviation of its logarithm
LIFT_STRENGTH = 0.56, 0.7  # of accents, see upper_face
HEAD = 0.7  # of the head's motion in speech


def idle_motion(duration: float, fps: float, seed: int = 0) -> Animation:
    """`duration` s of a silent face at `fps` frames/s, without key motions. Another seed gives another one."""
    times = frame_times(duration, fps)
    rng = np.random.default_rng([seed, 7])
    count = int(4 * duration / LIFT) + 2
    lifts = np.cumsum(LIFT * np.exp(LIFT_SPREAD * rng.standard_normal(count)))
    lifts, strengths = lifts[lifts < duration - 1.0], rng.uniform(*LIFT_STRENGTH, count)
    quiet, none = np.zeros(int(duration * RATE) + 1), np.zeros(0)
    phrase = Phrase(0.0, duration, 0.0)
    lifting = Rhythm((phrase,), lifts, strengths[: len(lifts)], quiet, RATE, duration)
    controls = np.zeros((len(times), len(ALL_CONTROLS)), np.float32)
    controls[:, [CONTROL_INDEX[name] for name in UPPER_FACE_CONTROLS]] = upper_face(times, lifting, seed, 1.0)
    still = Rhythm((), none, none, quiet, RATE, duration)
    controls[:, [CONTROL_INDEX[name] for name in HEAD_CONTROLS]] = head_motion(times, still, seed, HEAD)
    return Animation(
        fps=fps,
        times=times,
        control_names=ALL_CONTROLS,
        controls=controls,
        keys=KeyMotions(none, np.zeros((0, len(ALL_CONTROLS)), np.float32)),
        alignment=Alignment((Phone(SILENCE, 0.0, duration),), (), duration, "idle"),
        audio_sha256="",
        model="idle",
        features=np.zeros((1, 1), np.float16),
        feature_rate=RATE,
    )
