"""Articulation synthesizer: phones with times → control curves, by published rules. It makes the training motion.

Used in training only; at run time the networks move the face. `targets` is the table of what each phone does,
`synthesizer` the coarticulation between them, `style` how one speaker differs from the next, `loudness` how strongly
the voice speaks.
"""

from .loudness import loudness_curve
from .style import Style
from .synthesizer import synthesize

__all__ = ["Style", "loudness_curve", "synthesize"]
