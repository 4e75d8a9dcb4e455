"""`python -m training.emotion EMODB`: the weights of `kmtalk_core.emotion`, from the folder of Emo-DB's recordings.

Emo-DB (Burkhardt, Paeschke, Rolfes, Sendlmeier, Weiss: "A database of German emotional speech", Interspeech 2005),
names as there: 03a01Fa.wav. Boredom counts as neutral, fear and disgust are left out. A ridge-penalized logistic
regression, every emotion with the same weight; prints mean, deviation and weights, and how often actors left out are
guessed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from kmtalk_core.animator import Animator
from kmtalk_core.audio import load_sound
from kmtalk_core.emotion import EMOTIONS, measured

ACTED = {"N": "neutral", "L": "neutral", "F": "happy", "T": "sad", "W": "angry"}
STEPS, STRIDE, PENALTY = 400, 0.5, 1.0


def main() -> None:
    """Parse the command line and fit."""
    parser = argparse.ArgumentParser(prog="python -m training.emotion", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="EMODB", help="folder of .wav files")
    lines = [path for path in sorted(parser.parse_args().folder.glob("*.wav")) if path.stem[5] in ACTED]
    ear = Animator()
    heard = [ear._hear(load_sound(path), lambda share: None) for path in lines]
    found = [measured(h.phone_log_posteriors, h.prosody, h.voiced, h.timbre, h.pitch, h.rate) for h in heard]
    rows = [n for n, measures in enumerate(found) if measures is not None]
    x = np.array([found[n] for n in rows])
    y = np.array([EMOTIONS.index(ACTED[lines[n].stem[5]]) for n in rows])
    who = np.array([lines[n].stem[:2] for n in rows])
    mean, deviation = x.mean(0), x.std(0)
    z = (x - mean) / deviation
    right = [
        (_likeliest(_fitted(z[who != one], y[who != one]), z[who == one]) == y[who == one]) for one in np.unique(who)
    ]
    print(f"{len(x)} lines; of actors left out {np.concatenate(right).mean():.3f} are right")
    for name, values in (("MEAN", mean), ("DEVIATION", deviation), *zip(EMOTIONS, _fitted(z, y).T, strict=False)):
        print(name, ", ".join(f"{value:.2f}" for value in values))


def _fitted(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(measures + 1, emotions acted) weights, by gradient descent."""
    count = int(y.max()) + 1
    given, target = np.c_[z, np.ones(len(z))], np.eye(count)[y]
    share = 1 / np.bincount(y, minlength=count)[y]
    share /= share.mean()
    weights = np.zeros((given.shape[1], count))
    for _ in range(STEPS):
        odds = np.exp(given @ weights - (given @ weights).max(1, keepdims=True))
        wrong = (odds / odds.sum(1, keepdims=True) - target) * share[:, None]
        penalty = np.vstack([weights[:-1], np.zeros((1, count))])
        weights -= STRIDE * (given.T @ wrong + PENALTY * penalty) / len(z)
    return weights


def _likeliest(weights: np.ndarray, z: np.ndarray) -> np.ndarray:
    return (np.c_[z, np.ones(len(z))] @ weights).argmax(1)


if __name__ == "__main__":
    main()
