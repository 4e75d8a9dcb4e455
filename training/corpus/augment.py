"""Make speech sound as it does in the world: other throats, rooms, noises, telephones and codecs.

`augment` draws which; all are done with NumPy and SciPy, the codecs by PyAV. Only `resample` moves the phones in time,
and it takes their labels along.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence
from typing import cast

import av
import numpy as np
from scipy import fft, signal

from kmtalk_core.phones import SILENCE
from training.corpus import SAMPLE_RATE, Label, Utterance

_CLEAN = 0.25  # share of utterances that get a gain and nothing else


def vary_pauses(utterance: Utterance, rng: np.random.Generator) -> Utterance:
    """Give the pauses inside and the silences at both ends new lengths (0.05 to about 1.2 s)."""
    pieces: list[np.ndarray] = []
    labels: list[Label] = []
    at = 0.0
    spoken = utterance.labels
    # Some voices start or end without silence; most recordings don't.
    if spoken[0].phone != SILENCE and rng.random() < 0.85:
        spoken = (Label(SILENCE, 0.0, spoken[0].start), *spoken)
    if spoken[-1].phone != SILENCE and rng.random() < 0.85:
        spoken = (*spoken, Label(SILENCE, spoken[-1].end, utterance.duration))
    last = len(spoken) - 1
    for i, label in enumerate(spoken):
        piece = utterance.samples[round(label.start * SAMPLE_RATE) : round(label.end * SAMPLE_RATE)]
        if label.phone == SILENCE:
            length = round(float(np.clip(rng.exponential(0.35), 0.05, 1.2)) * SAMPLE_RATE)
            # What sounds in a pause is at its edges: the decay of the phone before, the onset of the one after.
            half = min(length, len(piece)) // 2
            head = piece[:half] if i else piece[:0]
            tail = piece[len(piece) - half :] if i < last else piece[:0]
            piece = np.concatenate([head, np.zeros(length - len(head) - len(tail), np.float32), tail])
        pieces.append(piece)
        labels.append(dataclasses.replace(label, start=at, end=at + len(piece) / SAMPLE_RATE))
        at = labels[-1].end
    return dataclasses.replace(utterance, samples=np.concatenate(pieces), labels=tuple(labels))


def augment(utterance: Utterance, rng: np.random.Generator, babble: Sequence[np.ndarray]) -> Utterance:
    """A changed copy: a quarter gets a gain only, the others a random choice of everything here.

    `babble`: (n,) samples of other utterances, for voices in the background.
    """
    if rng.random() < _CLEAN:
        return dataclasses.replace(utterance, samples=_gain(utterance.samples, rng, -14.0, 0.0))
    if rng.random() < 0.65:
        utterance = resample(utterance, float(np.exp(rng.uniform(np.log(0.85), np.log(1.18)))))
    samples = utterance.samples
    if rng.random() < 0.6:
        samples = equalize(samples, rng)
    if rng.random() < 0.45:
        samples = room(samples, rng)
    if rng.random() < 0.75:
        samples = add_noise(samples, rng, babble)
    if rng.random() < 0.08:
        samples = telephone(samples)
    samples = _gain(samples, rng, -20.0, 6.0)
    if rng.random() < 0.2:
        samples = codec(samples, *CODECS[rng.integers(len(CODECS))])
    return dataclasses.replace(utterance, samples=samples)


def resample(utterance: Utterance, factor: float) -> Utterance:
    """Play `factor` times as fast: a shorter throat, a higher voice, all times divided by the factor."""
    length = max(1, round(len(utterance.samples) / factor))
    exact = len(utterance.samples) / length
    padded = fft.next_fast_len(len(utterance.samples))
    # Fourier resampling needs a length that it can change by the same ratio; zeros behind the end don't matter.
    samples = np.pad(utterance.samples, (0, padded - len(utterance.samples)))
    samples = signal.resample(samples, round(padded / exact))[:length].astype(np.float32)
    exact = padded / round(padded / exact)
    labels = tuple(dataclasses.replace(x, start=x.start / exact, end=x.end / exact) for x in utterance.labels)
    return dataclasses.replace(
        utterance,
        samples=samples,
        labels=labels,
        voice=f"{utterance.voice} resampled {factor:.2f}",
        speaker=f"{utterance.speaker} {factor:.1f}",
    )


def equalize(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smooth random response, ±8 dB: microphones and mixing desks."""
    knots = np.log2([60.0, 200.0, 600.0, 1500.0, 3500.0, 8000.0])
    gains = rng.uniform(-8.0, 8.0, len(knots)) * rng.uniform(0.3, 1.0)
    return _filter(samples, lambda hertz: 10 ** (np.interp(np.log2(hertz + 1.0), knots, gains) / 20))


def room(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Reverberation of 0.1 to 0.6 s; the direct sound stays in its place."""
    decay = rng.uniform(0.1, 0.6)
    time = np.arange(int(decay * SAMPLE_RATE)) / SAMPLE_RATE
    response = rng.normal(size=len(time)) * 10 ** (-3.0 * time / decay)
    response[: int(rng.uniform(0.001, 0.008) * SAMPLE_RATE)] = 0.0
    response *= 10 ** (rng.uniform(-14.0, 0.0) / 20) / np.linalg.norm(response)
    response[0] = 1.0
    return signal.fftconvolve(samples, response)[: len(samples)].astype(np.float32)


def add_noise(samples: np.ndarray, rng: np.random.Generator, babble: Sequence[np.ndarray]) -> np.ndarray:
    """Add one or two of hiss, rumble, babble, hum and soft music, 5 to 40 dB below the speech."""
    level = _level(samples)
    for _ in range(1 + (rng.random() < 0.3)):
        noise = background(len(samples), rng, babble)
        samples = samples + noise * (level * 10 ** (-rng.uniform(5.0, 40.0) / 20))
    return samples.astype(np.float32)


def background(length: int, rng: np.random.Generator, babble: Sequence[np.ndarray]) -> np.ndarray:
    """(length,) of a random kind of noise with a root mean square of 1."""
    kinds = ["white", "pink", "brown", "hum", "music", "breath"] + ["babble"] * bool(babble)
    kind = rng.choice(kinds)
    if kind == "babble":
        noise = np.zeros(length)
        for _ in range(rng.integers(3, 8)):
            voice = np.roll(babble[rng.integers(len(babble))], rng.integers(SAMPLE_RATE * 4))
            noise += np.resize(voice, length) * rng.uniform(0.4, 1.0)
    elif kind == "hum":
        noise = _tones(length, rng.choice([50.0, 60.0]) * np.arange(1, 9), 1.0 / np.arange(1, 9), rng)
        noise += 0.05 * rng.normal(size=length)
    elif kind == "music":
        noise = music(length, rng)
    elif kind == "breath":
        noise = breath(length, rng)
    else:
        slope = {"white": 0.0, "pink": 0.5, "brown": 1.0}[str(kind)]
        noise = _filter(rng.normal(size=length), lambda hertz: np.maximum(hertz, 40.0) ** -slope)
    return noise / max(float(np.sqrt(np.mean(noise**2))), 1e-9)


def music(length: int, rng: np.random.Generator) -> np.ndarray:
    """(length,) of soft chords that change every half second or so."""
    scale = 55.0 * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16, 17, 19, 21, 23, 24, 28, 31, 36]) / 12)
    out = np.zeros(length)
    beat = int(rng.uniform(0.25, 0.8) * SAMPLE_RATE)
    for start in range(0, length, beat):
        size = min(2 * beat, length - start)
        chord = rng.choice(scale, rng.integers(1, 5)) * 2.0 ** rng.integers(0, 3)
        pitches = (chord[:, None] * np.arange(1, 5)).ravel()
        tone = _tones(size, pitches, np.tile(1.0 / np.arange(1, 5) ** 1.5, len(chord)), rng)
        time = np.arange(size) / SAMPLE_RATE
        out[start : start + size] += tone * np.exp(-3.0 * time) * np.minimum(time / 0.02, 1.0)
    return out


def breath(length: int, rng: np.random.Generator) -> np.ndarray:
    """(length,) of bursts of band-limited noise that swell and fade, as breathing and rustling do."""
    out = np.zeros(length)
    at = 0
    while at < length:
        size = min(int(rng.uniform(0.15, 0.9) * SAMPLE_RATE), length - at)
        low, high = rng.uniform(300.0, 1200.0), rng.uniform(2500.0, 7000.0)
        burst = _band(rng.normal(size=size), low, high, 4)
        out[at : at + size] = burst * np.hanning(size) ** rng.uniform(0.5, 1.5) * rng.uniform(0.3, 1.0)
        at += size + int(rng.exponential(0.8) * SAMPLE_RATE)
    return out


def without_speech(rng: np.random.Generator) -> Utterance:
    """4 to 12 s in which nobody speaks: nothing, noise, hum, music, breaths, at any level."""
    length = int(rng.uniform(4.0, 12.0) * SAMPLE_RATE)
    samples = np.zeros(length)
    for _ in range(rng.integers(0, 4)):
        samples += background(length, rng, ()) * 10 ** (-rng.uniform(20.0, 65.0) / 20)
    label = Label(SILENCE, 0.0, length / SAMPLE_RATE)
    return Utterance(samples.astype(np.float32), (label,), "noise", "noise", "noise")


def telephone(samples: np.ndarray) -> np.ndarray:
    """The band from 300 to 3,400 Hz."""
    return _band(samples, 300.0, 3400.0, 10)


CODECS = (
    ("libmp3lame", "mp3", 32000),
    ("libmp3lame", "mp3", 64000),
    ("libopus", "ogg", 16000),
    ("libopus", "ogg", 32000),
)


def codec(samples: np.ndarray, name: str, container: str, bit_rate: int) -> np.ndarray:
    """What comes back from a lossy codec, moved to where it was and of the same length."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = cast(av.AudioStream, output.add_stream(name, rate=SAMPLE_RATE, layout="mono", bit_rate=bit_rate))
        data = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(data, format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=SAMPLE_RATE)
        for part in (*resampler.resample(frame), *resampler.resample(None), None):
            output.mux(stream.encode(part))
    file.seek(0)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(file, "r") as back:
        parts = [p.to_ndarray()[0] for frame in back.decode(audio=0) for p in resampler.resample(frame)]
        parts += [p.to_ndarray()[0] for p in resampler.resample(None)]
    coded = np.concatenate(parts)
    # Encoders delay by some milliseconds, and not all decoders take that back.
    match = signal.correlate(coded, samples, "full", "fft")
    middle = len(samples) - 1
    reach = SAMPLE_RATE // 8
    delay = int(np.argmax(match[max(0, middle - reach) : middle + reach])) - min(reach, middle)
    coded = coded[delay:] if delay >= 0 else np.pad(coded, (-delay, 0))
    coded = np.pad(coded, (0, max(0, len(samples) - len(coded))))[: len(samples)]
    return np.clip(coded, -1.0, 1.0).astype(np.float32)


def _filter(samples: np.ndarray, response: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Zero-phase filtering by `response` (hertz → amplitude), which leaves every phone in its place."""
    size = fft.next_fast_len(len(samples) + SAMPLE_RATE // 10, real=True)
    shaped = fft.rfft(samples, size) * response(fft.rfftfreq(size, 1 / SAMPLE_RATE))
    return fft.irfft(shaped, size)[: len(samples)].astype(np.float32)


def _band(samples: np.ndarray, low: float, high: float, order: int) -> np.ndarray:
    """What lies between `low` and `high` Hz."""
    return _filter(samples, lambda hertz: 1 / (1 + (low / (hertz + 1.0)) ** order + (hertz / high) ** order))


def _tones(length: int, pitches: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(length) / SAMPLE_RATE
    phases = rng.uniform(0, 2 * np.pi, len(pitches))
    out = np.zeros(length)
    for pitch, level, phase in zip(pitches, levels, phases, strict=True):
        if pitch < SAMPLE_RATE / 2:
            out += level * np.sin(2 * np.pi * pitch * time + phase)
    return out


def _level(samples: np.ndarray) -> float:
    """Root mean square of the louder half of the 20-ms frames: the level of the speech without its pauses."""
    size = SAMPLE_RATE // 50
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    power = np.sort(np.mean(frames.astype(float) ** 2, axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean())) + 1e-6


def _gain(samples: np.ndarray, rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """Scale so that the peak is `low` to `high` dB of full scale; above 0 it clips."""
    peak = float(np.abs(samples).max())
    gain = 10 ** (rng.uniform(low, high) / 20) / max(peak, 1e-4)
    return np.clip(samples * gain, -1.0, 1.0).astype(np.float32)
