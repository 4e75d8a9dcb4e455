"""Which Whisper and Montreal Forced Aligner the user wants; `installed` finds those that there are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InputError
from ..settings import WHISPER_DEVICES

MFA_MODEL = "english_us_arpa"  # of the dictionary and of the acoustic model


@dataclass(frozen=True)
class Tools:
    """Which Whisper and MFA to use; empty means found or chosen automatically.

    `whisper_python`: a Python, or an environment's folder; `whisper_model`: a name ("small.en"), a checkpoint .pt of
    openai-whisper or a CTranslate2 folder of faster-whisper; `allow_download`: whether Whisper may fetch a missing
    model. `mfa`: the program, or a conda environment's folder or name; `mfa_dictionary`, `mfa_acoustic`, `mfa_g2p`:
    names or files of models, the last one for unknown words.
    """

    whisper_python: str = ""
    whisper_model: str = ""
    whisper_device: str = "auto"
    allow_download: bool = False
    mfa: str = ""
    mfa_dictionary: str = MFA_MODEL
    mfa_acoustic: str = MFA_MODEL
    mfa_g2p: str = ""

    def __post_init__(self) -> None:
        if self.whisper_device not in WHISPER_DEVICES:
            raise InputError(
                f"Whisper has no device {self.whisper_device!r}; choose from {', '.join(WHISPER_DEVICES)}."
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Tools:
        """What the variables KMTALK_WHISPER_PYTHON, KMTALK_WHISPER_MODEL, … say; see docs/whisper_and_mfa.md."""
        given = {
            name: environment[variable]
            for name in cls.__dataclass_fields__
            if name != "allow_download" and environment.get(variable := f"KMTALK_{name.upper()}")
        }
        return cls(**given, allow_download=environment.get("KMTALK_ALLOW_DOWNLOAD", "") in ("1", "true", "yes"))
