"""What the commands' options may be, and a parser whose errors are one line.

Options that are settings of a result come from `settings`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cached_property
from typing import Any, NoReturn

from ..errors import InputError
from ..settings import ENDLESS, MENU, Setting


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, as all errors of this command are."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see `{self.prog} --help`.")


class Command:
    """A command that `run` does, with the options that `describe` adds and the one that all commands share.

    It stands for its parser, which is made when the command is given: to make those of all takes time at every start.
    """

    def __init__(self, run: Callable[..., Any], describe: Callable[[Parser], None], **how: Any) -> None:
        self._run, self._describe, self._how = run, describe, how

    @cached_property
    def parser(self) -> Parser:
        """The parser of its options."""
        parser = Parser(**self._how)
        parser.add_argument("--progress", choices=("auto", "json"), default="auto", help="JSON lines on stderr if json")
        parser.set_defaults(run=self._run)
        self._describe(parser)
        return parser

    def parse_known_args(self, *args: Any, **more: Any) -> Any:
        """As `argparse` calls the parser."""
        return self.parser.parse_known_args(*args, **more)

    def _check_help(self, action: argparse.Action) -> None:
        """As `argparse` of Python 3.14 calls the parser, to see that the help can be told, which tests see."""


def no_options(parser: Parser) -> None:
    """Describe the options of a command that has none."""


def add_commands(parser: Parser) -> Callable[..., None]:
    """Have `parser` take commands; the function that comes back adds one: its name, what it does in words and by which
    function, and what describes its options."""
    kind: Any = Command  # argparse asks for no more than it has
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=kind)

    def add(name: str, text: str, run: Callable[..., Any], describe: Callable[[Parser], None] = no_options) -> None:
        commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", run=run, describe=describe)

    return add


def add_setting(sub: argparse.ArgumentParser, setting: Setting, with_default: bool = True) -> None:
    """Add the option of a setting; without its default, None says that it was not given."""
    choices, default = setting.choices, setting.default
    text = setting.sentence[0].lower() + setting.sentence[1:]
    if choices is None:
        text += f", {setting.range_in_words(' to ')}" * (setting.high < ENDLESS)
    elif len(choices) <= MENU:
        text += f": {setting.offer}"
    else:
        text += f": {', '.join([*choices][:MENU])}, …, {[*choices][-1]}"
    sub.add_argument(
        setting.option,
        type=converter(setting),
        default=default if with_default else None,
        metavar=setting.unit.upper() if len(setting.unit) == 1 else setting.name.rpartition("_")[2].upper(),
        help=f"{text} ({default if choices else format(default, 'g')})".replace("%", "%%"),
    )


def converter(setting: Setting) -> Callable[[str], float | int | str]:
    """A converter for what a user writes as the value of a setting, for argparse."""

    def convert(text: str) -> float | int | str:
        try:
            return setting.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def integer(low: int) -> Callable[[str], int]:
    """Return a converter for a whole number of at least `low`."""

    def convert(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < low:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {low}")
        return int(text)

    return convert
