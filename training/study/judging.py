"""From answers to a table: who was preferred, by how many viewers, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kmtalk_core.errors import InputError
from training.experiments.statistics import signs_p

from .making import Study, read_study
from .serving import checked_answers

LEVEL = 0.05
COMPLETE = 0.5  # of the pairs: who answered fewer is left out
ONE_SIDED = 10  # answers: who chose one side only in so many or more is left out


@dataclass(frozen=True)
class Preference:
    """`first` against `second` by one question: `share` of the answers for the first with its 95 % `interval` (Wilson),
    `answers` of `raters`; `p_answers`: binomial test; `p_raters`: permutation test of the raters' own shares, NaN for
    one."""

    question: str
    first: str
    second: str
    share: float
    interval: tuple[float, float]
    answers: int
    raters: int
    p_answers: float
    p_raters: float

    @property
    def p(self) -> float:
        """The larger one: answers of the same viewer are not independent. NaN for a single viewer."""
        return max(self.p_answers, self.p_raters) if self.p_raters == self.p_raters else float("nan")

    @property
    def words(self) -> str:
        if not self.p < LEVEL:
            return "one viewer decides nothing" if self.p != self.p else "within noise"
        return f"{self.first if self.share > 0.5 else self.second} preferred"


def read_answers(folder: Path, study: Study) -> tuple[list[list[dict[str, Any]]], list[str]]:
    """The answers of every viewer that counts, and in words who was left out and why."""
    kept, left_out = [], []
    for path in sorted((folder / "answers").glob("*.json")):
        try:
            answers = checked_answers(path.read_text(encoding="utf-8"), study)["answers"]
        except (InputError, OSError):
            left_out.append(f"{path.name}: no answers to this study")
            continue
        sides = {key == answer["left"] for answer in answers for key in answer["chosen"].values()}
        if len(answers) < COMPLETE * len(study.pairs):
            left_out.append(f"{path.name}: {len(answers)} of {len(study.pairs)} pairs")
        elif len(answers) >= ONE_SIDED and len(sides) == 1:
            left_out.append(f"{path.name}: always the same side")
        else:
            kept.append(answers)
    return kept, left_out


def preferences(study: Study, of_raters: Sequence[Sequence[Mapping[str, Any]]]) -> list[Preference]:
    """Every two methods by every question, the methods in the order of the study."""
    methods = list(dict.fromkeys(method for method, _ in study.films.values()))
    out = []
    for question in study.questions:
        for number, first in enumerate(methods):
            for second in methods[number + 1 :]:
                counts = [_counted(study, answers, question, first, second) for answers in of_raters]
                counts = [count for count in counts if count[1]]
                if counts:
                    out.append(_preference(question, first, second, np.array(counts)))
    return out


def _counted(
    study: Study, answers: Sequence[Mapping[str, Any]], question: str, first: str, second: str
) -> tuple[int, int]:
    """How often one viewer chose the first, of how many."""
    chosen = [
        study.films[answer["chosen"][question]][0]
        for answer in answers
        if {study.films[film][0] for film in (answer["left"], answer["right"])} == {first, second}
    ]
    return chosen.count(first), len(chosen)


def _preference(question: str, first: str, second: str, counts: np.ndarray) -> Preference:
    from scipy.stats import binomtest

    for_first, total = (int(n) for n in counts.sum(0))
    test = binomtest(for_first, total)
    interval = test.proportion_ci(method="wilson")
    shares = counts[:, 0] / counts[:, 1]
    return Preference(
        question, first, second, for_first / total, (float(interval.low), float(interval.high)), total, len(shares),
        float(test.pvalue), signs_p(shares - 0.5),
    )  # fmt: skip


def report(folder: Path) -> str:
    """The table of a study in markdown. Raises InputError where there are no answers yet."""
    study = read_study(folder)
    of_raters, left_out = read_answers(folder, study)
    if not of_raters:
        raise InputError(
            f"{folder} has no answers that count yet; let people answer with `python -m training.study serve`."
        )
    lines = [
        f"{len(of_raters)} viewers, {len(study.pairs)} pairs.", "",
        "| question | first | second | prefer the first | 95 % | answers | viewers | p | |", "|---" * 9 + "|",
    ]  # fmt: skip
    for one in preferences(study, of_raters):
        low, high = one.interval
        p = "–" if one.p != one.p else f"{one.p:.2g}"
        lines.append(
            f"| {study.questions[one.question]} | {one.first} | {one.second} | {one.share:.0%} | {low:.0%}–{high:.0%}"
            f" | {one.answers} | {one.raters} | {p} | {one.words} |"
        )
    lines += ["", "p: the larger one of a binomial test over answers and a permutation test over viewers."]
    lines += [f"Left out: {reason}." for reason in left_out]
    return "\n".join(lines) + "\n"
