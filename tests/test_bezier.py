"""Few Bézier keys for many samples: within the tolerance, exact where it is asked, and mended where it is wrong."""

import numpy as np
import pytest

from kmtalk_core.bezier import BezierCurve, fit_curves, mend_curves, smooth_curve


def motion(seed: int, count: int = 240, channels: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Positions, with some between frames, and syllables of several sizes, rests, steps and a little noise."""
    rng = np.random.default_rng(seed)
    positions = np.sort(np.concatenate([np.arange(count), rng.choice(count - 1, 5, replace=False) + 0.37]))
    out = np.zeros((len(positions), channels))
    for channel in range(channels):
        for middle in rng.uniform(0, count, count // 8):
            size, width = rng.uniform(-0.5, 1.0), rng.uniform(1.5, 8)
            out[:, channel] += size * np.exp(-0.5 * ((positions - middle) / width) ** 2)
        if channel % 2:
            out[(positions > rng.uniform(0, count)) & (positions < rng.uniform(0, count)), channel] = 0.0
    return positions, out + rng.normal(0, 0.002, out.shape)


def values(curves: list[BezierCurve], positions: np.ndarray) -> np.ndarray:
    return np.stack([curve.at(positions) for curve in curves], 1)


def keys_of(curve: BezierCurve, positions: np.ndarray) -> np.ndarray:
    rows = np.searchsorted(positions, curve.points[:, 0] - 1e-9)
    np.testing.assert_array_equal(positions[rows], curve.points[:, 0])
    return rows


@pytest.mark.parametrize("seed", range(12))
def test_no_sample_is_missed_and_keys_are_exact(seed):
    positions, samples = motion(seed)
    rng = np.random.default_rng(seed)
    keyed = rng.random(samples.shape) < 0.05
    tolerance = np.where(rng.random(samples.shape) < 0.1, 0.002, 0.015)
    curves = fit_curves(positions, samples, tolerance, keyed)
    assert (np.abs(values(curves, positions) - samples) <= tolerance + 1e-9).all()
    for channel, curve in enumerate(curves):
        rows = keys_of(curve, positions)
        np.testing.assert_array_equal(curve.points[:, 1], samples[rows, channel])
        assert set(np.flatnonzero(keyed[:, channel])) | {0, len(positions) - 1} <= set(rows)
        assert len(rows) < 0.7 * len(positions)


@pytest.mark.parametrize("seed", range(4))
def test_a_curve_is_smooth_and_a_function_of_time(seed):
    positions, samples = motion(seed)
    for curve in fit_curves(positions, samples, np.full(samples.shape, 0.015), np.zeros(samples.shape, bool)):
        (left, right), points = (curve.left, curve.right), curve.points
        assert (np.diff(np.stack([points, right], 1).reshape(-1, 2)[:, 0]) > 0).all()
        assert (right[:-1, 0] < left[1:, 0]).all()
        into, out = points - left, right - points
        np.testing.assert_allclose(into[:, 1] / into[:, 0], out[:, 1] / out[:, 0], atol=1e-9)


def test_what_does_not_change_has_two_keys_and_a_cubic_too():
    at = np.arange(50.0)
    samples = np.stack([np.full(50, 0.3), ((at - 10) / 40) ** 3], 1)
    for curve in fit_curves(at, samples, np.full(samples.shape, 0.015), np.zeros(samples.shape, bool)):
        assert curve.points[:, 0].tolist() == [0.0, 49.0]


def test_few_keys_are_few():
    """A raised cosine up and down: an animator would set three keys."""
    at = np.arange(25.0)
    samples = (0.5 - 0.5 * np.cos(2 * np.pi * at / 24))[:, None]
    (curve,) = fit_curves(at, samples, np.full(samples.shape, 0.015), np.zeros(samples.shape, bool))
    assert len(curve.points) <= 4


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_shortest_motions(count):
    at, samples = np.arange(float(count)), np.linspace(0, 1, count)[:, None]
    (curve,) = fit_curves(at, samples, np.full(samples.shape, 0.015), np.zeros(samples.shape, bool))
    np.testing.assert_allclose(curve.at(at), samples[:, 0], atol=0.015)
    np.testing.assert_allclose(curve.at(np.array([-5.0, 50.0])), samples[[0, -1], 0])


def test_bent_handles_are_followed():
    curve = BezierCurve(
        np.array([[0.0, 0.0], [10.0, 1.0]]), np.array([[-1, 0.0], [2.0, 1.0]]), np.array([[9.0, 0.0], [12, 1.0]])
    )
    share = np.linspace(0, 1, 1001)
    rest = 1 - share
    across = 3 * rest**2 * share * 9 + 3 * rest * share**2 * 2 + 10 * share**3
    up = 3 * rest * share**2 + share**3
    np.testing.assert_allclose(curve.at(across), up, atol=1e-6)


def test_a_smooth_curve_has_its_slopes():
    curve = smooth_curve(np.array([0.0, 4.0, 6.0]), np.array([0.0, 1.0, 0.0]), np.array([0.5, 0.0, -1.0]))
    step = 1e-4
    for position, slope in ((0.0, 0.5), (4.0, 0.0), (6.0 - step, -1.0)):
        low, high = curve.at(np.array([position, position + step]))
        assert (high - low) / step == pytest.approx(slope, abs=1e-3)


def test_what_is_right_is_kept_bit_for_bit():
    positions, samples = motion(3)
    tolerance, keyed = np.full(samples.shape, 0.015), np.zeros(samples.shape, bool)
    before = fit_curves(positions, samples, tolerance, keyed)
    assert all(a is b for a, b in zip(mend_curves(positions, samples, tolerance, keyed, before), before, strict=True))


@pytest.mark.parametrize("seed", range(8))
def test_what_is_wrong_is_mended_up_to_the_next_keys(seed):
    positions, samples = motion(seed)
    tolerance, keyed = np.full(samples.shape, 0.015), np.zeros(samples.shape, bool)
    before = fit_curves(positions, samples, tolerance, keyed)
    low, high = 100, 115
    samples[low : high + 1, :4] += 0.3 * np.hanning(high - low + 1)[:, None]
    keyed[107] = True
    after = mend_curves(positions, samples, tolerance, keyed, before)
    assert (np.abs(values(after, positions) - samples) <= 1.001 * tolerance + 2e-6).all()
    for channel, (old, new) in enumerate(zip(before, after, strict=True)):
        rows = keys_of(old, positions)
        first, last = rows[rows < low].max(), rows[rows > high].min()
        assert 107 in keys_of(new, positions)
        for side, handle in ((rows <= first, "left"), (rows >= last, "right")):
            at = np.isin(new.points[:, 0], old.points[side, 0])
            for part in ("points", handle):
                np.testing.assert_array_equal(getattr(new, part)[at], getattr(old, part)[side], str(channel))


def test_a_missing_curve_is_made_and_a_wrong_key_goes():
    positions, samples = motion(5, channels=2)
    tolerance, keyed = np.full(samples.shape, 0.015), np.zeros(samples.shape, bool)
    first, _ = fit_curves(positions, samples, tolerance, keyed)
    between = (positions[60] + positions[61]) / 2
    points = np.insert(first.points, np.searchsorted(first.points[:, 0], between), [between, 3.0], axis=0)
    odd = smooth_curve(points[:, 0], points[:, 1], np.zeros(len(points)))
    mended = mend_curves(positions, samples, tolerance, keyed, [odd, None])
    assert (np.abs(values(mended, positions) - samples) <= 1.001 * tolerance + 2e-6).all()
    assert 3.0 not in mended[0].points[:, 1]
