"""Captured people in the corpus: `python -m training.corpus.captured SET --out CORPUS [--who NAME] [--keep-out N]`.

SET is a set of tracked clips: `SET.json` lists them (`clip`, `first` frame, `frames`, `fps`, `size` of the picture,
`text`), `SET.npz` has the `points` (frames, P, 3) of all, one clip after the other, in 1/64 pixel with MediaPipe's
`point_ids` (P,), and the folder `SET/` a sound for each, which starts with the clip's first frame. The controls are
solved from the points (`training.capture.solve`), the phones are aligned to the text by the shipped model.

Writes CORPUS/captured/<who>-<clip>.npz: an utterance with its motion, `controls` (T, C) float16 over SPEECH_CONTROLS at
`control_fps` Hz. Every N-th clip (`--keep-out`) goes to CORPUS/held-out/ instead, which training never reads.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kmtalk_core.animator import Animator, Request
from kmtalk_core.audio import load_sound
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import load_npz, written_whole
from training.capture import solve
from training.corpus import Label, Utterance
from training.corpus.stress import with_stress

SUBPIXELS = 64
KEEP_OUT = 8  # every so many clips are kept out of training
SOUNDS = (".ogg", ".wav", ".flac")


def main() -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.corpus.captured", description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, help="SET.json, SET.npz and the folder SET of sounds, named without ending")
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--who", default="", help="the person's name; default: that of the set")
    parser.add_argument("--keep-out", type=int, default=KEEP_OUT, help=f"keep every N-th clip out ({KEEP_OUT})")
    options = parser.parse_args()
    try:
        count = make(options.set, options.out, options.who or options.set.name, options.keep_out)
    except KMTalkError as error:
        print(f"captured: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    print(f"{count} clips in {options.out}", file=sys.stderr)
    return 0


def make(tracked: Path, out: Path, who: str, keep_out: int = KEEP_OUT) -> int:
    """Make what is missing; returns the number of clips. Raises InputError where the set is not whole."""
    animator = Animator()
    count = 0
    for number, (about, points, ids) in enumerate(_clips(tracked)):
        folder = "held-out" if keep_out and number % keep_out == 0 else "captured"
        file = out / folder / f"{who}-{about['clip']}.npz"
        count += 1
        if file.exists():
            continue
        sound = load_sound(_sound(tracked, about["clip"]))
        alignment = animator.align(sound, Request(transcript=about.get("text")))
        labels = with_stress([Label(p.label, p.start, p.end) for p in alignment.phones], about.get("text", ""))
        utterance = Utterance(sound.samples, labels, "captured", about["clip"], who)
        solution = solve(points, ids, tuple(about["size"]), about["fps"])
        arrays = utterance.arrays() | {
            "controls": solution.controls.astype(np.float16),
            "usable": solution.usable,
            "control_fps": np.array(float(about["fps"])),
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(file) as temporary, open(temporary, "wb") as handle:
            np.savez(handle, **arrays)
    return count


def _clips(tracked: Path) -> Iterator[tuple[dict[str, Any], np.ndarray, np.ndarray]]:
    """(what SET.json says, points (T, P, 3) pixels, ids) of each clip."""
    listing = tracked.with_suffix(".json")
    if not listing.exists():
        raise InputError(f"There is no {listing}; name a set of tracked clips.")
    arrays = load_npz(tracked.with_suffix(".npz"))
    for about in json.loads(listing.read_text(encoding="utf-8")):
        rows = slice(about["first"], about["first"] + about["frames"])
        yield about, arrays["points"][rows].astype(np.float32) / SUBPIXELS, arrays["point_ids"]


def _sound(tracked: Path, clip: str) -> Path:
    for ending in SOUNDS:
        if (path := tracked / f"{clip}{ending}").exists():
            return path
    raise InputError(f"There is no sound for the clip {clip} in {tracked}.")


if __name__ == "__main__":
    sys.exit(main())
