"""Stage 1: the audio encoder learns phone posteriors and prosody, which makes A fit for LKMA and CMC."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kmtalk_core.networks.kmtalk import KMTalk

from .data import CropSampler, Utterance, encoder_batch, mask_mel, vary_mel
from .loop import Schedule, train_stage


def train_encoder(
    model: KMTalk, training: list[Utterance], validation: list[Utterance], options: dict[str, Any], run: Path, seed: int
) -> None:
    sampler = CropSampler(training, options["crop"], options["real_share"])

    def loss(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = encoder_batch(sampler, options["batch"], rng)
        vary_mel(batch["mel"], rng, options["mel_warp"], options["mel_tilt"])
        mask_mel(batch["mel"], rng, options["mel_mask"], options["time_mask"])
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        with torch.autocast("cpu", dtype=torch.bfloat16):
            _, logits, prosody = model.encoder(tensors["mel"])
        logits, prosody, weights = logits.float(), prosody.float(), tensors["weights"]
        total = weights.sum().clamp(min=1.0)
        phone_losses = functional.cross_entropy(logits.flatten(0, 1), tensors["phones"].flatten(), reduction="none")
        phone_loss = (phone_losses * weights.flatten()).sum() / total
        known = tensors["prosody"].isfinite()
        errors = torch.where(known, prosody - tensors["prosody"].nan_to_num(), 0.0).square()
        prosody_loss = (errors.sum(-1) * weights).sum() / total
        right = ((logits.argmax(-1) == tensors["phones"]) * weights).sum() / total
        parts = {"phone": phone_loss.item(), "prosody": prosody_loss.item(), "accuracy": right.item()}
        return phone_loss + options["prosody_weight"] * prosody_loss, parts

    schedule = Schedule.of(options)
    train_stage("encoder", model.encoder, loss, schedule, run, seed, _validator(model, validation))


def _validator(model: KMTalk, validation: list[Utterance]) -> Callable[[], dict[str, float]]:
    """Share of frames, weighted by confidence, whose phone is recognised in speakers kept out of training."""

    def validate() -> dict[str, float]:
        right = total = 0.0
        for u in validation:
            logits = model.encoder(torch.from_numpy(u.mel.astype(np.float32))[None])[1][0].numpy()
            weights = u.weights.astype(np.float64)
            right += float(((logits.argmax(-1)[: len(u.phones)] == u.phones) * weights).sum())
            total += float(weights.sum())
        return {"validation_accuracy": right / max(total, 1.0)}

    return validate
