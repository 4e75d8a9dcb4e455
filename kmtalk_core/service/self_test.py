"""How torch does here: on which device, how fast, and how far its motion is from the embedded model's.

    python -m kmtalk_core.service.self_test        # prints one line of JSON

`device`; `times_real_time` and `embedded_times_real_time`: seconds of speech per second of work, by torch and by ONNX
Runtime on the CPU; `difference`: the largest of a control (0…1) between the two; `torch`: its version.
"""

from __future__ import annotations

import importlib.metadata
import json
import time

import numpy as np

from ..animator import Animator, Request
from ..assets import ASSETS
from ..audio import Sound, load_sound

REPEATS = 2  # the first also loads and tunes kernels


def examine() -> dict[str, object]:
    """Animate the sample speech in both ways."""
    from ..runtime.torch_backend import device_name

    sound = load_sound(ASSETS / "sample_speech.flac")
    embedded = Animator(backend="onnx")
    # Both with the same phones, so that only the networks are compared.
    transcript = (ASSETS / "sample_speech.txt").read_text(encoding="utf-8")
    request = Request(alignment=embedded.align(sound, Request(transcript=transcript)))
    expected, by_onnx = _timed(embedded, sound, request)
    found, by_torch = _timed(Animator(backend="torch"), sound, request)
    return {
        "device": device_name(),
        "torch": importlib.metadata.version("torch"),
        "times_real_time": round(sound.duration / by_torch, 1),
        "embedded_times_real_time": round(sound.duration / by_onnx, 1),
        "difference": float(np.abs(found - expected).max()),
    }


def _timed(animator: Animator, sound: Sound, request: Request) -> tuple[np.ndarray, float]:
    """(T, C) and the s that the fastest run takes."""
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        controls = animator.animate(sound, request).controls
        seconds.append(time.perf_counter() - begin)
    return controls, min(seconds)


if __name__ == "__main__":
    print(json.dumps(examine()))
