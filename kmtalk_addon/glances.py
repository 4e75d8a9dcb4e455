"""What the panel shows of files and faces: looked up now and then, not at every redraw."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

LASTS = 1.0  # s that what was seen counts as true


@dataclass
class Glances:
    """What was seen lately."""

    _seen: dict[Hashable, tuple[float, Any]] = field(default_factory=dict)

    def at(self, key: Hashable, look: Callable[[], Any], lasts: float = LASTS) -> Any:
        """What `look` finds, or has found for this key a moment ago."""
        now = time.monotonic()
        seen = self._seen.get(key)
        if seen is None or now - seen[0] > lasts:
            self._seen = {k: s for k, s in self._seen.items() if now - s[0] <= lasts}
            seen = self._seen[key] = (now, look())
        return seen[1]

    def forget(self) -> None:
        """Look again."""
        self._seen.clear()
