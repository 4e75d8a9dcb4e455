"""Corrected words change the motion near them and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kmtalk_core
from kmtalk_core.animator import Animator, Request
from kmtalk_core.audio import load_sound
from kmtalk_core.errors import InputError
from kmtalk_core.finish.splice import AROUND, BLEND, changed_span
from kmtalk_core.localization.corrections import Correction
from kmtalk_core.motion import KeyMotions
from kmtalk_core.phones import Alignment, Phone

SPEECH = Path(kmtalk_core.__file__).parent / "assets" / "sample_speech.flac"


@pytest.fixture(scope="module")
def animator():
    return Animator()


@pytest.fixture(scope="module")
def sound():
    return load_sound(SPEECH)


@pytest.fixture(scope="module")
def before(animator, sound):
    alignment = animator.align(sound)
    return animator.animate(sound, Request(alignment=alignment, offset=0.1, smoothing=0.2))


def test_the_span_of_a_change():
    def of(*ends: float, labels: str) -> Alignment:
        starts = (0.0, *ends[:-1])
        phones = tuple(Phone(label, a, b) for label, a, b in zip(labels, starts, ends, strict=True))
        return Alignment(phones, (), ends[-1], "test")

    one = of(1.0, 2.0, 3.0, labels="ABC")
    assert changed_span(one, one) is None
    assert changed_span(one, of(1.0, 2.0, 3.0, labels="AXC")) == (1.0, 2.0)
    assert changed_span(one, of(1.5, 2.0, 3.0, labels="ABC")) == (0.0, 2.0)
    assert changed_span(one, of(1.0, 1.5, 2.0, 3.0, labels="ABBC")) == (1.0, 2.0)
    assert changed_span(of(1.0, 1.5, 2.0, 3.0, labels="ABBC"), one) == (1.0, 2.0)


def test_a_corrected_phone_changes_only_its_neighbourhood(animator, sound, before):
    index = next(i for i, p in enumerate(before.alignment.phones) if i > 20 and p.label not in ("SIL", "M"))
    phone = before.alignment.phones[index]
    wish = Request(corrections=(Correction("phone", (phone.start + phone.end) / 2, label="M"),))
    after = animator.correct(before, sound, wish)
    assert after.alignment.phones[index] == replace(phone, label="M")
    assert (after.sliders, after.layers) == (before.sliders, before.layers)
    reach = AROUND + BLEND + 0.3  # into and out of a contact
    offset = before.sliders.offset
    far = (before.times < phone.start + offset - reach) | (before.times > phone.end + offset + reach)
    np.testing.assert_array_equal(after.controls[far], before.controls[far])
    near = (before.times >= phone.start + offset) & (before.times <= phone.end + offset)
    assert not np.allclose(after.controls[near], before.controls[near], atol=0.02)
    press = list(after.control_names).index("mouthPressLeft")
    assert after.controls[near, press].max() > before.controls[near, press].max()


def test_edited_keys_stay_when_a_phone_is_corrected(animator, sound, before):
    keys = before.keys
    index = next(i for i, p in enumerate(before.alignment.phones) if i > 20 and p.label not in ("SIL", "UW"))
    phone = before.alignment.phones[index]
    inside = int(np.abs(keys.times - phone.start - before.sliders.offset).argmin())
    edits = keys.controls.copy()
    column = list(before.control_names).index("jawOpen")
    edits[inside, column] = edits[3, column] = 0.77
    edited = animator.complete(before, KeyMotions(keys.times, edits))
    wish = Request(corrections=(Correction("phone", (phone.start + phone.end) / 2, label="UW"),))
    after = animator.correct(edited, sound, wish)
    for time in (keys.times[3], keys.times[inside]):
        at = int(np.abs(after.keys.times - time).argmin())
        assert after.keys.times[at] == time and after.unfinished.edited[at]
        assert after.keys.controls[at, column] == np.float32(0.77)
        assert after.controls[round(time * after.fps), column] == np.float32(0.77)
    assert after.unfinished.edited.sum() == 2


def test_a_correction_that_changes_nothing(animator, sound, before):
    phone = before.alignment.phones[5]
    wish = Request(corrections=(Correction("phone", (phone.start + phone.end) / 2, label=phone.label),))
    after = animator.correct(before, sound, wish)
    np.testing.assert_array_equal(after.controls, before.controls)


def test_results_without_what_is_needed_are_refused(animator, sound, before):
    with pytest.raises(InputError, match="generate it again"):
        animator.correct(replace(before, unfinished=None), sound, Request())
