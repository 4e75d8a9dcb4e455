"""From our controls to the shapes of any family: what each does to the lips, non-negative least squares, closures kept.

A shape that is one control, or a share of it, follows that control. All others are solved together: their weights, 0…1,
are those whose lips come nearest to the lips that our controls would make, in the motion of both lips over the mouth's
width and, for what lips do not show, in the controls themselves. Then closures are held on these very shapes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..easing import smoothstep
from ..errors import InputError
from ..files import load_npz
from ..finish.contact_poses import lips_apart
from ..finish.pace import paced_within
from ..rig.controls import ALL_CONTROLS, CONTROLS, HEAD_CONTROLS, SPEECH_CONTROLS
from ..rig.lip_line import LipLine
from .families import Shape
from .lips import SEAM_MM, gap_of
from .reference import lip_motion

HEIGHT = 2.0  # the weight of up and down, which viewers see first
OF_LIPS, OF_OTHERS = 0.05, 0.3  # the weight of a control itself: where lips show it, and where they do not
SHOWN = 0.02  # widths: a control that moves the lips less is not shown by them
RIDGE = 2e-3  # of the mean diagonal: of many solutions the smallest, which also moves smoothly
CALM = 0.03  # of the mean diagonal, at 30 frames a second: of changes from frame to frame
SWEEPS = 120
PARTING_MM = 0.05  # shapes that part the lips less do not count for closures
SEALED_MM = 0.25  # lips that are so near count as together
NEAR_MM = 2.5  # lips that are to be nearer than this are held
HELD_MM = 1.0  # lips that our controls bring so near touch each other, or the teeth
TUCKS = 0.3  # mouthRollLower that a shape which takes the lip to the teeth looks like
GAIN = (0.5, 2.0)  # how much larger or smaller the mouth's motion of a head may be
_COLUMN = {name: index for index, name in enumerate(ALL_CONTROLS)}
_SPEECH = [_COLUMN[name] for name in SPEECH_CONTROLS]
_LIPS = np.linalg.norm(lip_motion().reshape(len(CONTROLS), -1), axis=1) > SHOWN


@dataclass(frozen=True)
class Face:
    """What the shapes of a head do: `targets` (n,) names; `looks` (n, A) what each is at 1, over ALL_CONTROLS.

    `motion` (n, 7, 2, 3): how each moves this head's own lips (`lips.Lips.motion`), None where that is not known;
    `rest` widths of the mouth that the lips are apart at rest.
    """

    targets: tuple[str, ...]
    looks: np.ndarray
    motion: np.ndarray | None = None
    rest: float = 0.0

    @staticmethod
    def of(shapes: Sequence[Shape], motion: np.ndarray | None = None, rest: float = 0.0) -> Face:
        """The face of these shapes, whose `motion` is known or not."""
        looks = np.zeros((len(shapes), len(ALL_CONTROLS)))
        for row, shape in zip(looks, shapes, strict=True):
            for control, weight in shape.looks.items():
                row[_COLUMN[control]] = weight
        return Face(tuple(shape.name for shape in shapes), looks, motion, rest)

    @property
    def pure(self) -> np.ndarray:
        """(n,) bool: shapes that are one control, and share it with no shape that is more than that."""
        single = (self.looks > 0).sum(1) == 1
        mixed = (self.looks[~single] > 0).any(0)
        return single & ~(self.looks[:, mixed] > 0).any(1)

    @property
    def direct(self) -> bool:
        """Whether all shapes are controls or shares of them, so that nothing has to be solved."""
        return bool(self.pure[(self.looks > 0).any(1)].all())

    @property
    def shares(self) -> np.ndarray:
        """(A, n): what each control gives to each pure shape; shapes with the same control share it."""
        looks = np.where(self.pure[:, None], self.looks, 0.0)
        return (looks / np.maximum((looks**2).sum(0), 1e-12)).T

    @property
    def lip_line(self) -> LipLine | None:
        """How these lips part with our controls, for the contact step; None where that is not known."""
        if self.motion is None or not self.direct:
            return None
        opening = self.shares @ gap_of(self.motion)[:, 2:5].mean(1) * SEAM_MM
        named = {name: float(mm) for name, mm in zip(ALL_CONTROLS, opening, strict=True)}
        return LipLine(self.rest * SEAM_MM, {n: mm for n, mm in named.items() if abs(mm) > PARTING_MM})

    def packed(self) -> bytes:
        """For `unpacked`."""
        file = io.BytesIO()
        own = {} if self.motion is None else {"motion": self.motion.astype(np.float32)}
        np.savez(file, targets=np.array(self.targets, dtype=str), looks=self.looks, rest=self.rest, **own)
        return file.getvalue()

    @staticmethod
    def unpacked(data: bytes) -> Face:
        """The face that `packed` gave; raises InputError for anything else."""
        try:
            z = load_npz(io.BytesIO(data))
            motion = z["motion"].astype(np.float64) if "motion" in z else None
            return Face(tuple(str(t) for t in z["targets"]), z["looks"], motion, float(z["rest"]))
        except (InputError, ValueError, KeyError) as error:
            raise InputError(f"What is known of the head's shapes is damaged ({error}); generate again.") from None


def worn(face: Face, controls: np.ndarray, control_names: Sequence[str], fps: float = 0.0) -> np.ndarray:
    """`controls` (T, C) → weights (T, n) float32 of the face's targets: 0…1, those that turn the head from -1 on.

    With the `fps` of a motion they change smoothly and no faster than `pace` lets controls; 0: each pose by itself.
    """
    ours = _ours(controls, control_names)
    if not (face.looks[:, _COLUMN["mouthClose"]] > 0).any():  # then the jaw must close
        jaw, close = _COLUMN["jawOpen"], _COLUMN["mouthClose"]
        ours[:, jaw], ours[:, close] = np.maximum(ours[:, jaw] - ours[:, close], 0.0), 0.0
    out = ours @ face.shares
    mixed = np.flatnonzero(~face.pure)
    if len(mixed):
        solved = _solved(face, mixed, ours, CALM * (fps / 30.0) ** 2)
        out[:, mixed] = _closed(face, mixed, solved, ours, out)
    turning = (face.looks[:, [_COLUMN[name] for name in HEAD_CONTROLS]] > 0).any(1)
    out = np.clip(out, np.where(turning, -1.0, 0.0), 1.0)
    return (_slowed(face, out, ours, fps) if fps else out).astype(np.float32)


def meant(face: Face, weights: np.ndarray) -> np.ndarray:
    """Weights (T, n) of targets → the controls (T, A) over ALL_CONTROLS that they look like."""
    return weights.astype(np.float64) @ face.looks


def lip_gap(face: Face, weights: np.ndarray) -> np.ndarray:
    """(T,) mm between the middles of the lips for weights (T, n) of the targets; negative where they overlap."""
    return face.rest * SEAM_MM + weights.astype(np.float64) @ _openings(face)


def lips_of(face: Face) -> np.ndarray:
    """(n, 7, 2, 3): how the targets move the lips, measured on the head, or as they are meant to."""
    if face.motion is not None:
        return face.motion
    return np.tensordot(face.looks[:, : len(CONTROLS)], lip_motion(), axes=1)


def solve(gram: np.ndarray, wanted: np.ndarray, calm: float = 0.0) -> np.ndarray:
    """The (T, n) weights from 0 to 1 that minimise w G wᵀ - 2 w bᵀ for `gram` G (n, n) and `wanted` b (T, n).

    `calm` is the weight of the squared changes from frame to frame. Coordinate descent over all frames at once; G is
    positive definite, so that there is one solution.
    """
    out = np.zeros_like(wanted)
    inner = np.ones(len(wanted)) * 2.0
    inner[[0, -1]] -= 1.0
    for _ in range(SWEEPS):
        moved = 0.0
        for j in range(len(gram)):
            slope = wanted[:, j] - out @ gram[:, j]
            if calm:
                padded = np.concatenate([out[:1, j], out[:, j], out[-1:, j]])
                slope += calm * (padded[:-2] + padded[2:] - 2 * out[:, j])
            new = np.clip(out[:, j] + slope / (gram[j, j] + calm * inner), 0.0, 1.0)
            moved = max(moved, float(np.abs(new - out[:, j]).max(initial=0.0)))
            out[:, j] = new
        if moved < 1e-5:
            break
    return out


def _ours(controls: np.ndarray, control_names: Sequence[str]) -> np.ndarray:
    out = np.zeros((len(controls), len(ALL_CONTROLS)))
    for column, name in enumerate(control_names):
        if name in _COLUMN:
            out[:, _COLUMN[name]] = controls[:, column]
    return out


def _features(motion: np.ndarray) -> np.ndarray:
    """(k, 7, 2, 3) motion of lips → (k, 42), height weighted."""
    return (motion * np.array([1.0, HEIGHT, 1.0])).reshape(len(motion), -1)


def _weights() -> np.ndarray:
    """(A,): how much each control counts by itself."""
    return np.where(np.append(_LIPS, [False] * len(HEAD_CONTROLS)), OF_LIPS, OF_OTHERS)


def _solved(face: Face, mixed: np.ndarray, ours: np.ndarray, calm: float) -> np.ndarray:
    left = ours - np.clip(ours, 0, None) * (face.shares.sum(1) > 0)  # pure shapes do their part
    own = _features(lips_of(face)[mixed])
    wanted = left[:, : len(CONTROLS)] @ _features(lip_motion()) * _gain(face, mixed)
    by_itself = _weights()
    looks = face.looks[mixed] * by_itself
    gram = own @ own.T + looks @ looks.T
    size = float(np.diag(gram).mean())
    gram += RIDGE * size * np.eye(len(mixed))
    return solve(gram, wanted @ own.T + (left * by_itself) @ looks.T, calm * size)


def _gain(face: Face, mixed: np.ndarray) -> float:
    """How much larger this head's shapes move its mouth than they are meant to."""
    if face.motion is None:
        return 1.0
    own = gap_of(face.motion[mixed])
    meant_to = gap_of(np.tensordot(face.looks[mixed, : len(CONTROLS)], lip_motion(), axes=1))
    return float(np.clip((own * meant_to).sum() / max(float((meant_to**2).sum()), 1e-12), *GAIN))


def _openings(face: Face) -> np.ndarray:
    """(n,) mm by which each target parts the lips in their middle."""
    return gap_of(lips_of(face))[:, 2:5].mean(1) * SEAM_MM


def _closed(face: Face, mixed: np.ndarray, solved: np.ndarray, ours: np.ndarray, direct: np.ndarray) -> np.ndarray:
    """The solved weights with lips as near to each other as our controls have them, where these are near."""
    apart = lips_apart(ours, ALL_CONTROLS)
    held = 1 - smoothstep(apart / NEAR_MM)
    by_shape = _openings(face)
    opening = by_shape[mixed]
    others = np.where(np.isin(np.arange(len(by_shape)), mixed), 0.0, by_shape)
    given = face.rest * SEAM_MM + np.clip(direct, 0, None) @ others
    out = solved.copy()
    parts, shuts = opening > PARTING_MM, opening < -PARTING_MM
    opened = np.maximum(given, 0.0) + out[:, parts] @ opening[parts]
    shut = -(out[:, shuts] @ opening[shuts]) if shuts.any() else np.zeros(len(out))
    excess = np.maximum(opened - shut - apart, 0.0)
    scaled = np.clip(1 - excess / np.maximum(out[:, parts] @ opening[parts], 1e-9), 0.0, 1.0)
    out[:, parts] *= (1 - held * (1 - scaled))[:, None]
    # What the shapes that open cannot leave out is pressed together.
    left = np.maximum(given, 0.0) + scaled * (solved[:, parts] @ opening[parts]) - shut - apart - SEALED_MM
    if shuts.any():
        room = -((1 - out[:, shuts]) @ opening[shuts])
        share = held * np.clip(left / np.maximum(room, 1e-9), 0.0, 1.0)
        out[:, shuts] += share[:, None] * (1 - out[:, shuts])
    return out


def _slowed(face: Face, weights: np.ndarray, ours: np.ndarray, fps: float) -> np.ndarray:
    """The weights of shapes of speech (T, n) without flashes: what opens lips waits for closures to end, and what
    closes them or takes the lip to the teeth is there from their beginning to their end."""
    speech = (face.looks[:, _SPEECH] > 0).any(1)
    near = (lips_apart(ours, ALL_CONTROLS) <= HELD_MM)[:, None]
    parts = _openings(face) > PARTING_MM
    tucks = face.looks[:, _COLUMN["mouthRollLower"]] > TUCKS
    most = np.where(near & parts, weights, np.inf)
    least = np.where(near & ((_openings(face) < -PARTING_MM) | (tucks & ~parts)), weights, -np.inf)
    out = weights.copy()
    out[:, speech] = paced_within(weights, fps, least, most)[:, speech]
    return out


def fitted(face: Face, motion: np.ndarray, rest: float) -> Face:
    """The same face with what its shapes do to this head's lips."""
    return replace(face, motion=motion, rest=rest)
