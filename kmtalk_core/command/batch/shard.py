"""Shards: every n-th line of a manifest, for farms that run one job on many machines. Each has a journal of its own."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """The lines whose place, counted from 1, is `number`, `number` + `count`, …"""

    number: int
    count: int

    @property
    def label(self) -> str:
        """What the names of its journal and reports have."""
        return f"{self.number}-of-{self.count}"

    def holds(self, place: int) -> bool:
        """Whether the line at `place`, counted from 0, is its own."""
        return place % self.count == self.number - 1


def shard(text: str) -> Shard:
    """Converter for the command line: "3/8"."""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no shard: write 1/8 to 8/8 for eight of them")
    return Shard(int(match[1]), int(match[2]))
