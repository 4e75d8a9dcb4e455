"""One process or several, as torchrun starts them (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT).

Every process takes its share of each batch; gradients are averaged, so N processes do what one would with the batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as distributed
from torch import Tensor, nn

from kmtalk_core.errors import InputError


@dataclass(frozen=True)
class Processes:
    """`rank` of `count` processes, on `device`."""

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def share(self, clips: Sequence) -> Sequence:
        """This process's part of a batch, which must be a multiple of `count`."""
        return clips[self.rank :: self.count]

    def average(self, parameters: Sequence[nn.Parameter]) -> None:
        """The gradients' mean over the processes, in place; a missing gradient is zero."""
        if self.count == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in grads])
        distributed.all_reduce(flat)
        flat /= self.count
        at = 0
        for grad in grads:
            grad.copy_(flat[at : at + grad.numel()].view_as(grad))
            at += grad.numel()

    def mean(self, values: Tensor) -> Tensor:
        """The mean of `values` over the processes."""
        if self.count > 1:
            values = values.clone()
            distributed.all_reduce(values)
            values /= self.count
        return values

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def joined(device: str = "auto") -> Iterator[Processes]:
    """The processes that torchrun started, or this one alone. `device`: auto, cpu, cuda or mps."""
    rank, count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    place = _device(device, int(os.environ.get("LOCAL_RANK", 0)))
    if count == 1:
        yield Processes(0, 1, place)
        return
    distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Processes(rank, count, place)
    finally:
        distributed.destroy_process_group()


def _device(wanted: str, local: int) -> torch.device:
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if wanted == "cuda":
        if not torch.cuda.is_available():
            raise InputError("There is no CUDA device here; choose --device cpu.")
        torch.cuda.set_device(local)
        return torch.device("cuda", local)
    if wanted not in ("cpu", "mps"):
        raise InputError(f"There is no device {wanted!r}; choose auto, cpu, cuda or mps.")
    return torch.device(wanted)
