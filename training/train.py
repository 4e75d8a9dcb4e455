"""Train the compact model: `python -m training.train --corpus DIR --run DIR [--config FILE] [--out FILE]`.

With `--data DIR`, a prepared data set of captured faces, methods that move vertices are trained: `methods.main`.

Three stages (encoder, LKMA, CMC), each resumed where it stopped; at the end the checkpoint with its ONNX graphs.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path

import torch

from kmtalk_core.assets import COMPACT_CHECKPOINT
from kmtalk_core.checkpoint import save_checkpoint
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.networks.export import make_checkpoint
from kmtalk_core.networks.kmtalk import KMTalk, KMTalkConfig
from kmtalk_core.rig.controls import SPEECH_CONTROLS

from .compact.data import read_corpus
from .compact.encoder import train_encoder
from .compact.loop import keep_memory
from .compact.motion import MotionSampler, encode_all, train_cmc, train_lkma

STAGES = ("encoder", "lkma", "cmc")
CONFIG = Path(__file__).parent / "configs" / "compact.toml"


def train(config_file: Path, corpus: Path, run: Path, out: Path, stages: tuple[str, ...] = STAGES) -> str:
    """Run `stages` and write the checkpoint to `out`; returns its checksum."""
    keep_memory()
    text = config_file.read_text(encoding="utf-8")
    options = tomllib.loads(text)
    seed = options["seed"]
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.toml").write_text(text, encoding="utf-8")
    torch.manual_seed(seed)
    model = KMTalk(KMTalkConfig(motion_dim=len(SPEECH_CONTROLS), **options["network"]))
    training, validation = read_corpus(corpus)
    minutes = {
        "real": round(sum(u.duration for u in training if u.real) / 60, 1),
        "synthetic": round(sum(u.duration for u in training if not u.real) / 60, 1),
    }
    print(
        f"{len(training)} utterances to train on ({minutes}, minutes), {len(validation)} to validate", file=sys.stderr
    )
    if "encoder" in stages:
        train_encoder(model, training, validation, options["encoder"], run, seed)
    else:
        _restore(model.encoder, run / "encoder.pt")
    encoded = encode_all(model, training) if {"lkma", "cmc"} & set(stages) else {}
    for stage, train_it in (("lkma", train_lkma), ("cmc", train_cmc)):
        if stage in stages:
            of_stage = options[stage]
            sampler = MotionSampler(training, encoded, of_stage["crop"], stage == "cmc", of_stage["misheard"])
            train_it(model, sampler, options[stage], run, seed)
        else:
            _restore(getattr(model, stage), run / f"{stage}.pt")
    facts = {"name": options["name"], "controls": list(SPEECH_CONTROLS), "minutes": minutes, "training": options}
    return save_checkpoint(make_checkpoint(model, facts), out)


def _restore(module: torch.nn.Module, path: Path) -> None:
    if not path.exists():
        raise InputError(f"There is no {path}; train that stage first.")
    module.load_state_dict(torch.load(path, weights_only=True)["module"])


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if any(argument.split("=")[0] == "--data" for argument in arguments):
        from .captured.main import main as train_method

        return train_method(arguments)
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder that `python -m training.corpus` made")
    parser.add_argument(
        "--run", type=Path, required=True, help="folder for checkpoints and log; training resumes there"
    )
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--out", type=Path, default=COMPACT_CHECKPOINT, help="the finished checkpoint")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="the others are restored")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        digest = train(options.config, options.corpus, options.run, options.out, tuple(options.stages))
    except KMTalkError as error:
        print(f"training: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    print(f"wrote {options.out} (sha256 {digest})", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
