"""Synthetic voices that tell when they speak which phone: espeak-ng, flite and festival.

`speak` says texts with an engine; `ENGINES` names the engines, `available` says which are installed. The labels are
corrected for each engine's habits, so that a stop begins with its closure and the times are those of the sound.
"""

from __future__ import annotations

import ctypes
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

from kmtalk_core.errors import KMTalkError
from kmtalk_core.phones import SILENCE
from training.corpus import SAMPLE_RATE, Label, Utterance

ENGINES = ("flite", "festival", "espeak")

_ESPEAK_ACCENTS = {  # voice file: weight
    "gmw/en-US": 6,
    "gmw/en": 3,
    "gmw/en-GB-scotland": 2,
    "gmw/en-GB-x-rp": 2,
    "gmw/en-US-nyc": 1,
    "gmw/en-GB-x-gbclan": 1,
    "gmw/en-029": 1,
}
_ESPEAK_VARIANTS = (
    "", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5",
    "Alex", "Andrea", "Annie", "Gene", "Hugo", "Lee", "Michael", "belinda", "edward", "linda", "steph", "rob", "quincy",
)  # fmt: skip
_ESPEAK_CHILD = Path(__file__).with_name("espeak_child.py")
_ESPEAK_RHOTIC = ("gmw/en-US", "gmw/en-US-nyc")
_FLITE_VOICES = {"rms": 5, "slt": 4, "awb": 3, "kal16": 1}
_FESTIVAL_VOICES = {"voice_cmu_us_slt_arctic_hts": 3, "voice_kal_diphone": 1}

# Radio phones of flite and festival that are not ARPABET; the rest is, in lower case.
_RADIO = {"ax": "AH", "axr": "ER", "ix": "IH", "em": "M", "en": "N", "el": "L", "nx": "N", "dx": "T"}
_RADIO |= dict.fromkeys(("pau", "brth", "h#", "ssil", "sil"), SILENCE)

# espeak-ng's mnemonics: one phone or two, where R is dropped by accents that drop it.
_ESPEAK = {
    "a": "AE", "aa": "AE", "a#": "AH", "A:": "AA", "A@": "AA R", "A": "AA", "0": "AA", "O": "AO", "O2": "AA",
    "O:": "AO", "O@": "AO R", "o@": "AO R", "OI": "OY", "E": "EH", "E2": "EH", "e@": "EH R", "eI": "EY", "I": "IH",
    "I2": "IH", "I#": "IH", "IR": "ER", "VR": "ER", "i": "IY", "i:": "IY", "i@": "IH AH", "i@3": "IH R", "u:": "UW",
    "u": "UW", "U": "UH", "U@": "UH R", "V": "AH", "oU": "OW", "aU": "AW", "aI": "AY", "aI2": "AY", "aI3": "AY ER",
    "aI@": "AY AH", "aU@": "AW AH", "@": "AH", "@-": "AH", "@2": "AH", "@5": "AH", "@L": "AH L", "3": "ER", "3:": "ER",
    "b": "B", "tS": "CH", "d": "D", "D": "DH", "f": "F", "g": "G", "h": "HH", "dZ": "JH", "k": "K", "l": "L", "m": "M",
    "n": "N", "n-": "N", "N": "NG", "p": "P", "r": "R", "r-": "R", "s": "S", "S": "SH", "t": "T", "t#": "T", "t[": "TH",
    "?": "T", "T": "TH", "v": "V", "w": "W", "w#": "W", "j": "Y", "z": "Z", "Z": "ZH", "x": "K", "_": SILENCE,
    "_:": SILENCE,
}  # fmt: skip
_STOPS = frozenset({"P", "T", "K", "B", "D", "G", "CH", "JH"})
_NASALS = frozenset({"M", "N", "NG"})
_APPROXIMANTS = frozenset({"L", "R", "W", "Y"})

# Milliseconds by which an engine's labels begin late, by what begins: medians against PocketSphinx's forced alignment
# of the same words.
_LATE = {
    "flite": {"silence": -18, "stop": 5, "nasal": 14, "approximant": 5, "other": 6},
    "festival": {"silence": -25, "stop": -2, "nasal": 10, "approximant": 5, "other": 0},
    "espeak": {"silence": 11, "stop": 4, "nasal": 10, "approximant": 18, "other": 10},
}


def available(engine: str) -> str:
    """Empty if `engine` can be used here, else one sentence that says what is missing."""
    if engine == "espeak":
        try:
            ctypes.CDLL("libespeak-ng.so.1")
        except OSError:
            return "The library libespeak-ng.so.1 is missing; install espeak-ng."
    elif not shutil.which(engine):
        return f"The program {engine} is missing; install it."
    elif engine == "festival" and (voices := _festival_lacks()):
        return f"festival lacks {', '.join(voices)}; install festvox-us-slt-hts and festvox-kallpc16k."
    return ""


@cache
def _festival_lacks() -> tuple[str, ...]:
    """The voices of `_FESTIVAL_VOICES` that are not installed: the program comes without any."""
    listed = _run(["festival", "--batch", "(print (voice.list))"]).decode(errors="replace")
    installed = {f"voice_{name}" for name in re.findall(r"[\w]+", listed)}
    return tuple(name for name in _FESTIVAL_VOICES if name not in installed)


def speak(engine: str, texts: Sequence[str], rngs: Sequence[np.random.Generator]) -> list[Utterance]:
    """Say each text with a voice, rate and pitch drawn from its generator.

    Raises KMTalkError if the engine is missing or fails.
    """
    if missing := available(engine):
        raise KMTalkError(missing)
    if engine == "festival":
        return _festival(texts, rngs)
    say = {"flite": _flite, "espeak": _espeak}[engine]
    return [say(text, rng) for text, rng in zip(texts, rngs, strict=True)]


def _draw(weights: dict[str, int], rng: np.random.Generator) -> str:
    share = np.array(list(weights.values()), float)
    return str(rng.choice(list(weights), p=share / share.sum()))


def _at_16k(samples: np.ndarray, rate: int) -> np.ndarray:
    """Float32 at 16 kHz of int16 `samples` at `rate` Hz."""
    divisor = math.gcd(rate, SAMPLE_RATE)
    return resample_poly(samples / 32768.0, SAMPLE_RATE // divisor, rate // divisor).astype(np.float32)


def _labels(engine: str, begun: Sequence[tuple[str, float, int]], duration: float) -> tuple[Label, ...]:
    """Labels of (phone, start s, stress), each up to the next, with the engine's lateness taken back."""
    starts: list[float] = []
    for phone, start, _ in begun:
        kind = (
            "silence" if phone == SILENCE
            else "stop" if phone in _STOPS
            else "nasal" if phone in _NASALS
            else "approximant" if phone in _APPROXIMANTS
            else "other"
        )  # fmt: skip
        starts.append(max(start - _LATE[engine][kind] / 1000, starts[-1] + 0.01 if starts else 0.0))
    ends = [*starts[1:], duration]
    return tuple(
        Label(phone, start, end, stress) for (phone, _, stress), start, end in zip(begun, starts, ends, strict=True)
    )


def _radio(label: str) -> str:
    return _RADIO.get(label, label.upper())


# --- flite -----------------------------------------------------------------------------------------------------------


def _flite(text: str, rng: np.random.Generator) -> Utterance:
    name = _draw(_FLITE_VOICES, rng)
    stretch, pitch = rng.uniform(0.8, 1.35), rng.uniform(0.88, 1.15)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "speech.wav")
        settings = ["--setf", f"duration_stretch={stretch:.3f}", "--setf", f"f0_shift={pitch:.3f}"]
        said = _run(["flite", "-voice", name, "-psdur", *settings, "-t", text, "-o", str(file)]).decode()
        rate, samples = wavfile.read(file)
    # flite writes "pau:0.164 hh:0.255 …" with the end of each phone.
    ends = re.findall(r"(\S+?):([0-9.]+)", said)
    starts = [0.0, *(float(end) for _, end in ends)]
    sound = _at_16k(samples, rate)
    begun = [(_radio(label), start, 0) for (label, _), start in zip(ends, starts, strict=False)]
    labels = _labels("flite", begun, len(sound) / SAMPLE_RATE)
    return Utterance(sound, labels, "flite", f"flite {name} x{stretch:.2f}", f"flite-{name}")


# --- festival --------------------------------------------------------------------------------------------------------


def _festival(texts: Sequence[str], rngs: Sequence[np.random.Generator]) -> list[Utterance]:
    with tempfile.TemporaryDirectory() as folder:
        names, commands = [], []
        for i, (text, rng) in enumerate(zip(texts, rngs, strict=True)):
            name, stretch, pitch = _draw(_FESTIVAL_VOICES, rng), rng.uniform(0.85, 1.25), rng.uniform(-3.0, 3.0)
            names.append((name.removeprefix("voice_"), stretch))
            quoted = text.replace("\\", "").replace('"', "")
            hts = "cmu_us_slt_arctic_hts::hts_engine_params"
            commands.append(
                f"({name}) (Parameter.set 'Duration_Stretch {stretch:.3f})\n"
                + (
                    f'(set! hts_engine_params (append {hts} \'(("-r" {1 / stretch:.3f}) ("-fm" {pitch:.2f}))))\n'
                    if "hts" in name
                    else f"(set! int_lr_params '((target_f0_mean {105 * 2 ** (pitch / 12):.1f}) (target_f0_std 14)"
                    " (model_f0_mean 170) (model_f0_std 34)))\n"
                )
                + f'(set! u (SynthText "{quoted}"))\n(utt.save.wave u "{folder}/{i}.wav" \'riff)\n'
                f'(set! f (fopen "{folder}/{i}.txt" "w"))\n'
                '(mapcar (lambda (s) (format f "%s %f %s\\n" (item.name s) (item.feat s "end")'
                ' (item.feat s "R:SylStructure.parent.stress"))) (utt.relation.items u \'Segment))\n(fclose f)\n'
            )
        script = Path(folder, "say.scm")
        script.write_text("".join(commands))
        _run(["festival", "--batch", str(script)])
        return [_read_festival(Path(folder), i, *name) for i, name in enumerate(names)]


def _read_festival(folder: Path, number: int, name: str, stretch: float) -> Utterance:
    rate, samples = wavfile.read(folder / f"{number}.wav")
    sound = _at_16k(samples, rate)
    begun, at = [], 0.0
    for line in (folder / f"{number}.txt").read_text().splitlines():
        label, end, stress = line.split()
        vowel = _radio(label)[0] in "AEIOU"
        begun.append((_radio(label), at, int(stress) if vowel else 0))
        at = float(end)
    labels = _labels("festival", begun, len(sound) / SAMPLE_RATE)
    return Utterance(sound, labels, "festival", f"{name} x{stretch:.2f}", f"festival-{name}")


def _run(command: list[str], text: bytes = b"") -> bytes:
    """Standard output of a program that is given `text`."""
    done = subprocess.run(command, input=text, capture_output=True, check=False)
    if done.returncode:
        raise KMTalkError(f"{command[0]} failed ({done.stderr.decode(errors='replace').strip()[-200:]}).")
    return done.stdout


# --- espeak-ng -------------------------------------------------------------------------------------------------------


def _espeak(text: str, rng: np.random.Generator) -> Utterance:
    accent, variant = _draw(_ESPEAK_ACCENTS, rng), str(rng.choice(_ESPEAK_VARIANTS))
    rate, pitch, span = (int(rng.integers(low, high)) for low, high in ((125, 215), (30, 75), (30, 75)))
    voice = f"{accent}+{variant}" if variant else accent
    wish = {"voice": voice, "rate": rate, "pitch": pitch, "range": span, "text": text}
    head, sound = _run([sys.executable, "-I", str(_ESPEAK_CHILD)], json.dumps(wish).encode()).split(b"\n", 1)
    said = json.loads(head)
    samples = _at_16k(np.frombuffer(sound, np.int16), said["sample_rate"])
    phones = [(mnemonic, sample / said["sample_rate"]) for mnemonic, sample in said["phones"]]
    labels = _espeak_labels(phones, samples, accent in _ESPEAK_RHOTIC)
    return Utterance(samples, labels, "espeak", f"espeak {voice} {rate} wpm", f"espeak-{voice}")


def _espeak_labels(phones: list[tuple[str, float]], samples: np.ndarray, rhotic: bool) -> tuple[Label, ...]:
    """ARPABET labels of espeak-ng's (mnemonic, start s) events."""
    begun: list[tuple[str, float, int]] = []
    ends = [start for _, start in phones[1:]] + [len(samples) / SAMPLE_RATE]
    for i, ((mnemonic, start), end) in enumerate(zip(phones, ends, strict=True)):
        while mnemonic and mnemonic not in _ESPEAK:  # t2 is a kind of t; a mere ; belongs to the phone before
            mnemonic = mnemonic[:-1]
        if not mnemonic:
            continue
        parts = _ESPEAK[mnemonic].split()
        follows_r = i + 1 < len(phones) and phones[i + 1][0].startswith("r")
        if parts[-1] == "R" and len(parts) == 2 and (follows_r or not rhotic):
            parts = [parts[0]] if mnemonic != "i@3" else ["IH", "AH"]
        if mnemonic == "3" and not rhotic:
            parts = ["AH"]
        if parts[0] in _STOPS:
            start = _closure(samples, start, begun[-1][1] if begun else 0.0)
        begun.append((parts[0], start, 0))
        if len(parts) == 2:
            begun.append((parts[1], start + 0.6 * (end - start), 0))
    return _labels("espeak", begun, len(samples) / SAMPLE_RATE)


def _closure(samples: np.ndarray, burst: float, earliest: float) -> float:
    """Start of the near-silence that ends at `burst` s: the closure that espeak-ng counts to the phone before."""
    step = SAMPLE_RATE // 500
    at, first = int(burst * SAMPLE_RATE), int(max(earliest + 0.02, burst - 0.12) * SAMPLE_RATE)
    quiet = 0.01 * float(np.abs(samples).max())
    while at - step >= first and np.abs(samples[at - step : at]).max() < quiet:
        at -= step
    return at / SAMPLE_RATE
