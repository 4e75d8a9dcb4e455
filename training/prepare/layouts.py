"""Where VOCASET, BIWI and data of one's own keep what, as the public training codes expect it.

SOURCE/wav/SUBJECT_SENTENCE.wav, SOURCE/vertices_npy/SUBJECT_SENTENCE.npy (T, V·3), SOURCE/templates.pkl (or .npz:
subject → V×3), optional SOURCE/text/SUBJECT_SENTENCE.txt. VOCASET has FLAME_masks.pkl, BIWI lve.txt and fdd.txt (in
SOURCE or SOURCE/regions), own data a dataset.toml.
"""

from __future__ import annotations

import fnmatch
import io
import pickle
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz
from kmtalk_core.rig.mesh import Mesh, load_mesh
from kmtalk_core.rig.profiles import find_landmarks

FLAME_VERTICES = 5023
# Upper and lower inner-lip vertices in FLAME topology: landmarks 61, 62, 63 and 67, 66, 65 of iBUG-68.
FLAME_OPENING = ((2787, 2907), (3531, 3504), (1670, 1804))

VOCASET_SUBJECTS = {
    "train": ("170728_03272", "170904_00128", "170725_00137", "170915_00223", "170811_03274", "170913_03279",
              "170904_03276", "170912_03278"),
    "val": ("170811_03275", "170908_03277"),
    "test": ("170809_00138", "170731_00024"),
}  # fmt: skip
# Sentences by number, as FaceFormer's loader, which the later papers took over.
VOCASET_SENTENCES = {"train": range(1, 41), "val": range(21, 41), "test": range(21, 41)}
BIWI_SEEN = ("F2", "F3", "F4", "M3", "M4", "M5")
BIWI_UNSEEN = ("F1", "F5", "F6", "F7", "F8", "M1", "M2", "M6")
BIWI_SENTENCES = {"train": range(1, 33), "val": range(33, 37), "test_a": range(37, 41), "test_b": range(37, 41)}
PUBLISHED_COUNTS = {"biwi": {"train": 190, "val": 24, "test_a": 24, "test_b": 32}}


@dataclass(frozen=True)
class Layout:
    """A data set on disk. `rates`: frame rates that its files may have, all multiples of `fps`, the usual one first;
    `split_of(subject, clip)` names the splits that a clip belongs to. `landmarks` (68,): the vertices of iBUG's,
    None where they are not known."""

    name: str
    source: Path
    fps: float
    rates: tuple[float, ...]
    unit: str
    vertices: int | None
    templates: Mapping[str, np.ndarray]
    lips: np.ndarray
    upper_face: np.ndarray
    splits: tuple[str, ...]
    split_of: Callable[[str, str], tuple[str, ...]]
    opening: np.ndarray | None = None
    faces: np.ndarray | None = None
    landmarks: np.ndarray | None = None


def vocaset(source: Path) -> Layout:
    """VOCASET, used at 30 fps (captured at 60). Lips: `lips` of FLAME_masks.pkl; upper face: `eye_region` and
    `forehead`."""
    _folder(source)
    masks = _pickled(source / "FLAME_masks.pkl", "it comes with FLAME (vertex masks)")
    lacking = [name for name in ("lips", "eye_region", "forehead") if name not in masks]
    if lacking:
        raise InputError(f"FLAME_masks.pkl has no region {lacking[0]}; get the file from FLAME's site again.")
    subjects = {split: {f"FaceTalk_{s}_TA" for s in names} for split, names in VOCASET_SUBJECTS.items()}

    def split_of(subject: str, clip: str) -> tuple[str, ...]:
        number = sentence_number(clip)
        return tuple(s for s in subjects if subject in subjects[s] and number in VOCASET_SENTENCES[s])

    templates, faces = read_templates(source), _template_faces(source)
    return Layout(
        "vocaset",
        source,
        30.0,
        (60.0, 30.0),
        "m",
        FLAME_VERTICES,
        templates,
        np.asarray(masks["lips"], np.int64).ravel(),  # as published: SelfTalk's lip reader sees four of them twice
        np.unique(np.concatenate([masks["eye_region"], masks["forehead"]])),
        tuple(VOCASET_SUBJECTS),
        split_of,
        np.array(FLAME_OPENING),
        faces,
        _known_landmarks(templates, faces),
    )


def biwi(source: Path) -> Layout:
    """BIWI at 25 fps, its sentences as SUBJECT_eNN. Lips: lve.txt; upper face: fdd.txt."""
    _folder(source)

    def split_of(subject: str, clip: str) -> tuple[str, ...]:
        number = sentence_number(clip)
        unseen = subject in BIWI_UNSEEN
        allowed = ("test_b",) if unseen else ("train", "val", "test_a") if subject in BIWI_SEEN else ()
        return tuple(s for s in allowed if number in BIWI_SENTENCES[s])

    regions = source / "regions" if (source / "regions").is_dir() else source
    return Layout(
        "biwi",
        source,
        25.0,
        (25.0,),
        "BIWI units",
        23370,
        read_templates(source),
        read_indices(regions / "lve.txt"),
        read_indices(regions / "fdd.txt"),
        tuple(BIWI_SENTENCES),
        split_of,
        None,
        _template_faces(source),
    )


def folder(source: Path) -> Layout:
    """Data of one's own. dataset.toml: `name`, `fps`, `unit`, `lips` and `upper_face` (files with vertex numbers),
    optional `mesh` (a file with the faces), `opening` (pairs of upper and lower lip vertices), `landmarks` (a file with
    the vertex numbers of iBUG's 68 landmarks in their order) and the table [splits]: name → list of patterns of clip
    names (`*` allowed)."""
    _folder(source)
    path = source / "dataset.toml"
    try:
        about = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{source} has no dataset.toml; write one with name, fps, unit, lips, upper_face.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); correct it.") from None
    for key in ("name", "fps", "unit", "lips", "upper_face", "splits"):
        if key not in about:
            raise InputError(f"{path} lacks {key}; it needs name, fps, unit, lips, upper_face and [splits].")
    patterns: dict[str, list[str]] = about["splits"]
    if "train" not in patterns:
        raise InputError(f"{path} has no split train; name its clips in the table [splits].")

    def split_of(subject: str, clip: str) -> tuple[str, ...]:
        return tuple(s for s, wanted in patterns.items() if any(fnmatch.fnmatchcase(clip, p) for p in wanted))

    return Layout(
        str(about["name"]),
        source,
        float(about["fps"]),
        (float(about["fps"]),),
        str(about["unit"]),
        None,
        read_templates(source),
        read_indices(source / about["lips"]),
        read_indices(source / about["upper_face"]),
        tuple(patterns),
        split_of,
        np.array(about["opening"], np.int64).reshape(-1, 2) if "opening" in about else None,
        load_mesh(source / about["mesh"]).faces if "mesh" in about else None,
        read_landmarks(source / about["landmarks"]) if "landmarks" in about else None,
    )


LAYOUTS = {"vocaset": vocaset, "biwi": biwi, "folder": folder}


def sentence_number(clip: str) -> int:
    """The two digits that a clip's name ends with, -1 where it does not."""
    return int(clip[-2:]) if clip[-2:].isdigit() else -1


def subject_of(clip: str) -> str:
    """SUBJECT of SUBJECT_SENTENCE."""
    return clip.rpartition("_")[0]


def read_templates(source: Path) -> dict[str, np.ndarray]:
    """Subject → (V, 3) float32 from templates.npz or templates.pkl."""
    if (source / "templates.npz").is_file():
        found: Mapping[str, Any] = load_npz(source / "templates.npz")
    else:
        found = _pickled(source / "templates.pkl", "it belongs to the data set")
    return {str(subject): np.asarray(array, np.float32).reshape(-1, 3) for subject, array in found.items()}


def read_indices(path: Path) -> np.ndarray:
    """A set of vertex numbers from a text file, between commas or blanks."""
    return np.unique(_numbers(path))


def read_landmarks(path: Path) -> np.ndarray:
    """(68,) vertex numbers of iBUG's landmarks, in their order."""
    marks = _numbers(path)
    if len(marks) != 68:
        raise InputError(f"{path} lists {len(marks)} vertices; iBUG's landmarks are 68, in their order.")
    return marks


def _numbers(path: Path) -> np.ndarray:
    try:
        numbers = [int(word) for word in path.read_text(encoding="utf-8").replace(",", " ").split()]
    except FileNotFoundError:
        raise InputError(f"There is no {path}; the metrics need its list of vertices.") from None
    except ValueError:
        raise InputError(f"{path} is no list of vertex numbers; get it again.") from None
    if not numbers:
        raise InputError(f"{path} is empty; it should list vertex numbers.")
    return np.array(numbers, np.int64)


def _known_landmarks(templates: Mapping[str, np.ndarray], faces: np.ndarray | None) -> np.ndarray | None:
    """The landmarks of a topology that the project knows."""
    if faces is None or not templates:
        return None
    try:
        return find_landmarks(Mesh(next(iter(templates.values())).astype(np.float64), faces))
    except InputError:
        return None


def _folder(source: Path) -> None:
    for name in ("wav", "vertices_npy"):
        if not (source / name).is_dir():
            raise InputError(f"{source} has no folder {name}; name the folder that holds wav/ and vertices_npy/.")


def _template_faces(source: Path) -> np.ndarray | None:
    """The triangles of a .ply or .obj beside the data, where the user put one: convolution on the mesh needs them."""
    for path in _first(source.glob("*.ply"), source.glob("templates/*.ply"), source.glob("*.obj")):
        return load_mesh(path).faces
    return None


def _first(*found: Iterable[Path]) -> list[Path]:
    return next((paths for paths in (sorted(f) for f in found) if paths), [])


class _Arrays(pickle.Unpickler):
    """Reads dictionaries of numpy arrays, and refuses every other object: a pickle could run any code."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy" and name in ("_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer"):
            return super().find_class(module, name)
        if (module, name) in (("_codecs", "encode"), ("collections", "OrderedDict")):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name}")


def _pickled(path: Path, remedy: str) -> dict[str, Any]:
    return {str(k): np.asarray(v) for k, v in unpickled(path, remedy).items()}


def unpickled(path: Path, remedy: str) -> dict[Any, Any]:
    """A dictionary, perhaps of dictionaries, of arrays and numbers; nothing in the file can run. Raises InputError."""
    try:
        found = _Arrays(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except FileNotFoundError:
        raise InputError(f"There is no {path}; {remedy}.") from None
    except Exception as error:
        raise InputError(f"{path} cannot be read as arrays by name ({error}); get it again.") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no arrays by name; get it again.")
    return found
