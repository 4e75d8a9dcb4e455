"""The paper's way to phones (KMTalk, Sec. 3.2): Whisper transcribes, the Montreal Forced Aligner (MFA) aligns.

Both are the real tools, installed by the user: openai-whisper into this Python, MFA from conda-forge.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np

from ..audio import SAMPLE_RATE, Sound
from ..errors import InputError, KMTalkError
from ..phones import Alignment
from .child import Progress
from .textgrid import load_alignment

SOURCE = "whisper-mfa"
WHISPER_MODEL = "large"  # Table 4 of the paper compares large and tiny
MFA_MODEL = "english_us_arpa"  # both the dictionary and the acoustic model


def missing_tools(with_transcript: bool) -> tuple[str, ...]:
    """What has to be installed first, each with the way to get it."""
    tools = []
    if shutil.which("mfa") is None:
        tools.append("the Montreal Forced Aligner (conda install -c conda-forge montreal-forced-aligner)")
    if not with_transcript and importlib.util.find_spec("whisper") is None:
        tools.append("openai-whisper (pip install openai-whisper), or a transcript")
    return tuple(tools)


def localize_whisper_mfa(
    sound: Sound, transcript: str | None, progress: Progress | None, whisper_model: str = WHISPER_MODEL
) -> Alignment:
    """Phones and words by MFA, of the transcript or else of what Whisper hears.

    `whisper_model`: a model's name, or the path of a checkpoint in the official format. Raises KMTalkError where a tool
    or a model is missing.
    """
    if missing := missing_tools(transcript is not None):
        raise KMTalkError(f"The localizer whisper-mfa needs {' and '.join(missing)}.")
    if transcript is None:
        if progress is not None:
            progress(0.0, "transcribing with Whisper")
        transcript = _transcribe(sound, whisper_model)
    with tempfile.TemporaryDirectory(prefix="kmtalk_mfa_") as folder:
        return _align(sound, transcript, Path(folder), progress)


def _transcribe(sound: Sound, model_name: str) -> str:
    import whisper

    try:
        model = whisper.load_model(model_name)
    except (RuntimeError, OSError) as error:
        raise KMTalkError(f"Whisper's model {model_name} cannot be loaded ({error}); download it once.") from None
    text = str(model.transcribe(sound.samples, fp16=model.device.type == "cuda")["text"]).strip()
    if not text:
        raise KMTalkError("Whisper heard no words in the sound; give a transcript, or choose another localizer.")
    return text


def _align(sound: Sound, transcript: str, folder: Path, progress: Progress | None) -> Alignment:
    speech, text, grid = folder / "speech.wav", folder / "speech.txt", folder / "speech.TextGrid"
    with wave.open(str(speech), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.rint(np.clip(sound.samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())
    text.write_text(" ".join(transcript.split()) + "\n", encoding="utf-8")
    command = [shutil.which("mfa") or "mfa", "align_one", str(speech), str(text), MFA_MODEL, MFA_MODEL, str(grid)]
    said = folder / "mfa.log"
    with said.open("wb") as log:
        child = subprocess.Popen([*command, "--output_format", "long_textgrid"], stdout=log, stderr=subprocess.STDOUT)
        try:
            while child.poll() is None:
                if progress is not None:
                    progress(0.5, "aligning with MFA")
                try:
                    child.wait(timeout=0.1)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            child.kill()
            child.wait()
    if child.returncode or not grid.is_file():
        lines = said.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        raise KMTalkError(
            f"MFA failed ({last}); if its models are missing, run `mfa model download acoustic {MFA_MODEL}` and"
            f" `mfa model download dictionary {MFA_MODEL}`."
        )
    try:
        found = load_alignment(grid)
    except InputError as error:
        raise KMTalkError(f"MFA's output cannot be used: {error}") from None
    return Alignment.from_segments(found.phones, found.words, sound.duration, SOURCE, found.warnings)
