"""Where files lie that can be made again at any time."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """KMTalk's folder in the user's cache, which need not exist; whoever deletes it loses some seconds."""
    if named := os.environ.get("XDG_CACHE_HOME"):
        return Path(named) / "kmtalk"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "kmtalk" / "Cache"
    home = Path.home()
    return (home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache") / "kmtalk"
