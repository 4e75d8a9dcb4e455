"""Sounds of the voice that are no words, synthesized: what recordings under free licences are short of.

A source (pulses of the voice, or noise of the breath) goes through a few resonances of the vocal tract, in bursts whose
lengths and rates are those of the literature: laughs of four to six notes a second (Bachorowski et al. 2001), coughs of
an explosion, a steady part and a voiced end (Korpáš et al. 1996), breaths of half a second to one and a half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import signal

from kmtalk_core.features import SAMPLE_RATE

Samples = np.ndarray
_THROATS = (0.85, 1.25)  # shortest and longest, as factors on the formants
_VOWELS = {  # Hz
    "a": (730, 1250, 2600), "e": (530, 1800, 2500), "i": (300, 2200, 3000), "o": (500, 900, 2500),
    "u": (330, 800, 2300), "ə": (500, 1500, 2500),
}  # fmt: skip


def pulses(hertz: np.ndarray, rng: np.random.Generator, breathy: float = 0.05) -> Samples:
    """(n,) of a voice whose pitch in Hz is given for every sample, falling by 12 dB an octave, with some breath."""
    phase = np.cumsum(hertz * (1 + 0.01 * rng.normal(size=len(hertz)))) / SAMPLE_RATE
    train = np.diff(np.floor(phase), prepend=0.0)
    source = signal.lfilter([1.0], [1.0, -1.7, 0.72], train)
    source /= max(float(np.abs(source).max()), 1e-9)
    return source + breathy * rng.normal(size=len(source))


def through(source: Samples, formants: Sequence[float], rng: np.random.Generator, wide: float = 1.0) -> Samples:
    """`source` through resonances at these Hz, of a throat of a random length."""
    throat = rng.uniform(*_THROATS)
    out = source
    for number, hertz in enumerate(formants):
        radius = np.exp(-np.pi * wide * (70 + 50 * number) / SAMPLE_RATE)
        angle = 2 * np.pi * min(hertz * throat, 7000.0) / SAMPLE_RATE
        out = signal.lfilter([(1 - radius) * 2], [1.0, -2 * radius * np.cos(angle), radius**2], out)
    return out / max(float(np.abs(out).max()), 1e-9)


def swell(length: int, attack: float, power: float = 1.0) -> np.ndarray:
    """(length,) that rises during the share `attack` and fades after it."""
    at = np.linspace(0.0, 1.0, length)
    return np.minimum(at / attack, (1 - at) / (1 - attack)).clip(0.0, 1.0) ** power


def laugh(rng: np.random.Generator) -> Samples:
    """A bout of even notes that sinks in pitch and level; one in four without voice."""
    voiced, vowel = rng.random() < 0.75, _VOWELS[str(rng.choice(["a", "e", "i", "o", "ə"]))]
    period, pitch = rng.uniform(0.15, 0.28), rng.uniform(140, 480)
    parts = []
    notes = int(rng.integers(3, 10))
    for number in range(notes):
        sunk = 1 - rng.uniform(0.2, 0.5) * number / notes
        length = round(period * rng.uniform(0.9, 1.1) * SAMPLE_RATE)
        sung = round(length * rng.uniform(0.4, 0.6))
        breath = through(rng.normal(size=length - sung), (900, 1700, 2800), rng, 4.0) * rng.uniform(0.08, 0.3)
        hertz = pitch * sunk * (1 + rng.uniform(-0.2, 0.2) * np.linspace(-1, 1, sung))
        source = pulses(hertz, rng, 0.1) if voiced else rng.normal(size=sung)
        note = through(source, vowel, rng, 1.0 if voiced else 3.0) * swell(sung, 0.25, 0.7)
        parts += [breath * swell(len(breath), 0.6), note * sunk]
    if rng.random() < 0.4:
        parts.append(0.4 * breath_in(rng))
    return np.concatenate(parts)


def breath_in(rng: np.random.Generator) -> Samples:
    """Air drawn in."""
    length = round(rng.uniform(0.25, 0.9) * SAMPLE_RATE)
    air = through(rng.normal(size=length), (1100, 2100, 3300, 4500), rng, rng.uniform(3, 8))
    return air * swell(length, rng.uniform(0.4, 0.9), rng.uniform(0.7, 1.5))


def breath(rng: np.random.Generator) -> Samples:
    """Air drawn in, or let out, or one after the other; some begin with voice, as sighs do; yawns, and panting."""
    kind = rng.random()
    if kind < 0.3:
        return breath_in(rng)
    if kind < 0.45:
        return pant(rng)
    if kind < 0.55:
        return yawn(rng)
    length = round(rng.uniform(0.4, 1.5) * SAMPLE_RATE)
    air = through(rng.normal(size=length), (600, 1400, 2500), rng, rng.uniform(3, 8))
    out = air * swell(length, rng.uniform(0.08, 0.4), rng.uniform(0.7, 1.5))
    if rng.random() < 0.4:
        voiced = length // 2
        pitch = rng.uniform(90, 300)
        voice = through(pulses(np.linspace(pitch, 0.6 * pitch, voiced), rng, 0.3), _VOWELS["a"], rng)
        out[:voiced] += rng.uniform(0.3, 1.5) * voice * swell(voiced, 0.15)
    if rng.random() < 0.3:
        pause = np.zeros(round(rng.uniform(0.05, 0.4) * SAMPLE_RATE))
        out = np.concatenate([breath_in(rng), pause, out])
    return out


def pant(rng: np.random.Generator) -> Samples:
    """Short breaths in and out by turns, one to three of both in a second."""
    parts = []
    half = rng.uniform(0.16, 0.4)
    inward, outward = (1100, 2100, 3300, 4500), (600, 1400, 2500)
    for number in range(int(rng.integers(4, 13))):
        length = round(half * rng.uniform(0.8, 1.2) * SAMPLE_RATE)
        air = through(rng.normal(size=length), outward if number % 2 else inward, rng, rng.uniform(3, 8))
        parts.append(air * swell(length, rng.uniform(0.2, 0.6)) * (1.0 if number % 2 else rng.uniform(0.3, 0.9)))
    return np.concatenate(parts)


def yawn(rng: np.random.Generator) -> Samples:
    """A long breath in through a wide throat, and one out whose voice sinks."""
    drawn = round(rng.uniform(0.7, 1.8) * SAMPLE_RATE)
    air = through(rng.normal(size=drawn), (700, 1200, 2600), rng, rng.uniform(3, 7)) * swell(drawn, 0.6)
    let_out = round(rng.uniform(0.6, 1.8) * SAMPLE_RATE)
    pitch = rng.uniform(100, 380)
    voice = through(pulses(np.linspace(pitch, 0.5 * pitch, let_out), rng, 0.4), _VOWELS["a"], rng)
    breathed = through(rng.normal(size=let_out), (700, 1250, 2600), rng, 4.0)
    out = (rng.uniform(0.2, 1.0) * voice + rng.uniform(0.2, 0.7) * breathed) * swell(let_out, 0.15, 0.8)
    return np.concatenate([rng.uniform(0.3, 0.8) * air, out])


def cough(rng: np.random.Generator) -> Samples:
    """One to four bursts of air that end in some voice; or a sneeze, or a throat that is cleared."""
    kind = rng.random()
    if kind < 0.25:
        return sneeze(rng)
    if kind < 0.45:
        return throat_clearing(rng)
    parts = []
    for _ in range(rng.integers(1, 5)):
        length = round(rng.uniform(0.18, 0.4) * SAMPLE_RATE)
        air = through(rng.normal(size=length), (700, 1500, 2700, 3800), rng, rng.uniform(3, 9))
        burst = air * np.exp(-np.linspace(0, rng.uniform(3, 7), length))
        voiced = length // 2
        pitch = rng.uniform(120, 420)
        voice = through(pulses(np.linspace(pitch, 0.7 * pitch, voiced), rng, 0.3), _VOWELS["ə"], rng)
        burst[-voiced:] += rng.uniform(0, 0.7) * voice * swell(voiced, 0.3)
        parts += [burst * rng.uniform(0.5, 1.0), np.zeros(round(rng.uniform(0.02, 0.4) * SAMPLE_RATE))]
    return np.concatenate(parts)


def sneeze(rng: np.random.Generator) -> Samples:
    """Air drawn in with some voice, and at once a burst through the teeth or the nose, which may end in voice."""
    parts = []
    if rng.random() < 0.7:
        length = round(rng.uniform(0.2, 0.8) * SAMPLE_RATE)
        pitch = rng.uniform(150, 450)
        voice = through(pulses(np.linspace(pitch, 1.4 * pitch, length), rng, 0.5), _VOWELS["a"], rng)
        drawn = through(rng.normal(size=length), (1100, 2100, 3300), rng, 5.0)
        parts.append((rng.uniform(0, 0.5) * voice + 0.4 * drawn) * swell(length, 0.85))
    length = round(rng.uniform(0.12, 0.35) * SAMPLE_RATE)
    air = through(rng.normal(size=length), (rng.uniform(1800, 3500), rng.uniform(3500, 6500)), rng, rng.uniform(6, 15))
    burst = air * np.exp(-np.linspace(0, rng.uniform(2, 6), length)) * np.minimum(np.arange(length) / 80, 1.0)
    parts.append(1.5 * burst)
    if rng.random() < 0.6:
        length = round(rng.uniform(0.1, 0.4) * SAMPLE_RATE)
        pitch = rng.uniform(130, 450)
        voice = through(pulses(np.linspace(1.2 * pitch, 0.7 * pitch, length), rng, 0.3), _VOWELS["u"], rng)
        parts.append(rng.uniform(0.2, 1.0) * voice * swell(length, 0.15))
    return np.concatenate(parts)


def throat_clearing(rng: np.random.Generator) -> Samples:
    """One to three pushes of rough, creaking voice through a closed throat, with noise."""
    parts = []
    for _ in range(rng.integers(1, 4)):
        length = round(rng.uniform(0.15, 0.5) * SAMPLE_RATE)
        pitch = rng.uniform(60, 200)
        hertz = pitch * (1 + 0.25 * rng.normal(size=length // 400 + 2))
        hertz = np.interp(np.arange(length), np.arange(len(hertz)) * 400, np.maximum(hertz, 30.0))
        voice = through(pulses(hertz, rng, 0.4), (450, 1100, 2400), rng, 2.0)
        air = through(rng.normal(size=length), (900, 1800, 2900), rng, 6.0)
        parts.append((voice + rng.uniform(0.3, 1.2) * air) * swell(length, rng.uniform(0.1, 0.4), 0.6))
        parts.append(np.zeros(round(rng.uniform(0.03, 0.25) * SAMPLE_RATE)))
    return np.concatenate(parts)


def cry(rng: np.random.Generator) -> Samples:
    """Wails that rise and fall, with breaths drawn in sobs between them; or one scream."""
    parts = []
    pitch, vowel = rng.uniform(250, 700), _VOWELS[str(rng.choice(["a", "e", "ə"]))]
    for _ in range(1 if rng.random() < 0.3 else rng.integers(2, 6)):
        length = round(rng.uniform(0.35, 1.6) * SAMPLE_RATE)
        at = np.linspace(0, 1, length)
        bend = np.interp(at, [0, rng.uniform(0.15, 0.4), 1], [0.8, 1.15, rng.uniform(0.6, 1.0)])
        tremor = 1 + rng.uniform(0, 0.06) * np.sin(2 * np.pi * rng.uniform(5, 9) * at * length / SAMPLE_RATE)
        voice = through(pulses(pitch * bend * tremor, rng, rng.uniform(0.05, 0.3)), vowel, rng)
        parts.append(voice * swell(length, rng.uniform(0.08, 0.3), 0.6))
        for _ in range(rng.integers(0, 4)):
            parts += [0.35 * breath_in(rng)[: SAMPLE_RATE // 5], np.zeros(round(rng.uniform(0.02, 0.12) * SAMPLE_RATE))]
    return np.concatenate(parts)


def effort(rng: np.random.Generator) -> Samples:
    """A grunt: voice pressed through a narrow throat, or held back and let go."""
    length = round(rng.uniform(0.15, 0.8) * SAMPLE_RATE)
    pitch = rng.uniform(80, 350)
    hertz = np.interp(np.linspace(0, 1, length), [0, 0.3, 1], [pitch, pitch * rng.uniform(1, 1.3), pitch * 0.7])
    rough = 1 + rng.uniform(0, 0.6) * np.sign(np.sin(np.cumsum(hertz) * np.pi / SAMPLE_RATE))
    voice = through(pulses(hertz, rng, 0.2) * rough, _VOWELS[str(rng.choice(["ə", "u", "o", "a"]))], rng)
    return voice * swell(length, rng.uniform(0.05, 0.3), rng.uniform(0.4, 1.0))


def hum(rng: np.random.Generator) -> Samples:
    """A few notes, or one long “mmm”, with the mouth shut: one low resonance, and little above it."""
    parts = []
    pitch = rng.uniform(100, 400)
    for _ in range(rng.integers(1, 7)):
        length = round(rng.uniform(0.25, 1.0) * SAMPLE_RATE)
        note = pitch * 2 ** (rng.integers(-5, 6) / 12)
        wave = 1 + 0.012 * np.sin(2 * np.pi * rng.uniform(4, 6.5) * np.arange(length) / SAMPLE_RATE)
        voice = through(pulses(note * wave, rng, 0.01), (250,), rng)
        voice += rng.uniform(0.02, 0.12) * through(pulses(note * wave, rng, 0.01), (1000, 2200), rng, 2.0)
        parts.append(voice * swell(length, 0.12, 0.4))
    return np.concatenate(parts)


def kiss(rng: np.random.Generator) -> Samples:
    """Lips that suck and let go: a squeak that rises, and a click."""
    parts = []
    for _ in range(rng.integers(1, 4)):
        length = round(rng.uniform(0.04, 0.16) * SAMPLE_RATE)
        low, high = rng.uniform(900, 2000), rng.uniform(2200, 5000)
        sweep = np.sin(2 * np.pi * np.cumsum(np.linspace(low, high, length)) / SAMPLE_RATE)
        squeak = (rng.uniform(0.1, 1.0) * sweep + 0.4 * rng.normal(size=length)) * swell(length, 0.8, 1.5)
        click = rng.normal(size=160) * np.exp(-np.arange(160) / rng.uniform(15, 50))
        parts += [squeak, click, np.zeros(round(rng.uniform(0.05, 0.35) * SAMPLE_RATE))]
    return np.concatenate(parts)


SYNTHESIZED: dict[str, Callable[[np.random.Generator], Samples]] = {
    "laughs": laugh, "breath": breath, "coughs": cough, "cries": cry, "effort": effort, "hums": hum, "kiss": kiss,
}  # fmt: skip
