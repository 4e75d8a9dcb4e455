"""Capture speaking faces: `python -m training.capture VIDEO… --out DIR`.

Each VIDEO (or NAME.points.npz of an earlier run, which needs no MediaPipe) becomes DIR/NAME.npz, a result with the
controls of the rig as `kmtalk animate` writes one, and `usable` (T,) bool; NAME.wav, its sound from the first frame on;
NAME.points.npz, the tracked points; and NAME.mp4, the video with the points and the solved lips on it. DIR/report.txt
and report.json tell how well each fits, in mm. NAME.txt beside a video is what is said in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from kmtalk_core.animator import Animator
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import save_text

from .command import capture, name_of
from .report import Report, text_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 2 where a video was to blame, 1 for other faults."""
    parser = argparse.ArgumentParser(prog="python -m training.capture", description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path, nargs="+", help="video of one speaking face, or NAME.points.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder for results, sounds, points, films, report")
    options = parser.parse_args(arguments)
    try:
        return _capture_all(options.video, options.out)
    except KMTalkError as error:
        print(f"capture: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1


def _capture_all(videos: Sequence[Path], out: Path) -> int:
    names = [name_of(video) for video in videos]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"Two of the videos are called {twice}; rename one, or capture them into two folders.")
    animator, reports, faults = Animator(), [], []
    for video in videos:
        try:
            reports.append(capture(video, out, animator, _progress(video.name)))
        except InputError as error:
            faults.append(str(error))
            print(f"capture: {error}", file=sys.stderr)
    if reports or len(videos) > 1:
        out.mkdir(parents=True, exist_ok=True)
        save_text(text_of(reports, faults), out / "report.txt")
        save_text(json.dumps(_summary(reports, faults), indent=1) + "\n", out / "report.json")
        print(text_of(reports, ()), end="", file=sys.stderr)
    return 2 if faults else 0


def _summary(reports: Sequence[Report], faults: Sequence[str]) -> dict[str, object]:
    return {"videos": [report.as_dict() for report in reports], "faults": list(faults)}


def _progress(name: str) -> Callable[[float], None]:
    """Tells how far tracking is, on a terminal."""
    if not sys.stderr.isatty():
        return lambda share: None
    return lambda share: print(f"\r{name}: {share:4.0%}", end="\n" if share >= 1 else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
