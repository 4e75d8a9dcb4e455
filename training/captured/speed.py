"""What a method costs: parameters, seconds for a training step and for inference, memory. One run at a time counts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from kmtalk_core.networks.method import Batch, Method


def used_parameters(method: Method) -> float:
    """Those that inference uses, in millions."""
    left_out = method.training_only
    own = (p for name, p in method.named_parameters() if not left_out or not name.startswith(left_out))
    return sum(p.numel() for p in own) / 1e6


def inference(method: Method, sound: Batch) -> Callable[[], None]:
    """What `infer` does with a batch, key instants given."""
    method.eval()

    @torch.inference_mode()
    def work() -> None:
        method.infer(sound.speech, sound.template, sound.style, sound.times, sound.keys)

    return work


def training_step(method: Method, stage: str, clips: Batch, precision: str = "float32") -> Callable[[], None]:
    """Loss, backward pass and Adam; networks in `precision`, weights in float32."""
    method.eval()
    for module in method.trained(stage):
        module.train()
    parameters = [p for m in method.trained(stage) for p in m.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, 1e-4)
    device = clips.times.device
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float16

    def work() -> None:
        with torch.autocast(device.type, kind, enabled=precision != "float32"):
            loss, _ = method.loss(stage, clips)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return work


def median(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Seconds, after one run that is not counted; on one thread of a processor those of this process, which others on
    the machine hardly lengthen."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter

    def timed() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        begin = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock() - begin

    timed()
    return statistics.median(timed() for _ in range(repeats))


def peak_memory(device: torch.device) -> float:
    """The most memory so far, MiB: of a CUDA device, else of this process; NaN where it cannot be told."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where getrusage tells the peak of the parent that started this process, if larger
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(float(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM:"))
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
