"""Convert an official checkpoint: `python -m training.convert faceformer FILE --data vocaset --out OUT.npz`.

FaceFormer (vocaset.pth, biwi.pth), CodeTalker (`codetalker STAGE1 STAGE2`) and SelfTalk, trained on VOCASET or BIWI.
OUT.npz is a checkpoint as `python -m training.train` writes them: for `python -m training.evaluate` and
`kmtalk animate --checkpoint`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.networks.method import Geometry, save_method
from kmtalk_core.rig.mesh import load_mesh

from .captured.dataset import DataSet
from .captured.official import DATA, INTERPOLATIONS, KINDS, converted, read_state


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        stages = 2 if options.kind == "codetalker" else 1
        if len(options.files) != stages:
            raise InputError(f"{options.kind} has {stages} checkpoint{'s' * (stages > 1)}; name {stages}.")
        state = {name: value for file in options.files for name, value in read_state(file).items()}
        geometry = None if options.prepared is None else DataSet(options.prepared).geometry()
        method = converted(options.kind, state, options.data, options.interpolate, geometry)
        method.geometry = _faced(method.geometry, options.mesh)
        name = f"{options.kind}-{options.data}-official"
        digest = save_method(method, options.kind, {"name": name, "keys": {}}, options.out)
        count = sum(p.numel() for p in method.parameters()) / 1e6
        print(f"wrote {options.out}: {count:.1f} million parameters (sha256 {digest})", file=sys.stderr)
    except KMTalkError as error:
        print(f"convert: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


def _faced(geometry: Geometry, path: Path | None) -> Geometry:
    """The geometry with the face of a mesh file as its template."""
    if path is None:
        return geometry
    mesh = load_mesh(path)
    if len(mesh.vertices) != geometry.vertices:
        raise InputError(f"{path} has {len(mesh.vertices)} vertices, the checkpoint moves {geometry.vertices}.")
    return replace(geometry, template=mesh.vertices.astype(np.float32), faces=mesh.faces)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.convert", description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("files", type=Path, nargs="+", help="the checkpoint; of CodeTalker both, stage 1 first")
    parser.add_argument("--data", choices=DATA, required=True, help="what it was trained on")
    parser.add_argument("--out", type=Path, required=True, help="the converted checkpoint, .npz")
    parser.add_argument(
        "--interpolate", choices=INTERPOLATIONS, default="",
        help="vocaset: features stretched over the frames from end to end, as published, or at the frames' own times,"
        " which long sounds need (stretched)",
    )  # fmt: skip
    parser.add_argument("--prepared", type=Path, help="the prepared data set, for its templates and lists of vertices")
    parser.add_argument("--mesh", type=Path, help="a neutral face of the topology, moved where no mesh is given")
    return parser


if __name__ == "__main__":
    sys.exit(main())
