"""Values of a rig's properties for controls, and back."""

import numpy as np
import pytest

from kmtalk_addon.rig_channels import LINEAR, QUATERNION, Channel, Channels

JAW = np.array([[0.33, 0.0, 0.0], [0.0, 0.09, 0.0], [0.0, -0.09, 0.0]])
SOURCES = ("jawOpen", "jawLeft", "jawRight")


@pytest.mark.parametrize(
    ("mode", "base"),
    [
        ("XYZ", (0.0, 0.0, 0.0)),
        ("ZYX", (0.3, -0.2, 1.0)),
        (QUATERNION, (1.0, 0.0, 0.0, 0.0)),
        (QUATERNION, (-0.8, 0.6, 0.0, 0.0)),
    ],
)
def test_turns_come_back_from_values(mode, base):
    channel = Channel("jawOpen", SOURCES, JAW, base, mode)
    weights = {"jawOpen": np.linspace(0, 1, 9), "jawLeft": np.linspace(0.4, 0, 9)}
    values = channel.values(weights)
    assert values.shape == (9, len(base))
    assert np.abs(np.diff(values, axis=0)).max() < 0.1, "no jump"
    turns = np.stack([0.33 * weights["jawOpen"], 0.09 * weights["jawLeft"], np.zeros(9)], axis=1)
    np.testing.assert_allclose(channel.moved(values), turns, atol=1e-6)


def test_what_is_changed_on_a_rig_is_found_in_controls_and_stays_small():
    rng = np.random.default_rng(3)
    names = tuple(f"mouth{n}" for n in range(20))
    moves = 0.006 * rng.normal(size=(20, 3))
    channels = Channels(
        {
            0: Channel("jawOpen", SOURCES, JAW, (0.0, 0.0, 0.0), "XYZ"),
            3: Channel("mouth0", names, moves, (0.1, 0.0, 0.0), LINEAR),
        }
    )
    assert channels.names[0] == "jawOpen@0" and len(channels.names) == 6
    sources = (*SOURCES, *names)
    weights = np.full((4, len(sources)), 0.2)
    was = channels.kept(channels.poses(sources, weights))
    np.testing.assert_array_equal(channels.kept(was), was)
    now = was.copy()
    now[1, 0] += 0.5
    now[2, 3:] += 0.3
    now[3, 2] += 0.4  # no control turns the jaw so
    meant = channels.meant(sources, weights, was, now)
    np.testing.assert_array_equal(meant[0], weights[0])
    assert meant[1, 0] == pytest.approx(0.7, abs=0.03)
    assert 0 < np.abs(meant[2] - weights[2]).max() < 0.5 and (meant >= 0).all() and (meant <= 1).all()
    assert np.abs(meant[3] - weights[3]).max() > 5e-5, "it counts as changed"
    np.testing.assert_array_equal(channels.meant(sources, weights, was, was + 0.01, slack=0.02), weights)
