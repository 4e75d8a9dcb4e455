"""Where the frames of a sound are counted from: its own rhythm of energy, so that silence before it changes nothing.

A file's first sample is chance. Frames that began there would cut the same speech elsewhere after a frame of silence,
and what the networks hear would differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .packed import Samples

FRAME = 320  # samples: those of one feature
ACTIVE = 1e-3  # of the power of loud frames: what is weaker, before all others, is no speech yet
_PIECE = 100 * 16 * FRAME  # samples looked at together


@dataclass(frozen=True)
class Onset:
    """`lead`: samples of silence (fewer than FRAME) to put before the sound, so that frames lie as they should.

    `at`: the sample, with the lead, from which on there is something to hear; a multiple of FRAME.
    """

    lead: int = 0
    at: int = 0


def find_onset(samples: Samples) -> Onset:
    """The onset of (n,) samples at 16 kHz. Moves with the sound; neither silence around it nor its level count."""
    if not len(samples):
        return Onset()
    # The frames' phase is that of the loudest samples, weighed so that no threshold decides, and nothing faint.
    by_phase = np.zeros(FRAME)
    for at in range(0, len(samples), _PIECE):
        by_phase += (_framed(samples, at, 0) ** 16).sum(0)
    turn = np.angle(np.dot(by_phase, np.exp(2j * np.pi * np.arange(FRAME) / FRAME))) / (2 * np.pi)
    lead = -round(float(turn) * FRAME) % FRAME
    power = np.concatenate([_framed(samples, at, lead).sum(1) for at in range(0, len(samples) + lead, _PIECE)])
    if not power.any():
        return Onset()
    loud = np.square(power).sum() / power.sum()
    return Onset(lead, int(np.argmax(power > ACTIVE * loud)) * FRAME)


def _framed(samples: Samples, at: int, lead: int) -> np.ndarray:
    """(frames, FRAME) squares of the samples `at`…`at` + _PIECE, counted with `lead` zeros before the first."""
    piece = samples[max(at - lead, 0) : at - lead + _PIECE]
    before = max(lead - at, 0)
    out = np.zeros(-(-(before + len(piece)) // FRAME) * FRAME)
    out[before : before + len(piece)] = np.square(piece, dtype=np.float64)
    return out.reshape(-1, FRAME)
