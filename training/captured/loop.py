"""Train one stage: log, checkpoints, validation, resume from any moment with the same result.

Whatever is random in a step depends on seed, stage and step alone; the log is cut back to the checkpoint on resume. So
a training that was killed ends, bit for bit on the same machine, as one that was not.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import written_whole
from kmtalk_core.networks.method import Method, styles_of
from training.captured.dataset import CapturedClip, KeyChoice, Mixture

from .config import Training
from .processes import Processes

LOG_EVERY = 20  # steps


def stage_file(run: Path, stage: str) -> Path:
    """Weights and state of a stage."""
    return run / f"{stage}.pt"


def train_stage(
    method: Method,
    stage: str,
    data: Mixture,
    options: Training,
    keys: KeyChoice,
    run: Path,
    seed: int,
    processes: Processes,
    tensorboard: bool = False,
) -> None:
    """Train `stage` of `method` in place to the end, from RUN/STAGE.pt where that exists.

    Log: RUN/STAGE.jsonl. Raises KMTalkError where the loss is no longer finite, InputError for data or files that do
    not fit.
    """
    if options.batch % processes.count:
        raise InputError(
            f"The batch of {options.batch} cannot be shared by {processes.count} processes; choose a multiple of it."
        )
    parameters = _only_trains(method, stage)
    kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
    optimizer = kind(parameters, options.learning_rate, eps=options.epsilon, weight_decay=options.weight_decay)
    scaler = torch.amp.GradScaler(processes.device.type, enabled=options.precision == "float16")
    per_epoch = data.steps(options.batch)
    steps = options.epochs * per_epoch
    done = _restored(method, stage, optimizer, scaler, run, processes)
    log = _Log(run / f"{stage}.jsonl", done, run / "tensorboard" / stage if tensorboard else None, processes.first)
    bar = tqdm(total=steps, initial=done, desc=stage, disable=not (processes.first and sys.stderr.isatty()))
    order: list[tuple[str, list[CapturedClip]]] = []
    began, seen = time.monotonic(), _Means()
    for step in range(done, steps):
        epoch, place = divmod(step, per_epoch)
        if not order or place == 0:
            order = data.epoch(np.random.default_rng([seed, *stage.encode(), epoch]), options.batch)
        _seed(seed, stage, step, processes.rank)
        head, chosen = order[place]
        # The last batch of an epoch may be short: filled from its start, so that every process has work.
        chosen = chosen + chosen[: -len(chosen) % processes.count]
        batch = data.collate(head, processes.share(chosen), keys).to(processes.device)
        with _autocast(processes.device, options.precision):
            loss, parts = method.loss(stage, batch)
        for group in optimizer.param_groups:
            group["lr"] = options.rate(epoch)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        processes.average(parameters)
        scaler.unscale_(optimizer)
        if options.clip:
            nn.utils.clip_grad_norm_(parameters, options.clip)
        scaler.step(optimizer)
        scaler.update()
        seen.add({"loss": loss, **parts})
        finished = step + 1
        bar.update()
        validates = finished == steps or (place == per_epoch - 1 and (epoch + 1) % options.validate_every == 0)
        saves = finished % options.save_every == 0 or finished == steps
        if finished % LOG_EVERY == 0 or validates or saves:
            means = seen.of(processes)
            if not all(map(math.isfinite, means.values())):
                raise KMTalkError(
                    f"The loss of {stage} is not finite at step {finished}; lower the learning rate, or use float32."
                )
            record: dict[str, Any] = {"stage": stage, "step": finished, "epoch": epoch + 1}
            record |= {name: float(f"{value:.6g}") for name, value in means.items()}
            if validates and data.split("val"):
                record["validation"] = float(f"{validate(method, stage, data, keys, options, processes):.6g}")
            seconds = (time.monotonic() - began) / seen.steps
            log.write({**record, "seconds_per_step": round(seconds, 4)})
            bar.set_postfix(loss=f"{means['loss']:.4g}", refresh=False)
            began, seen = time.monotonic(), _Means()
        if saves:
            if processes.first:
                _save(method, stage, optimizer, scaler, finished, finished == steps, run)
            processes.wait()
    bar.close()
    log.close()
    method.eval()


@torch.no_grad()
def validate(
    method: Method, stage: str, data: Mixture, keys: KeyChoice, options: Training, processes: Processes
) -> float:
    """The mean loss of the validation clips, each by itself, of unseen subjects in every style that the method knows;
    it leaves no trace in the training."""
    method.eval()
    losses: list[float] = []
    for index, (head, clip) in enumerate(data.split("val")):
        batch = data.collate(head, [clip], keys).to(processes.device)
        for style in styles_of(method, batch.style):
            _seed(0, stage, index, 0)
            with _autocast(processes.device, options.precision):
                losses.append(float(method.loss(stage, replace(batch, style=style))[0]))
    _learn(method, stage)
    return sum(losses) / len(losses)


def dry_run(method: Method, stage: str, data: Mixture, options: Training, keys: KeyChoice, processes: Processes) -> str:
    """One step with the longest clips, nothing kept: → sizes and an estimate in one line."""
    head = max(data.split("train"), key=lambda pair: pair[1].frames)[0]
    clips = sorted(data.sets[head].split("train"), key=lambda c: -c.frames)[: options.batch]
    parameters = _only_trains(method, stage)
    batch = data.collate(head, clips, keys).to(processes.device)
    began = time.monotonic()
    with _autocast(processes.device, options.precision):
        loss, _ = method.loss(stage, batch)
    loss.backward()
    seconds = time.monotonic() - began
    method.zero_grad(set_to_none=True)
    steps = options.epochs * data.steps(options.batch)
    return (
        f"{stage}: {sum(p.numel() for p in parameters) / 1e6:.1f} million parameters, {steps} steps of {options.batch}"
        f" clips, loss {float(loss.detach()):.5g}; {seconds:.2f} s for a step with the longest clips, so at most"
        f" {steps * seconds / 3600:.1f} h here"
    )


def restore(method: Method, stage: str, run: Path) -> bool:
    """Take the weights of a stage from RUN/STAGE.pt; → whether it has been trained to its end."""
    path = stage_file(run, stage)
    if not path.exists():
        raise InputError(f"There is no {path}; train the stage {stage} first.")
    state = _read(path)
    _put(method, stage, state["weights"], path)
    return bool(state["complete"])


def is_complete(stage: str, run: Path) -> bool:
    """Whether a stage has been trained to its end."""
    path = stage_file(run, stage)
    return path.exists() and bool(_read(path)["complete"])


def _only_trains(method: Method, stage: str) -> list[nn.Parameter]:
    """The parameters of a stage; its modules are in training mode afterwards, all others in evaluation mode."""
    _learn(method, stage)
    modules = method.trained(stage)
    return list({id(p): p for m in modules for p in m.parameters() if p.requires_grad}.values())


def _learn(method: Method, stage: str) -> None:
    method.eval()
    for module in method.trained(stage):
        module.train()


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float16
    return torch.autocast(device.type, kind, enabled=precision != "float32")


def _seed(seed: int, stage: str, step: int, rank: int) -> None:
    digest = hashlib.sha256(f"{seed}/{stage}/{step}/{rank}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:7], "little"))


def _own_weights(method: Method, stage: str) -> dict[str, torch.Tensor]:
    wanted = {id(t) for m in method.trained(stage) for t in (*m.parameters(), *m.buffers())}
    return {k: v for k, v in method.state_dict(keep_vars=True).items() if id(v) in wanted}


def _put(method: Method, stage: str, weights: dict[str, torch.Tensor], path: Path) -> None:
    own = _own_weights(method, stage)
    if own.keys() != weights.keys() or any(own[k].shape != weights[k].shape for k in own):
        raise InputError(f"{path} belongs to another configuration; choose another --run folder.")
    with torch.no_grad():
        for key, tensor in own.items():
            tensor.copy_(weights[key])


def _read(path: Path) -> dict[str, Any]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        raise InputError(f"{path} is damaged; delete it, and the stage starts anew.") from None


def _restored(
    method: Method,
    stage: str,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    run: Path,
    processes: Processes,
) -> int:
    path = stage_file(run, stage)
    if not path.exists():
        return 0
    state = _read(path)
    _put(method, stage, state["weights"], path)
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    return int(state["step"])


def _save(
    method: Method,
    stage: str,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    step: int,
    complete: bool,
    run: Path,
) -> None:
    weights = {k: v.detach() for k, v in _own_weights(method, stage).items()}
    state: dict[str, Any] = {"weights": weights, "optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()}
    state |= {"step": step, "complete": complete}
    with written_whole(stage_file(run, stage)) as partial:
        torch.save(state, partial)


class _Means:
    """The mean of a loss and its parts over the steps that have them: MeshTalk crosses nothing in a batch of one."""

    def __init__(self) -> None:
        self.steps = 0
        self._sums: dict[str, torch.Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, parts: Mapping[str, torch.Tensor]) -> None:
        self.steps += 1
        for name, value in parts.items():
            one = value.detach().float()
            self._sums[name] = self._sums[name] + one if name in self._sums else one
            self._counts[name] = self._counts.get(name, 0) + 1

    def of(self, processes: Processes) -> dict[str, float]:
        """By name, over all processes, whose batches are alike."""
        means = torch.stack([total / self._counts[name] for name, total in self._sums.items()])
        return dict(zip(self._sums, processes.mean(means).tolist(), strict=True))


class _Log:
    """One line of JSON a record; records after `step` are those of a run that was killed, and are dropped."""

    def __init__(self, path: Path, step: int, tensorboard: Path | None, active: bool) -> None:
        self._path, self._active, self._writer = path, active, None
        if not active:
            return
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
            with written_whole(path) as partial:
                partial.write_text("".join(kept), encoding="utf-8")
        if tensorboard is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise KMTalkError("TensorBoard is missing; install tensorboard, or leave out --tensorboard.") from None
            self._writer = SummaryWriter(str(tensorboard), purge_step=step + 1)

    def write(self, record: dict[str, Any]) -> None:
        if not self._active:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        if self._writer is not None:
            for name, value in record.items():
                if isinstance(value, float):
                    self._writer.add_scalar(f"{record['stage']}/{name}", value, record["step"])

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
