"""What KMTalk is compared with: simple systems through the same rig, from the same sound.

Viseme poses are those of the articulation synthesizer for a phone that is held, so that all share one idea of the
poses, and only the motion between them differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kmtalk_core.animator import frame_times
from kmtalk_core.audio import SAMPLE_RATE, Sound
from kmtalk_core.finish.contact_poses import PARTING
from kmtalk_core.phones import BILABIALS, LABIODENTALS, PHONES, SILENCE, Alignment, Phone
from kmtalk_core.rig.controls import SPEECH_CONTROLS

from .clips import JudgedClip
from .stage import FPS, Motion, System

SMOOTHING = 0.05  # s, standard deviation: about what animators blend visemes with
RULE_SMOOTHING = 0.03  # s: enough against jitter, as the closures are added after it
RULE_RAMP = 0.08  # s of raised cosine into a closure and out of it
RELEASE = {"P": 0.4, "B": 0.3}  # share of a stop that is burst and aspiration
LOUDEST_JAW = 0.45  # jawOpen at the loud parts
LOUDNESS_SMOOTHING = 0.03  # s
PAD = 0.25  # s of faint noise that the recogniser needs at both ends


@dataclass(frozen=True)
class Visemes:
    """The pose of each phone as PocketSphinx's all-phone recogniser hears it: `stepped`, or smoothed over time."""

    smoothing: float = 0.0

    def __call__(self, sound: Sound, clip: JudgedClip) -> Motion:
        return Motion(viseme_curves(heard_phones(sound), sound.duration, self.smoothing), SPEECH_CONTROLS)


@dataclass(frozen=True)
class RuleOnTruePhones:
    """Visemes of the true phones, smoothed, then gated closures: what is possible with perfect hearing."""

    def __call__(self, sound: Sound, clip: JudgedClip) -> Motion:
        curves = viseme_curves(clip.phones, sound.duration, RULE_SMOOTHING)
        times = frame_times(sound.duration, FPS)
        for labels, pose in ((LABIODENTALS, _tucked(curves)), (BILABIALS, _sealed(curves))):
            gate = closedness(times, [p for p in clip.phones if p.label in labels])[:, None]
            curves += gate * (pose - curves)
        return Motion(curves, SPEECH_CONTROLS)


@dataclass(frozen=True)
class LoudnessJaw:
    """The jaw follows the loudness, nothing else moves."""

    def __call__(self, sound: Sound, clip: JudgedClip) -> Motion:
        step = SAMPLE_RATE // 100
        blocks = np.pad(sound.samples.astype(np.float64) ** 2, (0, -len(sound.samples) % step)).reshape(-1, step)
        level = _smoothed(np.sqrt(blocks.mean(1))[:, None], LOUDNESS_SMOOTHING * 100)[:, 0]
        level = np.clip(level / max(float(np.percentile(level, 95)), 1e-6), 0.0, 1.2)
        times = frame_times(sound.duration, FPS)
        jaw = LOUDEST_JAW * np.interp(times, (np.arange(len(level)) + 0.5) / 100, level)
        return Motion(jaw[:, None], ("jawOpen",))


BASELINES: dict[str, System] = {
    "loudness moves the jaw": LoudnessJaw(),
    "visemes, stepped": Visemes(),
    "visemes, smoothed": Visemes(SMOOTHING),
}


def heard_phones(sound: Sound) -> tuple[Phone, ...]:
    """Phones by PocketSphinx's all-phone recognition with the phone language model of its wheel."""
    import pocketsphinx

    decoder = pocketsphinx.Decoder(
        samprate=SAMPLE_RATE, lm=None, allphone=pocketsphinx.get_model_path("en-us/en-us-phone.lm.bin"), lw=2.0,
        loglevel="FATAL",
    )  # fmt: skip
    level = max(float(np.abs(sound.samples).max(initial=0.0)), 1e-3)
    padded = np.pad(sound.samples / level * 16_000, round(PAD * SAMPLE_RATE))
    noisy = padded + np.random.default_rng(0).normal(0.0, 4.0, len(padded))
    decoder.start_utt()
    try:
        decoder.process_raw(noisy.astype("<i2").tobytes(), no_search=False, full_utt=True)
    finally:
        decoder.end_utt()
    phones = [
        Phone(s.word if s.word in PHONES else SILENCE, s.start_frame / 100 - PAD, (s.end_frame + 1) / 100 - PAD)
        for s in (decoder.seg() if decoder.hyp() is not None else None) or ()
    ]
    return Alignment.from_segments(phones, (), sound.duration, "allphone").phones


def viseme_curves(phones: Sequence[Phone], duration: float, smoothing: float) -> np.ndarray:
    """(T, S) over SPEECH_CONTROLS at FPS: the pose of the phone at each frame, smoothed over `smoothing` s."""
    rate = 4 * FPS  # so that smoothing sees where between frames a phone changes
    times = np.arange(int(np.floor(duration * FPS + 1e-6)) * 4 + 1) / rate
    ends = np.array([phone.end for phone in phones])
    at = np.clip(np.searchsorted(ends, times, side="right"), 0, len(phones) - 1)
    poses = _poses()
    curves = poses[[PHONES.index(phone.label) for phone in phones]][at]
    return _smoothed(curves, smoothing * rate)[::4]


def closedness(times: np.ndarray, phones: Sequence[Phone]) -> np.ndarray:
    """(T,) 0…1: 1 in the middle of each phone, with raised cosines of RULE_RAMP s on both sides."""
    opened = np.ones(len(times))
    for phone in phones:
        end = phone.end - RELEASE.get(phone.label, 0.0) * (phone.end - phone.start)
        middle, half = (phone.start + end) / 2, max((end - phone.start) / 2 - 0.02, 0.5 / FPS)
        distance = np.clip((np.abs(times - middle) - half) / RULE_RAMP, 0.0, 1.0)
        opened = np.minimum(opened, 0.5 - 0.5 * np.cos(np.pi * distance))
    return 1 - opened


@lru_cache(maxsize=1)
def _poses() -> np.ndarray:
    """(phones, S): the synthesizer's pose in the middle of each phone, held for a second."""
    from training.articulation import Style, synthesize

    def pose(label: str) -> np.ndarray:
        held = (Phone(SILENCE, 0.0, 1.0), Phone(label, 1.0, 2.0), Phone(SILENCE, 2.0, 3.0))
        alignment = Alignment(held, (), 3.0, "viseme")
        return synthesize(alignment, np.array([1.45]), style=Style(asymmetry=0.0, variation=0.0))[0]

    silent = Alignment((Phone(SILENCE, 0.0, 3.0),), (), 3.0, "viseme")
    rest = synthesize(silent, np.array([1.5]), style=Style(asymmetry=0.0, variation=0.0))[0]
    return np.stack([rest if label == SILENCE else pose(label) for label in PHONES])


def _sealed(curves: np.ndarray) -> np.ndarray:
    out = curves.copy()
    out[:, SPEECH_CONTROLS.index("mouthClose")] = out[:, SPEECH_CONTROLS.index("jawOpen")]
    out[:, [SPEECH_CONTROLS.index(name) for name in PARTING]] = 0.0
    return out


def _tucked(curves: np.ndarray) -> np.ndarray:
    return np.tile(_poses()[PHONES.index("F")], (len(curves), 1))


def _smoothed(curves: np.ndarray, spread: float) -> np.ndarray:
    """Gaussian of `spread` samples over time; the ends go on as they are."""
    if spread <= 0.0:
        return curves.copy()
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(curves, spread, axis=0, mode="nearest"))
