"""What is wanted of one sound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .localization.tools import Tools
from .phones import Alignment
from .rig.lip_line import LipLine
from .settings import Layers, Settings, Sliders, part_of

if TYPE_CHECKING:
    from .localization.corrections import Correction  # loads what aligns texts


@dataclass(frozen=True)
class Request(Settings):
    """What is wanted of one sound: all settings, and what follows. Raises InputError for values that are out of range.

    `alignment` (imported; `alignment_name` is its file's) wins over `transcript`, which is in `language`; `corrections`
    are applied to either; `tools`: which Whisper and MFA the localizers of that name use; `lip_line`
    (`rig.mouth.lip_line`): the lips that contacts are made for, None for those of the articulation rig.
    """

    transcript: str | None = None
    alignment: Alignment | None = None
    alignment_name: str = ""
    corrections: tuple[Correction, ...] = ()
    tools: Tools = field(default_factory=Tools.from_environment)
    lip_line: LipLine | None = None

    @property
    def sliders(self) -> Sliders:
        """How the speech motion is worn."""
        return part_of(Sliders, self)

    @property
    def layers(self) -> Layers:
        """What moves besides the speech."""
        return part_of(Layers, self)
