"""Addresses of files that lie elsewhere (s3://, gs://, sftp://, …); `stores` reads and writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.+")


@dataclass(frozen=True)
class Store:
    """A folder, or a file, at an `address`."""

    address: str

    def __truediv__(self, name: str) -> str:
        return f"{self.address.rstrip('/')}/{name}"

    def __str__(self) -> str:
        return self.address


def is_address(text: str) -> bool:
    """Whether a text is the address of something in a store rather than a path."""
    return _ADDRESS.fullmatch(text) is not None


def at(text: str) -> Path | Store:
    """Converter for the command line: a path, or an address."""
    return Store(text) if is_address(text) else Path(text)
