"""The result file: what goes in comes out, whole or not at all, and other files are refused in one sentence."""

import numpy as np
import pytest

from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import load_npz, save_npz, written_whole
from kmtalk_core.motion import KeyMotions
from kmtalk_core.results import load_animation, load_keys, save_animation


def test_result_survives_saving(animation, tmp_path):
    save_animation(animation, tmp_path / "a.npz")
    again = load_animation(tmp_path / "a.npz")
    assert again.alignment == animation.alignment
    assert (again.fps, again.model, again.audio_sha256) == (animation.fps, animation.model, animation.audio_sha256)
    assert again.control_names == animation.control_names
    for name in ("times", "controls", "features", "vertices", "faces"):
        np.testing.assert_array_equal(getattr(again, name), getattr(animation, name))
    np.testing.assert_array_equal(again.keys.times, animation.keys.times)
    np.testing.assert_array_equal(again.keys.controls, animation.keys.controls)


def test_arrays_have_the_published_names_shapes_and_types(animation, tmp_path):
    save_animation(animation, tmp_path / "a.npz")
    z = load_npz(tmp_path / "a.npz")
    frames, controls, keys = len(animation.times), len(animation.control_names), len(animation.keys.times)
    assert z["fps"].shape == ()
    assert z["times"].shape == (frames,)
    assert (z["controls"].shape, z["controls"].dtype) == ((frames, controls), np.float32)
    assert z["key_times"].shape == (keys,)
    assert z["key_frames"].dtype.kind == "i"
    assert z["key_controls"].shape == (keys, controls)
    for what in ("phone", "word"):
        shapes = {z[f"{what}_{part}"].shape for part in ("labels", "starts", "ends")}
        assert len(shapes) == 1
    assert (z["vertices"].shape, z["vertices"].dtype) == ((frames, 4, 3), np.float32)
    assert z["faces"].shape == (2, 3)


def test_same_result_gives_the_same_bytes(animation, tmp_path):
    save_animation(animation, tmp_path / "a.npz")
    save_animation(animation, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_key_frames_are_the_nearest(animation):
    np.testing.assert_array_equal(animation.key_frames, [0, 4, 12])


def test_edited_keys_match_controls_by_name(animation, tmp_path):
    names = animation.control_names
    save_npz(
        {
            "key_times": np.array([0.1, 0.2]),
            "key_controls": np.arange(2 * len(names), dtype=np.float32).reshape(2, -1)[:, ::-1],
            "control_names": np.array(names[::-1]),
        },
        tmp_path / "keys.npz",
    )
    keys = load_keys(tmp_path / "keys.npz", names)
    np.testing.assert_array_equal(keys.controls, np.arange(2 * len(names), dtype=np.float32).reshape(2, -1))


def test_keys_without_names_are_in_the_order_of_the_result(animation, tmp_path):
    save_npz({"key_times": np.array([0.5]), "key_controls": np.full((1, 3), 0.25)}, tmp_path / "keys.npz")
    assert load_keys(tmp_path / "keys.npz", animation.control_names).controls.tolist() == [[0.25] * 3]


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"times": np.zeros(2)}, "key_times"),
        ({"key_times": np.zeros(1), "key_controls": np.zeros((1, 2))}, "shape"),
        ({"key_times": np.array(["a"]), "key_controls": np.zeros((1, 3))}, "numbers"),
        (
            {"key_times": np.zeros(1), "key_controls": np.zeros((1, 1)), "control_names": np.array(["jawOpen"])},
            "mouthClose",
        ),
    ],
)
def test_unusable_keys_name_what_is_wrong(animation, tmp_path, arrays, named):
    save_npz(arrays, tmp_path / "keys.npz")
    with pytest.raises(InputError, match=named):
        load_keys(tmp_path / "keys.npz", animation.control_names)


@pytest.mark.parametrize(
    ("times", "controls", "named"),
    [
        ([0.0, 0.0], np.zeros((2, 3)), "ascend"),
        ([0.1, 0.0], np.zeros((2, 3)), "ascend"),
        ([0.0], np.full((1, 3), np.nan), "NaN"),
        ([0.0], np.zeros((2, 3)), "shape"),
    ],
)
def test_impossible_key_motions_are_refused(times, controls, named):
    with pytest.raises(InputError, match=named):
        KeyMotions(np.array(times), controls)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fps", np.ones(2)),
        ("fps", np.float64(np.nan)),
        ("times", np.array(["a"])),
        ("controls", np.zeros((2, 3), np.float32)),
        ("phone_starts", np.zeros(1)),
        ("features", np.zeros((0, 4), np.float16)),
        ("key_controls", np.zeros((3, 2), np.float32)),
        ("vertices", np.zeros((3, 4), np.float32)),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(animation, tmp_path, name, value):
    save_animation(animation, tmp_path / "a.npz")
    save_npz({**load_npz(tmp_path / "a.npz"), name: value}, tmp_path / "a.npz")
    with pytest.raises(InputError, match="damaged"):
        load_animation(tmp_path / "a.npz")


def test_a_single_array_is_no_npz(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(InputError, match="not a readable"):
        load_npz(tmp_path / "a.npy")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04broken"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz"):
        load_animation(tmp_path / "a.npz")


def test_foreign_npz_and_missing_file_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(InputError, match="not a KMTalk result"):
        load_animation(tmp_path / "a.npz")
    with pytest.raises(InputError, match="no file"):
        load_animation(tmp_path / "b.npz")


def test_pickled_objects_are_never_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", fps=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError):
        load_animation(tmp_path / "a.npz")


def test_failed_writing_leaves_the_former_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("before")
    with pytest.raises(RuntimeError), written_whole(target) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(KMTalkError, match="does not exist"), written_whole(tmp_path / "no" / "a.txt"):
        pass
    with pytest.raises(InputError, match="is a folder"), written_whole(tmp_path):
        pass
