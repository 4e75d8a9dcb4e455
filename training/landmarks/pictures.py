"""Pictures of heads to learn from, as the finder will see them: looked at a little askew, and from where no face is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from kmtalk_core.files import save_npz
from kmtalk_core.landmarks.crops import ANYWHERE, EYE_CROP, FACE, MOUTH_CROP, Crop, picture_of
from kmtalk_core.landmarks.views import Surface, View

from .heads import Head, Maker

STEPS = 63  # of an int8 for 1
TRUE, FALSE = 3, 3  # pictures of a face, and of anything else
TILT = np.radians((28, 32, 28))  # about the ears' axis, the neck's and the nose's: within which a face is to be seen
ASKEW = {"face": np.radians(7), "mouth": np.radians(5), "eye": np.radians(5)}  # standard deviations
OFF, LARGER = {"face": 0.05, "mouth": 0.035, "eye": 0.04}, {"face": 0.12, "mouth": 0.09, "eye": 0.1}


def write(makers: Iterable[tuple[Maker, int]], folder: Path, seed: int, per_file: int = 50) -> None:
    """`makers` with how many heads of each; files that are there already are kept. The same seed, the same files."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, (maker, count) in enumerate(makers):
        for first in range(0, count, per_file):
            path = folder / f"{kind}_{first:05d}.npz"
            if path.exists():
                continue
            rows: dict[str, list[np.ndarray]] = {}
            for number in range(first, min(first + per_file, count)):
                rng = np.random.default_rng([seed, kind, number])
                for name, value in _of_head(maker(rng), rng):
                    rows.setdefault(name, []).append(value)
            save_npz({name: np.stack(values) for name, values in rows.items()}, path, compressed=False)


def _of_head(head: Head, rng: np.random.Generator) -> Iterable[tuple[str, np.ndarray]]:
    surface = Surface.of(head.points, head.faces)
    for _ in range(TRUE):
        axes = _turned(np.clip(rng.normal(0, 0.5, 3), -1, 1) * TILT)
        yield from _anywhere(surface, head, axes, rng, True)
    for _ in range(FALSE):
        axes = _no_face(rng)
        yield from _anywhere(surface, head, axes, rng, False)
    for crop, mirror in ((FACE, False), (MOUTH_CROP, False), (EYE_CROP, False), (EYE_CROP.mirrored(), True)):
        view = crop.view(head.marks, _turned(rng.normal(0, ASKEW[crop.name], 3)))
        view = _moved(view, rng, OFF[crop.name], LARGER[crop.name])
        yield from _seen(surface, head, crop, view, mirror)


def _anywhere(
    surface: Surface, head: Head, axes: np.ndarray, rng: np.random.Generator, true: bool
) -> Iterable[tuple[str, np.ndarray]]:
    view = _moved(ANYWHERE.view(head.marks, axes), rng, 0.1, 0.25)
    if not true and rng.random() < 0.3:  # the right way, but far too near, too far or beside the face
        view = View(view.origin, _turned(rng.normal(0, 0.3, 3)), view.width * rng.choice([0.3, 0.4, 2.6, 3.5]))
        if rng.random() < 0.5:
            way = rng.normal(size=3)
            view = View(view.origin + 0.8 * view.width * way / np.linalg.norm(way), view.axes, view.width)
    yield from _seen(surface, head, ANYWHERE, view, False)
    yield "anywhere_true", np.array(true, np.float32)


def _seen(surface: Surface, head: Head, crop: Crop, view: View, mirror: bool) -> Iterable[tuple[str, np.ndarray]]:
    picture = picture_of(surface, view, crop.size, mirror)
    placed = view.to_picture(head.marks[crop.marks])
    if mirror:
        placed = placed * [-1, 1, 1]
    yield f"{crop.name}_pictures", np.rint(picture * STEPS).astype(np.int8)
    yield f"{crop.name}_marks", placed.astype(np.float32)


def _moved(view: View, rng: np.random.Generator, off: float, larger: float) -> View:
    width = view.width * float(np.exp(np.clip(rng.normal(0, larger), -2 * larger, 2 * larger)))
    return View(view.origin + rng.normal(0, off, 3) * width, view.axes, width)


def _turned(angles: np.ndarray) -> np.ndarray:
    return Rotation.from_rotvec(angles).as_matrix()


def _no_face(rng: np.random.Generator) -> np.ndarray:
    """A direction from which the face is seen from aside, from behind, upside down or lying."""
    while True:
        axes = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
        if Rotation.from_matrix(axes).magnitude() > np.radians(65):
            return axes
