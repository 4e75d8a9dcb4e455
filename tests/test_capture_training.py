"""Captured motion in training: in time, in other manners, told to the networks; and rules that are fitted and saved."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from kmtalk_core.conditioning import STYLE  # noqa: E402
from kmtalk_core.networks.kmtalk import KMTalk, KMTalkConfig  # noqa: E402
from kmtalk_core.rig.controls import SPEECH_CONTROLS  # noqa: E402
from training.articulation import Style  # noqa: E402
from training.articulation.targets import FITTED, LITERATURE, ROWS, Rules  # noqa: E402
from training.capture.motion import CapturedMotion, in_manner, with_seen  # noqa: E402

JAW, TONGUE = SPEECH_CONTROLS.index("jawOpen"), SPEECH_CONTROLS.index("tongueTipUp")
PUCKER = SPEECH_CONTROLS.index("mouthPucker")


def captured() -> CapturedMotion:
    controls = np.random.default_rng(0).uniform(0, 0.6, (50, len(SPEECH_CONTROLS))).astype(np.float32)
    controls[20:23, JAW] = 0.0
    usable = np.ones(50, bool)
    usable[40:] = False
    return CapturedMotion(controls, usable, 25.0)


def test_captured_motion_passes_through_its_frames_and_never_beyond_them():
    motion = captured()
    at_frames, weights = motion.at(np.arange(50) / 25)
    assert np.allclose(at_frames, motion.controls, atol=1e-6)
    assert (weights[:40] == 1).all() and (weights[41:] == 0).all()
    fine, _ = motion.at(np.arange(0, 1.96, 0.004))
    assert fine.min() >= 0 and fine.max() <= motion.controls.max() + 1e-6
    closed, _ = motion.at(np.arange(20, 22.01, 0.1) / 25)
    assert np.abs(closed[:, JAW]).max() < 1e-6, "closures stay closures between frames"


def test_only_what_a_camera_sees_is_captured():
    seen, rules = captured().controls, np.zeros((50, len(SPEECH_CONTROLS)), np.float32)
    both = with_seen(rules, seen)
    assert np.array_equal(both[:, JAW], seen[:, JAW]) and not both[:, TONGUE].any()
    assert np.allclose(with_seen(rules, seen, 0.5)[:, JAW], seen[:, JAW] / 2)


def test_manners_scale_what_they_say():
    seen = 0.5 * captured().controls
    other = in_manner(seen, amplitude=1.2, jaw=1.0, rounding=2.0, spreading=1.0)
    assert np.allclose(other[:, JAW], 1.2 * seen[:, JAW]) and np.allclose(other[:, PUCKER], 2 * seen[:, PUCKER])


def test_a_style_is_told_in_standard_deviations():
    assert not Style().code(0.0).any()
    numbers = {"amplitude": 1.0, "rounding": -2.0}
    code = Style.of(numbers).code(1.0)
    assert np.allclose(code, [numbers.get(name, 0.0) for name in STYLE[:-1]] + [1.0], atol=1e-6)


def test_the_style_changes_what_the_networks_do_and_none_is_zero():
    torch.manual_seed(0)
    model = KMTalk(KMTalkConfig(d_model=16, heads=2, encoder_layers=1, key_layers=1, style_dim=len(STYLE))).eval()
    audio, times = torch.randn(1, 5, 16), torch.arange(5)[None] / 10
    phones, timing = torch.randint(0, 40, (1, 5, 3)), torch.randn(1, 5, 4)
    plain = model.lkma(audio, phones, timing, times)
    assert torch.equal(plain, model.lkma(audio, phones, timing, times, style=torch.zeros(1, len(STYLE))))
    assert not torch.allclose(plain, model.lkma(audio, phones, timing, times, style=torch.ones(1, len(STYLE))))


def test_rules_are_saved_and_loaded(tmp_path):
    FITTED.save(tmp_path / "rules.json")
    again = Rules.load(tmp_path / "rules.json")
    assert np.allclose(again.targets, FITTED.targets, atol=1e-3) and again.person == FITTED.person


def test_fitted_rules_keep_what_no_camera_sees():
    silence, s = ROWS["SIL"], ROWS["S"]
    assert np.allclose(FITTED.targets[silence], LITERATURE.targets[silence])
    assert np.isclose(FITTED.targets[s, 0], LITERATURE.targets[s, 0]), "the teeth of s are together"
    assert np.allclose(FITTED.targets[:, -3:], LITERATURE.targets[:, -3:]), "the tongue is the literature's"
