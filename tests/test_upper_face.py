"""Blinks, brows and gaze: human statistics, seeded, off at 0, apart from the lips."""

import numpy as np
import pytest

from kmtalk_core.finish.rhythm import find_rhythm
from kmtalk_core.finish.upper_face import CLOSING, OPENING, SHUT, _lid, blinks, upper_face
from kmtalk_core.phones import SILENCE, Alignment, Phone
from kmtalk_core.rig.controls import UPPER_FACE_CONTROLS

RATE = 50.0
BLINK, OTHER = UPPER_FACE_CONTROLS.index("eyeBlinkLeft"), UPPER_FACE_CONTROLS.index("eyeBlinkRight")
BROWS = [UPPER_FACE_CONTROLS.index(name) for name in ("browInnerUp", "browOuterUpLeft", "browDownLeft")]
GAZE = [k for k, name in enumerate(UPPER_FACE_CONTROLS) if name.startswith("eyeLook")]


def talking(seconds: float):
    """Phrases of eight syllables and a pause, every fourth syllable accented."""
    phones, at = [], 0.0
    prosody = np.zeros((int(seconds * RATE) + 1, 3))
    while at < seconds:
        for k in range(8):
            phones += [Phone("T", at, at + 0.06), Phone("AA", at + 0.06, at + 0.22)]
            prosody[int((at + 0.06) * RATE) : int((at + 0.22) * RATE), :2] = (0.9, 1.0) if k % 4 == 1 else (0.2, 0.1)
            at += 0.22
        phones.append(Phone(SILENCE, at, at + 0.4))
        at += 0.4
    return find_rhythm(Alignment.from_segments(phones, (), seconds, "test"), prosody, RATE)


def face(seconds=120.0, fps=30.0, seed=0, strength=1.0):
    return upper_face(np.arange(int(seconds * fps) + 1) / fps, talking(seconds), seed, strength)


@pytest.mark.parametrize("seconds", [4.0, 5.0, 12.0, 120.0])
def test_people_blink_ten_to_twentyfive_times_a_minute(seconds):
    rhythm = talking(seconds)
    rates = [len(blinks(rhythm, np.random.default_rng(s))) * 60 / seconds for s in range(20)]
    assert all(10 <= rate <= 25 for rate in rates)
    assert seconds < 100 or (len(set(rates)) > 1 and 17 < np.mean(rates) < 24)


def test_blinks_keep_off_accents_and_seek_pauses():
    rhythm = talking(120.0)
    at = np.array([b.at for s in range(10) for b in blinks(rhythm, np.random.default_rng(s))])
    everywhere = np.arange(0, 120, 0.01)
    on_accent = rhythm.prominence_at(at) > 0.7
    assert on_accent.mean() < 0.3 * (rhythm.prominence_at(everywhere) > 0.7).mean()

    def in_pause(times):
        return np.mean([all(not p.start <= t < p.end for p in rhythm.phrases) for t in times])

    assert in_pause(at) > 2 * in_pause(everywhere)


def test_lids_close_faster_than_they_open_and_together():
    lids = face(fps=240.0)[:, [BLINK, OTHER]]
    speed = np.diff(lids[:, 0])
    assert speed.max() > 1.5 * -speed.min()
    assert lids.max() > 0.99
    peaks = np.flatnonzero((lids[1:-1, 0] >= lids[:-2, 0]) & (lids[1:-1, 0] > lids[2:, 0]))
    assert (lids[peaks, 0] < 0.9).any() and (lids[peaks, 0] > 0.99).mean() > 0.6  # some are partial
    shut = [np.flatnonzero(side > 0.5) for side in lids.T]
    assert abs(len(shut[0]) - len(shut[1])) < 0.1 * len(shut[0])
    assert np.isin(shut[0], shut[1]).mean() > 0.9


def test_lids_open_quickly_at_first_and_slowly_at_the_end():
    """As those of captured people: half open 60 ms after they were shut, and a tail of some 0.4 s."""
    times = np.arange(-0.3, 1.0, 0.001)
    lid = _lid(times, 0.0, CLOSING, SHUT, OPENING)
    since = times - SHUT / 2
    assert lid.max() == 1.0 and lid[0] == 0.0 and lid[-1] < 1e-9
    assert 0.1 < np.interp(0.13, since, lid) < 0.4 and 0.02 < np.interp(0.3, since, lid) < 0.2
    assert (lid > 0.5).sum() < 180, "ms"


def test_a_whole_blink_is_seen_at_24_frames_a_second():
    lids = face(fps=24.0)[:, BLINK]
    begins = np.flatnonzero((lids[1:] >= 0.5) & (lids[:-1] < 0.5))
    deepest = [lids[b : b + 8].max() for b in begins]
    assert np.median(deepest) > 0.97


def test_brows_rise_with_accents_and_scale_with_strength():
    rhythm, full, half = talking(120.0), face(), face(strength=0.5)
    raised = full[:, BROWS].max(1)
    near = np.min(np.abs(np.arange(len(full))[:, None] / 30 - rhythm.accents[None]), axis=1)
    assert 0.1 < raised.max() < 0.6
    assert raised[near < 0.1].mean() > 2 * raised[near > 0.5].mean()
    assert np.allclose(half[:, BROWS], full[:, BROWS] * 0.5, atol=1e-6)
    assert np.allclose(half[:, BLINK], full[:, BLINK], atol=1e-6)


def test_gaze_is_held_but_for_small_quick_shifts():
    gaze = face()[:, GAZE] * 30.0  # degrees, about
    assert 0.5 < gaze.max() < 5.0
    moving = (np.abs(np.diff(gaze, axis=0)) > 1e-6).any(1)
    assert 0.01 < moving.mean() < 0.15


def test_off_at_zero_and_the_same_at_any_frame_rate():
    assert not face(strength=0.0).any()
    assert np.allclose(face(fps=60.0)[::2], face(fps=30.0), atol=1e-6)
    assert not np.array_equal(face(seed=1), face(seed=2))
