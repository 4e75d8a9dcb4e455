"""Preparing data: published layouts and splits, a sentence for each problem, alignments in advance, synthetic data."""

import pickle
import shutil

import numpy as np
import pytest

from kmtalk_core.errors import InputError
from kmtalk_core.localization.textgrid import load_alignment
from training.captured.dataset import DataSet, KeyChoice, collate
from training.captured.metrics import mouth_opening
from training.prepare import layouts
from training.prepare.__main__ import main as prepare_main
from training.prepare.checks import check
from training.prepare.synthetic import _write_wav


def write_clip(source, name, frames, fps, vertices):
    rng = np.random.default_rng(0)
    _write_wav(source / "wav" / f"{name}.wav", 0.1 * rng.standard_normal(round(frames / fps * 16000)))
    np.save(source / "vertices_npy" / f"{name}.npy", rng.normal(size=(frames, vertices * 3)).astype(np.float32))


@pytest.fixture
def vocaset(tmp_path, monkeypatch):
    """The names and files of VOCASET with a mesh of 12 vertices and half a second a sentence."""
    monkeypatch.setattr(layouts, "FLAME_VERTICES", 12)
    source = tmp_path / "vocaset"
    (source / "wav").mkdir(parents=True), (source / "vertices_npy").mkdir()
    for subject, sentences in (
        ("170728_03272", (1, 40)),
        ("170811_03275", (20, 21)),
        ("170809_00138", (5, 40)),
        ("999999_99999", (1,)),
    ):
        for sentence in sentences:
            write_clip(source, f"FaceTalk_{subject}_TA_sentence{sentence:02d}", 30, 60.0, 12)
    subjects = [f"FaceTalk_{s}_TA" for s in ("170728_03272", "170811_03275", "170809_00138")]
    with (source / "templates.pkl").open("wb") as file:
        pickle.dump({s: np.zeros((12, 3)) for s in subjects}, file)
    with (source / "FLAME_masks.pkl").open("wb") as file:
        masks = {"lips": np.array([0, 1, 1, 2]), "eye_region": np.array([5, 6]), "forehead": np.array([6, 7])}
        pickle.dump(masks, file, protocol=2)
    return source


def test_vocaset_is_read_as_published(vocaset):
    layout = layouts.vocaset(vocaset)
    checked = check(layout)
    assert not checked.problems
    assert {k: [n[9:21] + n[-2:] for n in v] for k, v in checked.splits.items()} == {
        "train": ["170728_0327201", "170728_0327240"],
        "val": ["170811_0327521"],
        "test": ["170809_0013840"],
    }
    assert any("so OT-Talk, films and error maps are left out" in note for note in checked.notes)
    assert {(c.frames, c.stride) for c in checked.clips} == {(15, 2)}  # captured at 60, used at 30
    # The published mask names some lip vertices twice, and SelfTalk's lip reader has as many inputs.
    assert layout.lips.tolist() == [0, 1, 1, 2] and layout.upper_face.tolist() == [5, 6, 7]


def test_biwi_is_split_as_published(tmp_path):
    source = tmp_path / "biwi"
    (source / "wav").mkdir(parents=True), (source / "vertices_npy").mkdir(), (source / "regions").mkdir()
    (source / "regions" / "lve.txt").write_text("0, 1, 2")
    (source / "regions" / "fdd.txt").write_text("5, 6")
    with (source / "templates.pkl").open("wb") as file:
        pickle.dump({"F2": np.zeros((8, 3))}, file)
    layout = layouts.biwi(source)
    everyone = (*layouts.BIWI_SEEN, *layouts.BIWI_UNSEEN)
    counts = dict.fromkeys(layout.splits, 0)
    for subject in everyone:
        for sentence in range(1, 41):
            for split in layout.split_of(subject, f"{subject}_e{sentence:02d}"):
                counts[split] += 1
    # The published 190 training sentences are these 192 less two that were never released.
    assert counts == {"train": 192, "val": 24, "test_a": 24, "test_b": 32}
    assert layout.vertices == 23370 and layout.fps == 25.0


def test_every_problem_gets_its_sentence(vocaset):
    train = "FaceTalk_170728_03272_TA_sentence"
    write_clip(vocaset, f"{train}02", 30, 60.0, 13)
    write_clip(vocaset, f"{train}03", 30, 60.0, 12)
    spoiled = np.load(vocaset / "vertices_npy" / f"{train}03.npy")
    spoiled[7, 5] = np.nan
    np.save(vocaset / "vertices_npy" / f"{train}03.npy", spoiled)
    write_clip(vocaset, f"{train}04", 80, 40.0, 12)
    write_clip(vocaset, f"{train}05", 30, 60.0, 12)
    (vocaset / "vertices_npy" / f"{train}05.npy").unlink()
    write_clip(vocaset, f"{train}06", 30, 60.0, 12)
    (vocaset / "wav" / f"{train}06.wav").unlink()
    write_clip(vocaset, "FaceTalk_170904_00128_TA_sentence01", 30, 60.0, 12)
    (vocaset / "wav" / f"{train}01.wav").write_bytes(b"no sound")
    np.save(vocaset / "vertices_npy" / f"{train}40.npy", np.array(["a"]))
    checked = check(layouts.vocaset(vocaset))
    found = "\n".join(checked.problems)
    for sentence in (
        "sentence02.npy has 13 vertices instead of 12",
        "sentence03.npy has NaN or infinite vertices from frame 7 on",
        "sentence04 has 80 frames for 2.00 s of sound, 40.0 a second, where 60 or 30 are expected",
        "no template of FaceTalk_170904_00128_TA",
        "sentence01.wav cannot be read as sound",
        "sentence40.npy has the shape (1,)",
        "The split train has no clips",
    ):
        assert found.count(sentence) == 1, (sentence, found)
    assert len(found.splitlines()) == 7
    # What the public codes leave out without a word is no problem, but is told.
    told = "\n".join(checked.notes)
    assert "sentence05.wav has no mesh sequence" in told and "sentence06.npy has no sound" in told


def test_missing_files_are_named(tmp_path, vocaset):
    with pytest.raises(InputError, match="no folder wav"):
        layouts.vocaset(tmp_path)
    (vocaset / "templates.pkl").unlink()
    with pytest.raises(InputError, match=r"no .*templates\.pkl"):
        layouts.vocaset(vocaset)
    with pytest.raises(InputError, match=r"no dataset\.toml"):
        layouts.folder(vocaset)


def test_pickles_cannot_run_code(vocaset):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    with (vocaset / "templates.pkl").open("wb") as file:
        pickle.dump({"a": Evil()}, file)
    with pytest.raises(InputError, match="cannot be read as arrays"):
        layouts.vocaset(vocaset)


def test_nothing_is_written_while_there_are_problems(vocaset, tmp_path, capsys):
    name = "FaceTalk_170728_03272_TA_sentence01"
    (vocaset / "wav" / f"{name}.wav").write_bytes(b"no sound")
    shutil.copytree(vocaset / "vertices_npy", vocaset / "alignments")  # a folder with no alignments
    out = tmp_path / "out"
    assert prepare_main(["vocaset", str(vocaset), "--out", str(out), "--localizer", "imported"]) == 2
    assert "cannot be read as sound" in capsys.readouterr().err and not out.exists()
    told = ["vocaset", str(vocaset), "--out", str(out), "--localizer", "imported", "--leave-out-bad"]
    assert prepare_main(told) == 2
    assert "no alignment" in capsys.readouterr().err and not (out / "dataset.json").exists()


def test_alignments_are_made_once_and_kept(prepared, tmp_path):
    """Localization by the compact model, on the sound alone, beside the alignments that the data brought."""
    data = DataSet(prepared)
    folder = tmp_path / "data"
    shutil.copytree(prepared, folder)
    assert prepare_main(["align", str(folder), "--localizer", "posterior", "--label", "heard"]) == 0
    again = DataSet(folder)
    assert again.localizations == ["imported", "heard"]
    clip = again.split("train")[0]
    path = folder / "alignments" / "heard" / f"{clip.name}.TextGrid"
    spoken = {p.label for p in load_alignment(path).phones}
    assert len(spoken) > 5
    before = path.stat().st_mtime_ns
    assert prepare_main(["align", str(folder), "--localizer", "posterior", "--label", "heard"]) == 0
    assert path.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="no alignments 'whisper'"):
        data.key_frames(clip, KeyChoice(localization="whisper"))


def test_synthetic_data_moves_like_faces(prepared):
    data = DataSet(prepared)
    assert {k: len(v) for k, v in data.splits.items()} == {"train": 2, "val": 1, "test": 3}
    assert not np.allclose(*data.templates.values())  # every subject has a face of its own
    clip = data.split("train")[0]
    vertices, template = data.vertices(clip), data.templates[clip.subject]
    assert vertices.shape == (clip.frames, len(template), 3) and data.faces.max() < len(template)
    gap = np.linalg.norm(vertices[:, data.opening[:, 0]] - vertices[:, data.opening[:, 1]], axis=2)
    assert 0.004 < np.ptp(gap) < 0.03  # metres
    moved = np.linalg.norm(vertices - template, axis=2).std(0)
    elsewhere = np.delete(moved, data.lips)
    assert moved[data.lips].mean() > 3 * elsewhere.mean() > 0 and moved[data.upper_face].max() > 1e-3


def test_key_choices_select_frames(prepared):
    data = DataSet(prepared)
    clip = data.split("train")[0]
    last = clip.frames - 1
    boundaries = data.key_frames(clip, KeyChoice())
    starts = {round(p.start * data.fps) for p in data.alignment(clip).phones}
    assert set(boundaries) <= starts | {last} and 0.15 < len(boundaries) / clip.frames < 0.6
    moved = data.key_frames(clip, KeyChoice(offset=1))
    assert set(moved) == {f + 1 for f in boundaries if f < last}
    for rule in ("uniform", "random"):
        frames = data.key_frames(clip, KeyChoice(rule=rule, share=0.25))
        assert 0.2 < len(frames) / clip.frames < 0.3 and {0, last} <= set(frames)
    assert len(data.key_frames(clip, KeyChoice(rule="all"))) == clip.frames
    with pytest.raises(InputError, match="no key rule"):
        KeyChoice(rule="some")


def test_batches_hold_displacements_and_keys(prepared):
    data = DataSet(prepared)
    clips = data.split("test")
    batch = collate(data, clips, KeyChoice())
    assert batch.mask.sum(1).tolist() == [c.frames for c in clips]
    assert (batch.style == 0).all()  # a subject that training never sees
    first = batch.motion[0, : clips[0].frames] + batch.template[0]
    assert np.allclose(first.numpy().reshape(clips[0].frames, -1, 3), data.vertices(clips[0]), atol=1e-6)
    assert np.allclose(batch.keys.times * data.fps, batch.key_frames, atol=1e-3)


def test_lip_vertices_for_the_opening_are_found_by_their_motion(prepared, tmp_path):
    """Where the data names none, as BIWI: the opening that they measure is that of the known pairs."""
    known = DataSet(prepared)
    source = tmp_path / "source"
    shutil.copytree(known.source, source)
    text = (source / "dataset.toml").read_text()
    (source / "dataset.toml").write_text("\n".join(line for line in text.splitlines() if "opening" not in line))
    checked = check(layouts.folder(source))
    assert any("found by their motion" in note for note in checked.notes) and not checked.problems
    for clip in known.split("test"):
        curves = [mouth_opening(known.vertices(clip), pairs) for pairs in (checked.opening, known.opening)]
        assert np.corrcoef(*curves)[0, 1] > 0.9
    assert np.array_equal(check(layouts.folder(known.source)).opening, known.opening)


def test_vocasets_raw_distribution_is_unpacked(vocaset, tmp_path, capsys):
    """data_verts.npy and the pickles, in the order of frames that subj_seq_to_idx.pkl says, give the same files."""
    raw, rows, places, sounds = tmp_path / "raw", [], {}, {}
    raw.mkdir()
    for path in sorted((vocaset / "vertices_npy").glob("*.npy")):
        subject, _, sentence = path.stem.rpartition("_")
        motion = np.load(path)
        order = {len(motion) - 1 - k: len(rows) + k for k in range(len(motion))}  # stored backwards
        places.setdefault(subject, {})[sentence] = order
        rows += list(motion[::-1].reshape(len(motion), -1, 3))
        tone = (1000 * np.sin(np.arange(11000))).astype(np.int16)
        sounds.setdefault(subject, {})[sentence] = {"audio": tone, "sample_rate": 22000}
    removed = places["FaceTalk_170811_03275_TA"].pop("sentence20")
    assert removed
    np.save(raw / "data_verts.npy", np.stack(rows))
    for name, content in (("raw_audio_fixed.pkl", sounds), ("subj_seq_to_idx.pkl", places)):
        (raw / name).write_bytes(pickle.dumps(content, protocol=2))
    for name in ("templates.pkl", "FLAME_masks.pkl"):
        shutil.copy(vocaset / name, raw / name)
    out = tmp_path / "out"
    assert prepare_main(["vocaset", str(raw), "--out", str(out), "--localizer", "posterior"]) == 0, (
        capsys.readouterr().err
    )
    name = "FaceTalk_170728_03272_TA_sentence01"
    assert np.array_equal(
        np.load(out / "source" / "vertices_npy" / f"{name}.npy"), np.load(vocaset / "vertices_npy" / f"{name}.npy")
    )
    data = DataSet(out)
    assert data.clips[name].frames == 15 and data.fps == 30.0
    (raw / "raw_audio_fixed.pkl").write_bytes(b"no pickle")
    assert prepare_main(["vocaset", str(raw), "--out", str(tmp_path / "other")]) == 2
    assert "raw_audio_fixed.pkl cannot be read" in capsys.readouterr().err


def test_a_sound_without_a_sequence_is_a_line_and_not_the_end(vocaset):
    (vocaset / "vertices_npy" / "FaceTalk_170728_03272_TA_sentence40.npy").unlink()
    checked = check(layouts.vocaset(vocaset))
    assert not checked.problems and len(checked.splits["train"]) == 1
    assert any("sentence40.wav has no mesh sequence" in note and "left out" in note for note in checked.notes)
