"""Which files the service reads as sounds: by their first bytes, so that no playlist leads to files of this machine."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from ...errors import InputError

STARTS = (
    b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b"ID3", b"caff", b"riff\x2e\x91\xcf\x11", b"\x1aE\xdf\xa3",
    b"0&\xb2u\x8ef\xcf\x11", b"#!AMR", b".snd", b"wvpk", b"MAC ", b"TTA1",
)  # of WAV, AIFF, FLAC, Ogg, MP3 with tags, CAF, W64, Matroska, WMA and others  # fmt: skip
MPEG = (b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xf1", b"\xff\xf9")  # MP3, AAC


def check_sound(path: Path) -> None:
    """Raise InputError for a file that does not begin as sounds and films do."""
    with path.open("rb") as file:
        start = file.read(16)
    if not (start.startswith(STARTS) or start.startswith(MPEG) or start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide")):
        raise InputError("This is no sound file that is known here; send a WAV, FLAC, Ogg, MP3, M4A, MP4 or MKV.")


def ending_of(filename: str) -> str:
    """The ending of a file's name, if it is a plain one, else ""."""
    ending = PurePosixPath(filename.replace("\\", "/")).suffix.lower()
    return ending if re.fullmatch(r"\.[a-z0-9]{1,10}", ending) else ""
