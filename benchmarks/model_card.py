"""`python -m benchmarks.model_card`: the model card's figures, written from measured results, never by hand.

`benchmarks.judge`, `.robustness` and `.ablations` put their results into one file (`--json`). From it comes the text
between the lines BEGIN and END of the card; `--card` writes it there, without it the text is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.files import written_whole

from .judge import guarded
from .measures import STILLNESS, Figures
from .table import DIGITS, FIGURES, read_records

BEGIN, END = "<!-- figures: written by benchmarks.model_card -->", "<!-- end of figures -->"
SETS = {
    "dev": "Nine clips of three speakers that development looked at (seven of the LJ speaker, whose other recordings"
    " were trained on); true transcripts",
    "held-out": "Clips of as many LibriSpeech speakers that were never trained on; Whisper's"
    " transcripts, doubtful ones left out",
}
HEARD = ("with transcript", "without transcript")
SHORT = ("bilabial", "labiodental", "silence", "open_auc", "round_auc", "openness_r", "jitter")  # of the longer tables
ABLATED = "What each part contributes"

Records = Mapping[str, Mapping[str, Figures]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_card", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="results file of the other benchmarks")
    parser.add_argument("--card", type=Path, help="model card to write the figures into (default: print them)")
    options = parser.parse_args()
    return guarded(parser.prog, lambda: write(options.json, options.card))


def write(results: Path, card: Path | None) -> None:
    """Print the figures of `results`, or put them into `card`, whole or not at all. Raises InputError."""
    text = section(read_records(results))
    if card is None:
        print(text)
        return
    try:
        before = card.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{card} cannot be read ({error.strerror}); check --card.") from None
    with written_whole(card) as partial:
        partial.write_text(replaced(before, text), encoding="utf-8")


def replaced(card: str, text: str) -> str:
    """`card` with `text` between its two marks. Raises InputError if they are missing."""
    head, begin, rest = card.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise InputError(f"The card has no place for figures; put the lines {BEGIN} and {END} where they belong.")
    return f"{head}{BEGIN}\n{text}\n{END}{tail}"


def section(records: Records) -> str:
    """All tables that `records` has results for, as markdown."""
    parts = ["Judged from the vertices of a head alone, 30 frames a second; `docs/evaluation.md` explains each figure."]
    for name, about in SETS.items():
        if name in records:
            parts.append(f"{about}:\n\n{table('', records[name], FIGURES)}")
    for kind in HEARD:
        rows = records.get(f"robustness {kind}")
        if rows:
            parts.append(
                f"Other conditions, {kind} (a third of the held-out clips; other languages are short synthetic"
                f" samples):\n\n{table('', rows, SHORT)}"
                if kind == HEARD[1]
                else f"Other conditions, {kind} (a third of the held-out clips):\n\n{table('', rows, SHORT)}"
            )
    if "nobody speaks" in records:
        parts.append(
            "Nobody speaks: the gap between the lips (standard deviation and maximum, mm), the share of frames with"
            f" more than 2 mm, and blinks a minute:\n\n{table('', records['nobody speaks'], STILLNESS)}"
        )
    for kind in HEARD:
        if rows := records.get(f"ablations {kind}"):
            parts.append(f"{ABLATED}, {kind} (held-out clips):\n\n{table('', rows, SHORT)}")
    if len(parts) == 1:
        raise InputError("The results hold nothing for the card; run benchmarks.judge with --json first.")
    return "\n\n".join(parts)


def table(first: str, rows: Mapping[str, Figures], names: Iterable[str]) -> str:
    """Markdown: one line for each row, two digits unless a figure has its own."""
    names = list(names)
    lines = [f"| {first} | {' | '.join(names)} |", f"|---{'|---' * len(names)}|"]
    for name, figures in rows.items():
        cells = (_cell(figures.get(each, np.nan), min(DIGITS.get(each, 2), 2)) for each in names)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: float, digits: int) -> str:
    return "–" if np.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


if __name__ == "__main__":
    raise SystemExit(main())
