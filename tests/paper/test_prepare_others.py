"""Multiface and BEAT2, tiny, in the layouts that their codes document."""

import csv

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kmtalk_core.errors import InputError
from training.captured.dataset import DataSet
from training.prepare.__main__ import main as prepare_main
from training.prepare.beat2 import HEAD, JAW, read_head
from training.prepare.regions import around_landmarks
from training.prepare.synthetic import _write_wav

SECONDS, FRAMES, VERTICES = 1.0, 30, 12


@pytest.fixture
def multiface(tmp_path):
    """Two people, eleven sentences and six, 12 vertices; one of the sentences has no sound."""
    source, rng = tmp_path / "multiface", np.random.default_rng(0)
    for number, count in ((6795937, 11), (2183941, 6)):
        entity = source / f"m--20180227--0000--{number}--GHS"
        (entity / "audio").mkdir(parents=True)
        mean = (100 * rng.normal(size=(VERTICES, 3))).astype(np.float32)
        mean.tofile(entity / "vert_mean.bin")
        for sentence in range(count):
            name = f"SEN_sentence_number_{sentence:02d}"
            folder = entity / "tracked_mesh" / name
            folder.mkdir(parents=True)
            for frame in range(FRAMES):
                vertices = mean + rng.normal(size=mean.shape).astype(np.float32)
                vertices.tofile(folder / f"{frame * 3:06d}.bin")
                (folder / f"{frame * 3:06d}_transform.txt").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n")
            if sentence != 3:
                _write_wav(entity / "audio" / f"{name}.wav", 0.1 * rng.standard_normal(16000))
        lines = (
            [f"v {x} {y} {z}" for x, y, z in mean] + ["vt 0 0"] + [f"f {k}/1 {k + 1}/1 {k + 2}/1" for k in (1, 4, 7)]
        )
        (folder / "000000.obj").write_text("\n".join(lines) + "\n")
    (source / "lips.txt").write_text("0 1 2")
    (source / "upper_face.txt").write_text("8, 9")
    return source


def test_multiface_is_read_as_it_is_distributed(multiface, tmp_path, capsys):
    out = tmp_path / "prepared"
    assert prepare_main(["multiface", str(multiface), "--out", str(out), "--localizer", "posterior"]) == 0
    told = capsys.readouterr().err
    assert "2183941_sentence-number-03.npy has no sound" in told, "a line in the report, not the end"
    data = DataSet(out)
    assert (data.name, data.fps, data.unit) == ("multiface", 30.0, "mm") and data.faces.shape == (3, 3)
    assert {split: len(names) for split, names in data.splits.items()} == {"train": 10, "val": 2, "test": 3}
    clip = data.clips["6795937_sentence-number-07"]
    assert clip.text == "sentence number 07" and data.vertices(clip).shape == (FRAMES, VERTICES, 3)
    first = multiface / "m--20180227--0000--6795937--GHS"
    vertices = np.fromfile(first / "tracked_mesh" / "SEN_sentence_number_07" / "000003.bin", np.float32)
    assert np.array_equal(data.vertices(clip)[1].ravel(), vertices)
    assert np.array_equal(data.templates["6795937"].ravel(), np.fromfile(first / "vert_mean.bin", np.float32))


def test_frames_that_multiface_dropped_do_not_move_sound_against_motion(multiface, tmp_path, capsys):
    """Their numbers tell which are missing: short gaps are filled, a sentence with a long one is left out."""
    first = multiface / "m--20180227--0000--6795937--GHS" / "tracked_mesh"
    for frame in (12, 15, 48):
        (first / "SEN_sentence_number_07" / f"{frame:06d}.bin").unlink()
    for frame in range(30, 30 + 3 * 7, 3):
        (first / "SEN_sentence_number_08" / f"{frame:06d}.bin").unlink()
    neutral = first / "EXP_neutral_peak"  # as the second script calls it
    neutral.mkdir()
    face = np.arange(3.0 * VERTICES, dtype=np.float32)
    face.tofile(neutral / "000300.bin")
    out = tmp_path / "prepared"
    assert prepare_main(["multiface", str(multiface), "--out", str(out), "--localizer", "posterior"]) == 0
    told = capsys.readouterr().err
    assert "6795937_sentence-number-08 lacks 7 frames in a row" in told
    assert f"note: 3 of {16 * FRAMES} frames were dropped" in told
    data = DataSet(out)
    assert "6795937_sentence-number-08" not in data.clips
    moved = data.vertices(data.clips["6795937_sentence-number-07"])
    read = [
        np.fromfile(first / "SEN_sentence_number_07" / f"{frame:06d}.bin", np.float32).reshape(-1, 3)
        for frame in (9, 18, 45, 51)
    ]
    assert len(moved) == FRAMES and np.array_equal(moved[[3, 6, 15, 17]], np.stack(read))
    assert np.allclose(moved[4], (2 * read[0] + read[1]) / 3) and np.allclose(moved[16], (read[2] + read[3]) / 2)
    assert np.array_equal(data.templates["6795937"].ravel(), face)


def test_what_multiface_lacks_is_said(multiface, tmp_path, capsys):
    out = str(tmp_path / "prepared")
    assert prepare_main(["multiface", str(tmp_path), "--out", out]) == 2
    assert "no entity m--" in capsys.readouterr().err
    (multiface / "lips.txt").unlink()
    assert prepare_main(["multiface", str(multiface), "--out", out]) == 2
    assert "put lips.txt and upper_face.txt" in capsys.readouterr().err
    broken = next(multiface.glob("m--*/tracked_mesh/SEN_sentence_number_00/*.bin"))
    broken.write_bytes(b"12345678")
    assert prepare_main(["multiface", str(multiface), "--out", str(tmp_path / "other")]) == 2
    assert "holds no vertices" in capsys.readouterr().err


@pytest.fixture
def model(tmp_path):
    """SMPL-X's arrays for 80 vertices, of which the first 60 are a head with a mouth and eyes."""
    rng, count = np.random.default_rng(1), 80
    weights = 0.02 * rng.random((count, 55))
    weights[:60, HEAD] += 1.0
    weights[:20, JAW] += 1.0
    weights[60:, 3] += 2.0
    weights /= weights.sum(1, keepdims=True)
    template = rng.normal(size=(count, 3))
    # iBUG's 51 landmarks inside the face lie on the first vertices: brows, nose, eyes, mouth.
    faces = np.array([[k, (k + 1) % 60, (k + 2) % 60] for k in range(60)] + [[70, 71, 72]])
    regressor = rng.random((55, count))
    arrays = {
        "v_template": template,
        "shapedirs": 0.05 * rng.normal(size=(count, 3, 400)),
        "posedirs": 0.02 * rng.normal(size=(count, 3, 486)),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights,
        "f": faces.astype(np.uint32),
        "lmk_faces_idx": np.arange(51),
        "lmk_bary_coords": np.tile([1.0, 0.0, 0.0], (51, 1)),
        "kintree_table": np.zeros((2, 55), np.int64),
    }
    path = tmp_path / "SMPLX_NEUTRAL_2020.npz"
    np.savez(path, **arrays)
    return path, arrays


def posed(m, betas, expression, pose):
    """All of SMPL-X's vertices, joint by joint, as linear blend skinning is written down; only jaw and eyes turn."""
    shaped = m["v_template"] + m["shapedirs"] @ np.concatenate([betas, expression])
    joints = m["J_regressor"] @ shaped
    turns = [Rotation.from_rotvec(pose[3 * j : 3 * j + 3]).as_matrix() for j in range(55)]
    rest = shaped + m["posedirs"] @ np.concatenate([(turn - np.eye(3)).ravel() for turn in turns[1:]])
    out = np.zeros_like(rest)
    for j in range(55):
        out += m["weights"][:, j, None] * ((rest - joints[j]) @ turns[j].T + joints[j])
    return out


def test_the_head_of_smplx_moves_as_skinning_says(model):
    path, m = model
    head, rng = read_head(path), np.random.default_rng(2)
    betas, expressions = rng.normal(size=300), rng.normal(size=(4, 100))
    poses = np.zeros((4, 165))
    poses[:, 66:75] = 0.3 * rng.normal(size=(4, 9))  # jaw and both eyes
    found = head.posed(betas, expressions, poses)
    for k in range(4):
        assert np.allclose(found[k], posed(m, betas, expressions[k], poses[k])[:60], atol=1e-9)
    still = poses + 0.5 * (np.arange(165) < 66)  # body and neck, which stay
    assert np.allclose(head.posed(betas, expressions, still), found)
    assert np.allclose(head.landmarks(m["v_template"][:60])[17:], m["v_template"][:51])
    with pytest.raises(InputError, match="cannot be read as SMPL-X"):
        read_head(path.with_name("nothing.npz"))


def test_beat2_is_read_as_it_is_distributed(model, tmp_path, capsys):
    source, rng = tmp_path / "beat_english_v2.0.0", np.random.default_rng(3)
    for name in ("smplxflame_30", "wave16k"):
        (source / name).mkdir(parents=True)
    names = ("2_scott_0_1_1", "2_scott_0_2_2", "4_lawrence_0_3_3", "4_lawrence_0_4_4")
    rows = list(zip(names, ("train", "test", "val", "additional"), strict=True))
    for name, _ in rows:
        _write_wav(source / "wave16k" / f"{name}.wav", 0.1 * rng.standard_normal(16000))
        np.savez(
            source / "smplxflame_30" / f"{name}.npz",
            poses=0.1 * rng.normal(size=(FRAMES, 165)), expressions=rng.normal(size=(FRAMES, 100)),
            betas=rng.normal(size=300), trans=np.zeros((FRAMES, 3)), model="smplx2020", gender="neutral",
            mocap_frame_rate=30,
        )  # fmt: skip
    with (source / "train_test_split.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "type"), *rows])
    out, told = tmp_path / "prepared", ["beat2", str(source), "--localizer", "posterior"]
    assert prepare_main([*told, "--out", str(out)]) == 2 and "SMPLX_NEUTRAL_2020.npz" in capsys.readouterr().err
    assert prepare_main([*told, "--out", str(out), "--model", str(model[0])]) == 0
    data = DataSet(out)
    assert data.splits == {"train": ["2-scott_0-1-1"], "val": ["4-lawrence_0-3-3"], "test": ["2-scott_0-2-2"]}
    assert set(data.templates) == {"2-scott", "4-lawrence"} and len(data.templates["2-scott"]) == 60
    assert np.isfinite(data.vertices(data.clips["2-scott_0-2-2"])).all() and data.rms > 0


def test_regions_are_around_their_landmarks():
    """On a grid of a face: lips near the mouth, the upper face near brows and eyes, neither near the nose."""
    x, y = np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-1, 1, 41))
    grid = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1)
    places = np.full((68, 3), np.nan)
    mouth = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    places[48:] = np.stack([0.3 * np.cos(mouth), -0.5 + 0.1 * np.sin(mouth), 0 * mouth], 1)
    places[48], places[54] = (-0.3, -0.5, 0.0), (0.3, -0.5, 0.0)
    places[17:27] = np.stack([np.linspace(-0.6, 0.6, 10), np.full(10, 0.6), np.zeros(10)], 1)
    places[27:36] = np.stack([np.zeros(9), np.linspace(0.4, -0.1, 9), np.zeros(9)], 1)
    places[36:48] = np.stack([np.linspace(-0.5, 0.5, 12), np.full(12, 0.4), np.zeros(12)], 1)
    lips, upper = around_landmarks(grid, places)
    assert len(lips) and len(upper) and not set(lips) & set(upper)
    assert grid[lips, 1].max() < -0.3 and grid[upper, 1].min() > 0.1
