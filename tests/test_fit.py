"""Fitting the rules to captured motion: what people show is found, what they do not show stays the literature's."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from kmtalk_core.audio import SAMPLE_RATE  # noqa: E402
from kmtalk_core.errors import InputError  # noqa: E402
from kmtalk_core.files import save_npz  # noqa: E402
from kmtalk_core.phones import Alignment, Phone  # noqa: E402
from training.articulation import Style, synthesize  # noqa: E402
from training.articulation.fit import fit, read  # noqa: E402
from training.articulation.targets import COLUMNS, LITERATURE, ROWS  # noqa: E402

SAID = ("SIL", "B", "AA", "T", "IY", "P", "EH", "N", "S", "UW", "L", "IY", "K", "AE", "SIL")
UPPER, JAW = COLUMNS.index("mouthUpperUp"), COLUMNS.index("jawOpen")


@pytest.fixture
def people(tmp_path):
    """Three clips of somebody who lifts the upper lip twice as far as the literature's speaker."""
    targets = LITERATURE.targets.copy()
    targets[:, UPPER] *= 2.0
    rules = replace(LITERATURE, targets=targets)
    rng = np.random.default_rng(0)
    for clip in range(3):
        said = [SAID[0], *rng.permutation(SAID[1:-1]).tolist(), SAID[-1]]
        edges = np.concatenate([[0.0], np.cumsum(rng.uniform(0.1, 0.25, len(said)))])
        phones = tuple(Phone(p, float(a), float(b)) for p, a, b in zip(said, edges[:-1], edges[1:], strict=True))
        times = np.arange(int(edges[-1] * 25)) / 25
        motion = synthesize(Alignment(phones, (), edges[-1], "test"), times, rules=rules, style=Style(variation=0.0))
        save_npz(
            {
                "samples": (3000 * rng.standard_normal(int(edges[-1] * SAMPLE_RATE))).astype(np.int16),
                "phone_labels": np.array(said),
                "phone_starts": edges[:-1],
                "phone_ends": edges[1:],
                "stress": np.full(len(said), 2),
                "controls": motion.astype(np.float16),
                "usable": np.ones(len(times), bool),
                "control_fps": np.array(25.0),
            },
            tmp_path / f"{clip}.npz",
        )
    return tmp_path


def test_what_people_show_is_found_and_what_they_do_not_show_stays(people):
    clips, seconds = read([people])
    assert seconds[ROWS["AA"]] > 0 and not seconds[ROWS["SH"]]
    fitted = fit(clips, seconds, steps=60, prior=1.0)
    lifted = fitted.targets[:, UPPER] / np.maximum(LITERATURE.targets[:, UPPER], 1e-9)
    assert lifted[[ROWS[p] for p in ("S", "IY", "AE", "T")]].min() > 1.3, "the lip is lifted further"
    assert lifted[ROWS["SH"]] > 1.2, "in phones that nobody said, too: they are made alike"
    assert np.array_equal(fitted.targets[ROWS["SIL"]], LITERATURE.targets[ROWS["SIL"]]), "silence is rest"
    assert fitted.targets[ROWS["S"], JAW] == pytest.approx(LITERATURE.targets[ROWS["S"], JAW]), "no camera sees teeth"
    tongue = [c for c, name in enumerate(COLUMNS) if name.startswith("tongue")]
    assert np.array_equal(fitted.targets[:, tongue], LITERATURE.targets[:, tongue]), "nor the tongue"
    jaw = fitted.targets[[ROWS[p] for p in ("AA", "AE", "EH")], JAW]
    assert np.abs(jaw / LITERATURE.targets[[ROWS[p] for p in ("AA", "AE", "EH")], JAW] - 1).max() < 0.25
    assert np.isfinite(fitted.dominance).all() and all(t > 0 for t in fitted.time_constant.values())


def test_a_strong_prior_keeps_the_literature(people):
    clips, seconds = read([people], every=3)
    assert len(clips.times) == 1
    fitted = fit(clips, seconds, steps=20, prior=1e5)
    assert np.abs(fitted.targets - LITERATURE.targets).max() < 0.3


def test_no_captured_clips_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"training\.corpus\.captured"):
        read([tmp_path])
