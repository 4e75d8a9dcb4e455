"""Mouths that are drawings or poses, in this Blender: a line chooses among layers, and blends poses of an armature."""

import math

import bpy
import pytest


@pytest.fixture
def ink(kmtalk):
    """A Grease Pencil object with a layer for each of Rhubarb's mouths."""
    kept = "grease_pencils_v3" if hasattr(bpy.data, "grease_pencils_v3") else "grease_pencils"
    data = getattr(bpy.data, kept).new("Ink")
    for name in "ABCDEFGHX":
        data.layers.new(name)
    obj = bpy.data.objects.new("Ink", data)
    bpy.context.scene.collection.objects.link(obj)
    return obj


@pytest.fixture
def rig(kmtalk):
    """An armature whose jaw has a pose for some of Rhubarb's mouths, one Action each."""
    obj = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    bone = obj.data.edit_bones.new("chin")
    bone.head, bone.tail = (0, 0, 0), (0, -1, 0)
    bpy.ops.object.mode_set(mode="OBJECT")
    for name, degrees in {"A": 0, "B": 8, "C": 20, "D": 34, "F": 6}.items():
        action = bpy.data.actions.new(f"Mouth {name}")
        slot = action.slots.new(id_type="OBJECT", name="Rig") if kmtalk.compat.SLOTTED_ACTIONS else None
        half = math.radians(degrees) / 2
        for index, value in enumerate((math.cos(half), math.sin(half), 0.0, 0.0)):
            path = 'pose.bones["chin"].rotation_quaternion'
            curve = kmtalk.compat.channels(action, slot).fcurves.new(path, index=index)
            curve.keyframe_points.insert(1, value)
    return obj


def test_grease_pencil_layers_are_shown_one_at_a_time_and_go_back(kmtalk, ink, strip):
    head = kmtalk.api.use_mouths(ink)
    outcome = kmtalk.api.generate(ink)
    assert head.name in outcome.summary
    shown, first = [], kmtalk.compat.handles(strip).left
    for frame in range(first, first + 200):
        bpy.context.scene.frame_set(frame)
        evaluated = ink.evaluated_get(bpy.context.evaluated_depsgraph_get())
        seen = [kmtalk.compat.layer_name(layer) for layer in evaluated.data.layers if not layer.hide]
        assert len(seen) == 1, "not one drawing alone"
        shown += seen
    assert {"A", "D"} <= set(shown) and len(set(shown)) >= 5
    assert all(shown[i] in (shown[i - 1], shown[i + 1]) for i in range(1, len(shown) - 1)), "shorter than two frames"
    kmtalk.api.complete(ink)
    kmtalk.api.remove(head)
    kmtalk.api.remove_mouths(ink)
    assert not any(layer.hide for layer in ink.data.layers) and not ink.children


def test_poses_are_blended_and_the_jaw_closes(kmtalk, rig, strip):
    head = kmtalk.api.use_mouths(rig)
    kmtalk.api.generate(rig)
    turned, first = [], kmtalk.compat.handles(strip).left
    for frame in range(first, first + 200):
        bpy.context.scene.frame_set(frame)
        evaluated = rig.evaluated_get(bpy.context.evaluated_depsgraph_get())
        turn = evaluated.pose.bones["chin"].matrix @ rig.data.bones["chin"].matrix_local.inverted()
        turned.append(math.degrees(turn.to_quaternion().angle))
    assert 20 < max(turned) < 34.1 and min(turned) < 1
    assert sum(1 < angle < 30 for angle in turned) > 30, "nothing in between"
    kmtalk.api.remove(head)
    kmtalk.api.remove_mouths(rig)
    assert not rig.pose.bones["chin"].constraints
