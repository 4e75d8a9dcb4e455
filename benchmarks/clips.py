"""Real speech with its true phones: the clips that lip sync is measured on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kmtalk_core.errors import InputError
from kmtalk_core.files import written_whole
from kmtalk_core.phones import Phone

ROOT = Path(__file__).parent.parent
# Development data that cannot be part of the project may lie beside it.
SHARED = ROOT.parent / "shared"
SPEECH = SHARED / "data" / "speech"
DEV = SHARED / "judge" / "reference_phones.json"
HELD_OUT = ROOT / "runs" / "held_out_phones.json"
SETS = {"dev": DEV, "held-out": HELD_OUT}


@dataclass(frozen=True)
class JudgedClip:
    """A sound file, what is said in it (`text`), and the true phones with their times; `duration` in s."""

    name: str
    path: Path
    text: str
    phones: tuple[Phone, ...]
    duration: float


def load_clips(reference: Path, speech: Path = SPEECH) -> list[JudgedClip]:
    """The clips of a reference file whose sounds lie anywhere below `speech`.

    The file: {file name: {"phones": [[ARPABET, start s, end s], …], "duration": s, "text": …}}. Raises InputError.
    """
    try:
        content = json.loads(reference.read_text(encoding="utf-8"))
        found = {path.name: path for path in sorted(speech.rglob("*")) if path.name in content}
        missing = [name for name in content if name not in found]
        if missing:
            raise InputError(f"{missing[0]} is not below {speech}; name the folder of the speech with --speech.")
        return [
            JudgedClip(
                name,
                found[name],
                str(clip["text"]),
                tuple(Phone(str(label), float(start), float(end)) for label, start, end in clip["phones"]),
                float(clip["duration"]),
            )
            for name, clip in content.items()
        ]
    except FileNotFoundError:
        raise InputError(
            f"There is no reference {reference}; make one with `python -m benchmarks.reference --out {reference}`."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{reference} is no reference file; make one with `python -m benchmarks.reference`.") from None


def save_clips(clips: Iterable[JudgedClip], path: Path) -> None:
    """Write what `load_clips` reads, whole or not at all."""
    content = {
        clip.name: {
            "phones": [[phone.label, round(phone.start, 4), round(phone.end, 4)] for phone in clip.phones],
            "duration": round(clip.duration, 4),
            "text": clip.text,
        }
        for clip in clips
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
