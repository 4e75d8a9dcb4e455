"""Expressions: FACS prototypes that speech talks through; contacts come first; off at 0."""

import numpy as np
import pytest
from test_upper_face import talking

from kmtalk_core import settings
from kmtalk_core.command.batch.manifest import read_line
from kmtalk_core.errors import InputError
from kmtalk_core.finish.compose import HEARD
from kmtalk_core.finish.expression import EXPRESSIONS, expression_layer, prototype_of, speak_through
from kmtalk_core.phones import SILENCE, Alignment, Phone
from kmtalk_core.rig.controls import ALL_CONTROLS, CONTROL_INDEX, HEAD_CONTROLS
from kmtalk_core.settings import Layers

TIMES = np.arange(301) / 50
STYLES = [name for name in EXPRESSIONS if name != "neutral"]
PHONES = (Phone(SILENCE, 0, 2), Phone("M", 2, 2.3), Phone("AA", 2.3, 3), Phone("F", 3, 3.2), Phone(SILENCE, 3.2, 6))
ALIGNMENT = Alignment(PHONES, (), 6.0, "test")


def column(motion, name):
    return motion[:, CONTROL_INDEX[name]]


def layer(name, strength=1.0, seed=0, times=TIMES):
    return expression_layer(times, talking(6.0), name, strength, seed)


def spoken(**controls):
    motion = np.zeros((len(TIMES), len(ALL_CONTROLS)), np.float32)
    for name, value in controls.items():
        motion[:, CONTROL_INDEX[name]] = value
    return motion


@pytest.mark.parametrize("name", STYLES)
def test_a_style_is_its_prototype_a_little_alive(name):
    face = layer(name)
    for control, value in prototype_of(name).items():
        assert 0.6 * value < column(face, control).min() <= column(face, control).max() < 1.2 * value
    others = [k for k, control in enumerate(ALL_CONTROLS) if control not in prototype_of(name)]
    assert not face[:, others].any()
    assert face.std(0).max() > 1e-3 and np.abs(np.diff(face, axis=0)).max() < 0.03
    assert np.allclose(layer(name, 0.5), 0.5 * face, atol=1e-6)


def test_prototypes_follow_facs():
    assert {"cheekSquintLeft", "mouthSmileRight"} <= set(prototype_of("happy"))
    assert {"browInnerUp", "browDownLeft", "mouthFrownRight"} <= set(prototype_of("sad"))
    assert {"browDownLeft", "eyeWideLeft", "eyeSquintRight", "mouthPressLeft"} <= set(prototype_of("angry"))
    assert {"browInnerUp", "browOuterUpLeft", "eyeWideRight", "jawOpen"} <= set(prototype_of("surprised"))


@pytest.mark.parametrize("name", STYLES)
def test_contacts_come_first_and_the_brows_stay(name):
    """While lips close or touch the teeth, the layer parts them no further and moves no jaw."""
    face = speak_through(layer(name), spoken(), ALIGNMENT, TIMES)
    for phone in PHONES:
        if phone.label in "MF":
            within = (phone.start + 0.01 <= TIMES) & (phone.end - 0.01 >= TIMES)
            for control in ("jawOpen", "jawForward", "mouthUpperUpLeft", "mouthShrugLower", "mouthPressLeft"):
                assert column(face, control)[within].max() < 1e-6, control
    corners = [c for c in prototype_of(name) if c.startswith(("mouthSmile", "mouthFrown"))]
    at_m, at_rest = np.searchsorted(TIMES, [2.15, 1.0])
    for control in corners:
        assert 0.3 < column(face, control)[at_m] / column(face, control)[at_rest] < 0.8
    for control in prototype_of(name):
        if control.startswith("brow"):
            assert np.array_equal(column(face, control), column(layer(name), control))
    assert np.abs(np.diff(face, axis=0)).max() < 0.15  # gives way softly


def test_rounding_takes_the_smile_back():
    smile = column(speak_through(layer("happy"), spoken(), ALIGNMENT, TIMES), "mouthSmileLeft")
    rounded = column(speak_through(layer("happy"), spoken(mouthPucker=1.0), ALIGNMENT, TIMES), "mouthSmileLeft")
    assert rounded[50] < 0.5 * smile[50]


def test_blinks_close_wide_eyes_and_nothing_exceeds_its_range():
    for name in STYLES:
        full = speak_through(layer(name), np.ones((len(TIMES), len(ALL_CONTROLS)), np.float32), ALIGNMENT, TIMES)
        assert full.max() <= 1.0
        shut = speak_through(layer(name), spoken(eyeBlinkLeft=1.0, eyeBlinkRight=1.0), ALIGNMENT, TIMES)
        assert not column(shut, "eyeWideLeft").any() and not column(shut, "eyeSquintLeft").any()


def test_off_seeded_and_the_same_at_any_frame_rate():
    assert not layer("happy", 0.0).any() and not layer("neutral").any()
    motion = spoken(jawOpen=0.3, mouthPucker=0.2)
    assert np.array_equal(speak_through(layer("neutral"), motion, ALIGNMENT, TIMES), motion)
    assert not np.array_equal(layer("sad", seed=1), layer("sad", seed=2))
    fast = layer("sad", times=np.arange(601) / 100)
    assert np.allclose(fast[::2], layer("sad"), atol=1e-6)
    assert not fast[:, [CONTROL_INDEX[name] for name in HEAD_CONTROLS]].any()


def test_names_are_the_same_everywhere_and_wrong_ones_are_told():
    assert (*EXPRESSIONS, HEARD) == tuple(settings.EXPRESSIONS)
    with pytest.raises(InputError, match="no expression 'bored'; choose neutral, happy"):
        Layers(expression="bored")
    with pytest.raises(InputError, match="between 0 and 1"):
        Layers(expression_strength=1.5)


def test_a_manifest_may_name_an_expression(tmp_path):
    record = {"audio": "a.wav", "expression": "sad", "expression_strength": "0.5", "head": "0"}
    line = read_line(record, "line 2", tmp_path)
    assert (line.expression, line.expression_strength, line.head) == ("sad", 0.5, 0.0)
    with pytest.raises(InputError, match="line 2: expression 'bored' is unknown"):
        read_line({"audio": "a.wav", "expression": "bored"}, "line 2", tmp_path)
