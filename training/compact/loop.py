"""One training loop for every stage: schedule, log, checkpoints, resume from any moment with the same result."""

from __future__ import annotations

import ctypes
import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kmtalk_core.files import written_whole

SAVE_EVERY = 100  # steps
GRADIENT_LIMIT = 1.0  # norm


@dataclass(frozen=True)
class Schedule:
    """AdamW with a linear warm-up and a cosine decay to zero."""

    steps: int
    learning_rate: float
    warmup: int
    weight_decay: float

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Schedule:
        """The schedule among a stage's options, which hold more than that."""
        return cls(**{f.name: options[f.name] for f in fields(cls)})

    def rate(self, step: int) -> float:
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - self.warmup) / (self.steps - self.warmup)))


def train_stage(
    stage: str,
    module: nn.Module,
    loss: Callable[[np.random.Generator], tuple[Tensor, dict[str, float]]],
    schedule: Schedule,
    run: Path,
    seed: int,
    validate: Callable[[], dict[str, float]] | None = None,
) -> None:
    """Train `module` in place; `loss` draws its batch from the generator it is given, one generator a step.

    Continues from RUN/<stage>.pt where that exists. Each step's random numbers depend on seed, stage and step alone,
    so an interrupted training ends as an uninterrupted one would.
    """
    path = run / f"{stage}.pt"
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.0, weight_decay=schedule.weight_decay, betas=(0.9, 0.98))
    first = 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    module.train()
    began, sums, count = time.monotonic(), dict[str, float](), 0
    for step in range(first, schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        rng = np.random.default_rng([seed, sum(stage.encode()), step])
        torch.manual_seed(int(rng.integers(2**31)))
        value, parts = loss(rng)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(module.parameters(), GRADIENT_LIMIT)
        optimizer.step()
        for name, part in {"loss": float(value.detach()), **parts}.items():
            sums[name] = sums.get(name, 0.0) + part
        count += 1
        done = step + 1
        if done % SAVE_EVERY == 0 or done == schedule.steps:
            record = {"stage": stage, "step": done, **{k: round(v / count, 5) for k, v in sums.items()}}
            if validate is not None:
                module.eval()
                with torch.no_grad():
                    record.update({k: round(v, 5) for k, v in validate().items()})
                module.train()
            record["seconds_per_step"] = round((time.monotonic() - began) / count, 3)
            _log(record, run)
            _save({"module": module.state_dict(), "optimizer": optimizer.state_dict(), "step": done}, path)
            began, sums, count = time.monotonic(), dict[str, float](), 0
    module.eval()


def keep_memory() -> None:
    """Let glibc keep freed memory: returning large tensors to the system and fetching them anew costs half the time."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            m_trim_threshold, m_mmap_threshold = -1, -3
            libc.mallopt(m_mmap_threshold, 2**30)
            libc.mallopt(m_trim_threshold, 2**31 - 1)


def _log(record: dict, run: Path) -> None:
    line = json.dumps(record)
    print(line, file=sys.stderr, flush=True)
    with (run / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(line + "\n")


def _save(state: dict, path: Path) -> None:
    with written_whole(path) as partial:
        torch.save(state, partial)
