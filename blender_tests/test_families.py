"""A character as others make it, in this Blender: VRM shapes, teeth of its own, an armature; one line moves all."""

import bpy
import numpy as np
import pytest


@pytest.fixture
def character(kmtalk, core):
    """The demo head with VRM's shape keys, its lower teeth apart, and Rigify's bones; head, teeth and armature."""
    from kmtalk_core.retarget.families import families
    from kmtalk_core.retarget.recognition import target_face
    from kmtalk_core.rig.articulation import build_rig
    from kmtalk_core.rig.mesh import load_mesh

    shape = load_mesh(core / "assets" / "demo_head.npz")
    rig, face = build_rig(shape), target_face(families()["vrm1"])

    def add(name, vertices, faces):
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata(vertices.tolist(), [], faces.tolist())
        obj = bpy.data.objects.new(name, mesh)
        bpy.context.scene.collection.objects.link(obj)
        return obj

    head = add("Character", rig.neutral, shape.faces)
    head.shape_key_add(name="Basis", from_mix=False)
    for target, looks in zip(face.targets, face.looks, strict=True):
        block = head.shape_key_add(name=f"Face.{target}", from_mix=False)
        block.value = 0.0
        moved = rig.neutral + np.tensordot(looks, rig.shapes, axes=1)
        block.data.foreach_set("co", moved.astype(np.float32).ravel())
    own = np.flatnonzero(shape.components == shape.component_names.index("teeth_lower"))
    index = np.full(len(rig.neutral), -1)
    index[own] = np.arange(len(own))
    faces = index[shape.faces]
    teeth = add("Teeth_Lower", rig.neutral[own], faces[(faces >= 0).all(1)])

    armature = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for name, (low, high) in {"torso": (-1.0, -0.8), "head": (-0.15, 0.1), "master_eye.L": (0.0, 0.03)}.items():
        bone = armature.data.edit_bones.new(name)
        bone.head, bone.tail = (0.03 * ("eye" in name), 0, low), (0.03 * ("eye" in name), 0, high)
    bpy.ops.object.mode_set(mode="OBJECT")
    head.parent = armature
    bpy.context.view_layer.objects.active = head
    return head, teeth, armature


def test_a_whole_character_speaks_in_one_line_and_is_as_before_without_it(kmtalk, character, strip):
    head, teeth, armature = character
    outcome = kmtalk.api.generate(head)
    assert "Teeth_Lower" in outcome.summary and "master_eye.L" in outcome.summary
    keys = head.data.shape_keys
    assert "jawOpen" not in keys.key_blocks
    if kmtalk.compat.SLOTTED_ACTIONS:
        action = kmtalk.keyframes.own_action(head)
        slot = next(slot for slot in action.slots if armature in slot.users())
        turns = kmtalk.compat.channels(action, slot).fcurves
        assert {'pose.bones["head"].rotation_quaternion'} <= {curve.data_path for curve in turns}
        assert not armature.pose.bones["head"].constraints
    else:
        assert "headYaw" in keys.key_blocks and armature.pose.bones["head"].constraints
    opened, turned = [], []
    first = kmtalk.compat.handles(strip).left
    for frame in range(first, first + 60, 2):
        bpy.context.scene.frame_set(frame)
        evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        opened.append((keys.key_blocks["Face.aa"].value, teeth.data.shape_keys.key_blocks["Face.aa"].value))
        turned.append(evaluated.pose.bones["head"].matrix.to_quaternion().angle)
    assert max(value for value, _ in opened) > 0.2
    assert all(abs(a - b) < 1e-5 for a, b in opened), "the teeth do not follow"
    assert max(turned) - min(turned) > 0.005, "the head's bone does not turn"
    strip.kmtalk.show_completed = False
    view = keys.animation_data.action
    assert view != kmtalk.keyframes.own_action(head), "key motions alone are shown"
    shown = kmtalk.compat.all_fcurves(view)
    assert {point.type for curve in shown for point in curve.keyframe_points} == {"KEYFRAME"}
    if kmtalk.compat.SLOTTED_ACTIONS:
        assert armature.animation_data.action == view, "on the rig, too"
        assert 'pose.bones["head"].rotation_quaternion' in {curve.data_path for curve in shown}
    for frame, (mouth, _), turn in zip(range(first, first + 60, 2), opened, turned, strict=True):
        bpy.context.scene.frame_set(frame)
        evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        assert keys.key_blocks["Face.aa"].value == mouth
        assert evaluated.pose.bones["head"].matrix.to_quaternion().angle == turn
    kmtalk.api.complete(head)
    kmtalk.api.remove(head)
    assert "headYaw" not in keys.key_blocks and teeth.data.shape_keys is None
    assert not armature.pose.bones["head"].constraints
