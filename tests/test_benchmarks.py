"""The figures that lip sync is judged by, on mouths whose quality is known."""

import dataclasses
import importlib.util
import json
import types
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ablations, conditions, model_card, people, reference
from benchmarks.baselines import LoudnessJaw, closedness, viseme_curves
from benchmarks.clips import DEV, SHARED, JudgedClip, load_clips, save_clips
from benchmarks.measures import OPENNESS, above, auc, figures, observe, stillness
from benchmarks.sheets import choose, events
from benchmarks.stage import FLAME_HEAD, FPS, Take, landmark_rig, landmarks_of, watch, watch_all
from benchmarks.table import AIMS, FIGURES, read_records, record, row
from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.audio import SAMPLE_RATE, Sound
from kmtalk_core.errors import InputError
from kmtalk_core.phones import Alignment, Phone
from kmtalk_core.rig.controls import SPEECH_CONTROLS
from kmtalk_core.rig.mesh import load_mesh
from kmtalk_core.rig.profiles import find_landmarks
from training.captured.raster import Painter, View, material_colours

SAID = ("SIL", "M", "AA", "S", "UW", "IY", "P", "AE", "F", "AO", "T", "SIL")
LENGTHS = (0.4, 0.12, 0.16, 0.12, 0.16, 0.12, 0.12, 0.16, 0.12, 0.16, 0.12, 0.4)
EDGES = np.concatenate([[0.0], np.cumsum(LENGTHS)])
PHONES = tuple(Phone(p, float(a), float(b)) for p, a, b in zip(SAID, EDGES[:-1], EDGES[1:], strict=True))
DURATION = float(EDGES[-1])


def neutral_face() -> np.ndarray:
    """Landmarks (68, 3) mm with a mouth 50 mm wide and eyes 10 mm open."""
    face = np.zeros((68, 3))
    face[48, 0], face[54, 0] = -25, 25
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        face[upper, 1], face[lower, 1] = 5, -5
    return face


def moving_face(gap: np.ndarray, rounding: np.ndarray, lids: np.ndarray | None = None) -> np.ndarray:
    face = np.tile(neutral_face(), (len(gap), 1, 1))
    face[:, [65, 66, 67], 1] -= gap[:, None]
    face[:, 48, 0] += 10 * rounding
    face[:, [51, 57], 2] += 5 * rounding[:, None]
    if lids is not None:
        face[:, 36:48, 1] *= lids[:, None]
    return face


def spoken(times: np.ndarray) -> list[str]:
    return [SAID[min(int(np.searchsorted(EDGES, t, side="right")) - 1, len(SAID) - 1)] for t in times]


@pytest.fixture
def perfect() -> np.ndarray:
    times = np.arange(int(DURATION * FPS) + 1) / FPS
    gap = np.array([10 * OPENNESS[p] for p in spoken(times)])
    return moving_face(gap, np.array([float(p == "UW") for p in spoken(times)]))


def judged(face: np.ndarray) -> dict[str, float]:
    return figures([observe(face, neutral_face(), FPS, PHONES, DURATION)])


def test_a_mouth_that_follows_the_phones_is_perfect(perfect):
    found = judged(perfect)
    shares = ("bilabial", "labiodental", "silence", "open_auc", "round_auc")
    assert [found[name] for name in shares] == [1.0] * 5
    assert found["openness_r"] > 0.85 and found["lag_ms"] == 0.0


def test_a_mouth_that_stays_open_fails(perfect):
    perfect[:, [65, 66, 67], 1] = np.minimum(perfect[:, [65, 66, 67], 1], -5.0)
    found = judged(perfect)
    assert found["bilabial"] == found["labiodental"] == found["silence"] == 0.0


def test_a_late_mouth_is_seen_late(perfect):
    assert judged(np.roll(perfect, 3, axis=0))["lag_ms"] == pytest.approx(100.0)


def test_a_still_face_gets_no_credit(perfect):
    found = judged(np.tile(neutral_face(), (len(perfect), 1, 1)))
    assert found["open_auc"] == found["round_auc"] == 0.5
    assert found["openness_r"] == 0.0 and found["blinks"] == 0.0


def test_lids_that_fall_are_blinks_and_a_flapping_mouth_is_measured():
    lids = np.ones(60)
    lids[20:23] = lids[40:43] = 0.1
    gap = np.where(np.arange(60) % 10 < 3, 4.0, 0.0)
    seen = observe(moving_face(gap, np.zeros(60), lids), neutral_face(), FPS, (Phone("SIL", 0.0, 2.0),), 2.0)
    found = stillness(seen)
    assert found["blinks"] == pytest.approx(60.0)
    assert found["open_share"] == pytest.approx(0.3) and found["gap_max"] == pytest.approx(4.0)


def test_share_of_fast_motion():
    times = np.arange(300) / FPS
    assert above(np.sin(2 * np.pi * 3 * times), FPS, 8.0) < 0.01
    assert above(np.sin(2 * np.pi * 12 * times), FPS, 8.0) > 0.99
    assert auc([2, 3], [1, 2]) == pytest.approx(0.875)


@pytest.mark.skipif(not (SHARED / "judge" / "judge.py").is_file(), reason="the judge is not at hand")
def test_the_figures_are_the_judges(tmp_path):
    """The same motion of the same vertices gets the same figures from both."""
    spec = importlib.util.spec_from_file_location("judge", SHARED / "judge" / "judge.py")
    judge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(judge)
    clip = load_clips(DEV)[0]
    rng = np.random.default_rng(0)
    count = int(clip.duration * FPS) + 1
    controls = viseme_curves(clip.phones, clip.duration, 0.02) + 0.02 * rng.random((count, len(SPEECH_CONTROLS)))
    take = Take(lambda sound, clip: types.SimpleNamespace(controls=controls, names=SPEECH_CONTROLS), clip)
    ours = figures([watch(dataclasses.replace(take, head=FLAME_HEAD))])
    neutral, shapes, names = landmark_rig(FLAME_HEAD)
    mesh = load_mesh(FLAME_HEAD)
    vertices = np.tile(mesh.vertices.astype(np.float32), (count, 1, 1))
    moved = np.tensordot(controls, shapes[[names.index(n) for n in SPEECH_CONTROLS]], axes=1)
    vertices[:, find_landmarks(mesh)] = (neutral + moved) / 1000
    np.savez(tmp_path / f"{Path(clip.name).stem}.npz", fps=FPS, vertices=vertices)
    raw = {clip.name: json.loads(DEV.read_text())[clip.name]}
    theirs = judge.judge(raw, tmp_path, mesh.vertices)
    for name in FIGURES:
        assert ours[name] == pytest.approx(theirs[name], abs=0.006), name


def test_clips_come_back_as_they_were_saved(tmp_path):
    sound = tmp_path / "speech" / "a.wav"
    sound.parent.mkdir()
    sound.write_bytes(b"RIFF")
    clip = JudgedClip("a.wav", sound, "mama", PHONES, DURATION)
    save_clips([clip], tmp_path / "reference.json")
    (back,) = load_clips(tmp_path / "reference.json", tmp_path)
    assert (back.name, back.path, back.text) == (clip.name, clip.path, clip.text)
    assert [p.label for p in back.phones] == list(SAID)
    assert back.phones[3].start == pytest.approx(PHONES[3].start, abs=1e-4)


def test_missing_or_broken_references_are_named(tmp_path):
    with pytest.raises(InputError, match=r"benchmarks\.reference"):
        load_clips(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text('{"a.wav": 3}')
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(InputError, match="no reference file"):
        load_clips(tmp_path / "broken.json", tmp_path)
    (tmp_path / "lost.json").write_text('{"b.wav": {}}')
    with pytest.raises(InputError, match=r"b\.wav is not below"):
        load_clips(tmp_path / "lost.json", tmp_path)


def test_doubtful_transcripts_are_left_out():
    sure = reference.Transcript(tuple("abcdef"), (0.9,) * 6)
    assert reference.doubt_of_words(sure) == ""
    assert "words" in reference.doubt_of_words(reference.Transcript(("a", "b")))
    assert "unsure" in reference.doubt_of_words(dataclasses.replace(sure, probabilities=(0.7,) * 6))
    assert "1 of 6" in reference.doubt_of_words(dataclasses.replace(sure, probabilities=(0.95,) * 5 + (0.2,)))
    good = reference.Aligned((), np.full(5, -15.0), -15.0)
    assert reference.doubt_of_alignment(good) == ""
    assert reference.doubt_of_alignment(None)
    assert "badly" in reference.doubt_of_alignment(dataclasses.replace(good, score=-50.0))
    assert "three words" in reference.doubt_of_alignment(
        dataclasses.replace(good, word_scores=np.array([-15.0, -45, -45, -45, -15]))
    )
    assert "not found" in reference.doubt_of_alignment(dataclasses.replace(good, word_scores=np.array([np.nan, -9])))


def test_a_reference_whose_pauses_are_loud_is_doubted():
    phones = (Phone("SIL", 0.0, 0.5), Phone("AA", 0.5, 1.0), Phone("SIL", 1.0, 1.6))
    alignment = Alignment(phones, (), 1.6, "test")
    samples = np.zeros(int(1.6 * 16_000), np.float32)
    samples[8_000:16_000] = 0.1
    assert reference.doubt_of_pauses(alignment, samples) == ""
    samples[20_000:21_600] = 0.15
    assert "1.00 s" in reference.doubt_of_pauses(alignment, samples)


def test_transcripts_are_read_with_and_without_probabilities(tmp_path):
    file = tmp_path / "t.json"
    file.write_text('{"x/a.flac": "one two", "b.flac": {"words": [[" three", 0.1, 0.4, 0.9]]}}')
    read = reference.read_transcripts(file)
    assert read["a.flac"] == reference.Transcript(("one", "two"))
    assert read["b.flac"] == reference.Transcript(("three",), (0.9,))
    file.write_text("[1]")
    with pytest.raises(InputError, match="no transcripts"):
        reference.read_transcripts(file)


def test_closures_are_whole_and_smoothing_blunts_them():
    times = np.arange(int(DURATION * FPS) + 1) / FPS
    gate = closedness(times, [PHONES[6]])
    assert gate.max() == 1.0 and gate[0] == gate[-1] == 0.0
    stepped, smoothed = (viseme_curves(PHONES, DURATION, s) for s in (0.0, 0.05))
    assert stepped.shape == smoothed.shape == (len(times), len(SPEECH_CONTROLS))
    assert np.abs(np.diff(smoothed, axis=0)).max() < 0.7 * np.abs(np.diff(stepped, axis=0)).max()


def test_the_loudness_moves_the_jaw():
    samples = np.zeros(SAMPLE_RATE, np.float32)
    samples[6000:10000] = 0.3
    clip = JudgedClip("a", Path(), "", (Phone("SIL", 0.0, 1.0),), 1.0)
    motion = LoudnessJaw()(Sound(samples, "", ""), clip)
    assert motion.controls[15, 0] > 0.3 and motion.controls[0, 0] < 0.01
    head = landmarks_of(motion, DEMO_HEAD)
    assert head.shape == (31, 68, 3) and np.ptp(head[:, 66, 1]) > 3.0


def test_takes_are_watched_in_order_in_processes():
    clips = [
        JudgedClip(f"{n}", Path(), "", (Phone("SIL", 0.0, n), Phone("AA", n, n + 0.2)), n + 0.2) for n in (0.5, 0.8)
    ]
    takes = [Take(LoudnessJaw(), c, np.ones(round(c.duration * SAMPLE_RATE), np.float32), DEMO_HEAD) for c in clips]
    lengths = [len(seen.gap) for seen in watch_all(takes, workers=2)]
    assert lengths == [22, 31]


def test_noise_lies_as_far_below_the_speech_as_told():
    rng = np.random.default_rng(0)
    speech = np.where(np.arange(SAMPLE_RATE) < SAMPLE_RATE // 2, 0.1, 0.0) * rng.standard_normal(SAMPLE_RATE)
    added = conditions.mixed(speech, conditions.noise("pink noise", len(speech), rng), 10) - speech
    ratio = 20 * np.log10(speech[: SAMPLE_RATE // 2].std() / added.std())
    assert ratio == pytest.approx(10, abs=0.5)


def test_a_telephone_keeps_its_band():
    tones = {hertz: np.sin(2 * np.pi * hertz * np.arange(SAMPLE_RATE) / SAMPLE_RATE) for hertz in (100, 1000, 6000)}
    kept = {hertz: conditions.telephone(tone).std() / tone.std() for hertz, tone in tones.items()}
    assert kept[1000] > 0.95 and kept[100] < 0.05 and kept[6000] < 0.05


def test_sounds_without_speech_are_all_silence_to_the_reference():
    sounds = conditions.without_speech(4.0)
    assert not sounds["digital silence"][0].any()
    for name, (samples, clip) in sounds.items():
        assert samples.shape == (4 * SAMPLE_RATE,) and np.abs(samples).max() <= 1.0, name
        assert [p.label for p in clip.phones] == ["SIL"]


def test_withholding_hides_what_it_says():
    seen = {}

    class Backend:
        name = "probe"

        def key_motions(self, audio, phones, timing, times):
            seen.update(audio=audio, phones=phones)
            return np.zeros((len(times), 1))

        def complete(self, audio, *_):
            seen.update(audio=audio)

    audio, phones = np.arange(6.0).reshape(3, 2), np.ones((3, 3), np.int64)
    ablations.Withholding(Backend(), sound=True, phones=False).key_motions(audio, phones, None, np.zeros(3))
    assert (seen["audio"] == audio.mean(0)).all() and (seen["phones"] == 1).all()
    ablations.Withholding(Backend(), sound=False, phones=True).key_motions(audio, phones, None, np.zeros(3))
    assert (seen["audio"] == audio).all() and (seen["phones"] == -1).all()


def test_tables_mark_what_misses_its_aim_and_results_come_back(tmp_path):
    good = dict.fromkeys(FIGURES, 1.0) | {"aperture90": 9.0, "jitter": 0.05, "lip_speed": 0.2, "blinks": 15.0}
    assert "**" not in row("good", good, AIMS["with"])
    assert "**0.970**" in row("worse", good | {"bilabial": 0.97}, AIMS["with"])
    file = tmp_path / "results.json"
    record(file, "dev", {"KMTalk": good})
    record(file, "nobody speaks", {"silence": {"gap_std": 0.0, "blinks": np.nan}})
    back = read_records(file)
    assert back["dev"]["KMTalk"] == good and np.isnan(back["nobody speaks"]["silence"]["blinks"])


def test_the_model_card_gets_what_was_measured(tmp_path):
    results, card = tmp_path / "results.json", tmp_path / "card.md"
    record(results, "dev", {"KMTalk with transcript": dict.fromkeys(FIGURES, 0.5) | {"jitter": 0.0625}})
    card.write_text(f"# Card\n{model_card.BEGIN}\nold 0.99\n{model_card.END}\nLicence\n")
    model_card.write(results, card)
    text = card.read_text()
    assert text.startswith("# Card\n") and text.endswith("\nLicence\n")
    assert "| KMTalk with transcript | 0.50 |" in text and "0.06" in text and "old" not in text
    card.write_text("# Card\n")
    with pytest.raises(InputError, match="no place for figures"):
        model_card.write(results, card)
    assert card.read_text() == "# Card\n"


def test_the_painter_hides_what_is_behind():
    mesh = load_mesh(DEMO_HEAD)
    colours = material_colours(DEMO_HEAD)
    assert len(np.unique(colours, axis=0)) > 8
    painter = Painter(mesh, find_landmarks(mesh), colours)
    centre = mesh.vertices.mean(0)
    front, back = (painter.paint(mesh.vertices, View(yaw, centre, 0.3), 64) for yaw in (0.0, 180.0))
    assert front.shape == (64, 64, 3) and (front[0, 0] == back[0, 0]).all()
    assert np.abs(front.astype(int) - back).mean() > 10


def test_events_cover_what_viewers_look_at():
    kinds = [kind for kind, _ in events(PHONES, round(DURATION * FPS) + 1)]
    assert {"closure", "f, v", "rounded", "open", "pause"} <= set(kinds)
    clips = [JudgedClip(str(n), Path(), "", PHONES[n:], DURATION) for n in range(9)]
    assert len(choose([clips[:4], clips[4:]])) == 6


@pytest.mark.skipif(not people.JUDGE.is_file(), reason="the tracked faces do not lie beside the project")
def test_people_are_compared_with_any_system_at_their_own_frame_rate(tmp_path, monkeypatch, capsys):
    dev = people.JUDGE.parent / "grid" / "dev"
    results = tmp_path / "figures.json"
    command = ["people", str(dev), "--every", "20", "--only", "loudness moves the jaw", "--json", str(results)]
    monkeypatch.setattr("sys.argv", command)
    assert people.main() == 0
    assert "| loudness moves the jaw |" in capsys.readouterr().out
    found = read_records(results)["people dev"]["loudness moves the jaw"]
    assert found["clips"] == 1 and -1 <= found["ap_r"] <= 1 and found["closed"] == 0
    monkeypatch.setattr("sys.argv", ["people", str(tmp_path / "nobody")])
    assert people.main() == 2


def test_how_faces_come_to_rest_is_measured_from_where_they_stay():
    times = np.arange(75) / 25.0
    curve = np.interp(times, [0.0, 1.0, 1.2], [0.4, 0.4, 0.2])
    assert people._unrest(curve, 25.0, 1.0) == pytest.approx([1.0, 0.5, 0.0, 0.0, 0.0, 0.0], abs=0.01)
    assert people._unrest(curve, 25.0, 2.6) is None, "it is cut off before it rests"
    opens, closes = people._fastest([curve, 1 - 2 * curve], [25.0, 25.0])
    assert opens == pytest.approx(2 * closes)
