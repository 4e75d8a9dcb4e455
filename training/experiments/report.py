"""The table of an experiment, and in words how each comparison came out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path

from kmtalk_core.files import written_whole
from training.captured.dataset import DataSet
from training.captured.metrics import table

from .plans import Plan
from .published import Published, published
from .runs import Figures

COLUMNS = ("lve_code", "fdd_code", "fdd_abs", "lve", "mve", "opening", "closure", "sync", "sync_r", "keys", "found")
MEANING = (
    "Lower is better but for sync_r; keys: share of the frames that are key motions; found: share of them within a"
    " frame of one by the training's choice. One training each: small differences can be chance."
)
JUDGED = (("lve_code", "LVE"), ("fdd_abs", "FDD (size)"), ("mve", "MVE"))


def write_report(
    out: Path, experiment: str, plan: Plan, data: DataSet, split: str, found: Mapping[str, Figures]
) -> str:
    """Write OUT/table.md and OUT/results.json; → the text."""
    known = published(experiment, data.name, split)
    figures = {name: dict(row.summary) for name, row in found.items()}
    columns = [*COLUMNS, "LVE published", "FDD published"] if known else list(COLUMNS)
    rows: dict[str, dict[str, float]] = {
        name: {**of_row, **_of_paper(known.get(name))} for name, of_row in figures.items()
    }
    rows |= {name: _of_paper(row) for name, row in known.items() if name not in rows}
    lines = [f"# {plan.title}", "", f"{data.name}, split {split}, {data.fps:g} fps, vertices in {data.unit}.", ""]
    lines += [table(rows, columns), *(f"- {row.name}: {row.text}" for row in plan.rows), ""]
    lines += [MEANING, ""]
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
    results = {"experiment": experiment, "data": data.name, "split": split, "figures": figures}
    for name, content in (("table.md", text), ("results.json", json.dumps(results, indent=1) + "\n")):
        with written_whole(out / name) as partial:
            partial.write_text(content, encoding="utf-8")
    return text


def _of_paper(row: Published | None) -> dict[str, float]:
    return {} if row is None else {"LVE published": row.lve, "FDD published": row.fdd}


def _direction(first: Figures, second: Figures) -> str:
    """How much lower or higher, and in how many sentences LVE is lower: few sentences tell little."""
    changes = ", ".join(f"{label} {_change(first.summary[name], second.summary[name])}" for name, label in JUDGED)
    lower = sum(first.sentences[name] < second.sentences[name] for name in first.sentences)
    return f"{changes}; LVE is lower in {lower} of {len(first.sentences)} sentences."


def _change(first: float, second: float) -> str:
    """How `first` compares with `second`, in words."""
    if not (isfinite(first) and isfinite(second)) or second == 0:
        return "cannot be told"
    share = (first - second) / abs(second)
    return "the same" if abs(share) < 0.0005 else f"{abs(share):.1%} {'lower' if share < 0 else 'higher'}"


def _papers(first: Published, second: Published) -> str:
    return f"(The paper: LVE {_change(first.lve, second.lve)}, FDD {_change(first.fdd, second.fdd)}.)"
