"""Bézier curves over time, and sampled curves as the few keys of smooth ones that stay within a tolerance.

A fitted curve goes through its keys, and its slope is continuous there. The handles of a key lie a third of the way to
its neighbours, so between two keys the curve is a cubic polynomial of time. The slopes at all keys are the best in the
sense of least squares; keys are added where a sample is missed most (Schneider 1990), and taken away again wherever the
others suffice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PROBES = 3  # samples between two keys that tell a slope well; with fewer, it leans on the slope of the samples
LEANING = 1e-3  # how much it does, against a sample missed by the whole tolerance
PHASES = 3  # of neighbouring keys, one is tried to be left out at a time
ROUNDS = 2  # in which keys are left out
ATTEMPTS = 40  # to put back what was left out too many
NEWTON, HALVINGS = 4, 40  # steps to where a curve reaches a position, and steps that always end there
SAME = 1e-3  # of the distance between two samples: keys closer to one are on it
SLACK = 1.001  # times its tolerance a sample may be missed by a curve that is kept


@dataclass(frozen=True)
class BezierCurve:
    """Keys `points` (k, 2), position and value, positions ascending, with their `left` and `right` handles (k, 2).

    Constant before the first key and after the last one. A handle never reaches beyond the next key.
    """

    points: np.ndarray
    left: np.ndarray
    right: np.ndarray

    def at(self, positions: np.ndarray) -> np.ndarray:
        """(n,) values at `positions` (n,)."""
        ends = self.points[[0, -1], 0]
        where = np.clip(positions, *ends)
        if len(self.points) == 1:
            return np.full(len(where), self.points[0, 1])
        key = np.clip(np.searchsorted(self.points[:, 0], where, side="right") - 1, 0, len(self.points) - 2)
        from_key, to_key = self.points[key], self.points[key + 1]
        out, back = self.right[key] - from_key, self.left[key + 1] - to_key
        width = to_key[:, 0] - from_key[:, 0]
        for handle in (out, back):  # as Blender shortens handles that are longer than the way to the next key
            handle *= np.minimum(width / np.maximum(np.abs(handle[:, 0]), 1e-12), 1.0)[:, None]
        share = _share((where - from_key[:, 0]) / width, out[:, 0] / width, 1.0 + back[:, 0] / width)
        return _between(share, from_key[:, 1], from_key[:, 1] + out[:, 1], to_key[:, 1] + back[:, 1], to_key[:, 1])


def smooth_curve(positions: np.ndarray, values: np.ndarray, slopes: np.ndarray) -> BezierCurve:
    """The curve through keys at `positions` (k,) with `values` (k,) and `slopes` (k,), the value's change for each unit
    of position."""
    gaps = np.diff(positions) / 3 if len(positions) > 1 else np.full(1, 1 / 3)
    points, along = np.stack([positions, values], 1), np.stack([np.ones(len(positions)), slopes], 1)
    before, after = (np.concatenate(some)[: len(positions), None] for some in ((gaps[:1], gaps), (gaps, gaps[-1:])))
    return BezierCurve(points, points - before * along, points + after * along)


def fit_curves(
    positions: np.ndarray, samples: np.ndarray, tolerance: np.ndarray, keyed: np.ndarray
) -> list[BezierCurve]:
    """C curves that miss none of the `samples` (n, C) at `positions` (n,), ascending, by more than `tolerance` (n, C).

    Every sample of `keyed` (n, C) bool becomes a key, so do the first and the last one; of all others as few as this
    finds. A key has the value of its sample, exactly.
    """
    return _fitted(positions, samples, tolerance, keyed, np.full(samples.shape, np.nan))


def mend_curves(
    positions: np.ndarray,
    samples: np.ndarray,
    tolerance: np.ndarray,
    keyed: np.ndarray,
    before: Sequence[BezierCurve | None],
) -> list[BezierCurve]:
    """As `fit_curves`, but what is right of the curves of `before` is kept as it is, with keys and handles.

    New keys come only where a sample is missed, or a key of `keyed` is, and up to the next keys that are kept.
    """
    kept = [_right(positions, samples[:, c], tolerance[:, c], keyed[:, c], curve) for c, curve in enumerate(before)]
    spoilt = np.flatnonzero(np.any([~right for right, _ in kept], axis=0))
    if not len(spoilt):
        return list(before)  # type: ignore[arg-type]  # a missing curve is spoilt everywhere
    last = len(positions) - 1
    sides = [_beside(rows, spoilt[0], spoilt[-1], last) for _, rows in kept]
    begin, end = min(low for low, _ in sides), max(high for _, high in sides)
    here = slice(begin, end + 1)
    wanted, far, slopes = keyed[here].copy(), tolerance[here].copy(), np.full(keyed[here].shape, np.nan)
    for c, (low, high) in enumerate(sides):
        curve = before[c]
        for row, handles in ((low, "right"), (high, "left")):
            if curve is not None and row in kept[c][1]:
                key = int(np.abs(curve.points[:, 0] - positions[row]).argmin())
                wanted[row - begin, c] = True
                run, rise = getattr(curve, handles)[key] - curve.points[key]
                slopes[row - begin, c] = rise / run if abs(run) > 1e-9 else 0.0
        far[: low - begin, c] = far[high - begin + 1 :, c] = np.inf
        wanted[: low - begin, c] = wanted[high - begin + 1 :, c] = False
    fresh = _fitted(positions[here], samples[here], far, wanted, slopes)
    return [
        new if (old := before[c]) is None else _joined(old, new, *positions[list(sides[c])])
        for c, new in enumerate(fresh)
    ]


def _fitted(
    positions: np.ndarray, samples: np.ndarray, tolerance: np.ndarray, keyed: np.ndarray, slopes: np.ndarray
) -> list[BezierCurve]:
    """`fit_curves`, with `slopes` (n, C) that keys must have where they are not NaN."""
    if len(positions) == 1:
        return [smooth_curve(positions, samples[:, c], np.zeros(1)) for c in range(samples.shape[1])]
    fit = _Fit(positions, samples.T.astype(np.float64), np.maximum(tolerance.T, 1e-9).astype(np.float64), slopes.T)
    fixed = keyed.T.copy()
    fixed[:, [0, -1]] = True
    keys = fixed.copy()
    fit.add(keys)
    fit.leave_out(keys, fixed)
    found = fit.slopes(keys)
    own = [np.flatnonzero(row) for row in keys]
    return [smooth_curve(positions[rows], samples[rows, c], found[c, rows]) for c, rows in enumerate(own)]


def _right(
    positions: np.ndarray, samples: np.ndarray, tolerance: np.ndarray, keyed: np.ndarray, curve: BezierCurve | None
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) bool at which positions a curve is as it should be, and the rows of its keys there."""
    if curve is None:
        return np.zeros(len(positions), bool), np.zeros(0, np.int64)
    at = curve.points[:, 0]
    rows = np.clip(np.searchsorted(positions, at), 1, max(len(positions) - 1, 1))
    rows = np.where(at - positions[rows - 1] < positions[np.minimum(rows, len(positions) - 1)] - at, rows - 1, rows)
    gap = SAME * np.diff(positions).min(initial=1.0)
    on = np.abs(positions[rows] - at) < gap
    right = np.abs(curve.at(positions) - samples) <= SLACK * tolerance + 1e-6
    exact = on & (np.abs(curve.points[:, 1] - samples[rows]) <= 1e-6)
    has = np.zeros(len(positions), bool)
    has[rows[exact]] = True
    right &= has | ~keyed
    right[rows[~exact]] = False
    return right, rows[exact]


def _beside(rows: np.ndarray, first: int, last: int, end: int) -> tuple[int, int]:
    """The rows of the keys before `first` and after `last`, else the ends."""
    before, after = rows[rows < first], rows[rows > last]
    return int(before[-1]) if len(before) else 0, int(after[0]) if len(after) else end


def _joined(old: BezierCurve, new: BezierCurve, low: float, high: float) -> BezierCurve:
    """`new` from position `low` to `high`, `old` beyond; on the seams the outer handles of `old`."""
    outside = [old.points[:, 0] < low - SAME, old.points[:, 0] > high + SAME]
    inside = (new.points[:, 0] >= low - SAME) & (new.points[:, 0] <= high + SAME)
    parts = [
        np.concatenate([a[outside[0]], b[inside], a[outside[1]]])
        for a, b in ((old.points, new.points), (old.left, new.left), (old.right, new.right))
    ]
    for at, part, was in ((low, parts[1], old.left), (high, parts[2], old.right)):
        key, had = np.abs(parts[0][:, 0] - at).argmin(), np.abs(old.points[:, 0] - at).argmin()
        if abs(old.points[had, 0] - at) < SAME and abs(parts[0][key, 0] - at) < SAME:
            part[key] = was[had]
    return BezierCurve(*parts)


class _Fit:
    """Curves through chosen samples, all channels at once: C rows of n."""

    def __init__(self, positions: np.ndarray, samples: np.ndarray, tolerance: np.ndarray, slopes: np.ndarray) -> None:
        self.positions, self.samples, self.weight, self.tolerance = positions, samples, tolerance**-2, tolerance
        given = np.isfinite(slopes)
        self.natural = np.where(given, slopes, np.gradient(samples, positions, axis=1))
        self.given = given

    def add(self, keys: np.ndarray) -> None:
        """Make keys, in place, of samples that are missed most, until none is missed by more than its tolerance."""
        rows = np.arange(len(keys))
        while len(rows):
            seen = _Seen(self, rows, keys[rows])
            bad = seen.worst > 1.0
            first = np.flatnonzero(bad[seen.segment] & (seen.missed == seen.worst[seen.segment]))
            first = first[np.unique(seen.segment[first], return_index=True)[1]]
            row, column = np.divmod(first, keys.shape[1])
            keys[rows[row], column] = True
            rows = rows[np.unique(row)]

    def leave_out(self, keys: np.ndarray, fixed: np.ndarray) -> None:
        """Take keys away, in place, that are not `fixed`, as long as no sample is missed by more than its tolerance."""
        rows = np.arange(len(keys))
        for _ in range(ROUNDS):
            had = keys[rows].sum(1)
            for phase in range(PHASES):
                number = np.cumsum(keys[rows], axis=1)
                self._without(keys, rows, keys[rows] & ~fixed[rows] & (number % PHASES == phase))
            rows = rows[keys[rows].sum(1) < had]

    def _without(self, keys: np.ndarray, rows: np.ndarray, tried: np.ndarray) -> None:
        """Take those of the keys `tried` (R, n) of some `rows` away that are not missed."""
        before = keys[rows]
        keys[rows] &= ~tried
        for _ in range(ATTEMPTS):
            active = np.flatnonzero(tried.any(1))
            rows, tried, before = rows[active], tried[active], before[active]
            if not len(rows):
                return
            seen = _Seen(self, rows, keys[rows])
            bad = seen.worst > 1.0
            gone = np.flatnonzero(tried.ravel())
            within = seen.segment[gone]
            spoilt = bad.copy()  # by a neighbour: nothing was taken away there
            spoilt[within] = False
            near = np.zeros(len(bad), bool)
            near[1:] |= spoilt[:-1]
            near[:-1] |= spoilt[1:]
            back = gone[bad[within] | near[within]]
            keys[rows[back // keys.shape[1]], back % keys.shape[1]] = True
            tried.ravel()[back] = False
            wrong = np.unique(seen.row[bad])
            stuck = np.setdiff1d(wrong, back // keys.shape[1])
            keys[rows[stuck]] = before[stuck]
            tried[stuck] = False
            tried[np.setdiff1d(np.arange(len(rows)), wrong)] = False  # these have all that they need
        keys[rows] = before

    def slopes(self, keys: np.ndarray) -> np.ndarray:
        """(C, n) slopes at the keys."""
        out = np.zeros(keys.shape)
        out[keys] = _Seen(self, np.arange(len(keys)), keys).slopes
        return out


class _Seen:
    """Some channels (`rows` of `fit`) as curves through their keys (`keys` (R, n) bool).

    Over the keys of all rows, one after the other: `slopes`; `worst`, by how many tolerances samples up to the next key
    are missed at most; `row`, whose key it is. Over all samples: `missed`, and `segment`, the key before.
    """

    def __init__(self, fit: _Fit, rows: np.ndarray, keys: np.ndarray) -> None:
        count = keys.shape[1]
        at = np.flatnonzero(keys.ravel())
        self.row = at // count
        self.segment = left = np.cumsum(keys.ravel()) - 1
        right = np.minimum(left + 1, len(at) - 1)
        right = np.where(self.row[right] == self.row[left], right, left)
        where = fit.positions[at % count]
        samples, weight = fit.samples[rows].ravel(), fit.weight[rows].ravel()
        width = np.where(right > left, where[right] - where[left], 1.0)
        share = (np.tile(fit.positions, len(rows)) - where[left]) / width
        rest = 1.0 - share
        rise, fall = width * share * rest * rest, -width * share * share * rest  # Hermite's polynomials
        values = samples[at]
        level = values[left] + (values[right] - values[left]) * (share * share * (3.0 - 2.0 * share))
        missing, size = samples - level, len(at)
        risen, fallen = weight * rise, weight * fall
        diagonal = np.bincount(left, risen * rise, size) + np.bincount(right, fallen * fall, size)
        beside = np.bincount(left, risen * fall, size)
        wanted = np.bincount(left, risen * missing, size) + np.bincount(right, fallen * missing, size)
        lean = LEANING * (np.bincount(left, weight * width**2, size) / PROBES + weight[at]) + 1e-12
        lean = np.where(fit.given[rows].ravel()[at], 1e9 * (lean + diagonal), lean)
        self.slopes = _solved(diagonal + lean, beside[:-1], wanted + lean * fit.natural[rows].ravel()[at])
        off = np.abs(rise * self.slopes[left] + fall * self.slopes[right] - missing)
        self.missed = off / fit.tolerance[rows].ravel()
        self.missed[at] = 0.0
        self.worst = np.maximum.reduceat(self.missed, at)


def _solved(diagonal: np.ndarray, beside: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The solution of a symmetric tridiagonal system, by parallel cyclic reduction (Hockney 1965)."""
    size, step = len(diagonal), 1
    before, after = np.concatenate([[0.0], beside]), np.concatenate([beside, [0.0]])
    while step < size and (before.any() or after.any()):
        down, up = before[step:] / diagonal[:-step], after[:-step] / diagonal[step:]
        next_diagonal, next_wanted = diagonal.copy(), wanted.copy()
        next_diagonal[step:] -= down * after[:-step]
        next_diagonal[:-step] -= up * before[step:]
        next_wanted[step:] -= down * wanted[:-step]
        next_wanted[:-step] -= up * wanted[step:]
        further = np.zeros(size), np.zeros(size)
        further[0][step:] = -down * before[:-step]
        further[1][:-step] = -up * after[step:]
        before, after = (np.where(np.abs(some) > 1e-12 * next_diagonal, some, 0.0) for some in further)
        diagonal, wanted, step = next_diagonal, next_wanted, 2 * step
    return wanted / diagonal


def _share(wanted: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The parameter at which a curve from 0 to 1 with the inner points `first` and `second` reaches `wanted`."""
    share = wanted.copy()  # where the handles are a third long it is this
    for _ in range(NEWTON):
        slope = 3 * ((1 - share) ** 2 * first + 2 * (1 - share) * share * (second - first) + share**2 * (1 - second))
        off = _between(share, 0.0, first, second, 1.0) - wanted
        share = np.clip(share - off / np.maximum(slope, 1e-3), 0.0, 1.0)
    left = np.flatnonzero(np.abs(_between(share, 0.0, first, second, 1.0) - wanted) > 1e-9)
    low, high = np.zeros(len(left)), np.ones(len(left))
    for _ in range(HALVINGS if len(left) else 0):
        middle = (low + high) / 2
        below = _between(middle, 0.0, first[left], second[left], 1.0) < wanted[left]
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    share[left] = (low + high) / 2
    return share


def _between(share: np.ndarray, a: Any, b: Any, c: Any, d: Any) -> np.ndarray:
    """Where a Bézier curve with these four points is at the parameters `share`."""
    rest = 1.0 - share
    return rest**3 * a + 3 * rest * rest * share * b + 3 * rest * share * share * c + share**3 * d
