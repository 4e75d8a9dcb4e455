"""Metrics of speech-driven facial animation, on vertices. Lower is better where nothing else is said.

`predicted` and `true` (T, V, 3) in the data's own unit, `template` (V, 3), masks (n,) vertex indices.

LVE and FDD come in two conventions, because papers and codes differ:

- "code", as CodeTalker's published evaluation, which SelfTalk's and KMTalk's figures follow: LVE is the largest
  *squared* distance over the lip vertices of a frame, averaged over all frames of the data set together; FDD is, per
  sentence, the mean over the upper-face vertices of the standard deviation over time of the *squared* displacement
  from the template, true minus predicted, averaged over sentences (signed).
- "text", as the papers word it: LVE takes the distance itself, FDD the standard deviation of its length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

CLOSED_SHARE, OPEN_SHARE = 0.1, 0.2  # of the true opening's range: below closed, above open, between neither
MTM_SMOOTHING = 2.0  # frames
SYNC_REACH = 0.3  # s of delay that is looked for


@dataclass(frozen=True)
class Sentence:
    """The figures of one sentence; NaN where the data cannot tell.

    `lve`, `fdd`: convention "text"; `lve_code`, `fdd_code`: convention "code" (squared units). `mve`: mean vertex
    error, over all vertices and frames. `eve`: largest distance over the upper-face vertices of a frame, averaged
    (EmoTalk's emotional vertex error). `opening`: mean absolute error of the distance between the lips; `closure`: mean
    of the shares of closed frames that are predicted open and of open frames that are predicted closed (0.5: a mouth
    that stands still); `sync`: delay in ms of the predicted opening behind the true one (0 is best); `sync_r`: their
    correlation at that delay (1 is best); `mtm`: mean temporal misalignment, ms (Chae-Yeon et al., CVPR 2025), of the
    share `mtm_met` of the true extrema that it could match (1 is best).
    `intensity`, `true_intensity`: of the lips' motion, for SLCC (the same authors).
    """

    frames: int
    lve: float
    lve_code: float
    fdd: float
    fdd_code: float
    mve: float
    eve: float
    opening: float
    closure: float
    sync: float
    sync_r: float
    mtm: float
    mtm_met: float
    intensity: float
    true_intensity: float


def measure(
    predicted: np.ndarray,
    true: np.ndarray,
    template: np.ndarray,
    lips: np.ndarray,
    upper_face: np.ndarray,
    opening: np.ndarray | None,
    fps: float,
) -> Sentence:
    """All figures of a sentence. `opening` (k, 2): pairs of upper and lower lip vertices, or None."""
    squared = np.square(predicted - true, dtype=np.float64).sum(2)
    distance = np.sqrt(squared)
    gap_error, closure, sync, sync_r, mtm, met = (np.nan,) * 6
    if opening is not None and len(opening):
        predicted_gap, true_gap = mouth_opening(predicted, opening), mouth_opening(true, opening)
        gap_error = float(np.abs(predicted_gap - true_gap).mean())
        closure = closure_error(predicted_gap, true_gap)
        sync, sync_r = delay(predicted_gap, true_gap, fps)
        mtm, met = misalignment(predicted_gap, true_gap, fps)
    return Sentence(
        frames=len(true),
        lve=float(distance[:, lips].max(1).mean()),
        lve_code=float(squared[:, lips].max(1).mean()),
        fdd=dynamics(true, template, upper_face, False) - dynamics(predicted, template, upper_face, False),
        fdd_code=dynamics(true, template, upper_face, True) - dynamics(predicted, template, upper_face, True),
        mve=float(distance.mean()),
        eve=float(distance[:, upper_face].max(1).mean()),
        opening=gap_error,
        closure=closure,
        sync=sync,
        sync_r=sync_r,
        mtm=mtm,
        mtm_met=met,
        intensity=lip_intensity(predicted, lips),
        true_intensity=lip_intensity(true, lips),
    )


def dynamics(motion: np.ndarray, template: np.ndarray, vertices: np.ndarray, squared: bool) -> float:
    """Mean over `vertices` of the standard deviation over time of the (squared) displacement from the template."""
    size = np.square(motion[:, vertices] - template[vertices], dtype=np.float64).sum(2)
    return float((size if squared else np.sqrt(size)).std(0).mean())


def mouth_opening(vertices: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(T,) distance between the lips, the mean over the pairs of inner-lip vertices."""
    return np.linalg.norm(vertices[:, pairs[:, 0]] - vertices[:, pairs[:, 1]], axis=2).mean(1)


def closure_error(predicted: np.ndarray, true: np.ndarray) -> float:
    """The mean of two shares: of the frames with a closed true mouth in which the predicted one is not closed, and of
    those with an open true mouth in which it is. NaN where the true mouth stands still."""
    reach = true.max() - true.min()
    closed, opened = true <= true.min() + CLOSED_SHARE * reach, true > true.min() + OPEN_SHARE * reach
    if not opened.any():
        return float("nan")
    shut = predicted <= true.min() + CLOSED_SHARE * reach
    return float(((~shut[closed]).mean() + shut[opened].mean()) / 2)


def misalignment(predicted: np.ndarray, true: np.ndarray, fps: float) -> tuple[float, float]:
    """Mean temporal misalignment (MTM) in ms: openings, smoothed by 2 frames, are aligned by derivative dynamic time
    warping; of the extrema of the true one that are met by one of the same kind, between its neighbours, the mean size
    of the difference in time. NaN where none is met. And the share of the extrema that are met: a mouth that hardly
    moves meets few, be they well in time."""
    from scipy.ndimage import gaussian_filter1d

    a, b = gaussian_filter1d(true, MTM_SMOOTHING), gaussian_filter1d(predicted, MTM_SMOOTHING)
    of_true, of_predicted = _extrema(a), _extrema(b)
    places = sorted(of_true)
    found = []
    for i, j in warped(np.diff(a, prepend=a[0]), np.diff(b, prepend=b[0])):
        if i not in of_true or of_predicted.get(j) != of_true[i]:
            continue
        here = places.index(i)
        left = places[here - 1] if here else 0
        right = places[here + 1] if here + 1 < len(places) else len(a) - 1
        if left <= j <= right:
            found.append((i, j))
    met = len({i for i, _ in found}) / len(of_true) if of_true else float("nan")
    return float(np.mean([abs(i - j) for i, j in found])) / fps * 1000.0 if found else float("nan"), met


def _extrema(curve: np.ndarray) -> dict[int, int]:
    """Frame → 1 at a maximum, -1 at a minimum."""
    from scipy.signal import find_peaks

    return {int(k): sign for sign in (1, -1) for k in find_peaks(sign * curve)[0]}


def warped(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int]]:
    """Dynamic time warping of (n,) and (m,) by absolute differences → the pairs of frames on the cheapest path."""
    n, m = len(first), len(second)
    costs = np.abs(first[:, None] - second).tolist()
    total = [[float("inf")] * (m + 1) for _ in range(n + 1)]
    total[0][0] = 0.0
    for i in range(n):
        above, row, cost = total[i], total[i + 1], costs[i]
        for j in range(m):
            row[j + 1] = cost[j] + min(above[j + 1], row[j], above[j])
    path, i, j = [], n, m
    while i and j:
        path.append((i - 1, j - 1))
        diagonal, up, left = total[i - 1][j - 1], total[i - 1][j], total[i][j - 1]
        if diagonal <= up and diagonal <= left:
            i, j = i - 1, j - 1
        elif up <= left:
            i -= 1
        else:
            j -= 1
    return path[::-1]


def lip_intensity(vertices: np.ndarray, lips: np.ndarray) -> float:
    """Root mean square over time of the lips' mean motion from frame to frame, in the data's unit; NaN for a frame."""
    if len(vertices) < 2:
        return float("nan")
    steps = np.linalg.norm(np.diff(vertices[:, lips].astype(np.float64), axis=0), axis=2).mean(1)
    return float(np.sqrt(np.square(steps).mean()))


def intensity_correlation(lips: Sequence[float], loudness: Sequence[float], subjects: Sequence[str]) -> float:
    """Speech-lip intensity correlation (SLCC): Pearson's r over sentences, both standardized for each subject. NaN
    where no subject has two different sentences."""
    names = np.array(subjects)
    pairs = []
    for subject in sorted(set(subjects)):
        of_subject = np.stack([np.array(lips)[names == subject], np.array(loudness)[names == subject]])
        if of_subject.shape[1] < 2 or (deviation := of_subject.std(1, ddof=1)).min() < 1e-12:
            continue
        pairs.append((of_subject - of_subject.mean(1, keepdims=True)) / deviation[:, None])
    if not pairs:
        return float("nan")
    joined = np.concatenate(pairs, 1)
    return _correlation(joined[0], joined[1]) if joined.shape[1] > 2 else float("nan")


def diversity(predictions: Sequence[np.ndarray]) -> float:
    """Mean distance of the vertices between every two predictions (T, V, 3) of a clip, in different styles or draws;
    NaN for one."""
    if len(predictions) < 2:
        return float("nan")
    pairs = [
        float(np.linalg.norm(a[: len(b)] - b[: len(a)], axis=2).mean())
        for number, a in enumerate(predictions)
        for b in predictions[:number]
    ]
    return sum(pairs) / len(pairs)


def delay(predicted: np.ndarray, true: np.ndarray, fps: float) -> tuple[float, float]:
    """Milliseconds by which `predicted` (T,) runs behind `true`, between frames by a parabola, and the correlation.

    NaN where one of them stands still.
    """
    reach = min(round(SYNC_REACH * fps), (len(true) - 1) // 2)
    a, b = predicted - predicted.mean(), true - true.mean()
    if reach < 1 or a.std() < 1e-12 or b.std() < 1e-12:
        return np.nan, np.nan
    lags = np.arange(-reach, reach + 1)
    r = np.array([_correlation(a[max(k, 0) : len(a) + min(k, 0)], b[max(-k, 0) : len(b) - max(k, 0)]) for k in lags])
    best = int(r.argmax())
    part = 0.0
    if 0 < best < len(r) - 1:
        left, middle, right = r[best - 1 : best + 2]
        curve = left - 2 * middle + right
        part = 0.5 * (left - right) / curve if curve < 0 else 0.0
    return float((lags[best] + part) / fps * 1000.0), float(r[best])


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-30))


def summary(sentences: Sequence[Sentence]) -> dict[str, float]:
    """The figures of a data set: LVE in both conventions over all frames together, everything else the mean over the
    sentences that have it; `fdd_abs` is the mean size of `fdd_code`, where signs cannot cancel."""
    frames = np.array([s.frames for s in sentences], np.float64)
    out: dict[str, float] = {"sentences": len(sentences), "frames": int(frames.sum())}
    for name in (f.name for f in fields(Sentence) if f.name != "frames"):
        values = np.array([getattr(s, name) for s in sentences], np.float64)
        if name.startswith("lve"):
            out[name] = float((values * frames).sum() / frames.sum())
        else:
            out[name] = float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
    out["fdd_abs"] = float(np.mean([abs(s.fdd_code) for s in sentences]))
    return out


def spread(of_seeds: Sequence[Mapping[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Summaries of several trainings → the mean of every figure, and its standard deviation (NaN for one)."""
    means, deviations = {}, {}
    for name in of_seeds[0]:
        values = np.array([figures.get(name, np.nan) for figures in of_seeds], np.float64)
        known = values[np.isfinite(values)]
        same = all(figures.get(name) == of_seeds[0][name] for figures in of_seeds)
        means[name] = of_seeds[0][name] if same else float(known.mean()) if len(known) else float("nan")
        deviations[name] = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    return means, deviations


def with_deviation(means: Mapping[str, float], deviations: Mapping[str, float]) -> dict[str, float | str]:
    """Figures for `table`: mean ± standard deviation where there is one."""
    return {
        name: f"{mean:.4g} ± {deviations[name]:.2g}" if deviations.get(name, np.nan) > 0 else mean
        for name, mean in means.items()
    }


def table(rows: Mapping[str, Mapping[str, float | str]], columns: Sequence[str] | None = None) -> str:
    """Figures by method as a markdown table."""
    names = list(columns or next(iter(rows.values())))
    lines = ["| method | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for method, figures in rows.items():
        cells = [_cell(figures.get(name, float("nan"))) for name in names]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: float | str) -> str:
    return (
        value
        if isinstance(value, str)
        else "–"
        if value != value
        else str(value)
        if isinstance(value, int)
        else f"{value:.4g}"
    )
