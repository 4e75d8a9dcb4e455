"""Train the compact model in its stages (encoder, LKMA, CMC, both together), each resumed where it stopped."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import torch

from kmtalk_core.checkpoint import load_checkpoint, save_checkpoint
from kmtalk_core.conditioning import STYLE
from kmtalk_core.errors import InputError
from kmtalk_core.files import save_text
from kmtalk_core.networks.export import make_checkpoint
from kmtalk_core.networks.kmtalk import KMTalk, KMTalkConfig
from kmtalk_core.rig.controls import SPEECH_CONTROLS

from .data import read_corpus
from .encoder import train_encoder
from .loop import keep_memory
from .motion import MotionSampler, encode_all, train_cmc, train_joint, train_lkma

STAGES = ("encoder", "lkma", "cmc", "joint")
MOTION_STAGES = STAGES[1:]
CONFIG = Path(__file__).parents[1] / "configs" / "compact.toml"


def train(
    config_file: Path,
    corpus: Path,
    run: Path,
    out: Path,
    stages: tuple[str, ...] = STAGES,
    start_from: Path | None = None,
    encoder_from: Path | None = None,
) -> str:
    """Run `stages` and write the checkpoint to `out`; returns its checksum.

    `start_from`: a checkpoint whose networks the stages go on from; what is not among the stages stays as it is there.
    `encoder_from`: one whose encoder is taken as it is; the other networks begin anew.
    """
    keep_memory()
    text = config_file.read_text(encoding="utf-8")
    options = tomllib.loads(text)
    seed = options["seed"]
    run.mkdir(parents=True, exist_ok=True)
    save_text(text, run / "config.toml")
    torch.manual_seed(seed)
    model = KMTalk(KMTalkConfig(motion_dim=len(SPEECH_CONTROLS), style_dim=len(STYLE), **options["network"]))
    if start_from is not None:
        _take(model, start_from)
    if encoder_from is not None:
        _take_encoder(model, encoder_from)
    training, validation = read_corpus(corpus)
    minutes = {
        "captured": round(sum(u.duration for u in training if u.captured) / 60, 1),
        "real": round(sum(u.duration for u in training if u.real and not u.captured) / 60, 1),
        "synthetic": round(sum(u.duration for u in training if not u.real) / 60, 1),
    }
    print(
        f"{len(training)} utterances to train on ({minutes}, minutes), {len(validation)} to validate", file=sys.stderr
    )
    if "encoder" in stages:
        train_encoder(model, training, validation, options["encoder"], run, seed)
    elif start_from is None and encoder_from is None:
        _restore(model.encoder, run / "encoder.pt")
    encoded = encode_all(model, training) if set(MOTION_STAGES) & set(stages) else {}
    for stage, train_it in (("lkma", train_lkma), ("cmc", train_cmc), ("joint", train_joint)):
        if stage in stages:
            of_stage = options[stage]
            sampler = MotionSampler(
                training, encoded, of_stage["crop"], True, of_stage["misheard"], of_stage["captured_share"]
            )
            train_it(model, sampler, options[stage], run, seed)
        elif start_from is None and stage != "joint":
            _restore(getattr(model, stage), run / f"{stage}.pt")
    facts = {
        "name": options["name"],
        "controls": list(SPEECH_CONTROLS),
        "style": list(STYLE),
        "styles": {name: [code.get(number, 0.0) for number in STYLE] for name, code in options["styles"].items()},
        "minutes": minutes,
        "training": options,
    }
    return save_checkpoint(make_checkpoint(model, facts), out)


def _take(model: KMTalk, path: Path) -> None:
    """Take the weights of a checkpoint; one without styles begins with styles that make no difference."""
    weights = {name: torch.from_numpy(w.astype("float32")) for name, w in load_checkpoint(path).weights.items()}
    own = model.state_dict()
    styles = {name: torch.zeros_like(tensor) for name, tensor in own.items() if ".style." in name}
    try:
        model.load_state_dict(styles | weights)
    except RuntimeError:
        raise InputError(f"The networks of {path} do not fit [network]; train all stages anew.") from None


def _take_encoder(model: KMTalk, path: Path) -> None:
    prefix = "encoder."
    of_encoder = {
        name.removeprefix(prefix): torch.from_numpy(w.astype("float32"))
        for name, w in load_checkpoint(path).weights.items()
        if name.startswith(prefix)
    }
    try:
        model.encoder.load_state_dict(of_encoder)
    except RuntimeError:
        raise InputError(f"The encoder of {path} does not fit [network]; train it anew.") from None


def _restore(module: torch.nn.Module, path: Path) -> None:
    if not path.exists():
        raise InputError(f"There is no {path}; train that stage first.")
    module.load_state_dict(torch.load(path, weights_only=True)["module"])
