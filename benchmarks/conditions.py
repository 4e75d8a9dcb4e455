"""The same speech under other conditions, and sounds in which nobody speaks. All seeded by the clip's name."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy import signal

from kmtalk_core.audio import SAMPLE_RATE, load_sound
from kmtalk_core.phones import SILENCE, Alignment, Phone

from .clips import ROOT, JudgedClip

Samples = np.ndarray
Spoken = tuple[Samples, JudgedClip]  # sound, and the clip whose phones are where they are said in it
Condition = Callable[[Samples, JudgedClip], Spoken]

DECIBELS = (20, 10, 5)
NOISES = ("white noise", "pink noise", "babble")
MANNERS = {
    "a child's voice": "child", "an old voice": "old", "shouting": "shouting", "whispering": "whispered",
    "singing": "sung",
}  # fmt: skip
TELEPHONE = (300.0, 3400.0)  # Hz
FORMANTS = ((700.0, 110.0), (1250.0, 120.0), (2600.0, 180.0))  # Hz and bandwidth of an "ah", for laughter

# Own sentences: espeak-ng's voice → text.
LANGUAGES = {
    "Spanish": ("roa/es", "Mi amigo Pablo vive en una casa blanca. Por la mañana bebe un vaso de vino y mira el mapa."),
    "German": (
        "gmw/de",
        "Meine Mutter backt am Abend warmes Brot. Viele Vögel fliegen über den Wald.",
    ),
    "French": ("roa/fr", "Ma femme a vu un petit bateau sur la mer. Pourquoi boit-il beaucoup de vin avec ses amis?"),
    "Czech": ("zlw/cs", "Můj bratr má malou modrou loďku. Babička peče buchty a my pijeme mléko na verandě."),
    "Italian": ("roa/it", "Il mio amico parla piano, ma beve sempre vino. Vediamo una bella barca sopra il mare."),
}
# espeak-ng's mnemonics of other languages, by their first letter, as the English phone that looks like them. A Spanish
# b between vowels (B) comes close to a closure without reaching it: to the eye it is a narrow phone.
LOOKS_LIKE = {
    "a": "AA", "A": "AA", "E": "EH", "e": "EH", "i": "IY", "I": "IH", "o": "OW", "O": "AO", "u": "UW", "U": "UH",
    "y": "UW", "Y": "UH", "W": "UH", "@": "AH", "V": "AH", "3": "ER", "p": "P", "b": "B", "m": "M", "f": "F",
    "v": "V", "t": "T", "d": "D", "n": "N", "l": "L", "r": "R", "*": "R", "R": "R", "Q": "R", "k": "K", "g": "G",
    "x": "K", "h": "HH", "s": "S", "z": "Z", "S": "SH", "Z": "ZH", "T": "TH", "D": "DH", "j": "Y", "w": "W",
    "c": "K", "C": "SH", "J": "Y", "N": "NG", "B": "D", "q": "K", "?": "T", "L": "L",
}  # fmt: skip


def conditions(clips: Sequence[JudgedClip]) -> dict[str, Condition]:
    """Name → what changes a clip's sound; other voices of the babble are `clips` too."""
    out: dict[str, Condition] = {"clean": lambda samples, clip: (samples, clip)}
    for name in NOISES:
        for decibels in DECIBELS:
            out[f"{name}, {decibels} dB"] = _with_noise(name, decibels, clips)
    out["music, 10 dB"] = _with_noise("music", 10, clips)
    out["telephone band"] = lambda samples, clip: (telephone(samples), clip)
    out["half as loud"] = lambda samples, clip: (0.5 * samples, clip)
    out["twice as loud, clipped"] = lambda samples, clip: (np.clip(2 * _at_full_scale(samples), -1, 1), clip)
    from training.corpus import revoice

    if revoice.available():
        out |= {name: _revoiced(manner) for name, manner in MANNERS.items()}
    return out


def mixed(speech: Samples, noise: Samples, decibels: float) -> Samples:
    """`speech` with `noise` so many dB below the speech's level, measured where it is loud; float32 within ±1."""
    frames = speech[: len(speech) // 320 * 320].reshape(-1, 320).astype(np.float64)
    power = np.sort((frames**2).mean(1))
    level = np.sqrt(power[len(power) // 2 :].mean())
    out = speech + noise * (level / max(float(np.sqrt((noise**2).mean())), 1e-9) * 10 ** (-decibels / 20))
    return (out / max(1.0, float(np.abs(out).max()))).astype(np.float32)


def noise(kind: str, length: int, rng: np.random.Generator, voices: Sequence[Samples] = ()) -> Samples:
    """(length,) of white, pink or brown noise, babble of `voices`, or music."""
    if kind == "babble":
        shifted = [np.roll(np.resize(v, length), int(rng.integers(length))) for v in voices]
        return np.sum([v / max(float(np.sqrt((v**2).mean())), 1e-9) for v in shifted], axis=0)
    if kind == "music":
        return music(length, rng)
    slope = {"white noise": 0.0, "pink noise": 0.5, "brown noise": 1.0}[kind]
    spectrum = np.fft.rfft(rng.standard_normal(length))
    hertz = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), 30.0)
    return np.fft.irfft(spectrum * hertz**-slope, length)


def music(length: int, rng: np.random.Generator) -> Samples:
    """(length,) of a four-chord song at 96 beats a minute: bass, strummed chords, a tune and a hi-hat."""
    time = np.arange(length) / SAMPLE_RATE
    out = np.zeros(length)
    beat = round(60 / 96 * SAMPLE_RATE)
    for number, start in enumerate(range(0, length, beat)):
        root = (48, 55, 57, 53)[number // 4 % 4]  # MIDI: C, G, a, F
        tune = root + 12 + int(rng.choice((0, 3, 4, 7, 9, 12)))
        for note, level in ((root - 12, 1.0), (root, 0.5), (root + 4, 0.4), (root + 7, 0.4), (tune, 0.7)):
            size = min(2 * beat, length - start)
            local = time[:size]
            pitch = 440 * 2 ** ((note - 69) / 12)
            tone = sum(np.sin(2 * np.pi * pitch * k * local) / k**1.5 for k in range(1, 7) if pitch * k < 7000)
            out[start : start + size] += level * tone * np.exp(-3 * local) * np.minimum(local / 0.01, 1)
        for hat in (start, start + beat // 2):
            size = max(min(800, length - hat), 0)
            out[hat : hat + size] += 0.5 * np.diff(rng.standard_normal(size + 1)) * np.exp(-np.arange(size) / 150)
    return out


def telephone(samples: Samples) -> Samples:
    sos = signal.butter(6, TELEPHONE, "bandpass", fs=SAMPLE_RATE, output="sos")
    return signal.sosfiltfilt(sos, samples).astype(np.float32)


def in_other_languages() -> dict[str, Spoken]:
    """Language → sound and clip by espeak-ng, whose phones' times are known. Empty where it is not installed."""
    from training.corpus import voices

    if voices.available("espeak"):
        return {}
    out = {}
    for language, (voice, text) in LANGUAGES.items():
        wish = {"voice": voice, "rate": 150, "pitch": 45, "range": 50, "text": text}
        child = ROOT / "training" / "corpus" / "espeak_child.py"
        done = subprocess.run([sys.executable, "-I", str(child)], input=json.dumps(wish).encode(), capture_output=True)
        if done.returncode:
            continue  # this voice is not installed
        header, sound = done.stdout.split(b"\n", 1)
        said = json.loads(header)
        rate = said["sample_rate"]
        samples = signal.resample_poly(np.frombuffer(sound, np.int16) / 32768.0, SAMPLE_RATE, rate).astype(np.float32)
        starts = [sample / rate for _, sample in said["phones"]] + [len(samples) / SAMPLE_RATE]
        phones = [
            Phone(LOOKS_LIKE.get(mnemonic[:1], SILENCE), start, end)
            for (mnemonic, _), start, end in zip(said["phones"], starts[:-1], starts[1:], strict=True)
        ]
        duration = len(samples) / SAMPLE_RATE
        covered = Alignment.from_segments(phones, (), duration, "espeak").phones
        out[language] = samples, JudgedClip(f"{language}.wav", Path(), text, covered, duration)
    return out


def without_speech(seconds: float = 20.0) -> dict[str, Spoken]:
    """Name → sound in which nobody speaks."""
    rng = np.random.default_rng(3)
    length = round(seconds * SAMPLE_RATE)
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * np.arange(length) / SAMPLE_RATE / 7)
    sounds = {
        "digital silence": np.zeros(length),
        "room tone": 0.001 * _unit(noise("pink noise", length, rng)),
        "wind": 0.1 * _unit(noise("brown noise", length, rng) * swell),
        "traffic": 0.1 * _unit(noise("pink noise", length, rng) * swell**2),
        "music": 0.1 * _unit(music(length, rng)),
        "breaths": breaths(length, rng),
        "laughter": laughter(length, rng),
    }
    phones = (Phone(SILENCE, 0.0, seconds),)
    return {name: (s.astype(np.float32), JudgedClip(name, Path(), "", phones, seconds)) for name, s in sounds.items()}


def breaths(length: int, rng: np.random.Generator) -> Samples:
    """(length,) in and out, some 14 a minute, as a microphone near the mouth hears them."""
    out = 0.0005 * rng.standard_normal(length)
    at = SAMPLE_RATE // 2
    while at < length:
        for seconds, band, level in ((0.9, (500, 5000), 0.02), (1.4, (300, 2500), 0.012)):
            size = min(round(seconds * SAMPLE_RATE), length - at)
            if size > 64:
                sos = signal.butter(2, band, "bandpass", fs=SAMPLE_RATE, output="sos")
                out[at : at + size] += level * _unit(signal.sosfilt(sos, rng.standard_normal(size))) * np.hanning(size)
            at += size + round(0.25 * SAMPLE_RATE)
        at += round(rng.uniform(0.8, 1.8) * SAMPLE_RATE)
    return out


def laughter(length: int, rng: np.random.Generator) -> Samples:
    """(length,) of bouts of "ha ha ha", five a second, each bout falling in pitch and level."""
    out = 0.0005 * rng.standard_normal(length)
    at = SAMPLE_RATE // 2
    while at < length - SAMPLE_RATE // 4:
        for number in range(int(rng.integers(5, 10))):
            size = min(round(0.2 * SAMPLE_RATE), length - at)
            if size < SAMPLE_RATE // 10:
                break
            pitch = 280 * 0.95**number
            pulses = np.diff(np.floor(np.arange(size + 1) * pitch / SAMPLE_RATE)).astype(float)
            voiced = np.clip((np.arange(size) / SAMPLE_RATE - 0.07) / 0.02, 0, 1)
            source = pulses * voiced + 0.05 * rng.standard_normal(size) * (1 - 0.8 * voiced)
            for centre, width in FORMANTS:
                radius = np.exp(-np.pi * width / SAMPLE_RATE)
                poles = [1, -2 * radius * np.cos(2 * np.pi * centre / SAMPLE_RATE), radius**2]
                source = signal.lfilter([sum(poles)], poles, source)
            out[at : at + size] += 0.3 * 0.9**number * source / np.abs(source).max() * np.hanning(size) ** 0.5
            at += size
        at += round(rng.uniform(1.0, 2.0) * SAMPLE_RATE)
    return out


def _with_noise(kind: str, decibels: float, clips: Sequence[JudgedClip]) -> Condition:
    def condition(samples: Samples, clip: JudgedClip) -> Spoken:
        rng = _rng(clip, kind)
        others = [c for c in clips if c.name != clip.name]
        chosen = rng.choice(len(others), min(5, len(others)), replace=False) if kind == "babble" else ()
        voices = [load_sound(others[i].path).samples for i in chosen]
        return mixed(samples, noise(kind, len(samples), rng, voices), decibels), clip

    return condition


def _revoiced(manner: str) -> Condition:
    def condition(samples: Samples, clip: JudgedClip) -> Spoken:
        from training.corpus import Label, Utterance
        from training.corpus.revoice import revoice

        spoken = tuple(Label(p.label, p.start, p.end) for p in clip.phones if p.end > p.start)
        said = revoice(Utterance(samples, spoken, "", "", ""), _rng(clip, manner), manner)
        duration = len(said.samples) / SAMPLE_RATE
        phones = tuple(Phone(x.phone, x.start, x.end) for x in said.labels)
        return said.samples, dataclasses.replace(clip, phones=phones, duration=duration)

    return condition


def _rng(clip: JudgedClip, name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(f"{clip.name} {name}".encode()))


def _unit(samples: Samples) -> Samples:
    return samples / max(float(np.sqrt((samples**2).mean())), 1e-12)


def _at_full_scale(samples: Samples) -> Samples:
    return samples / max(float(np.abs(samples).max()), 1e-9)
