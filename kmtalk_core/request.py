"""What is wanted of one sound."""

from __future__ import annotations

from dataclasses import dataclass, field

from .errors import InputError
from .localization.corrections import Correction
from .localization.tools import Tools
from .phones import Alignment
from .rig.lip_line import LipLine
from .sliders import Layers, Sliders

FPS_RANGE = (1.0, 240.0)  # frames a second


@dataclass(frozen=True)
class Request:
    """What is wanted of one sound. Raises InputError for values that are out of range.

    `alignment` (imported) wins over `transcript`, which is in `language`; `corrections` are applied to either;
    `key_rule`, `key_density` 0…1: which instants become key motions, and how many (localization.keys; "auto": apexes,
    or what a checkpoint at paper scale was trained with);
    `intensity`, `jaw`, `lips`, `smoothing` and `offset` are those of `Sliders`; `upper_face`, `head`, `expression`,
    `expression_strength` and `seed` those of `Layers`; `tools`: which Whisper and MFA the localizers of that name use;
    `lip_line` (`rig.mouth.lip_line`): the lips that contacts are made for, None for those of the articulation rig.
    """

    transcript: str | None = None
    alignment: Alignment | None = None
    localizer: str = "auto"
    language: str = "en"
    corrections: tuple[Correction, ...] = ()
    fps: float = 30.0
    key_rule: str = "auto"
    key_density: float = 1.0
    intensity: float = 1.0
    jaw: float = 1.0
    lips: float = 1.0
    smoothing: float = 0.0
    offset: float = 0.0
    upper_face: float = 1.0
    head: float = 1.0
    expression: str = "neutral"
    expression_strength: float = 1.0
    seed: int = 0
    tools: Tools = field(default_factory=Tools.from_environment)
    lip_line: LipLine | None = None

    def __post_init__(self) -> None:
        if not FPS_RANGE[0] <= self.fps <= FPS_RANGE[1]:
            raise InputError(f"The frame rate {self.fps:g} is out of range; choose 1 to 240 frames a second.")
        if not 0.0 <= self.key_density <= 1.0:
            raise InputError(f"The key density is {self.key_density:g}; choose 0 (fewest keys) to 1 (all).")
        _ = self.sliders, self.layers  # raise InputError

    @property
    def sliders(self) -> Sliders:
        """How the speech motion is worn."""
        return Sliders(self.intensity, self.jaw, self.lips, self.smoothing, self.offset)

    @property
    def layers(self) -> Layers:
        """What moves besides the speech."""
        return Layers(self.upper_face, self.head, self.expression, self.expression_strength, self.seed)
