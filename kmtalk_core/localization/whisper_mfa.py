"""The paper's way to phones (KMTalk, Sec. 3.2): Whisper transcribes, the Montreal Forced Aligner aligns."""

from __future__ import annotations

from ..audio import Sound
from ..errors import KMTalkError
from ..phones import Alignment
from .child import Progress


def localize_whisper_mfa(sound: Sound, transcript: str | None, progress: Progress | None) -> Alignment:
    """Not available yet: raises KMTalkError."""
    raise KMTalkError("The whisper-mfa localizer is not available; choose pocketsphinx, or import MFA's TextGrid.")
