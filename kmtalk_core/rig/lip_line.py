"""How a given head's lips part: what the contact step must know to close them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RIG_OPENING = {
    "jawOpen": 28.3, "mouthClose": -28.3, "jawForward": 1.0, "cheekPuff": 0.6, "mouthShrugUpper": 3.4,
    "mouthShrugLower": -3.5, "mouthRollUpper": -0.6, "mouthSmileLeft": 0.2, "mouthSmileRight": 0.2,
}  # fmt: skip
PRESSING = ("mouthPressLeft", "mouthPressRight")  # at 1 brings lips together that are parted at rest
AJAR_MM = 0.3  # lips that are less apart are together


@dataclass(frozen=True)
class LipLine:
    """How the inner lips part in their middle, in mm: `rest` at the neutral pose, `opening` for each control at 1.

    The default is the articulation rig's, whose mouthPress at 1 closes what is open at rest; `rig.mouth.lip_line`
    measures another.
    """

    rest: float = 0.0
    opening: Mapping[str, float] = field(default_factory=lambda: dict(RIG_OPENING))

    @property
    def resting_press(self) -> float:
        """0…1: how much of mouthPress brings lips together that are apart at rest; 0 where they are not."""
        press = -sum(self.opening.get(name, 0.0) for name in PRESSING)
        return min(self.rest / press, 1.0) if self.rest > AJAR_MM and press > AJAR_MM else 0.0
