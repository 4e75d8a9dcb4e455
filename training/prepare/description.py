"""What a folder of one's own data says of itself, as `layouts.folder` reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kmtalk_core.files import save_npz, save_text

OPENING = ((61, 67), (62, 66), (63, 65))  # landmarks of the inner lips, one above the other


def write_description(
    folder: Path,
    name: str,
    fps: float,
    unit: str,
    templates: Mapping[str, np.ndarray],
    mesh: Mapping[str, np.ndarray],
    regions: tuple[np.ndarray, np.ndarray],
    splits: Mapping[str, Sequence[str]],
    landmarks: Sequence[int] | None = None,
) -> None:
    """Write templates.npz, mesh.npz, the vertex lists and dataset.toml; splits without clips are left out.

    `mesh`: vertices (V, 3) and faces (F, 3); `regions`: vertex numbers of lips and upper face; `landmarks`: those of
    iBUG's 68 landmarks, where they are known.
    """
    save_npz(dict(templates), folder / "templates.npz")
    save_npz(dict(mesh), folder / "mesh.npz")
    for part, mask in zip(("lips", "upper_face"), regions, strict=True):
        save_text(", ".join(map(str, mask)) + "\n", folder / f"{part}.txt")
    marked = ""
    if landmarks is not None:
        save_text(" ".join(map(str, landmarks)) + "\n", folder / "landmarks.txt")
        opening = [[int(landmarks[a]), int(landmarks[b])] for a, b in OPENING]
        marked = f'opening = {opening}\nlandmarks = "landmarks.txt"\n'
    tables = "".join(f"{split} = {json.dumps(list(names))}\n" for split, names in splits.items() if names)
    save_text(
        f'name = "{name}"\nfps = {fps!r}\nunit = "{unit}"\nmesh = "mesh.npz"\nlips = "lips.txt"\n'
        f'upper_face = "upper_face.txt"\n{marked}[splits]\n{tables}',
        folder / "dataset.toml",
    )
