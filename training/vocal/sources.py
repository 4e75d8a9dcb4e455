"""Recorded sounds of the voice that are no words, out of free packages whose players utter them.

Debian's packages of games, unpacked (`apt-get download NAME; dpkg-deb -x NAME.deb DIR`): hedgewars-data,
openarena-data, openarena-081-players, openarena-085-data, openarena-088-data, nexuiz-data (GPL-2+), redeclipse-data (CC
BY-SA).
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from kmtalk_core.features import SAMPLE_RATE

SPEECH = "speech"
SHORTEST = 0.1  # s
SCREAM = 0.9  # s of falling or dying, from which on it is a scream
_KINDS = (
    ("laughs", r"laugh"),
    ("coughs", r"cough"),
    ("breath", r"^gasp"),
    ("effort", r"^(jump|fall|pain|death|die|ow\d|ooff|ouch|drown|hurt|poisonmoan)"),
    (SPEECH, r"^(coverme|attack|defend|freelance|seenflag|meet|incoming|needhelp|teamshoot|taunt)"),
)
_NOT_HUMAN = re.compile(r"robot|sarge|sorceress|skelebot|alien|insect|footstep|fall\d?\.wav$", re.IGNORECASE)


@dataclass(frozen=True)
class Uttered:
    """A recording: its kind (of `sound_kinds.KINDS`, or speech), who, and (n,) samples at 16 kHz."""

    kind: str
    who: str
    samples: np.ndarray


def recorded(folder: Path) -> Iterator[Uttered]:
    """All that is found below `folder`, each once."""
    seen = set()
    for name, data in _files(folder):
        digest = hashlib.sha256(data).digest()
        kind = kind_of(name)
        if kind is None or digest in seen or _NOT_HUMAN.search(name):
            continue
        seen.add(digest)
        samples = _decoded(data)
        if len(samples) >= SHORTEST * SAMPLE_RATE:
            long = re.search("fall|death", name, re.IGNORECASE) and len(samples) > SCREAM * SAMPLE_RATE
            yield Uttered("cries" if long and kind == "effort" else kind, name.rsplit("/", 2)[-2], samples)


def kind_of(name: str) -> str | None:
    """By the name of a file, "…/WHO/NAME.wav"; None for steps, weapons and the like."""
    file = name.rsplit("/", 1)[-1].lower()
    kind = next((kind for kind, pattern in _KINDS if re.search(pattern, file)), None)
    return SPEECH if kind is None and "/voices/" in name.lower() else kind


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() == ".pk3":
            with zipfile.ZipFile(path) as pack:
                for name in sorted(pack.namelist()):
                    if re.search(r"player.*\.(wav|ogg)$", name, re.IGNORECASE):
                        yield name, pack.read(name)
        elif path.suffix.lower() in (".ogg", ".wav") and re.search("/(player|[Vv]oices)/", str(path)):
            yield path.as_posix(), path.read_bytes()


def _decoded(data: bytes) -> np.ndarray:
    """(n,) float32 at 16 kHz; empty for what is no sound."""
    try:
        with av.open(io.BytesIO(data), "r") as file:
            resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
            frames = [*(g for f in file.decode(audio=0) for g in resampler.resample(f)), *resampler.resample(None)]
        return np.concatenate([frame.to_ndarray()[0] for frame in frames])
    except (av.error.FFmpegError, ValueError, IndexError):
        return np.zeros(0, np.float32)
