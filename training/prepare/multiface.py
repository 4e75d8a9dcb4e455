"""Multiface (Wuu et al., 2022; github facebookresearch/multiface) as data of one's own: tracked meshes and sounds.

SOURCE holds entities, m--…--GHS, each with tracked_mesh/SEGMENT/FRAME.bin (float32, 7,306 × 3, mm, the head's motion
taken out), a FRAME.obj with the faces, vert_mean.bin and audio/SEGMENT.wav, at 30 frames a second. FRAME counts the
cameras' pulses, three a frame; the sound starts with the first frame, and frames that the capture dropped are missing
from the folder (README and issue 15 of the repository). Sentences are the segments SEN_…, whose names are what is said.
Of each person every tenth sentence is for the test and every tenth, five later, for validation: no split has been
published for speech.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.files import save_text, written_whole
from kmtalk_core.rig.mesh import Mesh, load_mesh

from .description import write_description
from .regions import regions_of

FPS, SENTENCE = 30.0, "SEN_"
NEUTRAL = ("E001_Neutral_Eyes_Open", "EXP_neutral_peak")  # the same face in the first and the second script
TENTH, VALIDATION = 10, 5
LONGEST_GAP = 6  # dropped frames in a row that are filled: 0.2 s


def unpack_multiface(
    source: Path,
    out: Path,
    progress: Callable[[float], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write OUT as a folder of one's own data; → OUT. What is there is kept. `tell` hears what was filled or left out.
    Raises InputError for what is missing."""
    entities = [path for path in sorted(source.glob("m--*")) if (path / "tracked_mesh").is_dir()]
    if not entities:
        raise InputError(f"{source} has no entity m--… with tracked_mesh; name the folder that Multiface was put into.")
    for name in ("wav", "vertices_npy", "text"):
        (out / name).mkdir(parents=True, exist_ok=True)
    faces = _faces(entities)
    templates: dict[str, np.ndarray] = {}
    place, frames, filled = 0, 0, 0
    splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    segments = [(entity, segment) for entity in entities for segment in _sentences(entity)]
    for number, (entity, segment) in enumerate(segments):
        progress(number / len(segments))
        who = _person(entity)
        if who not in templates:
            templates[who], place = _neutral(entity), 0
        name = f"{who}_{segment.removeprefix(SENTENCE).replace('_', '-')}"
        motion, sound = out / "vertices_npy" / f"{name}.npy", entity / "audio" / f"{segment}.wav"
        files, places = _captured(entity / "tracked_mesh" / segment)
        if (gap := int(np.diff(places, prepend=places[0]).max()) - 1) > LONGEST_GAP:
            tell(f"{name} lacks {gap} frames in a row, more than {LONGEST_GAP}, so it is left out.")
            continue
        frames, filled = frames + int(places[-1]) + 1, filled + int(places[-1]) + 1 - len(places)
        if not motion.exists():
            vertices = _without_gaps(_sequence(files), places)
            with written_whole(motion) as partial, partial.open("wb") as file:
                np.save(file, vertices.reshape(len(vertices), -1))
        if sound.is_file():  # one without is told by the checks
            shutil.copyfile(sound, out / "wav" / f"{name}.wav")
        said = segment.removeprefix(SENTENCE).replace("_", " ").replace("-", " ")
        save_text(said + "\n", out / "text" / f"{name}.txt")
        splits[{0: "test", VALIDATION: "val"}.get(place % TENTH, "train")].append(name)
        place += 1
    progress(1.0)
    if filled:
        tell(f"{filled} of {frames} frames were dropped in the capture; they lie between their neighbours.")
    first = next(iter(templates.values()))
    regions = regions_of(source, Mesh(first.astype(np.float64), faces))
    write_description(out, "multiface", FPS, "mm", templates, {"vertices": first, "faces": faces}, regions, splits)
    return out


def _sentences(entity: Path) -> list[str]:
    return sorted(path.name for path in (entity / "tracked_mesh").glob(f"{SENTENCE}*") if path.is_dir())


def _person(entity: Path) -> str:
    """m--20180227--0000--6795937--GHS → 6795937."""
    parts = entity.name.split("--")
    return parts[3] if len(parts) > 3 else entity.name


def _neutral(entity: Path) -> np.ndarray:
    """(V, 3) float32: the mean of the neutral segment, else of everything."""
    for segment in NEUTRAL:
        if any((entity / "tracked_mesh" / segment).glob("*.bin")):
            return _sequence(_captured(entity / "tracked_mesh" / segment)[0]).mean(0)
    return _vertices(entity / "vert_mean.bin")


def _captured(folder: Path) -> tuple[list[Path], np.ndarray]:
    """The files of a segment in order, and which frames they are, counted from the first: (n,), rising from 0."""
    try:
        numbers = {int(path.stem): path for path in folder.glob("*.bin")}
    except ValueError:
        raise InputError(f"{folder} has frames that are not named by numbers; download the segment again.") from None
    if not numbers:
        raise InputError(f"{folder} has no frames; download the segment again.")
    order = np.array(sorted(numbers))
    step = int(np.bincount(np.diff(order)).argmax()) if len(order) > 1 else 1  # the commonest: most are not dropped
    return [numbers[number] for number in order.tolist()], np.rint((order - order[0]) / step).astype(np.int64)


def _without_gaps(captured: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(n, V, 3) of the frames `places` → (T, V, 3) float32 of all, dropped ones between their neighbours."""
    frames = np.arange(places[-1] + 1)
    below = np.searchsorted(places, frames, side="right") - 1
    above = np.minimum(below + 1, len(places) - 1)
    share = ((frames - places[below]) / np.maximum(places[above] - places[below], 1)).astype(np.float32)
    return captured[below] + share[:, None, None] * (captured[above] - captured[below])


def _sequence(files: list[Path]) -> np.ndarray:
    """(n, V, 3) float32 of frames."""
    frames = [_vertices(path) for path in files]
    if len({len(vertices) for vertices in frames}) > 1:
        raise InputError(f"{files[0].parent} has frames of several meshes; download the segment again.")
    return np.stack(frames)


def _vertices(path: Path) -> np.ndarray:
    try:
        numbers = np.fromfile(path, np.float32)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}); download it again.") from None
    if not len(numbers) or len(numbers) % 3:
        raise InputError(f"{path} holds no vertices; download it again.")
    return numbers.reshape(-1, 3)


def _faces(entities: list[Path]) -> np.ndarray:
    for entity in entities:
        for path in sorted((entity / "tracked_mesh").glob("*/*.obj")):
            return load_mesh(path).faces
    raise InputError(f"{entities[0]} has no .obj in tracked_mesh, which tells the faces; download it with the meshes.")
