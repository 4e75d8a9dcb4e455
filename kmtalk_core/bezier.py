"""Bézier curves over time, and sampled curves as the few keys of smooth ones that stay within a tolerance.

A fitted curve goes through its keys, and its slope is continuous there. The handles of a key lie a third of the way to
its neighbours, so between two keys the curve is a cubic polynomial of time. The slopes at all keys are the best in the
sense of least squares, in which the samples that are missed most then count more (Lawson 1961), for it is the farthest
one that matters. Keys are added where a sample is missed most (Schneider 1990), and taken away again wherever the
others suffice, or where one does instead of two. Curves are fitted in stretches between keys that have the slope of the
samples, so what changes in one stretch changes nothing in the others. Where stretches end is told by what is near.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

PROBES = 3  # samples between two keys that tell a slope well; with fewer, it leans on the slope of the samples
LEANING = 1e-3  # how much it does, against a sample missed by the whole tolerance
LEAST = 0.15  # the least that a sample counts, against the one that is missed most between the same two keys
PHASES = 5  # of so many neighbouring keys, one is tried to be left out at a time
PLACE = 0.4  # between two keys, where one is tried instead
REACH = 4  # positions beside such a trial in which it is to blame for what is missed
ATTEMPTS = 40  # to put back what was left out too many
STRETCH = 48  # positions that a stretch is long, up to the next key that is asked for
WINDOW = 96  # of two such windows of positions, one has the end of a stretch where no key is asked for
STEPS = 2.0**30  # slopes are whole numbers of such parts, so that handles give them back exactly
AT_ONCE = 50_000  # samples that are fitted together
NEAR = 1e-6  # positions
OUTER = 1.0  # positions that the handles before the first key and after the last one are long at most
NEWTON, HALVINGS = 4, 40  # steps to where a curve reaches a position, and steps that always end there


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
    outer = np.minimum(gaps[[0, -1]], OUTER)  # these change nothing
    before, after = np.concatenate([outer[:1], gaps]), np.concatenate([gaps, outer[1:]])
    before, after = before[: len(positions), None], after[: len(positions), None]
    return BezierCurve(points, points - before * along, points + after * along)


@dataclass(frozen=True)
class Samples:
    """What C curves have to go through, and how near: `values` (n, C) at `positions` (n,), ascending, each within
    `tolerance` (n, C). Every one of `keyed` (n, C) bool is to be a key, with the slope of `slopes` (n, C) if there is
    one; NaN: the best."""

    positions: np.ndarray
    values: np.ndarray
    tolerance: np.ndarray
    keyed: np.ndarray
    slopes: np.ndarray

    @property
    def natural(self) -> np.ndarray:
        """(n, C) the slopes of the samples, or those that keys are to have."""
        of_samples = np.gradient(self.values.astype(np.float64), self.positions, axis=0)
        return np.where(self.fixed, self.slopes, of_samples)

    @property
    def fixed(self) -> np.ndarray:
        """(n, C) bool where a key is to have a certain slope."""
        return self.keyed & np.isfinite(self.slopes)


def fit_curves(wanted: Samples, before: Samples | None = None, known: Sequence[BezierCurve] = ()) -> list[BezierCurve]:
    """C curves that miss no sample by more than its tolerance; a key has the value of its sample, exactly.

    Keys are the samples `keyed`, and of all others as few as this finds: the first and the last one, too, only where
    the curve would not stay near them by itself. `known`: the
    curves of C other samples `before`; where those are the same, they are not fitted again, with the same result.
    """
    count, channels = wanted.values.shape
    if count == 1:
        return [smooth_curve(wanted.positions, wanted.values[:, c], np.zeros(1)) for c in range(channels)]
    natural = _whole(wanted.natural)
    stretches = _stretches(wanted)
    same: list[set[tuple[int, int]]] = [set() for _ in range(channels)]
    if before is not None and len(known) == channels == before.values.shape[1]:
        for c, alike in enumerate(_same(wanted, before, stretches)):
            ends = _ends(known[c], wanted.positions, natural[:, c])
            same[c] = {(a, b) for a, b in alike if ends[a] and ends[b]}
    keys, slopes = wanted.keyed.T.copy(), natural.T.copy()
    for c, own in enumerate(stretches):
        keys[c, [a for a, _ in own]] = keys[c, -1] = True
    for piece in _pieces([(c, a, b) for c in range(channels) for a, b in stretches[c] if (a, b) not in same[c]]):
        _fit(wanted, natural, piece, keys, slopes)
    found = []
    for c in range(channels):
        if same[c]:
            _keep(known[c], wanted.positions, sorted(same[c]), keys[c], slopes[c])
        rows = _needed(wanted, c, np.flatnonzero(keys[c]))
        found.append(smooth_curve(wanted.positions[rows], wanted.values[rows, c], slopes[c, rows]))
    return found


def _needed(wanted: Samples, channel: int, rows: np.ndarray) -> np.ndarray:
    """The keys `rows` without the first and the last one where the key beside tells as much."""
    values, tolerance, keyed = (some[:, channel] for some in (wanted.values, wanted.tolerance, wanted.keyed))
    for end, beside in ((0, 1), (-1, -2)):
        if len(rows) < 2 or keyed[rows[end]]:
            continue
        beyond = slice(0, rows[beside]) if end == 0 else slice(rows[beside] + 1, None)
        if (np.abs(values[beyond] - values[rows[beside]]) <= tolerance[beyond]).all():
            rows = np.delete(rows, end)
    return rows


def _stretches(wanted: Samples) -> list[list[tuple[int, int]]]:
    """Of each channel the first and last row of each stretch, one after the other."""
    cut = _asked_first(wanted) | _turning(wanted)
    cut[[0, -1]] = True
    rows = (np.flatnonzero(column).tolist() for column in cut.T)
    return [list(pairwise(some)) for some in rows]


def _asked_first(wanted: Samples) -> np.ndarray:
    """(n, C) bool the keyed samples that come first after every STRETCH positions."""
    count = len(wanted.positions)
    begins = _windows(wanted.positions, STRETCH)
    first = np.minimum.reduceat(np.where(wanted.keyed, np.arange(count)[:, None], count), begins, axis=0)
    out = np.zeros((count + 1, first.shape[1]), bool)
    np.put_along_axis(out, first, True, axis=0)
    return out[:-1]


def _turning(wanted: Samples) -> np.ndarray:
    """(n, C) bool where channels without a keyed sample in every second WINDOW turn, or begin or cease to move there:
    keys cost little where a curve is level."""
    out = np.zeros(wanted.values.shape, bool)
    begins = _windows(wanted.positions, WINDOW)
    for a, b in zip(begins[1::2], begins[2::2], strict=False):
        here = wanted.values[a:b]
        highest, lowest = here.argmax(0), here.argmin(0)
        last = len(here) - 1
        rows = np.stack([highest, lowest, last - here[::-1].argmax(0), last - here[::-1].argmin(0)])
        values = np.take_along_axis(here, rows, axis=0)
        away = np.minimum(np.abs(values - here[0]), np.abs(values - here[-1]))
        away[(rows == 0) | (rows == last)] = -1.0  # it goes on beyond
        best = away.argmax(0)[None]
        moves = values[0] - values[1] > wanted.tolerance[a:b].max(0)
        moves &= (np.take_along_axis(away, best, axis=0)[0] >= 0) & ~wanted.keyed[a:b].any(0)
        out[a + np.take_along_axis(rows, best, axis=0)[0, moves], moves] = True
    return out


def _windows(positions: np.ndarray, length: int) -> np.ndarray:
    """The first row of each window of this length that has rows."""
    return np.flatnonzero(np.diff(np.floor(positions / length), prepend=-1.0) > 0)


def _same(
    wanted: Samples, before: Samples, stretches: Sequence[Sequence[tuple[int, int]]]
) -> list[set[tuple[int, int]]]:
    """Of each channel those stretches that `before` has, too, with the samples beside them, which make slopes."""
    last, last_before = len(wanted.positions) - 1, len(before.positions) - 1
    moved = not np.array_equal(wanted.positions, before.positions)
    place = np.clip(np.searchsorted(before.positions, wanted.positions), 0, last_before)
    alike = np.repeat((before.positions[place] == wanted.positions)[:, None], wanted.values.shape[1], axis=1)
    for name in ("values", "tolerance", "keyed", "slopes"):
        ours, theirs = getattr(wanted, name), getattr(before, name)
        theirs = theirs[place] if moved else theirs
        alike &= (ours == theirs) | ((ours != ours) & (theirs != theirs))  # NaN is like NaN
    others = np.concatenate([np.zeros((1, alike.shape[1]), np.int64), np.cumsum(~alike, axis=0)])
    found = []
    for c, (own, others_own) in enumerate(zip(stretches, _stretches(before), strict=True)):
        theirs, kept = set(others_own), set()
        for a, b in own:
            low, high = max(a - 1, 0), min(b + 1, last)
            whole = place[high] - place[low] == high - low and not others[high + 1, c] - others[low, c]
            at_ends = (a == 0) == (place[a] == 0) and (b == last) == (place[b] == last_before)
            if whole and at_ends and (int(place[a]), int(place[b])) in theirs:
                kept.add((a, b))
        found.append(kept)
    return found


def _ends(known: BezierCurve, positions: np.ndarray, natural: np.ndarray) -> np.ndarray:
    """(n,) bool at which positions a stretch of a curve can end: where it has a key of a natural slope, and at both
    ends of all. A curve of an older version may have none where stretches end now."""
    out = np.zeros(len(positions), bool)
    at, there = _rows_of(known, positions)
    run = (known.right - known.points)[there]
    out[at[there]] = _whole(run[:, 1] / run[:, 0]) == natural[at[there]]
    out[[0, -1]] = True
    return out


def _rows_of(known: BezierCurve, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The row of each key of a curve, and whether there is one."""
    at = np.minimum(np.searchsorted(positions, known.points[:, 0] - NEAR), len(positions) - 1)
    return at, np.abs(positions[at] - known.points[:, 0]) < NEAR


def _keep(
    known: BezierCurve,
    positions: np.ndarray,
    stretches: Sequence[tuple[int, int]],
    keys: np.ndarray,
    slopes: np.ndarray,
) -> None:
    """Set `keys` (n,) and `slopes` (n,) of a channel within these stretches as a curve has them."""
    first, last = np.array(stretches).T
    at, there = _rows_of(known, positions)
    stretch = np.clip(np.searchsorted(first, at, side="right") - 1, 0, None)
    after_first = (at > first[stretch]) | ((at == first[stretch]) & (at == 0))
    there &= after_first & ((at < last[stretch]) | ((at == last[stretch]) & (at == len(positions) - 1)))
    run = (known.right - known.points)[there]
    keys[at[there]], slopes[at[there]] = True, _whole(run[:, 1] / run[:, 0])


def _whole(slopes: np.ndarray) -> np.ndarray:
    return np.rint(slopes * STEPS) / STEPS


def _pieces(todo: Sequence[tuple[int, int, int]]) -> Iterator[list[tuple[int, int, int]]]:
    """The stretches (channel, first and last row), as many at once as memory is meant to hold."""
    piece: list[tuple[int, int, int]] = []
    size = 0
    for channel, a, b in todo:
        piece.append((channel, a, b))
        size += b - a + 1
        if size > AT_ONCE:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _fit(
    wanted: Samples, natural: np.ndarray, piece: Sequence[tuple[int, int, int]], keys: np.ndarray, slopes: np.ndarray
) -> None:
    """Set `keys` (C, n) and `slopes` (C, n) within some stretches. Where two meet is a key with a natural slope."""
    lengths = np.array([b - a + 1 for _, a, b in piece])
    rows = np.concatenate([np.arange(a, b + 1) for _, a, b in piece])
    channel = np.repeat([c for c, _, _ in piece], lengths)
    fixed = wanted.keyed[rows, channel]
    ends = np.cumsum(lengths)
    ends = np.concatenate([ends - lengths, ends - 1])
    fixed[ends] = True
    given = wanted.fixed[rows, channel]
    given[ends[(rows[ends] > 0) & (rows[ends] < len(natural) - 1)]] = True
    fit = _Fit(
        wanted.positions[rows],
        wanted.values[rows, channel].astype(np.float64),
        np.maximum(wanted.tolerance[rows, channel], 1e-9).astype(np.float64),
        natural[rows, channel],
        given,
        np.repeat(np.arange(len(piece)), lengths),
    )
    chosen = fixed.copy()
    fit.add(chosen)
    fit.leave_out(chosen, fixed, np.arange(len(chosen)))
    fit.leave_out(chosen, fixed, fit.join(chosen, fixed))
    at = np.flatnonzero(chosen)
    keys[channel[at], rows[at]] = True
    inner = ~given[at]
    slopes[channel[at[inner]], rows[at[inner]]] = _whole(_Seen(fit, slice(None), chosen).slopes[inner])


class _Fit:
    """Curves through chosen samples, in many stretches at once, which lie one after the other in all arrays (N,).

    `stretch` numbers them; `natural` are the slopes of the samples, which keys must have where they are `given`.
    """

    def __init__(
        self,
        positions: np.ndarray,
        samples: np.ndarray,
        tolerance: np.ndarray,
        natural: np.ndarray,
        given: np.ndarray,
        stretch: np.ndarray,
    ) -> None:
        self.positions, self.samples, self.tolerance, self.weight = positions, samples, tolerance, tolerance**-2
        self.natural, self.given, self.stretch = natural, given, stretch

    def add(self, keys: np.ndarray) -> None:
        """Make keys, in place, of samples that are missed most, until none is missed by more than its tolerance."""
        here = np.arange(len(keys))
        while len(here):
            seen = _Seen(self, here, keys[here])
            bad = seen.worst > 1.0
            first = np.flatnonzero(bad[seen.segment] & (seen.missed == seen.worst[seen.segment]))
            first = first[np.unique(seen.segment[first], return_index=True)[1]]
            keys[here[first]] = True
            here = self._of(here, self.stretch[here[first]])

    def leave_out(self, keys: np.ndarray, fixed: np.ndarray, here: np.ndarray) -> None:
        """Take keys at samples `here` away, in place, that are not `fixed`, as long as no sample is missed by more than
        its tolerance."""
        for phase in range(PHASES if len(here) else 0):
            tried = keys[here] & ~fixed[here]
            tried[keys[here]] &= self._number(here[keys[here]]) % PHASES == phase
            self._without(keys, here, tried)

    def _without(self, keys: np.ndarray, here: np.ndarray, tried: np.ndarray) -> None:
        """Take those of the keys at `here` away that are `tried` and not missed."""
        before = keys.copy()
        keys[here[tried]] = False
        tried = here[tried]
        for _ in range(ATTEMPTS):
            here = self._of(here, self.stretch[tried])
            if not len(here):
                return
            seen = _Seen(self, here, keys[here])
            bad = seen.worst > 1.0
            gone = np.searchsorted(here, tried)
            within = seen.segment[gone]
            spoilt = bad.copy()  # by a neighbour: nothing was taken away there
            spoilt[within] = False
            near = np.zeros(len(bad), bool)
            near[1:] |= spoilt[:-1]
            near[:-1] |= spoilt[1:]
            back = bad[within] | near[within]
            keys[tried[back]] = True
            wrong = np.unique(self.stretch[here[seen.at[bad]]])
            stuck = np.setdiff1d(wrong, self.stretch[tried[back]])
            if len(stuck):
                undone = self._of(here, stuck)
                keys[undone] = before[undone]
            open_still = np.isin(self.stretch[tried], wrong) & ~back & ~np.isin(self.stretch[tried], stuck)
            here, tried = self._of(here, wrong), tried[open_still]
        left = self._of(here, self.stretch[tried])
        keys[left] = before[left]

    def join(self, keys: np.ndarray, fixed: np.ndarray) -> np.ndarray:
        """Put one key instead of two neighbours that are not `fixed`, in place, where no sample is missed for it.

        Returns the samples of the stretches in which it did.
        """
        had = keys.copy()
        for phase in range(PHASES):
            at = np.flatnonzero(keys)
            free = ~fixed[at]
            pair = np.flatnonzero(free[:-1] & free[1:] & (self.stretch[at[:-1]] == self.stretch[at[1:]]))
            pair = pair[self._number(at)[pair] % PHASES == phase]
            if len(pair):
                one = at[pair] + np.rint(PLACE * (at[pair + 1] - at[pair])).astype(np.int64)
                self._instead(keys, at[pair - 1], at[pair], one, at[pair + 1], at[pair + 2])
        return self._of(np.arange(len(keys)), self.stretch[had & ~keys])

    def _instead(
        self, keys: np.ndarray, before: np.ndarray, first: np.ndarray, one: np.ndarray, second: np.ndarray, after: Any
    ) -> None:
        """Put a key at `one` instead of those at `first` and `second`, between the keys `before` and `after`, where
        nothing is missed."""
        tried = keys.copy()
        tried[first] = tried[second] = False
        tried[one] = True
        lives = np.ones(len(one), bool)
        low, high = (np.searchsorted(self.stretch, self.stretch[one], side) for side in ("left", "right"))
        low, high = np.maximum(before - REACH, low), np.minimum(after + REACH, high)
        here = self._of(np.arange(len(keys)), self.stretch[one])
        for _ in range(ATTEMPTS):
            seen = _Seen(self, here, tried[here])
            bad = here[(seen.worst > 1.0)[seen.segment]]
            if not len(bad):
                break
            blamed = lives & (np.searchsorted(bad, high) > np.searchsorted(bad, low))
            wrong = np.unique(self.stretch[bad])
            blamed |= lives & np.isin(self.stretch[one], np.setdiff1d(wrong, self.stretch[one[blamed]]))
            lives &= ~blamed
            tried[one[blamed]] = False
            tried[first[blamed]] = tried[second[blamed]] = True
            here = self._of(here, wrong)
        else:
            undone = self._of(here, self.stretch[here])
            tried[undone] = keys[undone]
        keys[:] = tried

    def _number(self, at: np.ndarray) -> np.ndarray:
        """The number of each of the samples `at` within its stretch."""
        begins = np.flatnonzero(np.diff(self.stretch[at], prepend=-1))
        return np.arange(len(at)) - np.repeat(begins, np.diff(np.append(begins, len(at))))

    def _of(self, here: np.ndarray, stretches: np.ndarray) -> np.ndarray:
        """Those of the samples `here` that are of these stretches."""
        which = np.zeros(self.stretch[-1] + 1, bool)
        which[stretches] = True
        return here[which[self.stretch[here]]]


class _Seen:
    """Some whole stretches of `fit` (the samples `here`) as curves through their `keys`, bool for each of `here`.

    Over the keys, which are `at`: `slopes`, and `worst`, by how many tolerances samples up to the next key are missed
    at most. Over the samples: `missed`, and `segment`, the key before. Where some would be missed by more than one
    tolerance, the slopes are others, for which the worst is less.
    """

    def __init__(self, fit: _Fit, here: Any, keys: np.ndarray) -> None:
        self.at = at = np.flatnonzero(keys)
        self.segment = left = np.cumsum(keys) - 1
        stretch, positions, samples = fit.stretch[here], fit.positions[here], fit.samples[here]
        right = np.minimum(left + 1, len(at) - 1)
        right = np.where(stretch[at[right]] == stretch, right, left)
        where, weight = positions[at], fit.weight[here]
        width = np.where(right > left, where[right] - where[left], 1.0)
        share = (positions - where[left]) / width
        rest = 1.0 - share
        rise, fall = width * share * rest * rest, -width * share * share * rest  # Hermite's polynomials
        values = samples[at]
        level = values[left] + (values[right] - values[left]) * (share * share * (3.0 - 2.0 * share))
        lean = LEANING * (np.bincount(left, weight * width**2, len(at)) / PROBES + weight[at]) + 1e-12
        asked = _Asked(
            left, right, rise, fall, samples - level, weight, fit.tolerance[here], lean, fit.given[here][at],
            fit.natural[here][at], at,
        )  # fmt: skip
        self.slopes = asked.best(weight)
        self.missed, self.worst = asked.seen_with(self.slopes)
        self._even(asked, stretch)

    def _even(self, asked: _Asked, stretch: np.ndarray) -> None:
        """In stretches where samples are missed, let those that are missed most count more, if that helps."""
        begins = np.flatnonzero(np.diff(stretch[self.at], prepend=-1))
        worst = np.maximum.reduceat(self.worst, begins)
        bad = np.repeat(worst > 1.0, np.diff(np.append(begins, len(self.at))))
        if not bad.any():
            return
        samples, keys = np.flatnonzero(bad[self.segment]), np.flatnonzero(bad)
        some = asked.of(samples, keys)
        share = self.missed[samples] / self.worst[self.segment[samples]].clip(min=1e-9)
        slopes = some.best(some.weight * np.maximum(share, LEAST))
        missed, now = some.seen_with(slopes)
        begins = np.flatnonzero(np.diff(stretch[self.at[keys]], prepend=-1))
        better = np.maximum.reduceat(now, begins) < worst[worst > 1.0]
        better = np.repeat(better, np.diff(np.append(begins, len(keys))))
        within = better[some.left]
        self.slopes[keys[better]], self.worst[keys[better]] = slopes[better], now[better]
        self.missed[samples[within]] = missed[within]


@dataclass(frozen=True)
class _Asked:
    """What slopes of k keys, at the samples `at`, have to do for n samples.

    Over the samples: the keys `left` and `right` of each, `rise` and `fall`, what their slopes add there, what is
    `missing`, `weight` and `tolerance`. Over the keys: how much slopes `lean` on `natural` ones, or whether these are
    `given`.
    """

    left: np.ndarray
    right: np.ndarray
    rise: np.ndarray
    fall: np.ndarray
    missing: np.ndarray
    weight: np.ndarray
    tolerance: np.ndarray
    lean: np.ndarray
    given: np.ndarray
    natural: np.ndarray
    at: np.ndarray

    def of(self, samples: np.ndarray, keys: np.ndarray) -> _Asked:
        """The same for some of the samples and all keys beside them."""
        numbers = np.zeros(len(self.at), np.int64)
        numbers[keys] = np.arange(len(keys))
        return _Asked(
            numbers[self.left[samples]],
            numbers[self.right[samples]],
            self.rise[samples],
            self.fall[samples],
            self.missing[samples],
            self.weight[samples],
            self.tolerance[samples],
            self.lean[keys],
            self.given[keys],
            self.natural[keys],
            np.searchsorted(samples, self.at[keys]),
        )

    def best(self, weight: np.ndarray) -> np.ndarray:
        """(k,) the slopes that are best, in the sense of least squares, where samples have this `weight` (n,)."""
        left, right, size = self.left, self.right, len(self.at)
        risen, fallen = weight * self.rise, weight * self.fall
        diagonal = np.bincount(left, risen * self.rise, size) + np.bincount(right, fallen * self.fall, size)
        beside = np.bincount(left, risen * self.fall, size)
        wanted = np.bincount(left, risen * self.missing, size) + np.bincount(right, fallen * self.missing, size)
        lean = np.where(self.given, 1e9 * (self.lean + diagonal), self.lean)
        return _solved(diagonal + lean, beside[:-1], wanted + lean * self.natural)

    def seen_with(self, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) how far samples are missed with these slopes, in tolerances; (k,) the farthest up to the next key."""
        missed = np.abs(self.rise * slopes[self.left] + self.fall * slopes[self.right] - self.missing) / self.tolerance
        missed[self.at] = 0.0
        return missed, np.maximum.reduceat(missed, self.at)


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
