"""Make the training corpus: `python -m training.corpus --out DIR [--hours 3] [--real-speech DIR] [--seed 0]`.

Writes one file per utterance, DIR/<source>/<id>.npz (`Utterance.save` says what is in it), and DIR/corpus.json with
counts, minutes, voices, minutes of each phone and licences by source. Sources:

- `flite`, `festival`, `espeak`: sentences of `text.py` said by synthetic voices, pauses varied, three in ten
  said again in another manner (`revoice.py`), then augmented (a quarter stays clean); `--hours` is the length of these
  three together.
- `noise`: 5 % more without speech, labelled SIL throughout.
- `librispeech`, `ljspeech`: the real speech of `--real-speech DIR` (`DIR/librispeech/*.flac`, `DIR/ljspeech/*.flac`),
  labelled by `real.py`: as it is, augmented (id ending in `-a`), and twice said again in another manner and augmented
  (`-b`, `-c`; `revoice.py`). Held out for judging: LibriSpeech
  speakers whose number ends in 3, and the LJ Speech clips of `real.JUDGED`.

Seeded: an utterance depends on the seed, its source and its number only, so that the same arguments give the same
files. Resumable: files that exist are not made again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kmtalk_core.errors import KMTalkError

from .making import make


def main() -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.corpus", description="Make the training corpus.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--hours", type=float, default=3.0, help="hours of synthetic speech (3)")
    parser.add_argument("--real-speech", type=Path, help="folder with librispeech/*.flac and ljspeech/*.flac")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        make(arguments.out, arguments.hours, arguments.real_speech, arguments.seed)
    except KMTalkError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
