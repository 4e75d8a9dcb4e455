"""What a file of another tool holds, before it becomes an alignment."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Interval:
    """A label with its start and end in seconds; `where` says where in the file it is, for errors ("line 12")."""

    start: float
    end: float
    label: str
    where: str = ""


@dataclass(frozen=True)
class Track:
    """Phones, mouth shapes or words with times, as a file has them; `form` names the format.

    Of phones and mouths at most one is filled. `duration` is 0 where the file does not tell it. `warnings` are
    sentences about what the file leaves open; `others` names tiers that are neither phones nor words.
    """

    form: str
    phones: tuple[Interval, ...] = field(default=())
    words: tuple[Interval, ...] = field(default=())
    mouths: tuple[Interval, ...] = field(default=())
    duration: float = 0.0
    warnings: tuple[str, ...] = field(default=())
    others: tuple[str, ...] = field(default=())
