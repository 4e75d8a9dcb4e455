"""What several tests share."""

import numpy as np
import pytest

from kmtalk_core.motion import Animation, KeyMotions
from kmtalk_core.phones import Alignment, Phone, Word


@pytest.fixture
def animation() -> Animation:
    """A small made-up result: 30 frames at 25 fps, three controls, three keys, four vertices."""
    rng = np.random.default_rng(0)
    times = np.arange(30) / 25
    return Animation(
        fps=25.0,
        times=times,
        control_names=("jawOpen", "mouthClose", "eyeBlinkLeft"),
        controls=rng.random((30, 3), np.float32),
        keys=KeyMotions(np.array([0.0, 0.17, 0.49]), rng.random((3, 3), np.float32)),
        alignment=Alignment(
            (Phone("SIL", 0.0, 0.1), Phone("EH", 0.1, 0.6), Phone("SIL", 0.6, 1.2)),
            (Word("é", 0.1, 0.6),),
            1.2,
            "pocketsphinx",
            ("The transcript may not fit.",),
        ),
        audio_sha256="0" * 64,
        model="test",
        features=rng.random((120, 8)).astype(np.float16),
        feature_rate=100.0,
        vertices=rng.random((30, 4, 3), np.float32),
        faces=np.array([[0, 1, 2], [1, 2, 3]], dtype=np.int32),
    )
