"""Runs the benchmark: experiments on each data set, costs, pictures; the report is written anew after every step.

Everything is kept where it was made, by what it was made from, so that the same command goes on where it stopped.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from kmtalk_core.checkpoint import load_checkpoint
from kmtalk_core.files import load_npz, save_text
from kmtalk_core.networks.method import load_method
from training.captured.dataset import CapturedClip, DataSet, KeyChoice
from training.captured.evaluation import VERTEX_ERRORS, predict
from training.captured.film import Stage
from training.captured.likeness import FIGURES as LIKENESS
from training.captured.metrics import table as markdown
from training.captured.training import Order, rehearse
from training.experiments.plans import Plan
from training.experiments.published import Published, published
from training.experiments.report import write_report
from training.experiments.runs import Bench, Figures, run_plan

from .charts import Bar, bars, curves
from .costs import SECONDS, Costs, costs
from .page import Block, Picture, write_page
from .shown import write_error_maps, write_film, write_sheet

TITLE = "KMTalk and the systems that it is compared with"
DRAWN = {
    "lve_code": "LVE (squared, as published)", "fdd_abs": "FDD (size)", "mve": "MVE", "opening": "error of the opening",
    **{name: name for name in LIKENESS},
}  # fmt: skip


@dataclass
class Section:
    """What is known of one data set. `experiments`: by name the blocks of its report."""

    bench: Bench
    name: str
    experiments: dict[str, list[Block]] = field(default_factory=dict)
    costs: dict[str, list[Costs]] = field(default_factory=dict)
    pictures: list[Block] = field(default_factory=list)


@dataclass(frozen=True)
class Wish:
    """What is to be run: plans by experiment for a data set, how many `films`, whether `costs` are measured on which
    `devices`, with so many `threads`."""

    plans: Callable[[DataSet], Mapping[str, Plan]]
    films: int
    devices: Sequence[str]
    threads: int


class Suite:
    """Benchmarks in RUN, a folder for each data set, and RUN/report.html, report.md and figures.csv."""

    def __init__(self, run: Path, benches: Mapping[str, Bench], wish: Wish) -> None:
        self._run, self._wish = run, wish
        self._sections = [Section(bench, name) for name, bench in benches.items()]
        self._figures: list[dict[str, object]] = []

    def rehearse(self) -> list[str]:
        """One step of each training, nothing kept or fetched: a line a stage."""
        lines = []
        for section in self._sections:
            done: set[str] = set()
            for plan in self._wish.plans(section.bench.data).values():
                for training in (row.training for row in plan.rows if row.training is not None):
                    if training.name in done:
                        continue
                    done.add(training.name)
                    with tempfile.TemporaryDirectory() as folder:
                        recipe = Path(folder) / "recipe.toml"
                        save_text(section.bench.recipe(training), recipe)
                        order = Order(recipe, section.bench.data.folder, Path(folder), device=section.bench.device)
                        lines += [f"{section.name}, {training.name}, {line}" for line in rehearse(order)]
        return lines

    def go(self) -> Path:
        """Everything; → report.html."""
        for section in self._sections:
            for experiment, plan in self._wish.plans(section.bench.data).items():
                self._experiment(section, experiment, plan)
        for section in self._sections:
            rows = self._wish.plans(section.bench.data).get("main")
            if rows is not None:
                self._measure(section, rows)
                self._paint(section, rows)
        return self._run / "report.html"

    # --- tables -------------------------------------------------------------------------------------------------------

    def _experiment(self, section: Section, experiment: str, plan: Plan) -> None:
        bench = section.bench

        def told(found: Mapping[str, Sequence[Figures]]) -> None:
            there = Plan(
                plan.title,
                tuple(row for row in plan.rows if row.name in found),
                tuple(c for c in plan.comparisons if _as_many(found, c.better, c.worse)),
            )
            text = write_report(bench.run / experiment, experiment, there, bench.data, bench.split, found)
            drawn = self._draw(section, experiment, found)
            section.experiments[experiment] = [text.replace("# ", "### ", 1), *drawn]
            self._figures = [f for f in self._figures if (f["data"], f["experiment"]) != (section.name, experiment)]
            self._figures += _figures(section.name, experiment, found)
            self._write()

        print(f"{section.name}: {plan.title}", file=sys.stderr)
        run_plan(bench, plan, experiment, told)

    def _draw(self, section: Section, experiment: str, found: Mapping[str, Sequence[Figures]]) -> list[Block]:
        bench = section.bench
        known = published(experiment, bench.data.name, bench.split)
        blocks: list[Block] = []
        for figure, title in DRAWN.items():
            rows = [
                Bar(name, [one.summary.get(figure, float("nan")) for one in of_row], _reported(known, name, figure))
                for name, of_row in found.items()
            ]
            if all(value != value for row in rows for value in row.values):
                continue
            path = bench.run / experiment / f"{figure}.svg"
            save_text(bars(title, rows), path)
            ring = "; ring: as published" if any(row.reported is not None for row in rows) else ""
            blocks.append(Picture(path, f"Mean, each seed a dot{ring}"))
        return blocks

    # --- costs and pictures -------------------------------------------------------------------------------------------

    def _measure(self, section: Section, plan: Plan) -> None:
        bench = section.bench
        (bench.run / "costs").mkdir(parents=True, exist_ok=True)
        for row in plan.rows if self._wish.devices else ():
            if row.training is None:
                continue
            checkpoint = bench.trained(row.training)
            recipe = checkpoint.with_name("recipe.toml")
            section.costs[row.name] = [
                costs(
                    checkpoint, recipe, bench.data.folder, device, bench.run / "costs" / f"{row.name}-{device}.json",
                    self._wish.threads,
                )
                for device in self._wish.devices
            ]  # fmt: skip
            self._write()

    def _paint(self, section: Section, plan: Plan) -> None:
        bench, pictures = section.bench, section.pictures
        (bench.run / "shown").mkdir(parents=True, exist_ok=True)
        trained = {row.name: bench.trained(row.training) for row in plan.rows if row.training is not None}
        for name, path in trained.items():
            pictures += _learning(bench.run / "shown", name, path.parent)
        if bench.data.faces is None:
            pictures.append("The faces of the mesh are not known, so nothing is painted.")
            return
        stage = Stage.of(bench.data)
        maps = bench.run / "shown" / "error_maps.png"
        errors = {row.name: bench.run / "main" / row.name / VERTEX_ERRORS for row in plan.rows}
        known = {name: load_npz(path)["mean"] for name, path in errors.items() if path.is_file()}
        write_error_maps(maps, stage, known)
        pictures.append(Picture(maps, "Mean error of every vertex over the split (as the paper's Fig. 4)"))
        self._write()
        for clip in bench.data.split(bench.split)[: self._wish.films]:
            self._paint_clip(section, stage, clip, trained)

    def _paint_clip(self, section: Section, stage: Stage, clip: CapturedClip, trained: Mapping[str, Path]) -> None:
        data, folder = section.bench.data, section.bench.run / "shown"
        checkpoints = {name: load_checkpoint(path) for name, path in trained.items()}
        mark = " ".join(f"{name}-{checkpoint.sha256}" for name, checkpoint in checkpoints.items())
        film, sheet, kept = (folder / f"{clip.name}{ending}" for ending in (".mp4", ".png", ".txt"))
        if not (film.is_file() and sheet.is_file() and kept.is_file() and kept.read_text(encoding="utf-8") == mark):
            made = {}
            for name, checkpoint in checkpoints.items():
                choice = KeyChoice(**checkpoint.config["keys"])
                device = torch.device(section.bench.device)
                made[name] = next(predict(load_method(checkpoint), data, [clip], choice, device)).vertices
            write_sheet(sheet, data, stage, clip, made)
            write_film(film, data, stage, clip, made)
            save_text(mark, kept)
        section.pictures += [
            Picture(sheet, f"{clip.name}: faces and errors in the middle of phones (as the paper's Fig. 3)"),
            Picture(film, f"{clip.name}: all systems side by side, errors below, with sound"),
        ]
        self._write()

    # --- the page -----------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        blocks: list[Block] = []
        for section in self._sections:
            bench = section.bench
            judged, learned = (len(bench.data.split(split)) for split in (bench.split, "train"))
            blocks.append(
                f"## {section.name}\n\n{bench.data.name}, split {bench.split}: {judged} sentences to judge, {learned}"
                f" to train with; configurations METHOD_{bench.scale}.toml, {bench.seeds} seed{'s' * (bench.seeds > 1)}"
                f"{'' if bench.epochs is None else f', {bench.epochs} epochs a stage'}."
            )
            for of_experiment in section.experiments.values():
                blocks += of_experiment
            if section.costs:
                blocks.append(_costs_table(section.costs))
            blocks += section.pictures
        write_page(self._run, TITLE, blocks)
        out = io.StringIO()
        writer = csv.DictWriter(out, ["data", "experiment", "row", "seed", "figure", "value"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._figures)
        save_text(out.getvalue(), self._run / "figures.csv")


def _as_many(found: Mapping[str, Sequence[Figures]], first: str, second: str) -> bool:
    """Whether two rows are there with the same number of seeds, or one of them with a single one."""
    counts = {len(found.get(name, ())) for name in (first, second)}
    return 0 not in counts and len(counts - {1}) <= 1


def _reported(known: Mapping[str, Published], name: str, figure: str) -> float | None:
    row = known.get(name)
    return None if row is None else {"lve_code": row.lve, "fdd_abs": row.fdd}.get(figure)


def _figures(data: str, experiment: str, found: Mapping[str, Sequence[Figures]]) -> list[dict[str, object]]:
    return [
        {"data": data, "experiment": experiment, "row": row, "seed": seed, "figure": figure, "value": value}
        for row, of_row in found.items()
        for seed, one in enumerate(of_row)
        for figure, value in one.summary.items()
    ]


def _learning(folder: Path, name: str, run: Path) -> list[Block]:
    """Losses over the steps, of training and validation, a picture a stage."""
    blocks: list[Block] = []
    for log in sorted(run.glob("*.jsonl")):
        records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        lines = {
            kind: [(record["step"], record[kind]) for record in records if kind in record]
            for kind in ("loss", "validation")
        }
        path = folder / f"{name}-{log.stem}.svg"
        if drawn := curves(f"{name}, {log.stem}", {kind: line for kind, line in lines.items() if line}):
            save_text(drawn, path)
            blocks.append(Picture(path, f"Training of {name}, stage {log.stem}"))
    return blocks


def _costs_table(found: Mapping[str, Sequence[Costs]]) -> str:
    rows: dict[str, dict[str, float | str]] = {}
    for name, of_row in found.items():
        for one in of_row:
            rows[f"{name}, {one.device}"] = {
                "million parameters": one.parameters,
                "inference, s": one.inference,
                "with localization, s": one.inference + one.localization,
                "× real time": SECONDS / (one.inference + one.localization),
                "training step, s": ", ".join(f"{stage} {seconds:.3g}" for stage, seconds in one.steps.items()),
                "memory of inference, MiB": one.inference_memory,
                "of training too, MiB": one.training_memory,
                "before any network, MiB": one.base_memory,
            }
    columns = list(next(iter(rows.values())))
    return (
        f"### What it costs\n\n{markdown(rows, columns)}\n{SECONDS:g} s of speech, the median of three runs, each"
        " system in a process of its own; with one thread its own time on the processor, else beside whatever else the"
        " machine did. Only KMTalk needs localization, which runs on the processor and counts in × real time. A"
        " training step has the recipe's batch. Memory is the peak, on a processor that of the whole process."
    )
