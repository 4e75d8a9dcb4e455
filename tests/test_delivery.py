"""What comes out for others: heads in glTF, few curves, films with the words in them."""

import json
import struct
from dataclasses import replace

import av
import numpy as np
import pytest

from kmtalk_core.assets import ASSETS, DEMO_HEAD
from kmtalk_core.audio import Sound
from kmtalk_core.bezier import BezierCurve
from kmtalk_core.command.cli import main
from kmtalk_core.delivery.film import SIZE, Painter, pictures, write_film
from kmtalk_core.delivery.heads import MorphHead, head_at
from kmtalk_core.delivery.lettering import lettered, width_of
from kmtalk_core.export import Stage, export_animation, export_clips
from kmtalk_core.files import save_npz
from kmtalk_core.finish.contacts import find_contacts
from kmtalk_core.motion import KeyMotions
from kmtalk_core.phones import Alignment, Phone, Word
from kmtalk_core.results import save_animation
from kmtalk_core.rig.mesh import load_mesh


@pytest.fixture(scope="module")
def head():
    return head_at(None)


@pytest.fixture
def spoken(animation):
    """A result that says m between vowels, with jaw and lips that move smoothly."""
    t = np.arange(30) / 29
    controls = np.stack([0.4 - 0.4 * np.cos(9 * t), 0.2 * np.sin(3 * t) ** 2, 0 * t], 1).astype(np.float32)
    phones = (Phone("SIL", 0.0, 0.1), Phone("AA", 0.1, 0.5), Phone("M", 0.5, 0.7), Phone("AA", 0.7, 1.2))
    words = (Word("am", 0.1, 0.7), Word("für", 0.7, 1.0), Word("你好", 1.0, 1.2))
    keys = KeyMotions(animation.times[[0, 4, 20, 29]], controls[[0, 4, 20, 29]])
    animation = replace(animation, keys=keys)
    result = replace(animation, controls=controls, alignment=Alignment(phones, words, 1.2, "text"), vertices=None)
    return replace(result, faces=None)


def read_glb(path):
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    about, rest = json.loads(data[20 : 20 + size]), data[20 + size :]
    assert struct.unpack_from("<I4s", rest) == (about["buffers"][0]["byteLength"], b"BIN\0")
    return about, rest[8:]


def values(about, binary, accessor, columns):
    view = about["bufferViews"][about["accessors"][accessor]["bufferView"]]
    data = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    return np.frombuffer(data, "<f4").reshape(-1, columns)


def test_a_glb_has_a_head_and_a_clip_for_each_line(spoken, head, tmp_path):
    export_clips([spoken, spoken], ["one", "one"], tmp_path / "a.glb")
    about, binary = read_glb(tmp_path / "a.glb")
    assert [clip["name"] for clip in about["animations"]] == ["one", "one.2"]
    names = about["meshes"][0]["extras"]["targetNames"]
    assert set(names) == {"jawOpen", "mouthClose"}  # what moves
    sampler = about["animations"][0]["samplers"][0]
    np.testing.assert_allclose(values(about, binary, sampler["input"], 1)[:, 0], spoken.times, atol=1e-6)
    moved = values(about, binary, sampler["output"], len(names))
    np.testing.assert_allclose(moved[:, names.index("jawOpen")], spoken.controls[:, 0], atol=1e-6)
    primitive = about["meshes"][0]["primitives"][0]
    points = values(about, binary, primitive["attributes"]["POSITION"], 3)
    assert np.ptp(points, axis=0).max() < 1.0 and points[:, 1].max() > 0.05  # metres, y up
    target = about["accessors"][primitive["targets"][names.index("jawOpen")]["POSITION"]]
    sparse = target["sparse"]
    assert 0 < sparse["count"] < len(points) == target["count"]
    view = about["bufferViews"][sparse["values"]["bufferView"]]
    lowest = np.frombuffer(binary, "<f4", sparse["count"] * 3, view["byteOffset"]).reshape(-1, 3)[:, 1].min()
    assert lowest == pytest.approx(head.shapes[head.names.index("jawOpen")][:, 1].min(), abs=1e-6) and lowest < -0.005


def test_blenders_importer_opens_a_glb(spoken, tmp_path):
    bpy = pytest.importorskip("bpy")
    addon_utils = pytest.importorskip("addon_utils")
    export_animation(spoken, tmp_path / "anna.glb")
    before = set(bpy.data.objects), set(bpy.data.actions)
    addon_utils.enable("io_scene_gltf2")
    bpy.ops.import_scene.gltf(filepath=str(tmp_path / "anna.glb"))
    (obj,) = set(bpy.data.objects) - before[0]
    assert {"jawOpen", "mouthClose"} < set(obj.data.shape_keys.key_blocks.keys())
    assert [action.name for action in set(bpy.data.actions) - before[1]] == ["anna"]
    bpy.data.objects.remove(obj)


def test_heads_of_ones_own_keep_their_shapes(spoken, tmp_path):
    mesh = load_mesh(DEMO_HEAD)
    box = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 2], [1, -1, 2]], float)
    shapes = np.zeros((1, 4, 3))
    shapes[0, 0] = (0, 0, -0.5)
    arrays = {"vertices": box, "faces": np.array([[0, 1, 2], [1, 3, 2]]), "shapes": shapes}
    save_npz({**arrays, "control_names": np.array(["jawOpen"])}, tmp_path / "own.npz")
    own = head_at(tmp_path / "own.npz")
    assert own.names == ("jawOpen",)
    np.testing.assert_allclose(own.vertices[3], (1, 2, 1))  # z up, as Blender has it → y up
    np.testing.assert_allclose(own.shapes[0, 0], (0, -0.5, 0))
    assert len(mesh.vertices) == len(head_at(None).vertices)
    save_animation(spoken, tmp_path / "line.npz")
    assert main(["export", str(tmp_path / "line.npz"), "--mesh", str(tmp_path / "own.npz"), "--out",
                 str(tmp_path / "line.glb")]) == 0  # fmt: skip
    assert read_glb(tmp_path / "line.glb")[0]["animations"][0]["name"] == "line"


def test_few_curves_are_within_a_hundredth_and_exact_at_contacts(spoken, tmp_path):
    export_animation(spoken, tmp_path / "a.curves.json")
    data = json.loads((tmp_path / "a.curves.json").read_text(encoding="utf-8"))
    assert [curve["control"] for curve in data["curves"]] == list(spoken.control_names)
    frames = np.arange(data["frames"], dtype=float)
    (contact,) = find_contacts(spoken.alignment, spoken.times)
    held = frames[(spoken.times >= contact.start - 1e-6) & (spoken.times <= contact.end + 1e-6)].astype(int)
    for column, curve in enumerate(data["curves"]):
        keys = np.array(curve["keys"])
        off = np.abs(BezierCurve(keys[:, :2], keys[:, 2:4], keys[:, 4:]).at(frames) - spoken.controls[:, column])
        assert off.max() <= 0.01
        if column == 0:  # the jaw parts the lips
            assert off[held[[0, -1]]].max() < 1e-4
    assert [phone for phone, *_ in data["contacts"]] == ["M"]


def test_a_film_shows_the_head_and_the_words_and_is_heard(spoken, head, tmp_path):
    small = replace(spoken, times=spoken.times[:3], controls=spoken.controls[:3])
    sound = Sound(np.sin(np.arange(3200) / 5).astype(np.float32), "0" * 64, "a.wav")
    write_film(small, head, "anna_01", sound, tmp_path / "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as film:
        assert {stream.type for stream in film.streams} == {"video", "audio"}
        seen = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert float(film.streams.video[0].average_rate) == spoken.fps
    assert len(seen) == 3 and seen[0].shape[1] == SIZE
    for shown, painted in zip(seen, pictures(small, head, "anna_01"), strict=True):
        assert np.abs(shown.astype(int) - painted).mean() < 6
        assert (painted[SIZE:] > 100).sum() > 100  # words
    painter = Painter(head, 96)
    rest = np.zeros(len(head.names), np.float32)
    wide = rest.copy()
    wide[head.names.index("jawOpen")] = 1.0
    changed = np.abs(painter.paint(rest).astype(int) - painter.paint(wide)).sum(2) > 40
    assert changed[48:].sum() > 4 * changed[:48].sum()  # below the eyes


def test_faster_results_are_shown_with_every_second_frame(spoken, head):
    fast = replace(spoken, fps=60.0, times=np.arange(4) / 60, controls=spoken.controls[:4])
    assert len(list(pictures(fast, head, "a", 2))) == 2


def test_letters_of_all_scripts_have_glyphs():
    assert lettered("Hg").any() and lettered("Hg", 2).shape == (32, 32)
    assert width_of("你") == 16 and width_of("a") == 8
    assert (lettered("e\u0301") == lettered("é")).all()  # composed or not
    assert (lettered("אב") == np.concatenate([lettered("ב"), lettered("א")], 1)).all()
    assert (lettered("\U0001f600") == lettered("\ufffd")).all()


def test_what_does_not_fit_a_format_is_told(spoken, tmp_path, capsys):
    save_animation(spoken, tmp_path / "a.npz")
    line, out = str(tmp_path / "a.npz"), str(tmp_path / "a")
    assert main(["export", line, line, "--out", f"{out}.csv"]) == 2
    assert "Only a .glb takes several results" in capsys.readouterr().err
    assert main(["export", line, "--audio", "x.wav", "--out", f"{out}.csv"]) == 2
    assert "--audio is for .mp4 alone" in capsys.readouterr().err
    sound = str(ASSETS / "sample_speech.flac")
    assert main(["export", line, "--audio", sound, "--out", f"{out}.mp4"]) == 2
    assert "is not the sound that this result was made from" in capsys.readouterr().err


def test_a_stage_has_the_demo_head_unless_it_is_told(head):
    assert Stage().mesh is None and isinstance(head, MorphHead) and head.name == "demo_head"
