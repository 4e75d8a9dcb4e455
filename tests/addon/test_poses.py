"""Poses of an armature as mouths: found by names, blended on top of the acting, measured, taken off again."""

import math

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="Blender as a module is not installed")

from mathutils import Quaternion  # noqa: E402

from kmtalk_addon import api, bones, compat, faces, mouths, poses, shape_keys  # noqa: E402
from kmtalk_core.errors import InputError  # noqa: E402

OPEN = {"A": 0, "B": 8, "C": 20, "D": 34, "F": 6}  # degrees that the jaw turns in the mouths of the tests


def turn(degrees, axis=(1, 0, 0)):
    return tuple(Quaternion(axis, math.radians(degrees)))


def new_action(name, frames, markers=False):
    """An Action; `frames`: frame → {(bone, channel): values}."""
    action = bpy.data.actions.new(name)
    slot = action.slots.new(id_type="OBJECT", name="Rig") if compat.SLOTTED_ACTIONS else None
    holder = compat.channels(action, slot)
    for frame, channels in frames.items():
        for (bone, channel), values in channels.items():
            for index, value in enumerate(values):
                path = f'pose.bones["{bone}"].{channel}'
                curve = holder.fcurves.find(path, index=index) or holder.fcurves.new(path, index=index)
                curve.keyframe_points.insert(frame, value).interpolation = "CONSTANT"
    return action


@pytest.fixture
def rig(blender):
    """An armature with a jaw and a lip, and a mesh of a face that they move."""
    armature = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for name, low, high in (
        ("head", (0, 0, 0), (0, 0, 1)),
        ("jaw", (0, 0, 0), (0, -1, 0)),
        ("lip", (0, -1, 0), (1, -1, 0)),
    ):
        bone = armature.data.edit_bones.new(name)
        bone.head, bone.tail = low, high
        if name != "head":
            bone.parent = armature.data.edit_bones["head"]
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=4, y_subdivisions=4)
    head = bpy.context.object
    head.name, head.parent = "Face", armature
    head.modifiers.new("Armature", "ARMATURE").object = armature
    head.vertex_groups.new(name="jaw").add(range(8), 1.0, "REPLACE")
    for name, degrees in OPEN.items():
        new_action(f"Mouth {name}", {1: {("jaw", "rotation_quaternion"): turn(degrees)}})
    return armature


def jaw(rig):
    bpy.context.view_layer.update()
    evaluated = rig.evaluated_get(bpy.context.evaluated_depsgraph_get())
    rest = rig.data.bones["head"].matrix_local.inverted() @ rig.data.bones["jaw"].matrix_local
    moved = evaluated.pose.bones["head"].matrix.inverted() @ evaluated.pose.bones["jaw"].matrix
    return rest.inverted() @ moved


def test_actions_called_like_mouths_are_blended_on_top_of_the_acting(rig):
    head = api.use_mouths(rig)
    assert head.name == "Face" and head.kmtalk_mouths.kind == "POSES"
    names = [block.name for block in head.data.shape_keys.key_blocks[1:]]
    assert names == [f"Pose {name}" for name in OPEN]
    for name, degrees in OPEN.items():
        mouths.show(head, name)
        assert math.degrees(jaw(rig).to_quaternion().angle) == pytest.approx(degrees, abs=1e-3)
    blocks = head.data.shape_keys.key_blocks
    mouths.show(head, "D")
    blocks["Pose D"].value = 0.25  # evenly, not as quaternions' numbers go
    assert math.degrees(jaw(rig).to_quaternion().angle) == pytest.approx(34 / 4, abs=1e-3)
    rig.pose.bones["jaw"].rotation_quaternion = turn(10)
    assert math.degrees(jaw(rig).to_quaternion().angle) == pytest.approx(34 / 4 + 10, abs=1e-3)


def test_all_channels_and_other_ways_of_turning_are_posed(rig):
    bone = rig.pose.bones["jaw"]
    bone.rotation_mode = "XZY"
    pose = {
        ("jaw", "rotation_euler"): (0.3, 0.1, 0.0),
        ("jaw", "location"): (0.01, 0.0, 0.05),
        ("jaw", "scale"): (1.2, 0.9, 1.0),
    }
    head = api.use_mouths(rig, mouths={"E": new_action("wide", {1: pose})})
    mouths.show(head, "E")
    moved = jaw(rig)
    for (_, channel), values in pose.items():
        setattr(bone, channel, values)
    mouths.show(head, "X")
    wanted = jaw(rig)
    np.testing.assert_allclose(np.array(moved), np.array(wanted), atol=1e-5)


def test_pose_markers_of_one_action_and_a_pose_at_rest_are_mouths(rig):
    for action in list(bpy.data.actions):
        bpy.data.actions.remove(action)
    frames = {
        frame: {("jaw", "rotation_quaternion"): turn(angle)} for frame, angle in ((1, 5), (2, 0), (3, 25), (4, 12))
    }
    library = new_action("Phonemes", frames)
    for frame, name in enumerate(("rest", "MBP", "AI", "O"), 1):
        library.pose_markers.new(name).frame = frame
    head = api.use_mouths(bpy.data.objects["Face"], "POSES")
    assert head.kmtalk_mouths.chart == "preston_blair"
    for name, angle in (("rest", 5), ("MBP", 0), ("AI", 25), ("O", 12)):
        mouths.show(head, name)
        assert math.degrees(jaw(rig).to_quaternion().angle) == pytest.approx(angle, abs=1e-3)


def test_the_solver_takes_them_as_the_heads_family_and_no_bone_moves_twice(rig):
    head = api.use_mouths(rig)
    keys = head.data.shape_keys
    assert not shape_keys.needs_rig(head)
    assert set(faces.face_of(keys).targets) == {f"Pose {name}" for name in OPEN}
    assert "jaw" not in bones.told(head) and "head" in bones.told(head)
    moved = poses.measured(head, {name: name for name in faces.face_of(keys).targets})
    far = {name: float(np.abs(move).max()) for name, move in moved.items()}
    assert far["Pose D"] > far["Pose C"] > far["Pose B"] > far["Pose A"] == 0.0
    assert not any(block.value for block in keys.key_blocks[1:])
    together = poses.within_one(("Pose A", "Pose D", "blink"), np.array([[0.5, 1.0, 0.7], [0.2, 0.3, 1.0]]))
    np.testing.assert_allclose(together, [[1 / 3, 2 / 3, 0.7], [0.2, 0.3, 1.0]])


def test_all_comes_off_and_what_is_missing_is_said(rig):
    head = bpy.data.objects["Face"]
    before = sorted(obj.name for obj in bpy.data.objects)
    api.use_mouths(rig)
    api.remove_mouths(rig)
    assert head.data.shape_keys is None and sorted(obj.name for obj in bpy.data.objects) == before
    assert not rig.pose.bones["jaw"].constraints and head.kmtalk_mouths.target is None
    for action in list(bpy.data.actions):
        bpy.data.actions.remove(action)
    with pytest.raises(InputError, match="No pose is called"):
        api.use_mouths(rig)
    bpy.ops.mesh.primitive_plane_add()
    with pytest.raises(InputError, match="no armature"):
        api.use_mouths(bpy.context.object, "POSES")
