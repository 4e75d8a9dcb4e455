"""What each phone does with jaw, lips and tongue: the table of articulatory targets, and how long each lasts.

Sources, by the short names used here and in `synthesizer` (docs/articulation.md has what each one says and gives):
- CM93: Cohen & Massaro 1993, "Modeling coarticulation in synthetic visual speech": targets blended by dominance.
- JALI: Edwards, Landreth, Fiume & Singh 2016, "JALI: an animator-centric viseme model for expressive lip
  synchronization" (rules for bilabials, labiodentals, sibilants, lip-heavy and tongue-only visemes).
- KLLK: Keating, Lindblom, Lubker & Kreiman 1994, "Variability in jaw height for segments in English and Swedish
  VCVs": vowels more open and more variable than consonants; alveolars give way to the vowels least, h most.
- LBJ: Lee, Beckman & Jackson 1994, "Jaw height and consonant place": highest in s, sh; labials above velars.
- ME13: Menezes & Erickson 2013, "Intrinsic variations in jaw deviations in English vowels": low > mid > high.
- F64: Fromkin 1964, "Lip positions in American English vowels": height, width and protrusion.
- BBH: Bell-Berti & Harris 1982, "Temporal patterns of coarticulation: lip rounding": rounding starts at a fixed time
  before its vowel, over the consonants in between.
- LG96, LG: Löfqvist & Gracco 1996, "Labial kinematics in stop consonant production", and 1997, "Lip and jaw
  kinematics in bilabial stop consonant production": closure by both lips over a moving jaw, met at full speed, the
  lower lip pushing the upper one upwards after contact; lip speeds of 0.1-0.25 m/s.
- B93: Byrd 1993, "54,000 American stops": closures of p last 69 ms and those of b 64 ms in the mean.
- L63: Lindblom 1963, "Spectrographic study of vowel reduction"; dJ95: de Jong 1995, "The supraglottal articulation of
  prominence in English": unstressed vowels are reduced, stressed ones overarticulated.
- NS06: Nicholls & Searle 2006, "Asymmetries for the visual expression and perception of speech".

Openness follows ME13 and F64: AA, AE > AO > AH, EH > IH, UH > ER > IY > UW, and LBJ for consonants: velars and l are
more open than t, d, n, these more than s, sh. docs/articulation.md compares each control's spread with captured faces.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kmtalk_core.phones import PHONES, SILENCE

# The columns of the table that are targets of controls, grouped by the articulator that moves them. A name without
# `Left` or `Right` that exists only with them stands for both sides.
ARTICULATORS: dict[str, tuple[str, ...]] = {
    "jaw": ("jawOpen", "jawForward"),
    "lips": ("mouthLowerDown", "mouthUpperUp"),
    "shape": ("mouthFunnel", "mouthPucker", "mouthStretch", "mouthSmile"),
    "tongue": ("tongueOut", "tongueTipUp", "tongueBodyUp"),
}
COLUMNS = tuple(name for columns in ARTICULATORS.values() for name in columns)

# How fast an articulator goes from one target to the next, s; 4.4 of them are 10 % to 90 % of the way. The jaw is slow,
# lips and tongue are fast (LG).
TIME_CONSTANT = {"jaw": 0.026, "lips": 0.020, "shape": 0.024, "tongue": 0.015}
# Rounded phones begin so much earlier, s (BBH; JALI: lip-heavy visemes start early).
ROUNDED_LEAD = 0.06
# Sibilants keep the jaw up until they end, s: it begins to fall then (LBJ: the jaw is highest in them), not before.
SIBILANT_HOLD = 0.032
HOLD_SHARE = 0.35  # of the next phone at most

# Targets of the columns, then the dominance (CM93) of jaw, lips, shape and tongue. A dominance below 0.3 leaves the
# articulator to the neighbours: tongue-only consonants don't shape the lips (JALI), k, g, ng, h leave the jaw (KLLK).
# fmt: off
TABLE: dict[str, tuple[float, ...]] = {
    #       jaw         lips        shape                        tongue             dominance
    #      open  fwd   lower upper funnel pucker stretch smile   out   tip   body   jaw  lips shape tongue
    SILENCE: (0.00, 0.00,  0.00, 0.00,  0.00, 0.00, 0.00, 0.00,  0.00, 0.10, 0.10,  1.00, 1.20, 0.50, 0.60),
    # open vowels
    "AA":    (0.45, 0.00,  0.50, 0.14,  0.06, 0.00, 0.04, 0.00,  0.00, 0.00, 0.00,  1.30, 1.00, 0.70, 0.80),
    "AE":    (0.42, 0.00,  0.50, 0.22,  0.00, 0.00, 0.22, 0.08,  0.00, 0.00, 0.05,  1.30, 1.00, 0.80, 0.80),
    "AO":    (0.36, 0.03,  0.29, 0.08,  0.22, 0.24, 0.00, 0.00,  0.00, 0.00, 0.15,  1.30, 1.00, 1.20, 0.80),
    "AH":    (0.32, 0.00,  0.36, 0.12,  0.02, 0.00, 0.04, 0.01,  0.00, 0.00, 0.10,  0.70, 0.60, 0.30, 0.50),
    "EH":    (0.30, 0.00,  0.38, 0.16,  0.00, 0.00, 0.14, 0.08,  0.00, 0.00, 0.25,  1.10, 0.90, 0.80, 0.80),
    # close vowels
    "IH":    (0.17, 0.00,  0.28, 0.14,  0.00, 0.00, 0.14, 0.07,  0.00, 0.00, 0.45,  0.80, 0.80, 0.60, 0.80),
    "IY":    (0.09, 0.00,  0.26, 0.16,  0.00, 0.00, 0.30, 0.17,  0.00, 0.00, 0.75,  1.20, 1.00, 1.00, 1.00),
    "ER":    (0.15, 0.10,  0.18, 0.08,  0.16, 0.20, 0.00, 0.00,  0.00, 0.25, 0.50,  1.00, 0.90, 1.00, 1.00),
    "UH":    (0.17, 0.03,  0.12, 0.04,  0.16, 0.45, 0.00, 0.00,  0.00, 0.00, 0.45,  1.00, 0.90, 1.20, 0.80),
    "UW":    (0.08, 0.05,  0.02, 0.00,  0.34, 0.74, 0.00, 0.00,  0.00, 0.00, 0.60,  1.20, 1.00, 2.00, 0.80),
    "OW":    (0.29, 0.03,  0.14, 0.04,  0.28, 0.52, 0.00, 0.00,  0.00, 0.00, 0.30,  1.20, 1.00, 2.00, 0.80),
    # glides and liquids
    "W":     (0.05, 0.05,  0.00, 0.00,  0.06, 0.80, 0.00, 0.00,  0.00, 0.00, 0.45,  1.00, 1.50, 3.00, 0.80),
    "R":     (0.09, 0.10,  0.12, 0.06,  0.20, 0.30, 0.00, 0.00,  0.00, 0.30, 0.40,  0.80, 0.80, 1.20, 1.00),
    "Y":     (0.07, 0.00,  0.16, 0.12,  0.00, 0.00, 0.22, 0.11,  0.00, 0.00, 0.80,  0.90, 0.80, 0.70, 1.00),
    "L":     (0.16, 0.00,  0.24, 0.12,  0.00, 0.00, 0.05, 0.03,  0.00, 0.85, 0.00,  0.70, 0.60, 0.15, 3.00),
    # tongue-only consonants
    "T":     (0.045, 0.10,  0.14, 0.10,  0.00, 0.00, 0.06, 0.01,  0.00, 0.85, 0.10,  1.20, 0.70, 0.12, 3.00),
    "D":     (0.045, 0.10,  0.14, 0.10,  0.00, 0.00, 0.06, 0.01,  0.00, 0.85, 0.10,  1.10, 0.70, 0.12, 3.00),
    "N":     (0.05, 0.06,  0.14, 0.10,  0.00, 0.00, 0.06, 0.01,  0.00, 0.85, 0.10,  1.00, 0.70, 0.12, 3.00),
    "K":     (0.13, 0.00,  0.20, 0.10,  0.00, 0.00, 0.04, 0.00,  0.00, 0.00, 0.85,  0.60, 0.60, 0.12, 2.00),
    "G":     (0.13, 0.00,  0.20, 0.10,  0.00, 0.00, 0.04, 0.00,  0.00, 0.00, 0.85,  0.60, 0.60, 0.12, 2.00),
    "NG":    (0.13, 0.00,  0.20, 0.10,  0.00, 0.00, 0.04, 0.00,  0.00, 0.00, 0.85,  0.60, 0.60, 0.12, 2.00),
    "HH":    (0.15, 0.00,  0.18, 0.08,  0.00, 0.00, 0.00, 0.00,  0.00, 0.00, 0.10,  0.20, 0.20, 0.05, 0.10),
    "TH":    (0.14, 0.00,  0.18, 0.12,  0.00, 0.00, 0.05, 0.00,  0.45, 0.28, 0.00,  1.20, 0.90, 0.25, 3.50),
    "DH":    (0.11, 0.00,  0.16, 0.10,  0.00, 0.00, 0.05, 0.00,  0.40, 0.28, 0.00,  1.00, 0.80, 0.20, 3.50),
    # sibilants: teeth together and visible
    "S":     (0.03, 0.26,  0.20, 0.22,  0.00, 0.00, 0.20, 0.06,  0.00, 0.70, 0.15,  2.20, 1.10, 0.40, 1.50),
    "Z":     (0.03, 0.26,  0.20, 0.22,  0.00, 0.00, 0.20, 0.06,  0.00, 0.70, 0.15,  2.20, 1.10, 0.40, 1.50),
    "SH":    (0.03, 0.30,  0.10, 0.13,  0.34, 0.30, 0.00, 0.00,  0.00, 0.45, 0.50,  2.20, 1.10, 1.60, 1.50),
    "ZH":    (0.03, 0.30,  0.10, 0.13,  0.34, 0.30, 0.00, 0.00,  0.00, 0.45, 0.50,  2.20, 1.10, 1.60, 1.50),
    "CH":    (0.03, 0.28,  0.10, 0.13,  0.32, 0.30, 0.00, 0.00,  0.00, 0.70, 0.40,  2.20, 1.10, 1.50, 1.50),
    "JH":    (0.03, 0.28,  0.10, 0.13,  0.32, 0.30, 0.00, 0.00,  0.00, 0.70, 0.40,  2.20, 1.10, 1.50, 1.50),
    # contacts of the lips: the gates of the synthesizer close them; the jaw only helps (LG)
    "F":     (0.06, 0.00,  0.00, 0.34,  0.00, 0.00, 0.06, 0.03,  0.00, 0.00, 0.10,  1.20, 1.00, 0.20, 0.30),
    "V":     (0.06, 0.00,  0.00, 0.30,  0.00, 0.00, 0.06, 0.03,  0.00, 0.00, 0.10,  1.20, 1.00, 0.20, 0.30),
    "P":     (0.07, 0.00,  0.04, 0.02,  0.00, 0.00, 0.02, 0.00,  0.00, 0.00, 0.10,  0.70, 0.70, 0.12, 0.20),
    "B":     (0.07, 0.00,  0.04, 0.02,  0.00, 0.00, 0.02, 0.00,  0.00, 0.00, 0.10,  0.70, 0.70, 0.12, 0.20),
    "M":     (0.07, 0.00,  0.04, 0.02,  0.00, 0.00, 0.02, 0.00,  0.00, 0.00, 0.10,  0.70, 0.70, 0.12, 0.20),
}
# Diphthongs move: the first target holds for this share of the phone, then comes the second. In running speech the
# glide of AY and AW ends half way to its nominal vowel.
DIPHTHONGS = {"AY": ("AA", "EH"), "AW": ("AA", "OW"), "OY": ("AO", "IH"), "EY": ("EH", "IY"), "OW": ("OW", "UW")}
FIRST_SHARE = 0.70
# fmt: on

SIBILANTS = ("S", "Z", "SH", "ZH", "CH", "JH")
ROUNDED = frozenset({"AO", "OW", "UW", "UH", "W", "R", "ER", "SH", "ZH", "CH", "JH"})
# Stress (CMU dictionary: 0 none, 1 primary, 2 secondary; -1 unknown) → factor of a vowel's opening and its dominance.
# Unstressed vowels are reduced (L63), stressed ones lower the jaw further (dJ95).
STRESS_GAIN = np.array([0.85, 1.08, 1.0, 1.0])

# The tip of the tongue rises to teeth that don't move, from a jaw that does: at the target of full contact, the control
# that reaches them from a closed jaw, and what it needs more for each jawOpen.
TIP_CONTACT, TIP_AT_REST, TIP_PER_JAW = 0.85, 0.22, 1.55
TEETH_PARTED = 0.05  # jawOpen from which on the tongue passes between the teeth

# Controls that follow others because the same muscles move them: (follower, leader, share).
SYNERGIES = (
    ("mouthDimple", "mouthSmile", 0.45),  # zygomaticus with risorius
    ("cheekSquint", "mouthSmile", 0.30),
    ("noseSneer", "mouthUpperUp", 0.30),  # levator labii superioris alaeque nasi
    ("mouthShrugLower", "mouthPucker", 0.15),  # mentalis with orbicularis oris
)

ROWS = {label: row for row, label in enumerate(TABLE)}
TARGETS = np.array([row[: len(COLUMNS)] for row in TABLE.values()])  # (rows, columns)
DOMINANCE = np.array([row[len(COLUMNS) :] for row in TABLE.values()])  # (rows, articulators)


@dataclass(frozen=True)
class Rules:
    """Everything about the rules that can be fitted to people.

    `targets` (rows, columns) and `dominance` (rows, articulators) of `ROWS`; `time_constant` and `lead` of each
    articulator, s: how fast it goes, and how much earlier than the sound; `loudness_exponent` of the loudness on the
    opening; `stress_gain` (4,) by the dictionary's digit; `ramp` s from parted lips to contact and back, `seal_slack`
    s of the phone that the flat ends of the ramps cover, `seal_hold` s of full contact at least. `person`: how the
    people that they were fitted to differ from the neutral speaker, as numbers of `conditioning.STYLE`.
    """

    targets: np.ndarray
    dominance: np.ndarray
    time_constant: Mapping[str, float]
    lead: Mapping[str, float]
    loudness_exponent: float
    stress_gain: np.ndarray
    ramp: float
    seal_slack: float
    seal_hold: float
    person: Mapping[str, float] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write `path` (.json), rounded to what can be told apart."""
        rows = {
            label: {
                "targets": dict(zip(COLUMNS, np.round(self.targets[row], 3).tolist(), strict=True)),
                "dominance": dict(zip(ARTICULATORS, np.round(self.dominance[row], 2).tolist(), strict=True)),
            }
            for label, row in ROWS.items()
        }
        numbers = {
            "time_constant": {k: round(v, 4) for k, v in self.time_constant.items()},
            "lead": {k: round(v, 4) for k, v in self.lead.items()},
            "loudness_exponent": round(self.loudness_exponent, 3),
            "stress_gain": np.round(self.stress_gain, 3).tolist(),
            "ramp": round(self.ramp, 4),
            "seal_slack": round(self.seal_slack, 4),
            "seal_hold": round(self.seal_hold, 4),
            "person": dict(self.person),
        }
        lines = ",\n".join(f" {json.dumps(label)}: {json.dumps(row)}" for label, row in rows.items())
        path.write_text(
            json.dumps(numbers, indent=1)[:-2] + ',\n "phones": {\n' + lines + "\n }\n}\n", encoding="utf-8"
        )

    @classmethod
    def load(cls, path: Path) -> Rules:
        """The rules that `save` wrote."""
        found = json.loads(path.read_text(encoding="utf-8"))
        phones = found.pop("phones")
        return cls(
            targets=np.array([[phones[label]["targets"][name] for name in COLUMNS] for label in ROWS]),
            dominance=np.array([[phones[label]["dominance"][name] for name in ARTICULATORS] for label in ROWS]),
            **{**found, "stress_gain": np.array(found["stress_gain"])},
        )


# The values of the literature, above, and those that `fit` found on captured people, which training uses.
LITERATURE = Rules(
    targets=TARGETS,
    dominance=DOMINANCE,
    time_constant=TIME_CONSTANT,
    lead=dict.fromkeys(ARTICULATORS, 0.0),
    loudness_exponent=0.8,
    stress_gain=STRESS_GAIN,
    ramp=0.095,
    # With these flat ends the lips are shut from the phone's start to its end or burst, for 45 ms at least (B93, LG).
    seal_slack=0.07,
    seal_hold=0.015,
)
FITTED_FILE = Path(__file__).parent / "fitted.json"
FITTED = Rules.load(FITTED_FILE) if FITTED_FILE.exists() else LITERATURE

if set(PHONES) - set(TABLE) - set(DIPHTHONGS):
    raise AssertionError("The table of articulatory targets lacks a phone.")
