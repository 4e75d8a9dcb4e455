"""Exported files hold the same motion as the result, in the layout that other programs read."""

import csv
import json
import struct
from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core.errors import InputError
from kmtalk_core.export import export_animation


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_has_one_row_a_frame_and_marks_the_keys(animation, tmp_path):
    export_animation(animation, tmp_path / "a.csv")
    rows = rows_of(tmp_path / "a.csv")
    assert [int(row["frame"]) for row in rows] == list(range(len(animation.times)))
    assert [int(row["frame"]) for row in rows if row["key"] == "1"] == animation.key_frames.tolist()
    values = np.array([[float(row[name]) for name in animation.control_names] for row in rows])
    np.testing.assert_allclose(values, animation.controls, atol=1e-5)


def test_live_link_csv_has_61_values_and_timecodes(animation, tmp_path):
    export_animation(animation, tmp_path / "a.livelink.csv")
    rows = rows_of(tmp_path / "a.livelink.csv")
    assert len(rows[0]) == 2 + 61
    assert {row["BlendShapeCount"] for row in rows} == {"61"}
    assert [rows[i]["Timecode"] for i in (0, 24, 25)] == ["00:00:00:00.000", "00:00:00:24.000", "00:00:01:00.000"]
    jaw = animation.controls[:, animation.control_names.index("jawOpen")]
    np.testing.assert_allclose([float(row["JawOpen"]) for row in rows], jaw, atol=1e-5)
    assert {row["TongueOut"] for row in rows} == {"0"}  # not among this result's controls


def test_json_holds_frames_keys_phones_and_words(animation, tmp_path):
    export_animation(animation, tmp_path / "a.json")
    data = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    np.testing.assert_allclose(data["controls"], animation.controls, atol=1e-6)
    np.testing.assert_allclose(data["key_controls"], animation.keys.controls, atol=1e-6)
    assert data["key_frames"] == animation.key_frames.tolist()
    assert [p["label"] for p in data["phones"]] == [p.label for p in animation.alignment.phones]
    assert data["words"][0]["label"] == "é"


def test_mdd_is_big_endian_with_times(animation, tmp_path):
    export_animation(animation, tmp_path / "a.mdd")
    data = (tmp_path / "a.mdd").read_bytes()
    frames, vertices = struct.unpack(">ii", data[:8])
    assert (frames, vertices) == animation.vertices.shape[:2]
    np.testing.assert_allclose(np.frombuffer(data, ">f4", frames, 8), animation.times, atol=1e-6)
    positions = np.frombuffer(data, ">f4", offset=8 + 4 * frames).reshape(frames, vertices, 3)
    np.testing.assert_array_equal(positions, animation.vertices)


def test_pc2_has_its_header_and_positions(animation, tmp_path):
    export_animation(animation, tmp_path / "a.pc2")
    data = (tmp_path / "a.pc2").read_bytes()
    name, version, vertices, start, rate, frames = struct.unpack("<12siiffi", data[:32])
    assert (name, version, start, rate) == (b"POINTCACHE2\0", 1, 0.0, 1.0)
    positions = np.frombuffer(data, "<f4", offset=32).reshape(frames, vertices, 3)
    np.testing.assert_array_equal(positions, animation.vertices)


@pytest.mark.parametrize("suffix", ["mdd", "pc2"])
def test_point_caches_need_vertices_and_leave_nothing_behind(animation, tmp_path, suffix):
    with pytest.raises(InputError, match="--vertices"):
        export_animation(replace(animation, vertices=None, faces=None), tmp_path / f"a.{suffix}")
    assert not list(tmp_path.iterdir())


def test_unknown_suffix_lists_the_known_ones(animation, tmp_path):
    with pytest.raises(InputError, match=r"\.pc2"):
        export_animation(animation, tmp_path / "a.xyz")
    with pytest.raises(InputError, match="Only Blender writes"):
        export_animation(animation, tmp_path / "a.fbx")


@pytest.mark.parametrize("suffix", ["csv", "livelink.csv", "json", "TextGrid", "mdd", "pc2"])
def test_same_result_gives_the_same_bytes(animation, tmp_path, suffix):
    export_animation(animation, tmp_path / f"a.{suffix}")
    export_animation(animation, tmp_path / f"b.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
