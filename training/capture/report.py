"""How well a face was captured: numbers for programs, and lines to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fit:
    """How close the solved rig comes to what was tracked, over usable frames: root mean square distances in mm of the
    lips' points (as the camera sees them), the opening, the width and the chin; and correlations of the last three."""

    lips_mm: float
    opening_mm: float
    width_mm: float
    chin_mm: float
    opening_r: float
    width_r: float
    chin_r: float


@dataclass(frozen=True)
class Report:
    """Of one video. `side_deg`: from where it was filmed; `eyes_px`: how large the face is; `unusable`: why → frames;
    `sound_late`: s by which the sound was late as far as one can tell, `sound_moved`: whether it was moved by that."""

    name: str
    frames: int
    fps: float
    usable: float
    unusable: dict[str, int]
    side_deg: float
    eyes_px: float
    fit: Fit
    sound_late: float
    sound_agreement: float
    sound_moved: bool
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def text_of(reports: Sequence[Report], faults: Sequence[str]) -> str:
    """A table of all videos, and what there is to say about each."""
    longest = max((len(r.name) for r in reports), default=4)
    head = f"{'video':<{longest}}  frames    fps  usable  aside  lips mm  opening  width  chin   sound late"
    lines = [head]
    for r in reports:
        moved = " (moved)" if r.sound_moved else ""
        fit = r.fit
        lines.append(
            f"{r.name:<{longest}}  {r.frames:6d}  {r.fps:5.4g}  {r.usable:5.0%}   {r.side_deg:4.0f}°"
            f"  {fit.lips_mm:7.2f}  {fit.opening_mm:7.2f}  {fit.width_mm:5.2f}  {fit.chin_mm:4.2f}"
            f"   {r.sound_late:+.3f} s, r {r.sound_agreement:.2f}{moved}"
        )
    for r in reports:
        lines += [f"{r.name}: {count} frames not used: {why}." for why, count in r.unusable.items()]
        lines += [f"{r.name}: {note}" for note in r.notes]
    return "\n".join([*lines, *faults]) + "\n"
