"""`python -m training.vocal --sounds DIR --real-speech DIR [--out FILE]`: make the network of laughs and breaths.

DIR of the sounds holds the unpacked packages that `training.vocal.sources` names, DIR of the speech what
`training.corpus` takes. A quarter of an hour on one core.
"""

from __future__ import annotations

from pathlib import Path

import torch

from kmtalk_core.assets import SOUND_KINDS
from kmtalk_core.sound_kinds import KINDS

from .making import Encoder, command_line, heard_scenes, readers, save, sounds_of, train

SCENES, STEPS, SEED = 2400, 1600, 0


def main() -> None:
    """Parse the command line and train."""
    parser = command_line("training.vocal", __doc__ or "", SOUND_KINDS, SCENES, STEPS)
    parser.add_argument("--sounds", type=Path, required=True, metavar="DIR", help="unpacked packages with voices")
    options = parser.parse_args()
    torch.set_num_threads(1)
    encoder = Encoder()
    speech, sounds = readers(options.real_speech, encoder), sounds_of(options.sounds)
    print(
        f"{len(speech)} readers;", ", ".join(f"{len(some)} {kind}" for kind, some in sorted(sounds.items())), flush=True
    )
    scenes = list(heard_scenes(options.scenes, SEED, encoder, speech, sounds))
    network = train(scenes, options.steps, SEED, lambda line: print(line, flush=True))
    print(f"{options.out}  {save(network, options.out, {'kinds': KINDS})}")


if __name__ == "__main__":
    main()
