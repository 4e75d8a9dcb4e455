"""Make the sample speech of the demo, kmtalk_core/assets/sample_speech.flac and .txt, with flite's voice rms.

    python -m tools.make_sample_speech        # needs the command flite (apt install flite)

Between the two parts there is a pause, in which the mouth has to come to rest.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import av
import numpy as np

from kmtalk_core.audio import SAMPLE_RATE, load_sound
from kmtalk_core.files import save_text, written_whole

VOICE = "rms"
SPEED = 0.95  # flite's duration_stretch
PARTS = (
    "Hello! My mouth moves by itself now: big blue bubbles, five foxes, and the voices of wolves.",
    "You pose the moments that matter, and I think up the rest. Wow!",
)
PAUSE = 0.7  # s between the parts
MARGIN = 0.3  # s before and after
PEAK = 0.7  # of full scale
AUDIBLE = 0.01  # of the peak; what is below at the ends of a part is cut off
ASSETS = Path(__file__).parent.parent / "kmtalk_core" / "assets"


def main() -> None:
    spoken = [_spoken(part) for part in PARTS]
    samples = np.concatenate([_silence(MARGIN), spoken[0], _silence(PAUSE), spoken[1], _silence(MARGIN)])
    samples *= PEAK / np.abs(samples).max()
    target = ASSETS / "sample_speech.flac"
    with written_whole(target) as partial:
        write_flac(samples, partial)
    save_text("\n".join(PARTS) + "\n", target.with_suffix(".txt"))
    print(f"{target} written ({len(samples) / SAMPLE_RATE:.1f} s)")


def write_flac(samples: np.ndarray, path: Path) -> None:
    """(n,) float samples at SAMPLE_RATE as 16-bit FLAC."""
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono", format="s16")
        pcm = np.rint(samples * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for part in (frame, None):
            container.mux(stream.encode(part))


def _spoken(text: str) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(
            ["flite", "-voice", VOICE, "--setf", f"duration_stretch={SPEED}", "-t", text, "-o", str(path)], check=True
        )
        samples = load_sound(path).samples
    audible = np.flatnonzero(np.abs(samples) > AUDIBLE * np.abs(samples).max())
    return samples[audible[0] : audible[-1] + 1]


def _silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE), dtype=np.float32)


if __name__ == "__main__":
    main()
