"""What a result was made from, so that it can be judged from outside whether it still is right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from . import __version__
from .archives import parsed
from .settings import Settings, known_fields, settings_of

if TYPE_CHECKING:
    from .localization.corrections import Correction
    from .phones import Alignment
    from .request import Request


@dataclass(frozen=True)
class Origin:
    """`program`: KMTalk's version; `settings`: all of `Settings` as they were asked for; `transcript`: the text that
    was given. `alignment`: the name of the imported file, and `alignment_sha256` of its phones and words, in hex; both
    are empty without one. `corrections`: arguments of localization.corrections.Correction, in the order in which they
    were applied. `whisper_model`: which was asked for, where Whisper was. `part`: of the part of the sound file that it
    is of, start, duration (as it was asked for) and delay (see audio.Sound) in s; empty for all of it.

    Sound and model stand in the result itself, what sliders made of it since in its `settings`.
    """

    program: str = __version__
    settings: Mapping[str, Any] = field(default_factory=dict)
    transcript: str | None = None
    alignment: str = ""
    alignment_sha256: str = ""
    corrections: tuple[Mapping[str, Any], ...] = ()
    whisper_model: str = ""
    part: tuple[float, ...] = ()

    @property
    def as_json(self) -> str:
        """The same origin gives the same text."""
        told = {name: value for name, value in asdict(self).items() if name != "part" or value}
        return json.dumps(told, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Origin:
        """The inverse; raises ValueError for anything else."""
        told = parsed(text)
        if not isinstance(told, dict):
            raise ValueError("it is no origin")
        known = known_fields(cls, told)
        return cls(**{**known, **{name: tuple(known.get(name, ())) for name in ("corrections", "part")}})

    def corrected(self, corrections: tuple[Correction, ...]) -> Origin:
        """With more corrections."""
        return replace(self, corrections=(*self.corrections, *(asdict(correction) for correction in corrections)))


def origin_of(request: Request) -> Origin:
    """What a result of `request` is made from."""
    whisper = request.tools.whisper_model if request.localizer.startswith("whisper") else ""
    return Origin(
        settings={setting.name: getattr(request, setting.name) for setting in settings_of(Settings)},
        transcript=request.transcript,
        alignment=request.alignment_name if request.alignment is not None else "",
        alignment_sha256=_digest(request.alignment) if request.alignment is not None else "",
        whisper_model=PurePath(whisper).name,
    ).corrected(request.corrections)


def _digest(alignment: Alignment) -> str:
    said = [[[s.label, s.start, s.end] for s in segments] for segments in (alignment.phones, alignment.words)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
