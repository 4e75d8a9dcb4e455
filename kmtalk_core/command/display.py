"""What the command line tells on stderr while it works: a bar on a terminal, JSON lines if asked for, else nothing."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

BAR_WIDTH = 30  # characters
BAR_INTERVAL = 0.1  # seconds between two updates


class Display:
    """What the user sees on stderr: a bar on a terminal, nothing when piped, JSON lines if asked for."""

    def __init__(self, kind: str) -> None:
        self.json = kind == "json"
        self.bar = not self.json and sys.stderr.isatty()
        self.drawn_at = -math.inf
        self.told: dict[str, object] = {}

    @classmethod
    def wanted(cls, arguments: Sequence[str]) -> Display:
        """The one that a command line asks for, before it is parsed: wrong options are told as JSON too."""
        json_wanted = "--progress=json" in arguments or ("--progress", "json") in pairwise(arguments)
        return cls("json" if json_wanted else "auto")

    def __call__(self, fraction: float, message: str) -> None:
        """Show `fraction` (0…1) and what is being done."""
        if self.json:
            news: dict[str, object] = {"progress": round(fraction, 4), "message": message}
            if news != self.told:
                self.told = news
                self._line(news)
        elif self.bar and (fraction >= 1 or time.monotonic() - self.drawn_at >= BAR_INTERVAL):
            self.drawn_at = time.monotonic()
            filled = round(fraction * BAR_WIDTH)
            text = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {fraction:4.0%} {message}"
            _tell(f"\r{text[:78]:78}", end="")

    def span(self, start: float, end: float) -> Callable[[float, str], None]:
        """Return a progress function whose 0…1 is `start`…`end` here."""
        return lambda fraction, message: self(start + (end - start) * fraction, message)

    def warning(self, sentence: str) -> None:
        self._say("warning", f"warning: {sentence}", sentence)

    def warnings(self, *lists: Sequence[str]) -> None:
        """Tell every sentence once."""
        for sentence in dict.fromkeys(sentence for sentences in lists for sentence in sentences):
            self.warning(sentence)

    def error(self, sentence: str) -> None:
        self._say("error", sentence, sentence)

    def done(self, path: Path | str, summary: str) -> None:
        """Report the file that was written; silent when piped."""
        if self.json:
            self._line({"progress": 1.0, "message": summary, "result": str(path)})
        elif self.bar:
            self.clear()
            _tell(f"{path}: {summary}")

    def _say(self, kind: str, text: str, sentence: str) -> None:
        if self.json:
            self._line({kind: sentence})
        else:
            self.clear()
            _tell(f"kmtalk: {text}")

    def clear(self) -> None:
        """Take the bar off the terminal."""
        if self.bar and self.drawn_at > -math.inf:
            _tell(f"\r{'':78}\r", end="")
            self.drawn_at = -math.inf

    def _line(self, record: dict[str, object]) -> None:
        _tell(json.dumps(record, ensure_ascii=False))


def _tell(text: str, end: str = "\n") -> None:
    # Where the terminal was closed, or the reader of a pipe is gone, the work goes on, or ends in its own way.
    with suppress(OSError, ValueError):
        print(text, end=end, file=sys.stderr, flush=True)
