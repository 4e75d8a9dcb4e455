"""BEAT2's faces (Liu et al., EMAGE, CVPR 2024; github PantoMatrix/PantoMatrix) as data of one's own.

SOURCE (beat_english_v2.0.0) holds smplxflame_30/ID.npz (`poses` (T, 165), `expressions` (T, 100), `betas` (300,) at 30
frames a second), wave16k/ID.wav, textgrid/ID.TextGrid and train_test_split.csv (id, type). The faces come from the
model SMPLX_NEUTRAL_2020.npz, which has to be got from its makers: expression, jaw and eyes move, neck and body stay.
All recordings of a person are on the same face.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from kmtalk_core.errors import InputError
from kmtalk_core.files import written_whole

from .description import write_description
from .regions import around_landmarks

FPS, SHAPES, EXPRESSIONS = 30.0, 300, 100
HEAD, JAW, EYES = 15, 22, (23, 24)  # joints
NEEDED = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f", "lmk_faces_idx", "lmk_bary_coords")
SPLITS = {"train": "train", "val": "val", "test": "test"}
ROWS = 256  # frames at once


@dataclass(frozen=True)
class Head:
    """The head of SMPL-X, V of its vertices. `template` (V, 3); `shapes` (V, 3, 300), `expressions` (V, 3, 100);
    `joints`: for jaw and eyes the share that it has of each vertex (V,), its place (3,), how shapes and expressions
    move that (3, 400), and what its rotation adds (V, 3, 9). `faces` (F, 3); `corners` and `shares` (51, 3): the
    vertices between which landmarks lie, and how much of each."""

    template: np.ndarray
    shapes: np.ndarray
    expressions: np.ndarray
    joints: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
    faces: np.ndarray
    corners: np.ndarray
    shares: np.ndarray

    def neutral(self, betas: np.ndarray) -> np.ndarray:
        """(V, 3) of a person."""
        return self.template + self.shapes @ betas

    def posed(self, betas: np.ndarray, expressions: np.ndarray, poses: np.ndarray) -> np.ndarray:
        """Expressions (T, 100) and poses (T, 165) → (T, V, 3), neck and body at rest."""
        shaped = self.neutral(betas) + np.einsum("vcd,td->tvc", self.expressions, expressions)
        known = np.concatenate([np.tile(betas, (len(poses), 1)), expressions], 1)
        turned = {joint: Rotation.from_rotvec(poses[:, 3 * joint : 3 * joint + 3]).as_matrix() for joint in self.joints}
        rest = shaped + sum(
            np.einsum("vcd,td->tvc", corrections, (turned[joint] - np.eye(3)).reshape(len(poses), 9))
            for joint, (_, _, _, corrections) in self.joints.items()
        )
        out = rest.copy()
        for joint, (share, place, moved, _) in self.joints.items():
            at = (place + known @ moved.T)[:, None]
            out += share[:, None] * (np.einsum("tij,tvj->tvi", turned[joint], rest - at) + at - rest)
        return out

    def landmarks(self, vertices: np.ndarray) -> np.ndarray:
        """(68, 3): iBUG's landmarks on (V, 3); the face's contour, which has none, is NaN."""
        out = np.full((68, 3), np.nan)
        out[17:] = (vertices[self.corners] * self.shares[:, :, None]).sum(1)
        return out


def read_head(path: Path) -> Head:
    """The head of SMPLX_NEUTRAL_2020.npz. Raises InputError for any other file."""
    try:
        with np.load(path, allow_pickle=False) as z:
            m = {name: z[name] for name in NEEDED}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read as SMPL-X ({error}); give SMPLX_NEUTRAL_2020.npz.") from None
    if m["shapedirs"].shape[2] < SHAPES + EXPRESSIONS:
        raise InputError(f"{path} has {m['shapedirs'].shape[2]} shapes instead of 400; give SMPLX_NEUTRAL_2020.npz.")
    weights = m["weights"]
    kept = np.flatnonzero(weights[:, [HEAD, JAW, *EYES]].sum(1) > 0.5)
    place = np.full(len(weights), -1)
    place[kept] = np.arange(len(kept))
    faces = place[m["f"].astype(np.int64)]
    corners = place[m["f"].astype(np.int64)[m["lmk_faces_idx"]]]
    if len(corners) != 51 or (corners < 0).any():
        raise InputError(f"{path} has no 51 landmarks on its head; give SMPLX_NEUTRAL_2020.npz.")
    directions = m["shapedirs"][:, :, : SHAPES + EXPRESSIONS]
    joints = {}
    for joint in (JAW, *EYES):
        row = m["J_regressor"][joint]
        of_pose = m["posedirs"][kept][:, :, 9 * (joint - 1) : 9 * joint]
        joints[joint] = (
            weights[kept, joint],
            row @ m["v_template"],
            np.einsum("v,vcd->cd", row, directions),
            of_pose,
        )
    return Head(
        m["v_template"][kept],
        directions[kept][:, :, :SHAPES],
        directions[kept][:, :, SHAPES:],
        joints,
        faces[(faces >= 0).all(1)],
        corners,
        m["lmk_bary_coords"],
    )


def unpack_beat2(
    source: Path, model: Path | None, out: Path, progress: Callable[[float], None] = lambda _: None
) -> Path:
    """Write OUT as a folder of one's own data; → OUT. What is there is kept. `model`: SMPLX_NEUTRAL_2020.npz (in SOURCE
    where None). Raises InputError for what is missing or damaged."""
    recordings = sorted((source / "smplxflame_30").glob("*.npz"))
    if not recordings:
        raise InputError(f"{source} has no smplxflame_30/ID.npz; name the folder beat_english_v2.0.0 of BEAT2.")
    head = read_head(model or source / "SMPLX_NEUTRAL_2020.npz")
    types = _types(source / "train_test_split.csv")
    for name in ("wav", "vertices_npy", "alignments"):
        (out / name).mkdir(parents=True, exist_ok=True)
    betas: dict[str, np.ndarray] = {}
    splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number, path in enumerate(recordings):
        speaker, _, rest = path.stem.partition("_")
        person, _, take = rest.partition("_")
        who, name = f"{speaker}-{person}", f"{speaker}-{person}_{take.replace('_', '-')}"
        recorded = _recording(path)
        own = betas.setdefault(who, recorded["betas"])
        motion = out / "vertices_npy" / f"{name}.npy"
        if not motion.exists():
            poses, expressions = recorded["poses"], recorded["expressions"]
            rows = [slice(k, k + ROWS) for k in range(0, len(poses), ROWS)]
            parts = [head.posed(own, expressions[r], poses[r]).astype(np.float32) for r in rows]
            with written_whole(motion) as partial, partial.open("wb") as file:
                np.save(file, np.concatenate(parts).reshape(len(poses), -1))
        for given, target in (
            (source / "wave16k" / f"{path.stem}.wav", out / "wav" / f"{name}.wav"),
            (source / "textgrid" / f"{path.stem}.TextGrid", out / "alignments" / f"{name}.TextGrid"),
        ):
            if given.is_file():
                shutil.copyfile(given, target)
        if (split := types.get(path.stem, "train" if not types else "")) in splits:
            splits[split].append(name)
        progress((number + 1) / len(recordings))
    templates = {who: head.neutral(own).astype(np.float32) for who, own in betas.items()}
    first = next(iter(templates.values()))
    mesh, regions = {"vertices": first, "faces": head.faces}, around_landmarks(first, head.landmarks(first))
    write_description(out, "beat2", FPS, "m", templates, mesh, regions, splits)
    return out


def _recording(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as z:
            found = {name: np.asarray(z[name], np.float64) for name in ("poses", "expressions", "betas")}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read ({error}); download it again.") from None
    found["betas"] = found["betas"].reshape(-1, found["betas"].shape[-1])[0][:SHAPES]
    frames = len(found["poses"])
    if found["poses"].shape != (frames, 165) or found["expressions"].shape != (frames, EXPRESSIONS):
        raise InputError(
            f"{path} has poses {found['poses'].shape} and expressions {found['expressions'].shape}; expected are"
            " (T, 165) and (T, 100)."
        )
    return found


def _types(path: Path) -> dict[str, str]:
    """What train_test_split.csv says of each recording; empty where there is none, and all are for training."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if rows and not {"id", "type"} <= rows[0].keys():
        raise InputError(f"{path} lacks the columns id and type; download it again.")
    return {row["id"]: row["type"] for row in rows}
