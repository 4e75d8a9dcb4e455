"""Capture: from the tracked points of a film to files. What needs MediaPipe itself is at the end."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from kmtalk_core.animator import Animator
from kmtalk_core.assets import DEMO_HEAD, SAMPLE_SPEECH
from kmtalk_core.audio import load_sound
from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz
from kmtalk_core.request import Request
from kmtalk_core.results import load_animation
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.controls import ALL_CONTROLS, CONTROL_INDEX, HEAD_CONTROLS, SPEECH_CONTROLS, UPPER_FACE_CONTROLS
from kmtalk_core.rig.mesh import load_mesh
from training.capture.__main__ import main
from training.capture.command import _moved
from training.capture.frames import covered, judge_frames
from training.capture.motion import CapturedMotion
from training.capture.points import AROUND_MOUTH, KEPT, PAIRS, PARTNER, Points, stilled
from training.capture.solve import measures_of, solve
from training.capture.sync import find_offset
from training.capture.tracking import _frozen, available
from training.capture.tracks import Track, load_track
from training.capture.upper import upper_face
from training.captured.mp4 import encode

# Films of the demo head, painted and tracked by `python -m benchmarks.capture --save`.
FILMED = load_npz(Path(__file__).parent / "data" / "filmed_head.npz")
FPS, SIZE, IDS = float(FILMED["fps"]), tuple(FILMED["size"].tolist()), FILMED["point_ids"]
UPPER = [*UPPER_FACE_CONTROLS, *HEAD_CONTROLS]
NEEDS_TRACKER = pytest.mark.skipif(not available(), reason="MediaPipe is not installed")


def points(aside: int) -> np.ndarray:
    return FILMED[f"points_{aside}"].astype(np.float32) / 32


def a_track(aside: int = 0, **changes) -> Track:
    tracked, count = points(aside), len(FILMED["controls"])
    sound = load_sound(SAMPLE_SPEECH).samples[: round(count / FPS * 16000)]
    skin = np.full((count, len(AROUND_MOUTH)), 150, np.uint8)
    rest = {"skin": skin, "frozen": np.zeros(count, bool), "samples": sound, "sha256": "0" * 64} | changes
    return Track(rest.pop("points", tracked), IDS, FPS, SIZE, **rest)


def judged(track: Track):
    tracked = Points(track.points, track.ids)
    still = stilled(tracked, track.fps)
    return judge_frames("film", track, tracked, still, measures_of(still))


@pytest.fixture(scope="module")
def rig():
    return build_rig(load_mesh(DEMO_HEAD))


def seen(rig, controls: np.ndarray) -> list[np.ndarray]:
    lips = rig.anatomy.frame.to_frame(
        rig.vertices(controls, SPEECH_CONTROLS)[:, rig.anatomy.vertex_of[rig.anatomy.marks]]
    )
    opening = lips[:, [61, 62, 63], 1].mean(1) - lips[:, [67, 66, 65], 1].mean(1)
    return [opening, lips[:, 54, 0] - lips[:, 48, 0], lips[:, 8, 1]]


@pytest.mark.parametrize("aside, least", [(0, 0.95), (15, 0.95), (30, 0.95)])
def test_films_of_a_head_whose_controls_are_known_are_solved(rig, aside, least):
    true, found = FILMED["controls"], solve(points(aside), IDS, SIZE, FPS)
    theirs = seen(rig, true[:, [CONTROL_INDEX[name] for name in SPEECH_CONTROLS]])
    for a, b in zip(theirs, seen(rig, found.controls), strict=True):
        assert np.corrcoef(a, b)[0, 1] > least
        assert 0.6 < b.std() / a.std() < 1.4
    jaw = true[:, CONTROL_INDEX["jawOpen"]], found.controls[:, SPEECH_CONTROLS.index("jawOpen")]
    assert np.corrcoef(*jaw)[0, 1] > least


@pytest.mark.parametrize("aside", [0, 15, 30])
def test_the_camera_and_the_head_are_told_apart(aside):
    still = stilled(Points(points(aside), IDS), FPS)
    assert abs(np.median(still.side_deg) - aside) < 4
    true = 10 * FILMED["controls"][:, [CONTROL_INDEX[name] for name in ("headYaw", "headRoll")]]
    for k in range(2):
        assert np.corrcoef(true[:, k], still.head_deg[:, 1 + k])[0, 1] > 0.9
    again = still.in_picture(still.points.points)
    assert np.abs(again - points(aside)).max() < 1e-3, "and back again, to the pixels of the film"


def test_lids_and_brows_are_captured():
    found = upper_face(stilled(Points(points(0), IDS), FPS), FPS)
    for name in ("eyeBlinkLeft", "eyeBlinkRight", "browInnerUp"):
        ours = found.controls[:, UPPER.index(name)]
        assert np.corrcoef(FILMED["controls"][:, CONTROL_INDEX[name]], ours)[0, 1] > 0.85
    assert found.controls[:, UPPER.index("eyeBlinkLeft")].max() > 0.8


def test_a_hand_before_the_mouth_is_found_and_light_is_not():
    rng = np.random.default_rng(0)
    skin = np.clip(rng.normal(150, 3, (100, len(AROUND_MOUTH))), 0, 255)
    everyone = np.ones(100, bool)
    assert not covered(skin, everyone, FPS).any()
    assert not covered(skin - 40 * (np.arange(100) > 60)[:, None], everyone, FPS).any(), "the lamp went off"
    skin[40:55, :10] -= 60
    found = covered(skin, everyone, FPS)
    assert found[40:55].all() and not found[:36].any() and not found[60:].any()


def test_pictures_that_stand_a_moment_were_dropped_and_still_ones_were_not():
    change = np.full(100, 5.0)
    change[[20, 21, 50]] = 0.0, 0.1, np.nan
    change[70:90] = 0.0
    frozen = _frozen(change, FPS)
    assert frozen[[20, 21, 50]].all() and frozen.sum() == 3


def test_frames_are_told_apart_by_what_is_wrong_with_them():
    tracked = points(0).copy()
    tracked[10:14] = np.nan
    tracked[30:33, :, 1] += 400  # out of the picture
    frozen = np.zeros(len(tracked), bool)
    frozen[50] = True
    frames = judged(a_track(points=tracked, frozen=frozen))
    assert dict(frames.reasons) == {
        "no picture, or the one before again": 1,
        "no face": 4,
        "lips outside of the picture": 3,
    }
    assert not frames.usable[[10, 31, 50]].any() and frames.usable.sum() == len(tracked) - 8


def test_films_that_cannot_be_used_are_refused_in_a_sentence():
    with pytest.raises(InputError, match=r"film shows the face from the side"):
        judged(a_track(points=_turned(points(0), 55)))
    gone = points(0).copy()
    gone[:120] = np.nan
    with pytest.raises(InputError, match=r"Only 31% of film can be used .*no face"):
        judged(a_track(points=gone))


def _turned(tracked: np.ndarray, degrees: float) -> np.ndarray:
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    return (tracked - (240, 240, 0)) @ turn + (240, 240, 0)


@pytest.fixture(scope="module")
def spoken():
    """The sample speech as the model animates it, and as somebody's captured lips."""
    sound = load_sound(SAMPLE_SPEECH)
    return Animator().animate(sound, Request(fps=25.0))


@pytest.mark.parametrize("late", [-0.2, 0.0, 0.12])
def test_late_sound_is_found(spoken, late):
    columns = [CONTROL_INDEX[name] for name in SPEECH_CONTROLS]
    lips = np.stack([np.interp(spoken.times + late, spoken.times, spoken.controls[:, c]) for c in columns], axis=1)
    lips += np.random.default_rng(0).normal(0, 0.02, lips.shape)
    found = find_offset(lips.astype(np.float32), np.ones(len(lips), bool), 25.0, spoken)
    assert abs(found.seconds - late) < 0.03 and found.agreement > 0.9
    assert found.believed == (late != 0.0)


def test_sound_that_is_late_is_moved_forward():
    samples = np.zeros(16000, np.float32)
    samples[8000] = 1.0
    assert _moved(samples, 0.1)[6400] == 1.0 and len(_moved(samples, 0.1)) == 16000
    assert _moved(samples, -0.1)[9600] == 1.0 and len(_moved(samples, -0.1)) == 16000


def test_partners_are_one_point_each():
    assert len(set(KEPT)) == len(KEPT) == len(PARTNER)
    assert all(PARTNER[PARTNER[number]] == number for number in KEPT) and len(PAIRS) == sum(
        1 for number in KEPT if PARTNER[number] > number
    )


def test_points_become_a_result_with_its_sound_and_a_report(tmp_path, capsys):
    a_track().save(tmp_path / "film.points.npz")
    (tmp_path / "film.txt").write_text("Hello there, people of the moving pictures.\n", encoding="utf-8")
    out = tmp_path / "out"
    assert main([str(tmp_path / "film.points.npz"), "--out", str(out)]) == 0
    result, arrays = load_animation(out / "film.npz"), load_npz(out / "film.npz")
    assert result.control_names == ALL_CONTROLS and len(result.controls) == len(FILMED["controls"])
    assert result.alignment.words[0].label.lower() == "hello", "film.txt is what is said"
    assert arrays["usable"].all() and len(result.keys.times) > 5
    motion = CapturedMotion.of(arrays)
    assert motion.controls.shape == (len(result.controls), len(SPEECH_CONTROLS)) and motion.fps == FPS
    with wave.open(str(out / "film.wav")) as sound:
        assert sound.getframerate() == 16000 and abs(sound.getnframes() / 16000 - len(result.times) / FPS) < 0.01
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))["videos"][0]
    assert report["name"] == "film" and report["usable"] == 1.0
    assert report["fit"]["opening_r"] > 0.99 and report["fit"]["lips_mm"] < 2
    assert "film" in (out / "report.txt").read_text(encoding="utf-8")
    again = load_track(out / "film.points.npz")
    assert np.allclose(again.points, points(0), atol=1 / 64)


def test_faults_are_one_sentence(tmp_path, capsys):
    (tmp_path / "broken.mp4").write_bytes(b"no film at all")
    (tmp_path / "old.points.npz").write_bytes(b"nor points")
    for name, said in (
        ("broken.mp4", "broken.mp4 cannot be read as a video"),
        ("missing.mp4", "There is no video"),
        ("old.points.npz", "is not a readable .npz file"),
    ):
        assert main([str(tmp_path / name), "--out", str(tmp_path / "out")]) == 2
        told = capsys.readouterr().err.strip()
        assert told.startswith("capture: ") and said in told and len(told.splitlines()) == 1
    assert main([str(tmp_path / "a.mp4"), str(tmp_path / "a.mov"), "--out", str(tmp_path)]) == 2
    assert "Two of the videos are called a" in capsys.readouterr().err


def film(path: Path, fps: float = 25.0, seconds: float = 1.0, sound: bool = True) -> Path:
    """Grey pictures that change, with a tone."""
    pictures = (np.full((64, 64, 3), 100 + 5 * (k % 9), np.uint8) for k in range(round(seconds * fps)))
    tone = 0.3 * np.sin(np.arange(round(seconds * 16000)) / 5) * sound
    encode(path, pictures, fps, tone.astype(np.float32))
    return path


def test_films_of_a_rate_that_is_too_low_or_without_sound_are_refused(tmp_path, capsys):
    for path, said in (
        (film(tmp_path / "slow.mp4", fps=12.0), "slow.mp4 has 12 pictures a second"),
        (film(tmp_path / "mute.mp4", sound=False), "The sound of mute.mp4 is silent"),
    ):
        assert main([str(path), "--out", str(tmp_path / "out")]) == 2
        assert said in capsys.readouterr().err


@NEEDS_TRACKER
def test_a_film_without_a_face_is_refused(tmp_path, capsys):
    assert main([str(film(tmp_path / "empty.mp4")), "--out", str(tmp_path / "out")]) == 2
    assert "No face was found in empty.mp4" in capsys.readouterr().err


@NEEDS_TRACKER
def test_a_film_becomes_all_its_files_and_two_faces_are_refused(tmp_path, capsys, rig):
    from benchmarks.capture import FPS as RATE
    from benchmarks.capture import film as filmed
    from benchmarks.capture import syllables

    controls, sound = syllables(2.4, RATE), load_sound(SAMPLE_SPEECH).samples[: round(2.4 * 16000)]
    filmed(tmp_path / "head.mp4", rig, controls, 0.0, sound)
    assert main([str(tmp_path / "head.mp4"), "--out", str(tmp_path / "out")]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "head.mp4", "head.npz", "head.points.npz", "head.wav", "report.json", "report.txt",
    ]  # fmt: skip
    import av

    with av.open(str(tmp_path / "head.mp4")) as source:
        pair = [np.tile(p.to_ndarray(format="rgb24"), (1, 2, 1)) for p in source.decode(video=0)]
    encode(tmp_path / "pair.mp4", iter(pair), RATE, sound)
    assert main([str(tmp_path / "pair.mp4"), "--out", str(tmp_path / "out")]) == 2
    assert "pair.mp4 shows several faces" in capsys.readouterr().err
