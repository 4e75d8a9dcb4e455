"""Settings are written once: every surface of the program has each of them, with one default and one range."""

import ast
import json
from pathlib import Path

import pytest

from kmtalk_core.command import cli
from kmtalk_core.command.arguments import add_setting
from kmtalk_core.command.batch.manifest import Line, read_line
from kmtalk_core.emotion import EMOTIONS
from kmtalk_core.errors import InputError
from kmtalk_core.finish.compose import HEARD
from kmtalk_core.finish.expression import EXPRESSIONS
from kmtalk_core.localization.keys import RULES
from kmtalk_core.request import Request
from kmtalk_core.service.protocol import Animate, decode_request, encode_request
from kmtalk_core.settings import EXPRESSIONS as EXPRESSION_CHOICES
from kmtalk_core.settings import (
    KEY_RULES,
    LANGUAGE_CHOICES,
    LOCALIZERS,
    Layers,
    Settings,
    Sliders,
    part_of,
    settings_of,
)

ALL = settings_of(Settings)
ROOT = Path(__file__).parent.parent


def other(setting):
    """An allowed value that is not the default."""
    if setting.choices is not None:
        return [*setting.choices][-1]
    return int(setting.low) + 7 if setting.whole else (setting.low + min(setting.high, 2 * setting.low + 3)) / 2 + 0.125


def wrong(setting):
    return "bored" if setting.choices is not None else setting.low - 1


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.name)
def test_every_surface_has_the_setting(setting, tmp_path):
    value, said = other(setting), str(other(setting))
    options = cli.build_parser().parse_args(["animate", "a.wav", "--out", "o.npz"])
    assert getattr(options, setting.name) == setting.default
    options = cli.build_parser().parse_args(["animate", "a.wav", "--out", "o.npz", f"{setting.option}={said}"])
    assert getattr(options, setting.name) == value
    assert getattr(read_line({"audio": "a.wav", setting.name: said}, "line 1", tmp_path), setting.name) == value
    assert getattr(read_line({"audio": "a.wav", setting.name: value}, "line 1", tmp_path), setting.name) == value
    _, message = decode_request(encode_request(1, Animate(audio="a", out="o", **{setting.name: value})))
    assert getattr(message, setting.name) == value
    assert getattr(Request(**{setting.name: value}), setting.name) == value
    defaults = {kind: getattr(kind(**given), setting.name) for kind, given in (
        (Request, {}), (Animate, {"audio": "a", "out": "o"}), (Line, {"audio": Path("a")})
    )}  # fmt: skip
    assert set(defaults.values()) == {setting.default}


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.name)
def test_every_surface_refuses_what_is_out_of_range(setting, tmp_path):
    value = wrong(setting)
    named = f"(?i){setting.words}"
    with pytest.raises(InputError, match=named):
        Request(**{setting.name: value})
    with pytest.raises(InputError, match=named):
        Request(**{setting.name: None})
    with pytest.raises(InputError, match=named):
        decode_request(json.dumps({"id": 1, "op": "animate", "audio": "a", "out": "o", setting.name: value}))
    with pytest.raises(InputError, match=setting.option):
        cli.build_parser().parse_args(["animate", "a.wav", "--out", "o.npz", f"{setting.option}={value}"])
    with pytest.raises(InputError, match=f"line 1: {setting.name}"):
        read_line({"audio": "a.wav", setting.name: str(value)}, "line 1", tmp_path)
    for number in ("nan", "inf", "1e999", "1/0", "", "۳"):
        with pytest.raises(ValueError):
            setting.parse(number)


def test_choices_are_what_the_modules_offer():
    assert tuple(EXPRESSION_CHOICES) == (*EXPRESSIONS, HEARD) == (*EMOTIONS, HEARD)
    assert {"auto", *RULES} == set(KEY_RULES)
    assert {"en", "any"} < set(LANGUAGE_CHOICES) and next(iter(LOCALIZERS)) == "auto"


def test_parts_and_the_whole():
    request = Request(jaw=0.5, seed=3)
    assert (request.sliders, request.layers) == (Sliders(jaw=0.5), Layers(seed=3))
    assert part_of(Sliders, request) == request.sliders


def test_a_new_slider_is_one_field_and_its_use():
    """Sliders are named where they are declared and where they are used, and nowhere in between."""
    names = {"intensity", "smoothing"}  # the others are words for other things, too
    naming: dict[str, set[str]] = {name: set() for name in names}
    for path in [*(ROOT / "kmtalk_core").rglob("*.py"), *(ROOT / "kmtalk_addon").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            # A name, an attribute, a keyword, a field, or a word by itself.
            for word in (getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "arg", None),
                         getattr(node, "value", None) if isinstance(node, ast.Constant) else None):  # fmt: skip
                if word in names:
                    naming[word].add(path.relative_to(ROOT).as_posix())
    users = {"kmtalk_core/finish/compose.py", "kmtalk_core/finish/contacts.py", "kmtalk_core/finish/report.py"}
    vertices = {"kmtalk_core/vertex_animator.py", "kmtalk_addon/vertex_cache.py"}  # of the intensity alone
    for name, files in naming.items():
        assert files - users - (vertices if name == "intensity" else set()) == {"kmtalk_core/settings.py"}, name


def test_help_says_sentence_range_and_default():
    parser = cli.Parser(prog="kmtalk")
    for setting in ALL:
        add_setting(parser, setting)
    text = " ".join(parser.format_help().split())
    for setting in ALL:
        assert setting.option in text
        assert setting.sentence.split(";")[0][1:] in text.replace("- ", "-")
    assert "strength of the jaw by itself, 0 to 2 (1)" in text


def test_languages_are_understood_as_tags():
    """BCP 47, as files and systems write them."""
    (language,) = (setting for setting in settings_of(Settings) if setting.name == "language")
    written = {"pt-BR": "pt-br", "en-GB": "en", "zh-CN": "cmn", "zh_Hant_TW": "cmn", "de-AT": "de", "sv": "sv"}
    assert {tag: language.parse(tag) for tag in written} == written
    with pytest.raises(ValueError, match="is unknown"):
        language.parse("xx-YY")
