"""What became of every contact: which p, b, m do not seal and which f, v do not touch, when, by how much and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..motion import Animation
from .contact_poses import LIPS, TEETH, lip_from_teeth, lips_apart
from .contacts import FAINT, find_contacts

if TYPE_CHECKING:
    from ..rig.mouth import Mouth

SEALED_MM, TOUCHED_MM = 0.5, 0.5  # lips, and lip and teeth, that are no further apart count as in contact


@dataclass(frozen=True)
class Violation:
    """A contact that is missed.

    `kind` "lips" or "teeth"; `phone` ARPABET; `word` as written, "" if unknown; `start` and `end` of the phone in s;
    `apart` mm on a head of human size at the best of its frames; `reason` a sentence.
    """

    kind: str
    phone: str
    word: str
    start: float
    end: float
    apart: float
    reason: str

    def __str__(self) -> str:
        what = "lips" if self.kind == LIPS else "lower lip and teeth"
        word = f" of {self.word!r}" if self.word else ""
        return f"{self.start:.2f} s: {self.phone}{word}: {what} {self.apart:.1f} mm apart: {self.reason}"


@dataclass(frozen=True)
class ContactReport:
    """`violations` by time, of `contacts` contacts; `measured` on a mesh, or estimated as on the articulation rig."""

    violations: tuple[Violation, ...]
    contacts: int
    measured: bool

    @property
    def summary(self) -> str:
        """One line for the user."""
        kept = self.contacts - len(self.violations)
        theirs = sum(v.reason.startswith(BY_KEY) for v in self.violations)
        text = f"{kept} of {self.contacts} lip and teeth contacts are held"
        return text + (f"; {theirs} missed by the animator's keys" if theirs else "")

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "contacts": self.contacts,
            "held": self.contacts - len(self.violations),
            "measured_on_mesh": self.measured,
            "violations": [asdict(v) for v in self.violations],
        }


BY_KEY = "by the animator's key"


def contact_report(animation: Animation, mouth: Mouth | None = None) -> ContactReport:
    """Check every p, b, m, f, v of a result within its phone, half a frame more on both sides.

    With `mouth` (rig.mouth) the distances are those on that mesh; teeth that it lacks are estimated.
    """
    names, times, offset = animation.control_names, animation.times, animation.sliders.offset
    estimated = lips_apart(animation.controls, names, animation.lip_line)
    apart = {LIPS: estimated, TEETH: lip_from_teeth(animation.controls, names)}
    if mouth is not None:
        apart[LIPS] = mouth.lip_gap(animation.controls, names).max(1)
        on_mesh = mouth.teeth_gap(animation.controls, names)
        apart[TEETH] = apart[TEETH] if on_mesh is None else on_mesh
    contacts = find_contacts(animation.alignment, times, offset)
    spacing = 0.5 / animation.fps
    violations = []
    for index, contact in enumerate(contacts):
        phone = animation.alignment.phones[contact.phone]
        start, end = phone.start + offset - spacing, phone.end + offset + spacing
        frames = np.flatnonzero((times >= min(start, contact.start) - 1e-9) & (times <= max(end, contact.end) + 1e-9))
        best = frames[apart[contact.kind][frames].argmin()]
        distance = float(apart[contact.kind][best])
        if distance <= (SEALED_MM if contact.kind == LIPS else TOUCHED_MM):
            continue
        theirs = _edited_near(animation, start, end)
        rivals = [c for c in contacts[max(index - 1, 0) : index + 2] if c.kind != contact.kind]
        rival = next((c for c in rivals if c.start <= contact.end and contact.start <= c.end), None)
        if theirs is not None:
            reason = f"{BY_KEY} at {theirs:.2f} s; edit it if the contact is wanted."
        elif rival is not None:
            other = animation.alignment.phones[rival.phone].label
            reason = f"shares its only frame with the {other} beside it; a higher frame rate has room for both."
        elif animation.unfinished is None:
            reason = "the motion was not finished with contacts; generate it again."
        elif animation.sliders.intensity < FAINT:
            reason = f"the intensity {animation.sliders.intensity:g} is too low for contacts; raise it."
        elif mouth is not None and contact.kind == LIPS and estimated[best] <= SEALED_MM:
            reason = "mouthClose and mouthPress of this mesh do not close its lips; correct those shapes."
        elif mouth is not None and contact.kind == TEETH:
            reason = "mouthRollLower of this mesh does not reach its upper teeth; correct that shape."
        else:
            reason = "the motion does not come close enough; please report it."
        word = next(
            (
                w.label
                for w in animation.alignment.words
                if w.start - 1e-6 <= (phone.start + phone.end) / 2 <= w.end + 1e-6
            ),
            "",
        )
        violations.append(Violation(contact.kind, phone.label, word, phone.start, phone.end, distance, reason))
    return ContactReport(tuple(violations), len(contacts), mouth is not None)


def _edited_near(animation: Animation, start: float, end: float) -> float | None:
    if animation.unfinished is None:
        return None
    theirs = animation.keys.times[animation.unfinished.edited]
    inside = theirs[(theirs >= start - 1e-9) & (theirs <= end + 1e-9)]
    return float(inside[0]) if len(inside) else None
