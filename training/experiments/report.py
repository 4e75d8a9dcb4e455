"""The table of an experiment, and in words how each comparison came out."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.files import written_whole
from training.captured.dataset import DataSet
from training.captured.evaluation import likeness_table
from training.captured.likeness import FIGURES
from training.captured.metrics import spread, table, with_deviation

from .plans import Plan
from .published import Published, published
from .runs import JUDGED, Figures
from .statistics import LEVEL, paired

COLUMNS = (
    "lve_code", "fdd_code", "fdd_abs", "lve", "mve", "eve", "opening", "closure", "sync", "sync_r", "mtm", "mtm_met",
    "slcc", "diversity", "keys", "found",
)  # fmt: skip
MEANING = (
    "Lower is better but for sync_r, mtm_met (share of the true extrema that mtm is of) and slcc (as near as can be to"
    " the captured lips', {slcc}); keys: share of the frames that are key motions; found: share of them within a frame"
    " of one by the training's choice."
)
SEVERAL = (
    "{seeds} trainings each, with seeds of their own: mean ± standard deviation. p: the larger one of a permutation"
    " test over the sentences and a paired t-test over the seeds; from 0.05 on a difference is within noise. Each p is"
    " of its own comparison: of {tests} without any effect {chance:.1f} are expected below 0.05."
)
ONE = "One training each decides nothing: another seed can turn a difference round. Repeat with --seeds 5."
WORDS = {"lve_code": "LVE", "fdd_abs": "FDD (size)", "mve": "MVE"}


def write_report(
    out: Path,
    experiment: str,
    plan: Plan,
    data: DataSet,
    split: str,
    found: Mapping[str, Sequence[Figures]],
    reported: Mapping[str, Mapping[str, float]] | None = None,
) -> str:
    """Write OUT/table.md and OUT/results.json; → the text. `found`: by row the figures with every seed; `reported`:
    rows of figures that others report, shown as such."""
    known = published(experiment, data.name, split)
    spreads = {name: spread([figures.summary for figures in of_row]) for name, of_row in found.items()}
    figures = {name: means for name, (means, _) in spreads.items()}
    columns = [*COLUMNS, "LVE published", "FDD published"] if known else list(COLUMNS)
    rows: dict[str, dict[str, float | str]] = {
        name: {**with_deviation(*of_row), **_of_paper(known.get(name))} for name, of_row in spreads.items()
    }
    rows |= {name: dict(_of_paper(row)) for name, row in known.items() if name not in rows}
    rows |= {f"{name} (as reported)": dict(row) for name, row in (reported or {}).items()}
    seeds = max(map(len, found.values()))
    slcc = next(iter(figures.values())).get("slcc_true", float("nan"))
    lines = [f"# {plan.title}", "", f"{data.name}, split {split}, {data.fps:g} fps, vertices in {data.unit}.", ""]
    lines += [table(rows, columns), *(f"- {row.name}: {row.text}" for row in plan.rows), ""]
    lines += [MEANING.format(slcc=f"{slcc:.2f}" if isfinite(slcc) else "unknown"), ""]
    lines += [likeness_table(rows)] if likeness_table(rows) else []
    tests = len(plan.comparisons) * len(JUDGED)
    lines += [SEVERAL.format(seeds=seeds, tests=tests, chance=LEVEL * tests) if seeds > 1 else ONE, ""]
    if not known:
        lines += ["The published figures are of other data, so none stand beside these.", ""]
    lines += ["How it came out here:", ""]
    lines += [
        f"- {c.question}: {_direction(found[c.better], found[c.worse])}"
        + (f" {_papers(known[c.better], known[c.worse])}" if c.better in known and c.worse in known else "")
        for c in plan.comparisons
    ]
    text = "\n".join(lines) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    results = {
        "experiment": experiment,
        "data": data.name,
        "split": split,
        "figures": figures,
        "deviations": {name: deviations for name, (_, deviations) in spreads.items()},
        "seeds": {name: [dict(one.summary) for one in of_row] for name, of_row in found.items()},
        "reported": {name: dict(row) for name, row in (reported or {}).items()},
    }
    for name, content in (("table.md", text), ("results.json", json.dumps(results, indent=1) + "\n")):
        with written_whole(out / name) as partial:
            partial.write_text(content, encoding="utf-8")
    return text


def _of_paper(row: Published | None) -> dict[str, float]:
    return {} if row is None else {"LVE published": row.lve, "FDD published": row.fdd}


def _direction(first: Sequence[Figures], second: Sequence[Figures]) -> str:
    """How much lower or higher and whether that is more than chance, and in how many sentences LVE is lower."""
    tests = {name: paired(_values(first, name), _values(second, name)) for name in JUDGED}
    changes = ", ".join(f"{WORDS[name]} {test.words}" for name, test in tests.items())
    lve = tests["lve_code"]
    return f"{changes}; LVE is lower in {lve.lower} of {lve.sentences} sentences."


def _values(of_row: Sequence[Figures], name: str) -> np.ndarray:
    """(seeds, sentences)."""
    return np.array([figures.sentences[name] for figures in of_row])


def read_reported(path: Path) -> dict[str, dict[str, float]]:
    """Rows that others report, from a TOML file: a table a row, with figures by the names of ours."""
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); it is a TOML file with a table for each row.") from None
    for name, row in rows.items():
        unknown = [key for key in row if key not in (*COLUMNS, *FIGURES)] if isinstance(row, dict) else ["no table"]
        if unknown or not all(isinstance(value, int | float) for value in row.values()):
            raise InputError(
                f"{path}: the row {name} has {unknown[0] if unknown else 'a figure that is no number'}; figures are"
                f" {', '.join((*COLUMNS, *FIGURES))}."
            )
    return {name: {key: float(value) for key, value in row.items()} for name, row in rows.items()}


def _change(first: float, second: float) -> str:
    """How `first` compares with `second`, in words."""
    if not (isfinite(first) and isfinite(second)) or second == 0:
        return "cannot be told"
    share = (first - second) / abs(second)
    return "the same" if abs(share) < 0.0005 else f"{abs(share):.1%} {'lower' if share < 0 else 'higher'}"


def _papers(first: Published, second: Published) -> str:
    return f"(The paper: LVE {_change(first.lve, second.lve)}, FDD {_change(first.fdd, second.fdd)}.)"
