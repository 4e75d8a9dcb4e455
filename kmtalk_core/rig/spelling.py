"""Names of shape keys, made comparable: any case and separators, sides spelled L, left or _l anywhere, prefixes."""

from __future__ import annotations

import re
from collections.abc import Iterator

SIDES = {"l": "left", "r": "right", "lt": "left", "rt": "right", "left": "left", "right": "right"}
FOLLOWING = {"ctrl", "sk", "div", "shape", "key", "morph", "exp"}  # words after a name that say nothing
SHORT = 3  # letters: such a name is told by its end only behind one of PREFIXES
PREFIXES = ("vrc", "blendshape", "face", "head", "mth", "mouth", "ex", "fcl", "morph", "body", "viseme", "phoneme")


def words_of(name: str) -> list[str]:
    """The words of a name, in small letters; sides as left and right."""
    words = [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+", name)]
    return [SIDES.get(word, word) for word in words]


def spelled(name: str) -> str:
    """The one spelling that all spellings of a name share."""
    return _joined(words_of(name))


def spellings(name: str) -> Iterator[str]:
    """What a name may be, the plainest first: without duplicates' numbers, words behind it, and prefixes."""
    words = words_of(re.sub(r"\.\d{3}$", "", name))
    yield _joined(words)
    while len(words) > 1 and (words[-1] in FOLLOWING or (words[-1].isdigit() and words[-2] in FOLLOWING)):
        words = words[:-1]
        yield _joined(words)
    for start in range(1, len(words)):
        rest = words[start:]
        if len("".join(rest)) <= SHORT and words[start - 1] not in PREFIXES and not words[start - 1].isdigit():
            continue
        yield _joined(rest)
    sided = [place for place, word in enumerate(words) if word in ("left", "right")]
    if len(sided) == 1 and sided[0] < len(words) - 1:  # the side is in front: L_mouthSmile
        rest = words[sided[0] + 1 :]
        for start in range(len(rest)):
            if len("".join(rest[start:])) > SHORT:
                yield "".join(rest[start:]) + words[sided[0]]


def _joined(words: list[str]) -> str:
    """The words as one; the only side among them, wherever it stands, comes last."""
    sided = [word for word in words if word in ("left", "right")]
    if len(sided) != 1 or words[-1] in ("left", "right"):
        return "".join(words)
    return "".join(word for word in words if word not in ("left", "right")) + sided[0]
