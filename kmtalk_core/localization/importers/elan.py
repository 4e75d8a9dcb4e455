"""ELAN's annotations (.eaf; EUDICO Annotation Format, MPI Nijmegen)."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from .tiers import Tier, tiers_track
from .track import Interval, Track

_Slots = dict[str, float]
_Spans = dict[str, tuple[float, float]]


def elan_track(root: Element) -> Track:
    """The tiers of phones and words; raises ValueError and the like where the file is damaged."""
    scale = {"milliseconds": 1e-3}.get(root.findtext("HEADER/TIME_UNITS") or "milliseconds", 1e-3)
    slots = _slots(root, scale)
    spans: _Spans = {}
    depending: dict[str, dict[str, list[str]]] = {}  # annotation → tier → those that share out its time there
    listed: list[tuple[str, list[tuple[str, str]]]] = []
    for tier in root.iter("TIER"):
        own: list[tuple[str, str]] = []
        for annotation in tier.iter("ANNOTATION"):
            (inner,) = annotation
            number = inner.attrib["ANNOTATION_ID"]
            own.append((number, inner.findtext("ANNOTATION_VALUE") or ""))
            if inner.tag == "ALIGNABLE_ANNOTATION":
                spans[number] = slots[inner.attrib["TIME_SLOT_REF1"]], slots[inner.attrib["TIME_SLOT_REF2"]]
            else:
                of_tier = depending.setdefault(inner.attrib["ANNOTATION_REF"], {})
                of_tier.setdefault(tier.attrib["TIER_ID"], []).append(number)
        listed.append((tier.attrib["TIER_ID"], own))
    _share_out(depending, spans)
    tiers: list[Tier] = [
        (name, [Interval(*spans[number], text, f"{name}, {number}") for number, text in own]) for name, own in listed
    ]
    return tiers_track("ELAN", tiers, 0.0)


def _slots(root: Element, scale: float) -> _Slots:
    """Seconds of each time slot; those without a time lie evenly between their neighbours."""
    names: list[str] = []
    values: list[float | None] = []
    for slot in root.iter("TIME_SLOT"):
        names.append(slot.attrib["TIME_SLOT_ID"])
        given = slot.attrib.get("TIME_VALUE")
        values.append(None if given is None else float(given) * scale)
    found: _Slots = {}
    before, waiting = 0.0, []
    for name, value in zip(names, values, strict=True):
        waiting.append(name)
        if value is not None:
            step = (value - before) / len(waiting)
            found |= {other: before + step * number for number, other in enumerate(waiting, 1)}
            found[name] = before = value
            waiting = []
    return found | dict.fromkeys(waiting, before)


def _share_out(depending: dict[str, dict[str, list[str]]], spans: _Spans) -> None:
    """Give annotations without times of their own their parts of their parents' times."""
    ready = [parent for parent in depending if parent in spans]
    while ready:
        parent = ready.pop()
        start, end = spans[parent]
        for parts in depending[parent].values():
            step = (end - start) / len(parts)
            for place, number in enumerate(parts):
                if number not in spans:
                    spans[number] = start + place * step, start + (place + 1) * step
                    if number in depending:
                        ready.append(number)
