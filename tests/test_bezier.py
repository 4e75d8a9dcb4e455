"""Few Bézier keys for many samples: within the tolerance, exact where it is asked, local where it changes."""

from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core.bezier import BezierCurve, Samples, fit_curves, smooth_curve


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


def within(positions: np.ndarray, samples: np.ndarray, keyed: np.ndarray | None = None) -> Samples:
    keyed = np.zeros(samples.shape, bool) if keyed is None else keyed
    return Samples(positions, samples, np.full(samples.shape, 0.015), keyed, np.full(samples.shape, np.nan))


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
    curves = fit_curves(replace(within(positions, samples, keyed), tolerance=tolerance))
    assert (np.abs(values(curves, positions) - samples) <= tolerance + 1e-9).all()
    for channel, curve in enumerate(curves):
        rows = keys_of(curve, positions)
        np.testing.assert_array_equal(curve.points[:, 1], samples[rows, channel])
        assert set(np.flatnonzero(keyed[:, channel])) <= set(rows)
        assert len(rows) < 0.7 * len(positions)


@pytest.mark.parametrize("seed", range(4))
def test_a_curve_is_smooth_and_a_function_of_time(seed):
    positions, samples = motion(seed)
    for curve in fit_curves(within(positions, samples)):
        (left, right), points = (curve.left, curve.right), curve.points
        assert (np.diff(np.stack([points, right], 1).reshape(-1, 2)[:, 0]) > 0).all()
        assert (right[:-1, 0] < left[1:, 0]).all()
        into, out = points - left, right - points
        np.testing.assert_allclose(into[:, 1] / into[:, 0], out[:, 1] / out[:, 0], atol=1e-9)


def test_what_does_not_change_has_one_key_and_a_cubic_two():
    at = np.arange(50.0)
    samples = np.stack([np.full(50, 0.3), ((at - 10) / 40) ** 3], 1)
    still, cubic = fit_curves(within(at, samples))
    assert len(still.points) == 1 and cubic.points[:, 0].tolist() == [0.0, 49.0]


def test_ends_have_keys_only_where_the_curve_would_not_stay_by_itself():
    at = np.arange(60.0)
    rise = np.clip((at - 20) / 10, 0, 1)
    samples = np.stack([rise * rise * (3 - 2 * rise), at / 59, rise * rise * (3 - 2 * rise)], 1)
    keyed = np.zeros(samples.shape, bool)
    keyed[[0, -1], 2] = True
    held, moving, asked = fit_curves(within(at, samples, keyed))
    assert held.points[[0, -1], 0].tolist() != [0.0, 59.0] and len(held.points) < len(asked.points)
    np.testing.assert_allclose(held.at(np.array([-3.0, 0.0, 19.0, 40.0, 59.0])), [0, 0, 0, 1, 1], atol=0.015)
    for curve in (moving, asked):
        assert curve.points[[0, -1], 0].tolist() == [0.0, 59.0]


def test_few_keys_are_few():
    """A raised cosine up and down: an animator would set three keys."""
    at = np.arange(25.0)
    samples = (0.5 - 0.5 * np.cos(2 * np.pi * at / 24))[:, None]
    (curve,) = fit_curves(within(at, samples))
    assert len(curve.points) <= 4


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_shortest_motions(count):
    at, samples = np.arange(float(count)), np.linspace(0, 1, count)[:, None]
    (curve,) = fit_curves(within(at, samples))
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


def sometimes_keyed(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """As key motions are: on the same instants of most channels."""
    rng = np.random.default_rng(seed)
    keyed = np.repeat(rng.random(shape[0]) < 0.08, shape[1]).reshape(shape)
    keyed[:, -1] = False
    return keyed


def test_a_key_has_the_slope_that_it_is_given():
    positions, samples = motion(4, channels=2)
    wanted = within(positions, samples, np.zeros(samples.shape, bool))
    wanted.keyed[[80, 81], 0] = True
    wanted.slopes[[80, 81], 0] = samples[81, 0] - samples[80, 0]
    curve, _ = fit_curves(wanted)
    key = int(np.flatnonzero(curve.points[:, 0] == positions[80])[0])
    middle = curve.at(positions[80:82].mean(keepdims=True))
    run = curve.right[key] - curve.points[key]
    assert run[1] / run[0] == pytest.approx(samples[81, 0] - samples[80, 0])
    if positions[81] - positions[80] == 1.0:
        np.testing.assert_allclose(middle, samples[80:82, 0].mean(), atol=1e-9)
    np.testing.assert_allclose(curve.at(positions), samples[:, 0], atol=0.0151)


@pytest.mark.parametrize("seed", range(8))
def test_what_changes_in_one_place_changes_nothing_far_from_it(seed):
    positions, samples = motion(seed, count=700)
    keyed = sometimes_keyed(seed, samples.shape)
    before = fit_curves(within(positions, samples, keyed))
    samples[300:316, :4] += 0.3 * np.hanning(16)[:, None]
    for channel, (old, new) in enumerate(zip(before, fit_curves(within(positions, samples, keyed)), strict=True)):
        for some in (old.points[:, 0] < 200, old.points[:, 0] > 420) if channel < 4 else (slice(None),):
            rows = np.isin(new.points[:, 0], old.points[some, 0])
            np.testing.assert_array_equal(new.points[rows], old.points[some])


@pytest.mark.parametrize("seed", range(8))
def test_what_is_known_is_not_fitted_again_with_the_same_result(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    positions, samples = motion(seed, count=700)
    before = within(positions, samples, sometimes_keyed(seed, samples.shape))
    known = fit_curves(before)
    changed, keyed = samples.copy(), before.keyed.copy()
    at = int(rng.integers(20, 660)) if seed > 1 else 2  # the first stretch, too
    changed[at : at + 16, :4] += 0.3 * np.hanning(16)[:, None]
    keyed[at + 9] = True
    if seed % 2:  # a key between two frames, too
        positions = np.insert(positions, at + 5, (positions[at + 4] + positions[at + 5]) / 2)
        changed, keyed = (np.insert(some, at + 5, some[at + 5], axis=0) for some in (changed, keyed))
    after = within(positions, changed, keyed)
    fitted = []
    monkeypatch.setattr("kmtalk_core.bezier._pieces", lambda todo: fitted.append(len(todo)) or [todo])
    found, whole = fit_curves(after, before, known), fit_curves(after)
    assert fitted[0] < fitted[1] / 2
    for one, other in zip(found, whole, strict=True):
        for name in ("points", "left", "right"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_curves_of_older_versions_are_fitted_again_where_they_do_not_meet_what_is_made_now():
    positions, samples = motion(5, count=700)
    wanted = within(positions, samples, sometimes_keyed(5, samples.shape))
    whole = fit_curves(wanted)
    every = np.arange(0, len(positions), 2)
    foreign = [smooth_curve(positions[every], samples[every, c], 0.01 * np.ones(len(every))) for c in range(6)]
    for one, other in zip(fit_curves(wanted, wanted, foreign), whole, strict=True):
        np.testing.assert_array_equal(one.points, other.points)
        np.testing.assert_array_equal(one.right, other.right)


def test_nothing_is_known_of_other_channels():
    positions, samples = motion(1)
    before, known = within(positions, samples), fit_curves(within(positions, samples))
    (one,) = fit_curves(within(positions, samples[:, 3:4]), before, known)
    np.testing.assert_array_equal(one.points, known[3].points)


def test_long_motions_are_fitted_in_pieces_with_the_same_result(monkeypatch):
    positions, samples = motion(2, count=700)
    wanted = within(positions, samples, sometimes_keyed(2, samples.shape))
    whole = fit_curves(wanted)
    monkeypatch.setattr("kmtalk_core.bezier.AT_ONCE", 300)
    for one, other in zip(fit_curves(wanted), whole, strict=True):
        np.testing.assert_array_equal(one.right, other.right)
