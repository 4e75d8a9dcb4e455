"""Losses of LKMA, eq. (2), and CMC, eq. (6), in control space.

Control space has no lip branch yet to read text from, so eq. (2) is L_rec and L_vel here. Both are taken three times:
of the controls, of the lip vertices that the controls move on the demo head, as the paper takes them of vertices, and
of what people see of a mouth: its opening, which is what contacts are, its width, chin, either lip and protrusion.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.controls import SPEECH_CONTROLS
from kmtalk_core.rig.mesh import load_mesh

from ..capture.solve import rig_measures

if TYPE_CHECKING:
    from .motion import Batch

LIP_LANDMARKS = slice(48, 68)
SHUT_MM = 1.5  # of opening, at which an error of the opening counts a third of what it does at none
LIP_UNIT = 0.01  # m: lip errors are squared centimetres, about the size of squared errors of controls
# How dear an error of 1 mm is: opening, width, chin, either lip, protrusion. Width and chin move less than the opening
# does and are seen as well; protrusion is guessed by the tracker.
SEEN_WEIGHTS = (1.0, 1.5, 1.4, 0.8, 0.8, 0.5)


@lru_cache(maxsize=1)
def mouth_matrix() -> Tensor:
    """(C, 6): what each speech control at 1 does to opening, width, chin, both lips and protrusion, in LIP_UNIT."""
    return torch.from_numpy((rig_measures(SPEECH_CONTROLS) * (0.001 / LIP_UNIT)).astype(np.float32))


@lru_cache(maxsize=1)
def seen_matrix() -> Tensor:
    """(C, 6): the same, each by its weight."""
    return mouth_matrix() * torch.tensor(SEEN_WEIGHTS)


@lru_cache(maxsize=1)
def lip_matrix() -> Tensor:
    """(C, 60): displacement of the 20 lip landmarks of the demo head by each speech control at 1, in LIP_UNIT."""
    mesh = load_mesh(DEMO_HEAD)
    rig = build_rig(mesh)
    assert mesh.landmarks is not None
    rows = [rig.control_names.index(name) for name in SPEECH_CONTROLS]
    shapes = np.asarray(rig.shapes)[rows][:, mesh.landmarks[LIP_LANDMARKS]]
    return torch.from_numpy((shapes.reshape(len(rows), -1) / LIP_UNIT).astype(np.float32))


def key_motion_loss(
    keys: Tensor, frames: Tensor, motion: Tensor, batch: Batch, lips: Tensor, options: dict[str, Any]
) -> tuple[Tensor, dict[str, float]]:
    """Eq. (2) over the pseudo-complete sequence Y_p: generated keys at the key frames, the true motion elsewhere."""
    key_mask = torch.from_numpy(batch.key_mask).unsqueeze(-1)
    placed = frames.unsqueeze(-1).expand(-1, -1, motion.shape[2])
    true = motion.gather(1, placed)
    error = torch.where(key_mask, keys - true, 0.0)
    # Padding keys point at frame 0 with an error of zero, so adding is safe where writing would not be.
    pseudo_complete_error = torch.zeros_like(motion).scatter_add(1, placed, error)
    return _rec_and_vel(pseudo_complete_error, motion, batch, lips, options)


def completion_loss(
    completed: Tensor, motion: Tensor, batch: Batch, lips: Tensor, options: dict[str, Any]
) -> tuple[Tensor, dict[str, float]]:
    """Eq. (6) over the completed motion."""
    return _rec_and_vel(completed - motion, motion, batch, lips, options)


def _rec_and_vel(
    error: Tensor, motion: Tensor, batch: Batch, lips: Tensor, options: dict[str, Any]
) -> tuple[Tensor, dict[str, float]]:
    """`error` (B, T, C) of `motion`. Velocities are differences per 1/30 s, so that frame rates weigh the same."""
    mask = torch.from_numpy(batch.mask & (batch.weights > 0)).float() * torch.from_numpy(batch.weights)
    pair = torch.minimum(mask[:, 1:], mask[:, :-1])
    per_frame = float(batch.times[0, 1] - batch.times[0, 0]) * 30.0

    def means(e: Tensor) -> tuple[Tensor, Tensor]:
        velocity = (e[:, 1:] - e[:, :-1]) / per_frame
        rec = (e.square().mean(-1) * mask).sum() / mask.sum()
        vel = (velocity.square().mean(-1) * pair).sum() / pair.sum()
        return rec, vel

    rec, vel = means(error)
    lip_rec, lip_vel = means(error @ lips)
    mouth_rec, mouth_vel = means(error @ seen_matrix())
    # Lips that are shut, or nearly, are seen best: there an error of the opening counts more.
    opening = mouth_matrix()[:, 0]
    shut = torch.exp(-(motion @ opening).clamp(min=0) * (LIP_UNIT * 1000 / SHUT_MM)) * mask
    contact = ((error @ opening).square() * shut).sum() / mask.sum()
    weight, seen = options["lip_weight"], options["mouth_weight"]
    total = options["rec_weight"] * (rec + weight * lip_rec + seen * mouth_rec)
    total = total + options["vel_weight"] * (vel + weight * lip_vel + seen * mouth_vel)
    total = total + options["contact_weight"] * contact
    parts = {"rec": rec.item(), "vel": vel.item(), "lip_rec": lip_rec.item(), "lip_vel": lip_vel.item()}
    parts |= {"mouth_rec": mouth_rec.item(), "mouth_vel": mouth_vel.item(), "contact": contact.item()}
    return 100.0 * total, parts
