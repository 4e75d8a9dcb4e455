"""What changed between two versions of a season, or of one line: in mm of the lips, and in words."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...files import save_text
from ...finish.contact_poses import lips_apart
from ...motion import Animation, VertexAnimation
from ...results import load_result
from .preview import other_words

SAME, CHANGED, GONE, NEW, OTHER = "same", "changed", "only in A", "only in B", "not comparable"
LEFT_OUT = re.compile(r"^\.|\.before\d+\.npz$")  # not whole yet; kept of results whose edits were carried over


@dataclass(frozen=True)
class Change:
    """How a result differs between A and B.

    `opening`: by how many mm at the most the lips are open otherwise, at the same time of the sound (with vertices
    alone, by how much a vertex is elsewhere, in the mesh's unit); `mean`: the mean of that over the time that both
    last; `at`: s of the former; `words`: words that were added, left out or changed; `keys`, `duration`: more in B,
    number and s.
    """

    out: str
    status: str
    opening: float = 0.0
    mean: float = 0.0
    at: float = 0.0
    words: int = 0
    keys: int = 0
    duration: float = 0.0

    @property
    def place(self) -> tuple[int, float, int, str]:
        """By this, the largest changes come first."""
        return ((CHANGED, OTHER, GONE, NEW, SAME).index(self.status), -self.opening, -self.words, self.out)


def differences(
    a: Path, b: Path, progress: Callable[[float, str], None] = lambda share, doing: None
) -> Iterator[Change]:
    """Compare two results, or all results of two folders by their names. Raises InputError for anything else."""
    if a.is_file() and b.is_file():
        yield compare(a, b, b.name)
        return
    for folder in (a, b):
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}; give two folders of `kmtalk batch`, or two results.")
    found = {path.relative_to(folder) for folder in (a, b) for path in folder.rglob("*.npz")}
    names = sorted(path.as_posix() for path in found if not LEFT_OUT.search(path.name))
    if not names:
        raise InputError(f"In {a} and {b} are no results; give two folders of `kmtalk batch`.")
    for number, name in enumerate(names, 1):
        progress(number / len(names), name)
        if not (a / name).is_file() or not (b / name).is_file():
            yield Change(name, NEW if not (a / name).is_file() else GONE)
            continue
        try:
            yield compare(a / name, b / name, name)
        except InputError:
            yield Change(name, OTHER)


def compare(a: Path, b: Path, name: str) -> Change:
    """Compare two results."""
    if a.stat().st_size == b.stat().st_size and a.read_bytes() == b.read_bytes():
        return Change(name, SAME)
    before, after = load_result(a), load_result(b)
    if type(before) is not type(after):
        return Change(name, OTHER)
    times, apart = _apart(before, after)
    words = [[word.label for word in result.alignment.words] for result in (before, after)]
    worst = int(apart.argmax()) if len(apart) else 0
    return Change(
        name,
        CHANGED,
        opening=round(float(apart.max(initial=0.0)), 3),
        mean=round(float(apart.mean()), 3) if len(apart) else 0.0,
        at=round(float(times[worst]), 3) if len(times) else 0.0,
        words=other_words(*words),
        keys=len(after.key_frames) - len(before.key_frames),
        duration=round(after.alignment.duration - before.alignment.duration, 3),
    )


def _apart(before: Animation | VertexAnimation, after: Animation | VertexAnimation) -> tuple[np.ndarray, np.ndarray]:
    """The times (n,) s that both have, and how far apart they are then."""
    times = before.times[before.times <= after.times[-1] + 1e-9]
    if isinstance(before, Animation) and isinstance(after, Animation):
        opening = [lips_apart(result.controls, result.control_names, result.lip_line) for result in (before, after)]
        return times, np.abs(opening[0][: len(times)] - np.interp(times, after.times, opening[1]))
    assert isinstance(before, VertexAnimation) and isinstance(after, VertexAnimation)
    if before.vertices.shape[1:] != after.vertices.shape[1:]:
        raise InputError("The meshes have different numbers of vertices.")
    nearest = np.abs(after.times[None] - times[:, None]).argmin(1)
    far = [
        np.linalg.norm(before.vertices[frame] - after.vertices[other], axis=1).max()
        for frame, other in enumerate(nearest)
    ]
    return times, np.array(far)


def write_changes(changes: list[Change], path: Path) -> None:
    """Write all changes as .csv or .json, the largest first."""
    rows = [asdict(change) for change in changes]
    if path.suffix.lower() == ".json":
        save_text(json.dumps({"changes": rows}, ensure_ascii=False, indent=1) + "\n", path)
        return
    text = io.StringIO()
    table = csv.DictWriter(text, [f.name for f in fields(Change)])
    table.writeheader()
    table.writerows(rows)
    save_text(text.getvalue(), path)


def summary_of(changes: list[Change]) -> str:
    """How many results came to what."""
    counts = Counter(change.status for change in changes)
    return ", ".join(f"{counts[status]} {status}" for status in (SAME, CHANGED, GONE, NEW, OTHER) if counts[status])
