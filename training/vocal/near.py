"""`python -m training.vocal.near --real-speech DIR [--out FILE]`: make the network that knows who is near among voices.

DIR of the speech holds what `training.corpus` takes. It learns when one reader speaks in front of a crowd of others:
the pauses are those of the reader's own recording. A quarter of an hour on one core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from kmtalk_core.assets import NEAR_VOICE
from kmtalk_core.features import timbre
from kmtalk_core.near_voice import INPUTS, WIDTH, levels, network_input
from kmtalk_core.sound_kinds import RATE, shipped_kinds

from .making import Encoder, Network, command_line, fit, readers, save
from .scenes import FRAME, loudness

SCENES, STEPS, SEED, BATCH = 1600, 1200, 0, 24
SECONDS, SEEN = 8.0, 4.0  # of a scene, and what is learned from at once
BREAK = 0.1  # s: silences that are shorter belong to speech
LONGER, LEADING = 0.6, 0.3  # share of scenes whose pauses are made longer, and that begin with one
PAUSE = (0.2, 1.4)  # s that are added
CROWD, VOICES, CROWD_DB = 0.85, (3, 8), (1.0, 14.0)  # share of scenes, voices in it, how far it is below the reader
LEVEL_DB = (-15.0, 0.0)
ROOM = 1e-4  # of silence that is added

Reader = tuple[np.ndarray, np.ndarray]  # samples, and (n,) bool: the frames of them in which the reader speaks
Heard = tuple[np.ndarray, np.ndarray]  # what the network hears, and 1 where the reader speaks


def main() -> None:
    """Parse the command line and train."""
    parser = command_line("training.vocal.near", __doc__ or "", NEAR_VOICE, SCENES, STEPS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    encoder = Encoder()
    people = readers(options.real_speech, encoder)
    print(f"{len(people)} readers", flush=True)
    scenes = list(heard_scenes(options.scenes, SEED, encoder, people))
    network = train(scenes, options.steps, SEED)
    print(f"{options.out}  {save(network, options.out, {'near': INPUTS})}")


def heard_scenes(count: int, seed: int, encoder: Encoder, people: Sequence[Reader]) -> Iterator[Heard]:
    """`count` scenes as the network hears them."""
    for number in range(count):
        samples, said = make_scene(np.random.default_rng([seed, number]), people)
        mel, log_posteriors = encoder(samples)
        kinds, level = shipped_kinds()(mel, log_posteriors), timbre(mel[::2])[:, 0]
        x = network_input(log_posteriors, kinds, level, *levels(level))
        n = min(len(x), len(said))
        yield x[:n].astype(np.float16), said[:n].astype(np.float32)


def make_scene(rng: np.random.Generator, people: Sequence[Reader]) -> Reader:
    """One of the people, mostly in front of a crowd of the others."""
    samples, said = people[rng.integers(len(people))]
    length = round(SECONDS * RATE)
    first = int(rng.integers(max(len(said) - length, 1)))
    said = speaking(said[first : first + length])
    near = samples[first * FRAME :][: len(said) * FRAME].astype(np.float64)
    wanted = int(rng.integers(1, 4)) if rng.random() < LONGER else 0
    places = [int(rng.choice(np.flatnonzero(~said))) for _ in range(wanted if not said.all() else 0)]
    places += [0] if rng.random() < LEADING else []
    for place in sorted(places, reverse=True):
        more = round(rng.uniform(*PAUSE) * RATE)
        near = np.insert(near, place * FRAME, ROOM * rng.standard_normal(more * FRAME))
        said = np.insert(said, place, np.zeros(more, bool))
    near, said = near[: length * FRAME], said[:length]
    if rng.random() < CROWD:
        crowd = np.zeros(len(near))
        even = rng.random() < 0.5
        for number in rng.choice(len(people), min(int(rng.integers(*VOICES)), len(people)), replace=False):
            voice = np.roll(np.resize(people[number][0], len(near)), rng.integers(len(near)))
            crowd += voice / max(float(np.sqrt((voice**2).mean())), 1e-9) * (1.0 if even else rng.uniform(0.6, 1.2))
        crowd *= loudness(near) / max(float(np.sqrt((crowd**2).mean())), 1e-9)
        near = near + crowd * 10 ** (-rng.uniform(*CROWD_DB) / 20)
    near *= 10 ** (rng.uniform(*LEVEL_DB) / 20) / max(1.0, float(np.abs(near).max()))
    return near.astype(np.float32), said


def speaking(said: np.ndarray) -> np.ndarray:
    """(n,) bool with short silences as speech."""
    out = np.ones(len(said), bool)
    for begin, end in np.flatnonzero(np.diff(np.concatenate([[0], ~said, [0]]).astype(np.int8))).reshape(-1, 2):
        out[begin:end] = end - begin < BREAK * RATE
    return out


def train(scenes: Sequence[Heard], steps: int, seed: int) -> Network:
    """Cross-entropy on parts of the scenes."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Network(INPUTS, WIDTH, 1)
    length = round(SEEN * RATE)

    def loss() -> torch.Tensor:
        x, y, counts = (np.zeros((BATCH, length, n), np.float32) for n in (INPUTS, 1, 1))
        for row, number in enumerate(rng.integers(len(scenes), size=BATCH)):
            heard, said = scenes[number]
            begin = int(rng.integers(max(len(said) - length, 0) + 1))
            part = said[begin : begin + length]
            x[row, : len(part)], y[row, : len(part), 0] = heard[begin : begin + length], part
            counts[row, : len(part)] = 1.0
        logits = network(torch.tensor(x))
        return nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor(y), weight=torch.tensor(counts))

    return fit(network, steps, loss, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
