"""Figures as markdown, with their aims, and as a JSON file that the model card is written from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.files import written_whole

from .measures import Figures

Aim = tuple[str, Callable[[float], bool]]


def at_least(limit: float) -> Aim:
    return f"≥ {limit:g}", lambda value: round(value, 3) >= limit


def at_most(limit: float) -> Aim:
    return f"≤ {limit:g}", lambda value: round(value, 3) <= limit


# What an animator would keep: speech as it is, and the face alive.
SHARED_AIMS: dict[str, Aim] = {
    "aperture90": ("8–14", lambda value: 8.0 <= round(value, 2) <= 14.0),
    "lag_ms": ("−17–17", lambda value: abs(round(value, 1)) <= 17.0),
    "jitter": at_most(0.08),
    "lip_speed": at_most(0.4),
    "blinks": ("10–25", lambda value: 10.0 <= round(value, 1) <= 25.0),
}
AIMS: dict[str, dict[str, Aim]] = {
    "with": {
        "bilabial": at_least(0.98), "labiodental": at_least(0.95), "silence": at_least(0.99),
        "open_auc": at_least(0.97), "round_auc": at_least(0.95), "openness_r": at_least(0.90), **SHARED_AIMS,
    },
    "without": {
        "bilabial": at_least(0.85), "labiodental": at_least(0.85), "silence": at_least(0.98),
        "open_auc": at_least(0.95), "round_auc": at_least(0.85), "openness_r": at_least(0.85), **SHARED_AIMS,
    },
}  # fmt: skip
FIGURES = (
    "aperture90", "bilabial", "labiodental", "silence", "open_auc", "round_auc", "openness_r", "lag_ms", "jitter",
    "lip_speed", "blinks",
)  # fmt: skip
DIGITS = {"aperture90": 2, "lag_ms": 1, "blinks": 1}


def head(first: str = "") -> str:
    """The first two lines of a table of figures."""
    return f"| {first} | {' | '.join(FIGURES)} |\n|---{'|---' * len(FIGURES)}|"


def row(name: str, figures: Mapping[str, float], aims: Mapping[str, Aim] | None = None) -> str:
    """One line; figures that miss their aim are in bold."""
    cells = []
    for figure in FIGURES:
        value = figures[figure]
        text = "–" if np.isnan(value) else f"{value:.{DIGITS.get(figure, 3)}f}".replace("-", "−")
        missed = aims is not None and figure in aims and not np.isnan(value) and not aims[figure][1](value)
        cells.append(f"**{text}**" if missed else text)
    return f"| {name} | {' | '.join(cells)} |"


def aims_row(kind: str) -> str:
    """The aims `with` or `without` transcript, as a line of the table."""
    return f"| *aims {kind} transcript* | {' | '.join(AIMS[kind].get(figure, ('',))[0] for figure in FIGURES)} |"


def record(path: Path | None, section: str, rows: Mapping[str, Figures]) -> None:
    """Put `rows` under `section` into the JSON file `path`, beside the other sections; nothing if `path` is None."""
    if path is None:
        return
    content = read_records(path) if path.is_file() else {}
    content[section] = {
        name: {figure: None if np.isnan(value) else round(value, 4) for figure, value in figures.items()}
        for name, figures in rows.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_records(path: Path) -> dict[str, dict[str, Figures]]:
    """Section → row → figure → value (NaN where there was none). Raises InputError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            section: {
                name: {figure: np.nan if value is None else float(value) for figure, value in figures.items()}
                for name, figures in rows.items()
            }
            for section, rows in content.items()
        }
    except FileNotFoundError:
        raise InputError(f"There are no results {path}; measure first, with --json {path}.") from None
    except (OSError, ValueError, AttributeError, TypeError):
        raise InputError(f"{path} holds no results of the benchmarks; measure again, with --json {path}.") from None
