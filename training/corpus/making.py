"""Make the training corpus, utterance by utterance; `training.corpus.__main__` says what it consists of."""

from __future__ import annotations

import collections
import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pocketsphinx import get_model_path
from tqdm import tqdm

from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import written_whole
from training.corpus import Utterance, augment, real, revoice, voices
from training.corpus.stress import with_stress
from training.corpus.text import Writer

_SHARES = {"flite": 0.47, "festival": 0.2, "espeak": 0.33}  # of the hours: the more natural, the more
_SECONDS = {"flite": 6.7, "festival": 6.6, "espeak": 7.6, "noise": 8.0}  # of an utterance, on average
_NOISE_SHARE = 0.05
_REVOICED = 0.3  # share of the synthetic utterances that are said again in another manner
_BATCH = 40  # utterances that one festival process says
_BABBLERS = 16
_LICENCES = {
    "flite": "voices: CMU Flite licence (BSD-like), free use of the sound",
    "festival": "kal_diphone and cmu_us_slt_arctic_hts: CMU licence (BSD-like)",
    "espeak": "espeak-ng is GPL-3.0-or-later; the sound it makes is free",
    "noise": "made here",
    "librispeech": "LibriSpeech train-clean-100 (V. Panayotov and others), CC BY 4.0",
    "ljspeech": "LJ Speech (K. Ito), public domain",
    "captured": "as the set of tracked clips says",
}


def make(out: Path, hours: float, real_speech: Path | None, seed: int) -> None:
    """Make or complete the corpus in folder `out`; see `training.corpus.__main__`.

    Raises InputError if `real_speech` holds none, KMTalkError if none of the engines is installed; engines that are
    missing are named on stderr and left out.
    """
    if real_speech and not real.recordings(real_speech):
        raise InputError(f"{real_speech} holds no librispeech/*.flac or ljspeech/*.flac; name the folder above these.")
    missing = {engine: reason for engine in voices.ENGINES if (reason := voices.available(engine))}
    for reason in missing.values():
        print(reason, "Going on without it.", file=sys.stderr)
    engines = [engine for engine in voices.ENGINES if engine not in missing]
    if not engines:
        raise KMTalkError("No voice is installed; install espeak-ng, flite or festival.")
    if not (manners := revoice.available()):
        print("pyworld is not installed; going on without other manners of speaking.", file=sys.stderr)
    writer = Writer(Path(get_model_path("en-us/cmudict-en-us.dict")))
    share = sum(_SHARES[engine] for engine in engines)
    counts = {engine: math.ceil(hours * 3600 * _SHARES[engine] / share / _SECONDS[engine]) for engine in engines}
    counts["noise"] = math.ceil(hours * 3600 * _NOISE_SHARE / _SECONDS["noise"])
    babblers = _spoken(writer, engines[-1], seed, "babble", range(_BABBLERS))
    babble = [utterance.samples / np.abs(utterance.samples).max() for utterance in babblers]
    for source, count in counts.items():
        for first in tqdm(range(0, count, _BATCH), desc=source, disable=not sys.stderr.isatty()):
            numbers = [
                n for n in range(first, min(first + _BATCH, count)) if not _file(out, source, f"{n:05d}").exists()
            ]
            if source == "noise":
                for number in numbers:
                    augment.without_speech(_rng(seed, source, number)).save(_file(out, source, f"{number:05d}"))
                continue
            for number, utterance in zip(numbers, _spoken(writer, source, seed, source, numbers), strict=True):
                rng = _rng(seed, f"{source} sound", number)
                varied = augment.vary_pauses(utterance, rng)
                if rng.random() < _REVOICED and manners:
                    varied = revoice.revoice(varied, rng)
                augment.augment(varied, rng, babble).save(_file(out, source, f"{number:05d}"))
    if real_speech:
        for number, (name, utterance) in enumerate(real.utterances(real_speech, out / "readings")):
            if not (file := _file(out, utterance.source, name)).exists():
                utterance.save(file)
            for copy in "abc" if manners else "a":
                if not (file := _file(out, utterance.source, f"{name}-{copy}")).exists():
                    rng = _rng(seed, "real" + copy, number)
                    said = utterance if copy == "a" else revoice.revoice(utterance, rng)
                    augment.augment(said, rng, babble).save(file)
    with written_whole(out / "corpus.json") as temporary:
        temporary.write_text(json.dumps(describe(out), indent=1))


def describe(out: Path) -> dict[str, Any]:
    """What corpus.json says: of each source its utterances, minutes, voices, speakers and licence; minutes by phone."""
    sources: dict[str, dict[str, Any]] = {}
    phones: dict[str, float] = collections.defaultdict(float)
    learned = total = 0.0
    for file in sorted(file for file in out.glob("*/*.npz") if file.parent.name in _LICENCES):
        with np.load(file) as arrays:
            about = sources.setdefault(
                file.parent.name,
                {"utterances": 0, "minutes": 0.0, "speakers": set(), "licence": _LICENCES[file.parent.name]},
            )
            lengths = (arrays["phone_ends"] - arrays["phone_starts"]) / 60
            about["utterances"] += 1
            about["minutes"] += float(lengths.sum())
            about["speakers"].add(str(arrays["speaker"]).split(" ")[0])
            learned += float(lengths[arrays["confidence"] > 0].sum())
            total += float(lengths.sum())
            for label, length in zip(arrays["phone_labels"], lengths, strict=True):
                phones[str(label)] += float(length)
    for about in sources.values():
        about["speakers"] = sorted(about["speakers"])
        about["minutes"] = round(about["minutes"], 1)
    return {
        "minutes": round(total, 1),
        "minutes_with_trusted_labels": round(learned, 1),
        "sources": sources,
        "minutes_by_phone": {
            phone: round(minutes, 2) for phone, minutes in sorted(phones.items(), key=lambda item: -item[1])
        },
    }


def _spoken(writer: Writer, engine: str, seed: int, stream: str, numbers: range | list[int]) -> list[Utterance]:
    rngs = [_rng(seed, stream, number) for number in numbers]
    texts = [writer.write(rng) for rng in rngs]
    said = voices.speak(engine, texts, rngs)
    return [
        dataclasses.replace(utterance, labels=with_stress(utterance.labels, text))
        for utterance, text in zip(said, texts, strict=True)
    ]


def _rng(seed: int, stream: str, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, number, *stream.encode()])


def _file(out: Path, source: str, name: str) -> Path:
    return out / source / f"{name}.npz"
