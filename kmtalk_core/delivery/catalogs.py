"""Catalogs of Blender's asset browser: one for each head, with the same number in every file that names it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

FILE = "blender_assets.cats.txt"  # which Blender looks for in the folder of a library
CATALOG = "Lip sync"
OF_CATALOGS = uuid.UUID("5d0f5d5e-4b7f-4c1e-9d53-6b6d74616c6b")  # from which each catalog's own number is made


def catalog_id(head: str) -> uuid.UUID:
    """The number of a head's catalog."""
    return uuid.uuid5(OF_CATALOGS, head)


def with_catalogs(text: str, heads: Iterable[str]) -> str:
    """The content of a file of catalogs, `text` ("" for none yet), with those of these heads; what is there stays."""
    lines = text.splitlines() or ["VERSION 1", ""]
    known = {line.partition(":")[0] for line in lines}
    for head in sorted(set(heads)):
        plain = "".join("-" if c in ":/\\\n" else c for c in head)
        if str(catalog_id(head)) not in known:
            lines.append(f"{catalog_id(head)}:{CATALOG}/{plain}:{CATALOG}-{plain}")
    return "\n".join(lines) + "\n"
