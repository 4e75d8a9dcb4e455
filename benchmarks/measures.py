"""Lip sync in figures, from the 68 landmarks of a moving head and the phones that are really said.

Positions are in mm, y up, the face looking along +z. The gap is the mean height between the inner lips, above rest.

aperture90    90th percentile of the gap in speech, mm: a mouth that hardly moves fails everything else too
bilabial      share of p, b, m whose gap comes within 0.3 mm or 8 % of aperture90 of rest, within the phone ± 1 frame
labiodental   share of f, v whose gap falls to a quarter of aperture90
silence       share of pauses ≥ 0.3 s whose mean gap, 0.1 s away from their ends, stays below 15 % of aperture90
open_auc      P(gap of an open vowel > gap of a narrow phone); 0.5 is chance
round_auc     P(rounding of a rounded vowel or w > rounding of a spread phone); rounding is narrower and more forward
openness_r    correlation of the gap with a smoothed openness of the true phones, mean over clips
lag_ms        shift of the gap against that curve at the best correlation, median over clips; negative: mouth early
jitter        share of the energy of the gap's velocity above 8 Hz (natural speech: below about 0.1)
lip_speed     99.9th percentile of the speed of the lips' landmarks, m/s (natural: below about 0.35)
blinks        blinks a minute: the gap of the lids falls below half
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kmtalk_core.phones import BILABIALS, LABIODENTALS, SILENCE, Phone

Figures = dict[str, float]

# How far the mouth opens for each phone, 0…1.
OPENNESS = {
    SILENCE: 0.0, "AA": 1.0, "AE": 0.9, "AO": 0.8, "AW": 0.9, "AY": 0.9, "EH": 0.65, "AH": 0.55, "ER": 0.4, "EY": 0.5,
    "IH": 0.4, "IY": 0.3, "OW": 0.5, "OY": 0.6, "UH": 0.35, "UW": 0.2, "HH": 0.45, "L": 0.4, "R": 0.3, "W": 0.15,
    "Y": 0.3, "K": 0.35, "G": 0.35, "NG": 0.35, "T": 0.2, "D": 0.2, "N": 0.2, "S": 0.2, "Z": 0.2, "TH": 0.25,
    "DH": 0.25, "SH": 0.2, "ZH": 0.2, "CH": 0.2, "JH": 0.2, "F": 0.08, "V": 0.08, "M": 0.0, "B": 0.0, "P": 0.0,
}  # fmt: skip
OPEN = frozenset(["AA", "AE", "AY", "AW", "AO"])
NARROW = frozenset(["S", "Z", "SH", "CH", "JH", "T", "D", "N", "UW", "IY", "F", "V"])
ROUND = frozenset(["UW", "OW", "W", "UH"])
SPREAD = frozenset(["IY", "EH", "AE", "EY", "IH", "S", "Z"])

# iBUG-68 landmarks.
INNER_LIPS = ((61, 67), (62, 66), (63, 65))
CORNERS, FRONT = (48, 54), (51, 57)
LIPS = slice(48, 68)
LIDS = ((37, 41), (38, 40), (43, 47), (44, 46))

SEALED_MM, SEALED_SHARE = 0.3, 0.08
TOUCHING_SHARE = 0.25
RESTING_SHARE = 0.15
SHORTEST_PAUSE, PAUSE_EDGE = 0.3, 0.1  # s
SHORTEST_PHONE = 0.05  # s that open_auc and round_auc need
OPENNESS_SMOOTHING = 0.04  # s
LAG_FRAMES = 8
JITTER_ABOVE = 8.0  # Hz
ALMOST = 1e-9  # s


@dataclass(frozen=True)
class Observed:
    """What a viewer sees of one clip, (T,) each at `fps`: `gap` mm above rest, `rounding` 0…, `lids` as a share of
    their rest; `speed` (T-1, 20) m/s of the lips' landmarks. `phones` and `duration` (s) are what is really said."""

    fps: float
    gap: np.ndarray
    rounding: np.ndarray
    lids: np.ndarray
    speed: np.ndarray
    phones: tuple[Phone, ...]
    duration: float

    @property
    def times(self) -> np.ndarray:
        return np.arange(len(self.gap)) / self.fps

    @property
    def speaking(self) -> np.ndarray:
        """(T,) bool: some phone other than silence is said."""
        inside = np.zeros(len(self.gap), bool)
        for phone in self.phones:
            if phone.label != SILENCE:
                inside |= (self.times >= phone.start) & (self.times < phone.end)
        return inside


def observe(
    landmarks: np.ndarray, neutral: np.ndarray, fps: float, phones: Iterable[Phone], duration: float
) -> Observed:
    """Landmarks (T, 68, 3) mm at `fps` and at rest (68, 3) → what the figures are made of."""
    rest = _gap(neutral, INNER_LIPS)
    width, rest_width = _width(landmarks), _width(neutral)
    forward = landmarks[:, FRONT, 2].mean(1) - neutral[FRONT, 2].mean()
    return Observed(
        fps=fps,
        gap=_gap(landmarks, INNER_LIPS) - rest,
        rounding=(rest_width - width + forward) / rest_width,
        lids=_gap(landmarks, LIDS) / _gap(neutral, LIDS),
        speed=np.linalg.norm(np.diff(landmarks[:, LIPS], axis=0), axis=-1) * fps / 1000,
        phones=tuple(phones),
        duration=duration,
    )


def figures(clips: Sequence[Observed]) -> Figures:
    """The figures of the module's docstring over all clips together; NaN where nothing of the kind was said."""
    opened = np.concatenate([c.gap[c.speaking] for c in clips])
    aperture = float(np.percentile(opened, 90)) if len(opened) else np.nan
    sealed, touching, resting = [], [], []
    gaps: dict[frozenset[str], list[float]] = {OPEN: [], NARROW: []}
    roundings: dict[frozenset[str], list[float]] = {ROUND: [], SPREAD: []}
    for c in clips:
        for phone in c.phones:
            near = _within(c, phone.start - 1 / c.fps, phone.end + 1 / c.fps)
            if not near.any():
                continue
            if phone.label in BILABIALS:
                sealed.append(c.gap[near].min() <= max(SEALED_MM, SEALED_SHARE * aperture))
            if phone.label in LABIODENTALS:
                touching.append(c.gap[near].min() <= TOUCHING_SHARE * aperture)
            length = phone.end - phone.start
            inside = _within(c, phone.start + PAUSE_EDGE, phone.end - PAUSE_EDGE)
            if phone.label == SILENCE and length >= SHORTEST_PAUSE and inside.any():
                resting.append(c.gap[inside].mean() <= RESTING_SHARE * aperture)
            middle = _within(c, phone.start + length / 4, phone.end - length / 4)
            if length < SHORTEST_PHONE or not middle.any():
                continue
            for values, groups in ((c.gap, gaps), (c.rounding, roundings)):
                for group, found in groups.items():
                    if phone.label in group:
                        found.append(float(values[middle].mean()))
    correlation, lag = zip(*(_follows(c) for c in clips), strict=True)
    return {
        "aperture90": aperture,
        "bilabial": _mean(sealed),
        "labiodental": _mean(touching),
        "silence": _mean(resting),
        "open_auc": auc(gaps[OPEN], gaps[NARROW]),
        "round_auc": auc(roundings[ROUND], roundings[SPREAD]),
        "openness_r": _mean(correlation),
        "lag_ms": float(np.nanmedian(lag)) if not np.isnan(lag).all() else np.nan,
        "jitter": _mean([above(np.diff(c.gap), c.fps, JITTER_ABOVE) for c in clips]),
        "lip_speed": float(np.percentile(np.concatenate([c.speed.ravel() for c in clips]), 99.9)),
        "blinks": sum(map(_blinks, clips)) / (sum(c.duration for c in clips) / 60),
    }


# Of sound in which nobody speaks: standard deviation and maximum of the gap, mm; share of frames with a gap above
# OPEN_MM; blinks a minute.
STILLNESS = ("gap_std", "gap_max", "open_share", "blinks")
OPEN_MM = 2.0


def stillness(c: Observed) -> Figures:
    """The figures of STILLNESS."""
    return {
        "gap_std": float(c.gap.std()),
        "gap_max": float(c.gap.max()),
        "open_share": float((c.gap > OPEN_MM).mean()),
        "blinks": _blinks(c) / (c.duration / 60),
    }


def auc(high: Sequence[float], low: Sequence[float]) -> float:
    """P(a value of `high` > one of `low`), ties counted half; NaN if either is empty."""
    if not high or not low:
        return np.nan
    a, b = np.asarray(high)[:, None], np.asarray(low)[None]
    return float(((a > b) + 0.5 * (a == b)).mean())


def above(velocity: np.ndarray, fps: float, frequency: float) -> float:
    """Share of the energy of `velocity` (T,) above `frequency` Hz; NaN for less than 8 frames, 0 for no motion."""
    if len(velocity) < 8:
        return np.nan
    power = np.abs(np.fft.rfft(velocity - velocity.mean())) ** 2
    return float(power[np.fft.rfftfreq(len(velocity), 1 / fps) > frequency].sum() / max(power.sum(), 1e-12))


def _follows(c: Observed) -> tuple[float, float]:
    """Correlation with the smoothed openness of the phones, and the lag (ms) at which it is best."""
    edge = LAG_FRAMES + 4
    if len(c.gap) <= 3 * edge or not c.speaking.any():
        return np.nan, np.nan  # too short, or nothing to follow
    target = np.zeros(len(c.gap))
    for phone in c.phones:
        target[_within(c, phone.start, phone.end)] = OPENNESS.get(phone.label, 0.0)
    kernel = np.exp(-0.5 * (np.arange(-9, 10) / c.fps / OPENNESS_SMOOTHING) ** 2)
    target = np.convolve(target, kernel / kernel.sum(), "same")
    if c.gap.std() < 1e-6:
        return 0.0, np.nan
    shifts = range(-LAG_FRAMES, LAG_FRAMES + 1)
    inside = slice(edge, -edge)
    best = max(shifts, key=lambda s: np.corrcoef(np.roll(target, s)[inside], c.gap[inside])[0, 1])
    return float(np.corrcoef(target, c.gap)[0, 1]), best / c.fps * 1000


def _blinks(c: Observed) -> int:
    return int(((c.lids[1:] < 0.5) & (c.lids[:-1] >= 0.5)).sum())


def _within(c: Observed, start: float, end: float) -> np.ndarray:
    return (c.times >= start - ALMOST) & (c.times <= end + ALMOST)


def _gap(landmarks: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    upper, lower = np.array(pairs).T
    return (landmarks[..., upper, 1] - landmarks[..., lower, 1]).mean(-1)


def _width(landmarks: np.ndarray) -> np.ndarray:
    right, left = CORNERS
    return np.linalg.norm(landmarks[..., right, :] - landmarks[..., left, :], axis=-1)


def _mean(values: Sequence[float]) -> float:
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else np.nan
