"""`python -m kmtalk_core.rig MESH`: build a head's rig and print its contact figures."""

from __future__ import annotations

import argparse
import sys
import time

from ..errors import KMTalkError
from .articulation import build_rig
from .contacts import contact_figures
from .mesh import load_mesh


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kmtalk_core.rig", description=__doc__)
    parser.add_argument("mesh", help="a head: .ply, .obj or .npz")
    options = parser.parse_args(arguments)
    try:
        mesh = load_mesh(options.mesh)
        start = time.perf_counter()
        rig = build_rig(mesh)
        seconds = time.perf_counter() - start
        rows = contact_figures(rig)
    except KMTalkError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(mesh.vertices)} vertices, {len(rig.control_names)} controls, built in {seconds:.2f} s")
    for row in rows:
        limit = "" if row.limit is None else f"  (≤ {row.limit:g}{'' if row.kept else ', NOT KEPT'})"
        print(f"{row.name:58s} {row.value:8.2f} {row.unit}{limit}")
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
