"""What the commands' options may be, and a parser whose errors are one line.

Options that are settings of a result come from `settings`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from ..errors import InputError
from ..settings import ENDLESS, MENU, Setting


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, as all errors of this command are.

    `describe` adds its options once they are asked for.
    """

    def __init__(self, *args: Any, describe: Callable[[Parser], None] | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self._describe = describe

    def described(self) -> Parser:
        """The parser itself, with all its options."""
        describe, self._describe = self._describe, None
        if describe is not None:
            describe(self)
        return self

    def parse_known_args(self, *args: Any, **more: Any) -> Any:
        """As `argparse` has it, with all options."""
        self.described()
        return super().parse_known_args(*args, **more)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see `{self.prog} --help`.")


def add_command(
    commands: Any, name: str, text: str, run: Callable[..., Any], describe: Callable[[Parser], None] | None = None
) -> Parser:
    """Add a command that `run` does to the subparsers `commands`, with the option that all commands share and those
    that `describe` adds."""
    sub: Parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", describe=describe)
    sub.add_argument("--progress", choices=("auto", "json"), default="auto", help="JSON lines on stderr if json")
    sub.set_defaults(run=run)
    return sub


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
