"""`python -m training.recogniser [--out FILE]`: make the recogniser that ships, from pinned packages.

Takes a minute and 1 GB of memory; the same packages give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kmtalk_core.assets import RECOGNISER
from kmtalk_core.errors import KMTalkError
from kmtalk_core.hearing.archive import save_recogniser

from .making import make_recogniser
from .source import BASE, fetch


def main() -> None:
    """Parse the command line and make it."""
    parser = argparse.ArgumentParser(prog="python -m training.recogniser", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=RECOGNISER, metavar="FILE", help="default: where it ships")
    options = parser.parse_args()
    try:
        digest = save_recogniser(make_recogniser(fetch(BASE)), options.out)
    except KMTalkError as error:
        sys.exit(f"training.recogniser: {error}")
    print(f"{options.out}  {options.out.stat().st_size / 1e6:.1f} MB  {digest}")


if __name__ == "__main__":
    main()
