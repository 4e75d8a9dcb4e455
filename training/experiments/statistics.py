"""Whether a difference between two methods is more than chance.

Chance has two parts: which sentences were judged, and how each training happened to go. A difference counts when both
tests say so: one over sentences (values averaged over the seeds), one over seeds (averaged over the sentences).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEVEL = 0.05
EXACT = 12  # pairs: all signs are tried, above that a random choice
DRAWS = 10_000


@dataclass(frozen=True)
class Paired:
    """`change`: of the first method against the second, as a share of it; `lower` of `sentences` in which the first is
    lower; `p_sentences`, `p_seeds`: two-sided, NaN where one pair or none says nothing."""

    change: float
    lower: int
    sentences: int
    seeds: int
    p_sentences: float
    p_seeds: float

    @property
    def p(self) -> float:
        """The larger one: both have to be small. NaN with one training each."""
        return max(self.p_sentences, self.p_seeds) if self.p_seeds == self.p_seeds else float("nan")

    @property
    def decided(self) -> bool:
        return self.p < LEVEL

    @property
    def words(self) -> str:
        """The difference in words, and whether it is one."""
        if not np.isfinite(self.change):
            return "cannot be told"
        size = "the same" if abs(self.change) < 0.0005 else (
            f"{abs(self.change):.1%} {'lower' if self.change < 0 else 'higher'}"
        )  # fmt: skip
        if self.seeds < 2:
            return f"{size} (one training each decides nothing)"
        return f"{size} (p = {self.p:.2g})" if self.decided else f"within noise ({size}, p = {self.p:.2g})"


def paired(first: np.ndarray, second: np.ndarray) -> Paired:
    """Values (seeds, sentences) of two methods, the same sentences; one seed (1, n) stands against all of the other."""
    differences = first - second
    seeds, sentences = differences.shape
    by_sentence, by_seed = differences.mean(0), differences.mean(1)
    base = abs(float(second.mean()))
    return Paired(
        float(differences.mean()) / base if base else float("nan"),
        int((by_sentence < 0).sum()),
        sentences,
        seeds,
        signs_p(by_sentence),
        t_p(by_seed),
    )


def signs_p(differences: np.ndarray) -> float:
    """Permutation test of (n,) paired differences: how often random signs give as large a mean. NaN below two pairs."""
    n = len(differences)
    if n < 2:
        return float("nan")
    if n <= EXACT:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (DRAWS, n))
        signs[0] = 1.0  # what was found is one of the draws, so that p is never 0
    means = np.abs((signs * differences).mean(1))
    return float((means >= abs(differences.mean()) * (1 - 1e-9)).mean())


def t_p(differences: np.ndarray) -> float:
    """Paired t-test of (n,) differences. NaN below two pairs; 1 where all are 0, 0 where all are the same."""
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        return float("nan")
    deviation, mean = differences.std(ddof=1), differences.mean()
    if deviation <= 1e-12 * max(abs(mean), 1e-300):
        return 1.0 if mean == 0 else 0.0
    return float(2 * t.sf(abs(mean) / (deviation / np.sqrt(n)), n - 1))
