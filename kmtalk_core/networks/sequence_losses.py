"""Losses over padded motion sequences, each first averaged within a clip, then over the clips of a batch.

`error` (B, N, C) is predicted minus true motion, `mask` (B, N) True at real frames.
"""

from __future__ import annotations

import torch
from torch import Tensor


def reconstruction(error: Tensor, mask: Tensor) -> Tensor:
    """L_rec of eq. (2) and (6): the mean square error of all coordinates."""
    return per_clip(error.square().mean(-1), mask)


def velocity(error: Tensor, mask: Tensor) -> Tensor:
    """L_vel of eq. (2) and (6): the mean square error of the differences between neighbouring frames."""
    if error.shape[1] < 2:
        return error.sum() * 0.0
    return per_clip((error[:, 1:] - error[:, :-1]).square().mean(-1), mask[:, 1:] & mask[:, :-1])


def per_clip(values: Tensor, mask: Tensor) -> Tensor:
    """Values (B, N) of frames → the mean over clips of each clip's mean."""
    real = mask.to(values.dtype)
    return ((values * real).sum(1) / real.sum(1).clamp(min=1.0)).mean()


def latent(read: Tensor, heard: Tensor, mask: Tensor) -> Tensor:
    """L_lat of eq. (2): the mean square error between latent features of the lips and of the sound (B, M, h)."""
    return per_clip((read - heard).square().mean(-1), mask)


def ctc(logits: Tensor, counts: Tensor, targets: Tensor, lengths: Tensor, blank: int) -> Tensor:
    """L_ctc of eq. (2): the CTC loss of characters read from the lips, per character. Clips without text count 0."""
    log_probs = logits.float().log_softmax(-1).transpose(0, 1)
    losses = torch.nn.functional.ctc_loss(
        log_probs, targets, counts, lengths, blank=blank, reduction="none", zero_infinity=True
    )
    return torch.where(lengths > 0, losses / lengths.clamp(min=1), losses * 0.0).mean()
