"""Every setting, written once: name, default, range or choices, unit, and one sentence about it.

The command line, the columns of a manifest, the worker's messages, `Request`, and Blender's properties are made from
the fields here, and all of them check values by `Setting`. A new slider is one more field of `Sliders`, and its use in
`finish`. Nothing heavy is imported: `kmtalk --help` reads this.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from numbers import Integral, Real
from typing import Any, TypeVar

from .errors import InputError
from .tongues import LANGUAGES, from_tag

T = TypeVar("T")
Choices = Mapping[str, tuple[str, str]]  # value → what a menu calls it, and a sentence about it

LOCALIZERS: Choices = {
    "auto": ("Automatic", "With text: align it to the sound. Without: hear the words, and align these"),
    "whisper": ("Whisper", "Without a text, take the words that your own Whisper hears; you install it"),
    "whisper-mfa": ("Whisper + MFA", "As in the paper: Whisper and the Montreal Forced Aligner; you install both"),
    "pocketsphinx": ("PocketSphinx", "Align the text, or recognise the words first; English"),
    "posterior": ("Model", "Without a text, the phones that the model hears, no words; any language"),
    "uniform": ("Uniform", "Key motions at even distances, whatever is said"),
}
KEY_RULES: Choices = {
    "auto": ("Automatic", "Apexes; for a checkpoint at paper scale, what it was trained with"),
    "apexes": ("Apexes", "One key motion for each phone, where it is reached: the fewest keys, the easiest to edit"),
    "boundaries": ("Boundaries", "Key motions where phones begin and end, as in the paper"),
    "both": ("Both", "Key motions at apexes and boundaries"),
    "uniform": ("Uniform", "Key motions at even distances, a third of all frames"),
}
EXPRESSIONS: Choices = {
    name: (name.capitalize(), f"A {name} face that speaks")
    for name in ("neutral", "happy", "sad", "angry", "surprised")
} | {"heard": ("As Heard", "What is guessed from voice and words, as far as it is sure")}
EMOTION_GUESSES: Choices = {
    "on": ("On", "Guess from voice and words whether somebody is happy, sad, angry or surprised"),
    "off": ("Off", "Guess nothing"),
}
VOCAL_SOUNDS: Choices = {
    "move": ("Move", "Laughs open and shake, breaths part the lips, effort clenches"),
    "rest": ("Rest", "The mouth rests in them"),
}
STYLES: Choices = {
    "neutral": ("Neutral", "As the model speaks"),
    "lively": ("Lively", "Opens wide and moves fast"),
    "mumbling": ("Mumbling", "Hardly opens the mouth"),
    "precise": ("Precise", "Reaches every sound, and clearly"),
}
STYLE_ENDING = ".style"  # of files that `kmtalk learn-style` writes
CURVES: Choices = {
    "sparse": ("Sparse", "As few keys as keep every control within 1.5 %, with handles; contacts are exact"),
    "frames": ("Every Frame", "A key on every frame"),
}
LANGUAGE_CHOICES: Choices = {
    code: (name.capitalize() if code == "any" else name, f"The text is {name}" if code != "any" else "Use no text")
    for code, name in LANGUAGES.items()
}
ENDLESS = 2**31 - 1  # the largest whole number that Blender keeps
# Of this computer, not of a result.
BACKENDS = ("auto", "onnx", "torch")  # what runs the networks
WHISPER_DEVICES = ("auto", "cpu", "cuda", "mps")
MENU = 8  # choices that a help text lists


@dataclass(frozen=True)
class Setting:
    """One setting: a number from `low` to `high`, whole if the default is, or one of `choices`.

    Beside `choices`, a file whose name ends in `ending` may be named, where that is not "".

    `label` is what a panel calls it and `noun` what a sentence does, "" for its name; `sentence` says what it does,
    without a full stop; `unit` is "" for a strength.
    `usual`: the range that a panel's slider shows, None: all of it. `meant`: other writings of a choice → the choice.
    """

    name: str
    default: float | int | str
    label: str
    sentence: str
    low: float = 0.0
    high: float = math.inf
    unit: str = ""
    noun: str = ""
    choices: Choices | None = None
    ending: str = ""
    usual: tuple[float, float] | None = None
    meant: Callable[[str], str] | None = None

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are allowed."""
        return isinstance(self.default, int)

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def words(self) -> str:
        """What a sentence calls it."""
        return self.noun or self.name.replace("_", " ")

    def check(self, value: object) -> None:
        """Raise InputError unless `value` is allowed."""
        if self._allows(value):
            return
        if self.choices is not None:
            raise InputError(f"There is no {self.words} {value!r:.40}; choose {self.offer}.")
        number = "a whole number " * self.whole
        raise InputError(
            f"{self.words.capitalize()} must be {number}between {self.range_in_words(' and ')}, not {value!r:.40}."
        )

    def parse(self, text: str) -> float | int | str:
        """The value that a user has written; fractions (24000/1001) too. Raises ValueError, whose text says why."""
        value: float | int | str = text if self.meant is None else self.meant(text)
        if self.choices is None:
            over, _, under = text.partition("/")
            try:
                text.encode("ascii")
                value = int(text) if self.whole else float(over) / float(under or 1)
            except (ValueError, ZeroDivisionError, OverflowError):
                raise ValueError(f"{text[:40]!r} is not a {'whole ' * self.whole}number") from None
        if self._allows(value):
            return value
        if self.choices is not None:
            raise ValueError(f"{text[:40]!r} is unknown; choose from {self.offer}")
        raise ValueError(f"{text[:40]} is out of range: it must be {self.range_in_words(' to ')}")

    def _allows(self, value: object) -> bool:
        if self.choices is not None:
            return isinstance(value, str) and (value in self.choices or self.names_file(value))
        right = isinstance(value, Integral if self.whole else Real) and not isinstance(value, bool)
        return right and self.low <= value <= self.high  # type: ignore[operator]

    def names_file(self, value: str) -> bool:
        """Whether an allowed `value` names a file instead of a choice."""
        return bool(self.ending) and value not in (self.choices or ()) and value.lower().endswith(self.ending)

    @property
    def offer(self) -> str:
        """What can be chosen, as a list."""
        return ", ".join(self.choices or ()) + f" or a {self.ending} file" * bool(self.ending)

    def range_in_words(self, to: str) -> str:
        """The range, with `to` in between, and the unit."""
        return f"{self.low:g}{to}{self.high:.10g}{self.unit and ' ' + self.unit}"


def _setting(default: Any, label: str, sentence: str, **more: Any) -> Any:
    """A field that is a setting."""
    return dataclasses.field(default=default, metadata={"label": label, "sentence": sentence, **more})


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """Raises InputError for a value that its setting does not allow."""

    def __post_init__(self) -> None:
        for setting in settings_of(type(self)):
            setting.check(getattr(self, setting.name))


@dataclass(frozen=True, kw_only=True)
class LocalizerSettings(_Checked):
    """How phones are found."""

    localizer: str = _setting("auto", "Phones by", "How the phones are found", choices=LOCALIZERS)
    language: str = _setting(
        "en",
        "Language",
        "Language of the text; without one, English stands for the language that is heard",
        choices=LANGUAGE_CHOICES,
        meant=from_tag,
    )
    emotion_guess: str = _setting(
        "on", "Guess emotion", "Whether it is guessed how the line is spoken", choices=EMOTION_GUESSES
    )


@dataclass(frozen=True, kw_only=True)
class KeyRuleSettings(_Checked):
    """Which instants may become key motions; the motion is posed at all of them."""

    key_rule: str = _setting("auto", "Key rule", "Which instants become key motions", choices=KEY_RULES)


@dataclass(frozen=True, kw_only=True)
class KeyDensitySettings(_Checked):
    """How many of these instants become key motions. Moving it needs no inference (see `finish.density`)."""

    key_density: float = _setting(
        0.375,
        "Key density",
        "Share of these instants that become key motions; fewer are easier to edit, and the motion stays the same",
        high=1.0,
    )


@dataclass(frozen=True, kw_only=True)
class KeySettings(KeyDensitySettings, KeyRuleSettings):  # the last one's fields come first
    """Which instants become key motions."""


@dataclass(frozen=True, kw_only=True)
class Sliders(_Checked):
    """How the completed speech motion is worn. Moving one needs no inference (see `finish`)."""

    style: str = _setting(
        "neutral", "Style", "Whose way of speaking, see docs/style.md", choices=STYLES, ending=STYLE_ENDING
    )
    intensity: float = _setting(
        1.0, "Intensity", "Strength of the speech movement; lips go on closing at p, b and m", high=2.0
    )
    jaw: float = _setting(1.0, "Jaw", "Strength of the jaw by itself", high=2.0)
    lips: float = _setting(1.0, "Lips", "Strength of the lips by themselves", high=2.0)
    emphasis: float = _setting(
        1.0, "Emphasis", "How far loudness, pitch and voice quality make words bigger, smaller and tense", high=2.0
    )
    smoothing: float = _setting(0.0, "Smoothing", "Calms the movement; contacts stay", high=1.0)
    offset: float = _setting(
        0.0,
        "Offset",
        "By how much the face is later than the sound, earlier where negative; key motions go along",
        low=-1.0,
        high=1.0,
        unit="s",
        usual=(-0.25, 0.25),
    )


@dataclass(frozen=True, kw_only=True)
class Layers(_Checked):
    """What moves besides the speech; see docs/upper_face.md."""

    upper_face: float = _setting(
        1.0, "Upper face", "Strength of brows and gaze; at 0 there are no blinks either", high=2.0
    )
    head: float = _setting(1.0, "Head", "Strength of the head's motion; 0 holds it still", high=2.0)
    expression: str = _setting("neutral", "Expression", "What the whole face expresses", choices=EXPRESSIONS)
    expression_strength: float = _setting(1.0, "Strength", "How much of the expression", high=1.0)
    vocal_sounds: str = _setting(
        "move", "Laughs etc.", "What the face does in laughs, breaths, coughs and the like", choices=VOCAL_SOUNDS
    )
    seed: int = _setting(0, "Seed", "Another seed gives other blinks, brow and head movements", high=ENDLESS)


@dataclass(frozen=True, kw_only=True)
class CurveSettings(_Checked):
    """How curves are drawn where somebody edits them; a result itself holds every frame."""

    curves: str = _setting("sparse", "Curves", "Which keys the curves have between key motions", choices=CURVES)


@dataclass(frozen=True, kw_only=True)
class LineSettings(Layers, Sliders, KeySettings, LocalizerSettings):  # the last one's fields come first
    """All that may be set of a line of dialogue, whatever it is animated for."""


@dataclass(frozen=True, kw_only=True)
class Settings(LineSettings):
    """All settings of a result."""

    fps: float = _setting(
        30.0,
        "Frame rate",
        "Frames a second, fractions like 24000/1001 too",
        low=1.0,
        high=240.0,
        unit="frames/s",
        noun="frame rate",
    )


def settings_of(*kinds: type) -> tuple[Setting, ...]:
    """The settings among the fields of these dataclasses, in their order."""
    return tuple(setting for kind in kinds for setting in _settings_of(kind))


@cache  # each object of these dataclasses asks
def _settings_of(kind: Any) -> tuple[Setting, ...]:
    return tuple(
        Setting(name=field.name, **{"default": field.default, **field.metadata})
        for field in fields(kind)
        if "sentence" in field.metadata
    )


def part_of(kind: type[T], settings: object) -> T:
    """Those of `settings`, which has them all, that the dataclass `kind` has."""
    return kind(**{f.name: getattr(settings, f.name) for f in fields(kind)})  # type: ignore[arg-type]


def known_fields(kind: type, values: Mapping[str, object]) -> dict[str, Any]:
    """Those of `values` that the dataclass `kind` has: files of later versions may hold more."""
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    return {name: value for name, value in values.items() if name in names}
