"""Heads of any family in Blender: told at a glance, driven by their own shapes, edited exactly, mapped by hand."""

from pathlib import Path

import bpy
import numpy as np
import pytest

from kmtalk_addon import api, clips, compat, faces, keyframes, lipsync, live, mapped, removal, shape_keys, takes
from kmtalk_core.assets import DEMO_HEAD, SAMPLE_SPEECH
from kmtalk_core.errors import InputError
from kmtalk_core.retarget.families import families
from kmtalk_core.retarget.lips import find_lips, gap_of
from kmtalk_core.retarget.recognition import target_face
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.controls import ARKIT_CONTROLS, CONTROLS
from kmtalk_core.rig.mesh import load_mesh

TEXT = (Path(SAMPLE_SPEECH).with_suffix(".txt")).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def rig():
    return build_rig(load_mesh(DEMO_HEAD))


@pytest.fixture
def head_of(blender, rig):
    """The demo head with shape keys in a family's names, which are posed as the family's shapes are meant."""

    def make(name: str, spelled=lambda target: target) -> bpy.types.Object:
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata(rig.neutral.tolist(), [], load_mesh(DEMO_HEAD).faces.tolist())
        obj = bpy.data.objects.new(name, mesh)
        bpy.context.collection.objects.link(obj)
        bpy.context.view_layer.objects.active = obj
        face = target_face(families()[name])
        obj.shape_key_add(name="Basis", from_mix=False)
        for target, looks in zip(face.targets, face.looks, strict=True):
            block = obj.shape_key_add(name=spelled(target), from_mix=False)
            block.value = 0.0
            moved = rig.neutral + np.tensordot(looks, rig.shapes, axes=1)
            block.data.foreach_set("co", moved.astype(np.float32).ravel())
        return obj

    return make


@pytest.fixture
def strip_of(blender):
    def add(frame: int = 1):
        bpy.context.scene.render.fps = 25
        return compat.add_sound_strip(bpy.context.scene, "Line", str(SAMPLE_SPEECH), 1, frame)

    return add


def written(obj) -> dict[str, np.ndarray]:
    """Name of a shape key → its keyframes (n, 2)."""
    action = keyframes.own_action(obj)
    names = {block.path_from_id("value"): block.name for block in obj.data.shape_keys.key_blocks}
    return {
        names[curve.data_path]: np.array([point.co[:] for point in curve.keyframe_points])
        for curve in compat.channels(action).fcurves
    }


def lip_gaps(obj, rig, frames) -> np.ndarray:
    """(T,) mm between the lips of the evaluated mesh, in their middle."""
    lips = find_lips(rig.neutral, rig.shapes[CONTROLS.index("jawOpen")])
    out = []
    for frame in frames:
        bpy.context.scene.frame_set(int(frame))
        mesh = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        flat = np.empty(len(mesh.vertices) * 3, np.float32)
        mesh.vertices.foreach_get("co", flat)
        moved = lips.motion((flat.reshape(1, -1, 3) - rig.neutral).astype(np.float64))
        out.append(gap_of(moved)[0, 3] * lips.width * rig.anatomy.frame.scale)
    return np.array(out)


@pytest.mark.parametrize("family", ["oculus", "vrm1", "cc4", "mmd"])
def test_a_head_of_any_family_speaks_and_closes_its_lips(head_of, strip_of, rig, family):
    obj, strip = head_of(family), strip_of()
    outcome = api.generate(obj, "Line", None, lipsync.Options(transcript=TEXT))
    assert "key motions" in outcome.summary
    curves = written(obj)
    assert set(curves) <= {block.name for block in obj.data.shape_keys.key_blocks} and len(curves) > 5
    assert obj.data.shape_keys.kmtalk.face
    assert "jawOpen" not in obj.data.shape_keys.key_blocks
    clip = takes.find_clip(bpy.context.scene, "Line", obj)
    animation = takes.shown(clip.take)
    closed = [p for p in animation.alignment.phones if p.label in ("P", "B", "M")]
    openings = lip_gaps(obj, rig, range(1, len(animation.times) + 1))
    assert np.percentile(openings, 95) > 5.0
    for phone in closed:
        first, last = int(phone.start * 25), int(np.ceil(phone.end * 25)) + 1
        assert openings[first : last + 1].min() < 0.8, phone
    assert not lipsync.is_edited(clip)
    removal.remove_all(bpy.context.scene, obj)
    assert obj.data.shape_keys.animation_data is None and not obj.data.shape_keys.kmtalk.face
    del strip


def test_an_edited_shape_stays_exactly_so(head_of, strip_of):
    obj = head_of("vrm1")
    strip_of()
    api.generate(obj, "Line", None, lipsync.Options(transcript=TEXT))
    clip = takes.find_clip(bpy.context.scene, "Line", obj)
    before = written(obj)
    keys = live.as_left(clip).keys
    curve = next(c for c in compat.channels(clip.action).fcurves if '"ou"' in c.data_path)
    points = {round(p.co[0]): p for p in curve.keyframe_points}  # none where the shape lies on a straight way
    frames = 1 + np.rint(keys.times * 25).astype(int)
    middle = min((k for k, frame in enumerate(frames) if frame in points), key=lambda k: abs(k - len(keys.times) // 2))
    frame, point = int(frames[middle]), points[frames[middle]]
    point.co[1] = 0.77
    curve.update()
    left = live.as_left(clip)
    assert left.edited.sum() == 1 and left.edited[middle]
    pucker = clip_names(clip).index("mouthPucker")
    assert left.keys.controls[middle, pucker] > keys.controls[middle, pucker] + 0.2
    api.complete(obj, "Line")
    after = written(obj)
    at = np.flatnonzero(np.abs(after["ou"][:, 0] - frame) < 0.01)[0]
    assert after["ou"][at, 1] == pytest.approx(0.77, abs=1e-6)
    assert np.abs(after["ou"][at - 1, 1] - before["ou"][at - 1, 1]) > 0.02  # the motion around it follows
    np.testing.assert_allclose(after["aa"][:5], before["aa"][:5], atol=1e-4)  # far away nothing changes
    bpy.context.scene.sequence_editor.strips_all[0].kmtalk.intensity = 0.5
    live.bring_up_to_date(bpy.context.scene)
    again = written(obj)
    at = np.flatnonzero(np.abs(again["ou"][:, 0] - frame) < 0.01)[0]
    assert again["ou"][at, 1] == pytest.approx(0.77, abs=1e-6)
    assert again["aa"][:, 1].max() < 0.8 * after["aa"][:, 1].max()


def clip_names(clip) -> list[str]:
    return list(takes.shown(clip.take).control_names)


def test_what_a_head_is_is_known_before_anything_is_made(head_of):
    obj = head_of("cc4")
    found = shape_keys.recognition_of(obj.data.shape_keys)
    assert found.family.title == "Character Creator 4" and not found.missing
    assert shape_keys.check_speaks(obj) == obj
    channels = shape_keys.controls_of(obj)
    assert channels["mouth·Mouth_Funnel_Up_L"] == "Mouth_Funnel_Up_L"
    assert keyframes.part_of("eyeBlinkLeft·Eye_Blink_L") == "BLINKS"


def test_empty_keys_with_known_names_do_not_hide_shapes_that_work(head_of):
    obj = head_of("vroid")
    for name in ARKIT_CONTROLS:
        obj.shape_key_add(name=name, from_mix=False)
    assert shape_keys.recognition_of(obj.data.shape_keys).family.name == "vroid"
    assert "Fcl_MTH_A" in shape_keys.controls_of(obj).values()
    opening = obj.data.shape_keys.key_blocks["jawOpen"]
    for point in opening.data:
        point.co.z -= 0.01
    assert shape_keys.recognition_of(obj.data.shape_keys).family.name == "arkit"


def test_renaming_changes_nothing(head_of, strip_of):
    obj = head_of("vrm1")
    strip_of()
    api.generate(obj, "Line", None, lipsync.Options(transcript=TEXT))
    obj.data.shape_keys.key_blocks["aa"].name = "Schnabel"
    assert shape_keys.controls_of(obj)["mouth·aa"] == "Schnabel"
    api.generate(obj, "Line", None, lipsync.Options(transcript=TEXT))
    obj.data.shape_keys.key_blocks["Schnabel"].name = "Maul"
    assert shape_keys.controls_of(obj)["mouth·aa"] == "Maul" and "Maul" in written(obj)


def test_a_head_that_cannot_speak_is_told_with_the_remedy(blender):
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    with pytest.raises(InputError, match="has no shape keys"):
        shape_keys.check_speaks(cube)
    for name in ("Basis", "Wart", "Nose"):
        cube.shape_key_add(name=name, from_mix=False)
    with pytest.raises(InputError, match="say in Shapes"):
        shape_keys.check_speaks(cube)


def test_ones_own_mapping_is_made_saved_and_loaded(head_of, tmp_path, monkeypatch):
    monkeypatch.setattr(shape_keys, "landmarks_known", lambda mesh: False)
    obj = head_of("simple", spelled=lambda target: f"Form {target.upper()}X")
    with pytest.raises(InputError):
        shape_keys.check_speaks(obj)
    keys = obj.data.shape_keys
    obj.active_shape_key_index = keys.key_blocks.find("Form MOUTHOPENX")
    bpy.ops.kmtalk.map_add()
    keys.kmtalk.mapped[0].weight = 0.7
    bpy.ops.kmtalk.map_add()
    keys.kmtalk.mapped[1].name = "Form MOUTHNARROWX"
    keys.kmtalk.mapped[1].control = "mouthPucker"
    assert shape_keys.check_speaks(obj) == obj
    assert shape_keys.controls_of(obj)["mouth·Form MOUTHNARROWX"] == "Form MOUTHNARROWX"
    face = faces.face_of(keys)
    assert face.targets == ("Form MOUTHOPENX", "Form MOUTHNARROWX")
    assert bpy.ops.kmtalk.map_save(filepath=str(tmp_path / "mine.json")) == {"FINISHED"}
    bpy.ops.kmtalk.map_clear()
    assert not keys.kmtalk.mapping and shape_keys.recognition_of(keys) is None
    assert bpy.ops.kmtalk.map_load(filepath=str(tmp_path / "mine.json")) == {"FINISHED"}
    assert len(keys.kmtalk.mapped) == 2 and keys.kmtalk.mapped[0].weight == pytest.approx(0.7)
    bpy.ops.kmtalk.map_remove()
    assert len(keys.kmtalk.mapped) == 1


def test_the_table_is_filled_with_what_is_known(head_of):
    obj = head_of("vrm1")
    bpy.ops.kmtalk.map_found()
    rows = [(row.name, row.control) for row in obj.data.shape_keys.kmtalk.mapped]
    assert ("aa", "jawOpen") in rows and ("blink", "eyeBlinkLeft") in rows
    assert shape_keys.recognition_of(obj.data.shape_keys).family.title == mapped.TITLE


def test_parts_leave_other_shapes_alone(head_of, strip_of):
    obj = head_of("vrm1")
    strip_of()
    api.generate(obj, "Line", None, lipsync.Options(transcript=TEXT, parts=frozenset({"MOUTH"})))
    assert "blink" not in written(obj) and "aa" in written(obj)
    assert clips.playing(obj.data.shape_keys)
