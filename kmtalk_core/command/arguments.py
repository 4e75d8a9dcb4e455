"""What the commands' options may be: choices, ranges, and a parser whose errors are one line.

The choices are those of other modules, written down again so that `--help` answers without loading them; tests hold
them equal.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from ..errors import InputError

LOCALIZERS = ("auto", "pocketsphinx", "posterior", "whisper", "whisper-mfa", "uniform")
KEY_RULES = ("auto", "apexes", "boundaries", "both", "uniform")
BACKENDS = ("auto", "onnx", "torch")
WHISPER_DEVICES = ("auto", "cpu", "cuda", "mps")
EXPRESSIONS = ("neutral", "happy", "sad", "angry", "surprised")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, as all errors of this command are."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see `{self.prog} --help`.")


def add_command(commands: Any, name: str, text: str, run: Callable[..., Any]) -> argparse.ArgumentParser:
    """Add a command that `run` does to the subparsers `commands`, with the option that all commands share."""
    sub: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    sub.add_argument("--progress", choices=("auto", "json"), default="auto", help="JSON lines on stderr if json")
    sub.set_defaults(run=run)
    return sub


def number(low: float, high: float) -> Callable[[str], float]:
    """Return a converter for a number in `low`…`high`, fractions (24000/1001) too."""

    def convert(text: str) -> float:
        over, _, under = text.partition("/")
        try:
            value = float(over) / float(under or 1)
        except (ValueError, ZeroDivisionError):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is out of range: it must be {low:g} to {high:g}")
        return value

    return convert


def integer(low: int) -> Callable[[str], int]:
    """Return a converter for a whole number of at least `low`."""

    def convert(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < low:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {low}")
        return int(text)

    return convert


FPS = number(1, 240)  # frames a second, as the façade accepts
STRENGTH = number(0, 2)
