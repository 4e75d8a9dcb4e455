"""The façade with the shipped model, on the sample speech: what a user gets."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import ASSETS, COMPACT_CHECKPOINT
from kmtalk_core.audio import SAMPLE_RATE, Sound, load_sound
from kmtalk_core.errors import Cancelled, InputError
from kmtalk_core.motion import KeyMotions
from kmtalk_core.phones import BILABIALS, SILENCE
from kmtalk_core.results import load_animation, save_animation
from kmtalk_core.rig.controls import CONTROL_INDEX, HEAD_CONTROLS, LOWEST, UPPER_FACE_CONTROLS

JAW, CLOSE = CONTROL_INDEX["jawOpen"], CONTROL_INDEX["mouthClose"]
UPPER = [CONTROL_INDEX[name] for name in UPPER_FACE_CONTROLS + HEAD_CONTROLS]


@pytest.fixture(scope="module")
def animator():
    return Animator()


@pytest.fixture(scope="module")
def sound():
    return load_sound(ASSETS / "sample_speech.flac")


@pytest.fixture(scope="module")
def transcript():
    return (ASSETS / "sample_speech.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def animation(animator, sound, transcript):
    return animator.animate(sound, Request(transcript=transcript))


def controls_at(animation, time):
    return animation.controls[round(time * animation.fps)]


def test_lips_close_for_every_p_b_m_and_part_between(animation):
    apertures = animation.controls[:, JAW] - animation.controls[:, CLOSE]
    closed = [
        apertures[int(p.start * 30) : int(np.ceil(p.end * 30)) + 1].min()
        for p in animation.alignment.phones
        if p.label in BILABIALS
    ]
    assert len(closed) >= 5
    assert np.mean(np.array(closed) < 0.02) >= 0.9
    assert np.percentile(apertures, 90) > 0.12


def test_pauses_are_a_closed_face(animation):
    pauses = [p for p in animation.alignment.phones if p.label == SILENCE and p.end - p.start > 0.4]
    assert pauses
    for pause in pauses:
        assert controls_at(animation, (pause.start + pause.end) / 2)[JAW] < 0.04


def test_keys_are_the_motion_at_their_frames(animation):
    assert np.array_equal(animation.controls[animation.key_frames], animation.keys.controls)
    assert animation.key_frames[0] == 0 and animation.key_frames[-1] == len(animation.times) - 1
    assert (animation.controls >= np.array(LOWEST)).all() and (animation.controls <= 1).all()


def test_the_same_request_gives_the_same_bytes(animator, sound, transcript, animation, tmp_path):
    save_animation(animation, tmp_path / "a.npz")
    save_animation(animator.animate(sound, Request(transcript=transcript)), tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_an_edit_after_saving_changes_its_spans_only(animator, animation, tmp_path):
    save_animation(animation, tmp_path / "a.npz")
    loaded = load_animation(tmp_path / "a.npz")
    assert np.array_equal(animator.complete(loaded, loaded.keys).controls, animation.controls)
    index = int(np.argmax(loaded.keys.controls[1:-1, JAW])) + 1
    edited = loaded.keys.controls.copy()
    edited[index, JAW] *= 0.5
    edited[index, UPPER[0]] = 0.7
    again = animator.complete(loaded, KeyMotions(loaded.keys.times, edited))
    frames = loaded.key_frames
    assert np.abs(again.controls[frames] - edited).max() <= 1e-6
    touched = np.flatnonzero((again.controls != loaded.controls).any(1))
    assert frames[index - 1] < touched.min() <= frames[index] <= touched.max() < frames[index + 1]


def test_frame_rates_share_one_motion(animator, sound, transcript, animation):
    fast = animator.animate(sound, Request(transcript=transcript, fps=60.0))
    assert np.abs(fast.times[::2][: len(animation.times)] - animation.times).max() < 1e-9
    difference = fast.controls[::2][: len(animation.times), JAW] - animation.controls[:, JAW]
    assert np.sqrt(np.mean(difference**2)) < 0.03
    film = animator.animate(sound, Request(transcript=transcript, fps=24000 / 1001))
    assert np.allclose(film.times, np.arange(len(film.times)) * 1001 / 24000)


def test_strengths(animator, sound, transcript, animation):
    still = animator.animate(sound, Request(transcript=transcript, intensity=0.0, upper_face=0.0, head=0.0))
    assert not still.controls.any()
    other = animator.animate(sound, Request(transcript=transcript, seed=7))
    speech = [c for c in range(animation.controls.shape[1]) if c not in UPPER]
    assert np.array_equal(other.controls[:, speech], animation.controls[:, speech])
    assert not np.array_equal(other.controls[:, UPPER], animation.controls[:, UPPER])


@pytest.mark.parametrize("localizer", ["auto", "posterior", "pocketsphinx", "uniform"])
def test_without_a_transcript_the_mouth_still_speaks(animator, sound, animation, localizer):
    heard = animator.animate(sound, Request(localizer=localizer))

    def aperture(a):
        return a.controls[:, JAW] - a.controls[:, CLOSE]

    assert np.corrcoef(aperture(heard), aperture(animation))[0, 1] > 0.6


def test_silence_and_the_shortest_sound(animator):
    silent = animator.animate(Sound(np.zeros(3 * SAMPLE_RATE, np.float32), "0" * 64, "silent.wav"))
    assert np.abs(silent.controls[:, JAW]).max() < 0.05 and silent.controls[:, UPPER].any()
    short = animator.animate(Sound(np.full(800, 0.01, np.float32), "0" * 64, "short.wav"))
    assert len(short.times) == 2


def test_progress_rises_and_cancels(animator, sound):
    shares = []
    animator.animate(sound, progress=lambda share, doing: shares.append(share))
    assert shares == sorted(shares) and shares[-1] == 1.0

    def cancel(share, doing):
        raise Cancelled("cancelled")

    with pytest.raises(Cancelled):
        animator.animate(sound, progress=cancel)


def test_wrong_requests_are_one_sentence(animator, animation):
    with pytest.raises(InputError, match="Frame rate"):
        Request(fps=0)
    with pytest.raises(InputError, match="made by"):
        animator.complete(replace(animation, model="other"), animation.keys)
    with pytest.raises(InputError, match="controls"):
        animator.complete(animation, KeyMotions(np.zeros(1), np.zeros((1, 3), np.float32)))
    with pytest.raises(InputError, match="backend"):
        Animator(backend="abacus")


def test_torch_gives_what_onnx_gives(sound, transcript, animation):
    pytest.importorskip("torch", reason="torch is not installed")
    by_torch = Animator(backend="torch").animate(sound, Request(transcript=transcript))
    assert np.abs(by_torch.controls - animation.controls).max() < 1e-2


def test_the_model_card_is_that_of_the_shipped_weights():
    card = COMPACT_CHECKPOINT.with_name("model_card.md").read_text(encoding="utf-8")
    assert hashlib.sha256(COMPACT_CHECKPOINT.read_bytes()).hexdigest() in card
    assert COMPACT_CHECKPOINT.stat().st_size < 15e6
