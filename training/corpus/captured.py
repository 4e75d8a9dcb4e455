"""Captured people in the corpus: `python -m training.corpus.captured SET --out CORPUS [--who NAME] [--keep-out N]`.

SET is a set of tracked clips: `SET.json` lists them (`clip`, `first` frame, `frames`, `fps`, `size` of the picture,
`text`), `SET.npz` has the `points` (frames, P, 3) of all, one clip after the other, in 1/64 pixel with MediaPipe's
`point_ids` (P,), and the folder `SET/` a sound for each, which starts with the clip's first frame. The controls are
solved from the points (`training.capture.solve`), the phones are aligned to the text by the shipped model. SET may also
be a folder of results that `python -m training.capture` wrote, NAME.npz with NAME.wav.

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
from kmtalk_core.results import load_animation
from training.capture import solve
from training.capture.motion import CapturedMotion
from training.capture.tracks import ENDING
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
    if tracked.is_dir() and not tracked.with_suffix(".json").exists():
        return _from_results(tracked, out, who, keep_out)
    for number, (about, points, ids, path) in enumerate(clips_of(tracked)):
        file = _file(out, who, about["clip"], number, keep_out)
        count += 1
        if file.exists():
            continue
        sound = load_sound(path)
        alignment = animator.align(sound, Request(transcript=about.get("text")))
        labels = with_stress([Label(p.label, p.start, p.end) for p in alignment.phones], about.get("text", ""))
        utterance = Utterance(sound.samples, labels, "captured", about["clip"], who)
        solution = solve(points, ids, tuple(about["size"]), about["fps"])
        arrays = utterance.arrays() | {
            "controls": solution.controls.astype(np.float16),
            "usable": solution.usable,
            "control_fps": np.array(float(about["fps"])),
        }
        _write(file, arrays)
    return count


def _from_results(folder: Path, out: Path, who: str, keep_out: int) -> int:
    results = [path for path in sorted(folder.glob("*.npz")) if not path.name.endswith(ENDING)]
    if not results:
        raise InputError(f"{folder} holds no captured results; make some with `python -m training.capture`.")
    for number, path in enumerate(results):
        file = _file(out, who, path.stem, number, keep_out)
        if file.exists():
            continue
        result, motion = load_animation(path), CapturedMotion.of(load_npz(path))
        sound, text = load_sound(_sound(folder, path.stem)), " ".join(w.label for w in result.alignment.words)
        labels = with_stress([Label(p.label, p.start, p.end) for p in result.alignment.phones], text)
        arrays = Utterance(sound.samples, labels, "captured", path.stem, who).arrays() | {
            "controls": motion.controls.astype(np.float16),
            "usable": motion.usable,
            "control_fps": np.array(motion.fps),
        }
        _write(file, arrays)
    return len(results)


def _file(out: Path, who: str, clip: str, number: int, keep_out: int) -> Path:
    return out / ("held-out" if keep_out and number % keep_out == 0 else "captured") / f"{who}-{clip}.npz"


def _write(file: Path, arrays: dict[str, np.ndarray]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays)


def clips_of(tracked: Path, every: int = 1) -> Iterator[tuple[dict[str, Any], np.ndarray, np.ndarray, Path]]:
    """(what SET.json says, points (T, P, 3) pixels, ids (P,), sound) of each `every`-th clip of a set."""
    listing = tracked.with_suffix(".json")
    if not listing.exists():
        raise InputError(f"There is no {listing}; name a set of tracked clips.")
    arrays = load_npz(tracked.with_suffix(".npz"))
    for about in json.loads(listing.read_text(encoding="utf-8"))[::every]:
        rows = slice(about["first"], about["first"] + about["frames"])
        points = arrays["points"][rows].astype(np.float32) / SUBPIXELS
        yield about, points, arrays["point_ids"], _sound(tracked, about["clip"])


def _sound(tracked: Path, clip: str) -> Path:
    for ending in SOUNDS:
        if (path := tracked / f"{clip}{ending}").exists():
            return path
    raise InputError(f"There is no sound for the clip {clip} in {tracked}.")


if __name__ == "__main__":
    sys.exit(main())
