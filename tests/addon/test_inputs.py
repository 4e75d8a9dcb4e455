"""Shape keys that a control rig drives: its bones and custom properties move, and all is as before when it goes."""

import bpy
import numpy as np
import pytest

from kmtalk_addon import api, compat, inputs, lipsync, panels, removal, shape_keys, takes
from kmtalk_core.assets import SAMPLE_SPEECH
from kmtalk_core.errors import InputError
from kmtalk_core.rig.controls import ARKIT_CONTROLS

TEXT = "Hello! My mouth moves by itself now."


@pytest.fixture
def rigged(head):
    """A head whose jaw, smiles and pucker a control rig drives: `rigged()` gives the head and the armature."""
    armature = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    bpy.context.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for name in ("jaw_ctrl", "corner.L"):
        bone = armature.data.edit_bones.new(name)
        bone.head, bone.tail = (0, 0, 0), (0, 0, 0.1)
    bpy.ops.object.mode_set(mode="OBJECT")
    armature["pucker"] = 0.0
    armature.pose.bones["jaw_ctrl"]["open"] = 0.0
    for block in head.data.shape_keys.key_blocks:
        block.value = 0.0
    head.kmtalk_bones.keyed = False

    def drive(key, expression, **target):
        driver = head.data.shape_keys.key_blocks[key].driver_add("value").driver
        driver.type, driver.expression = "SCRIPTED", expression
        variable = driver.variables.new()
        variable.name = "x"
        if "bone" in target:
            variable.type = "TRANSFORMS"
            variable.targets[0].bone_target = target["bone"]
            variable.targets[0].transform_type = target["kind"]
            variable.targets[0].transform_space = "LOCAL_SPACE"
        else:
            variable.targets[0].data_path = target["path"]
        variable.targets[0].id = armature

    drive("jawOpen", "x", path='pose.bones["jaw_ctrl"]["open"]')
    drive("mouthPucker", "x * 2", path='["pucker"]')
    drive("mouthSmileLeft", "max(0, x * 20)", bone="corner.L", kind="LOC_Y")
    drive("mouthFrownLeft", "max(0, -x * 20)", bone="corner.L", kind="LOC_Y")
    bpy.context.view_layer.objects.active = head
    bpy.context.scene.render.fps = 25
    compat.add_sound_strip(bpy.context.scene, "Line", str(SAMPLE_SPEECH), 1, 1)
    return head, armature


def test_the_rigs_inputs_move_and_with_them_its_shape_keys(rigged):
    head, armature = rigged
    outcome = api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    assert not [w for w in outcome.warnings if "Drivers" in w]
    keys = head.data.shape_keys
    names = shape_keys.controls_of(head)
    assert names["jawOpen"] == "jawOpen (KMTalk)" and names["mouthPucker"] == "mouthPucker (KMTalk)"
    seen = []
    for frame in range(1, 60):
        bpy.context.scene.frame_set(frame)
        line = keys.key_blocks["jawOpen (KMTalk)"].value
        assert armature.pose.bones["jaw_ctrl"]["open"] == pytest.approx(line, abs=1e-3)
        assert keys.key_blocks["jawOpen"].value == pytest.approx(line, abs=1e-3)
        pucker = keys.key_blocks["mouthPucker (KMTalk)"].value
        assert armature["pucker"] == pytest.approx(pucker / 2, abs=1e-3)
        smile, frown = (keys.key_blocks[f"mouth{w}Left (KMTalk)"].value for w in ("Smile", "Frown"))
        assert armature.pose.bones["corner.L"].location[1] == pytest.approx((smile - frown) / 20, abs=1e-3)
        seen.append(line)
    assert max(seen) > 0.1
    clip = takes.find_clip(bpy.context.scene, "Line", head)
    assert not lipsync.is_edited(clip)
    api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))  # again changes nothing about it
    assert len([b for b in keys.key_blocks if "KMTalk" in b.name]) == 4


def test_all_is_as_before_when_it_goes(rigged):
    head, armature = rigged
    armature["pucker"] = 0.1
    bpy.context.view_layer.update()
    api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    removal.remove_all(bpy.context.scene, head)
    keys = head.data.shape_keys
    assert {block.name for block in keys.key_blocks} == {"Basis", "Wart", *ARKIT_CONTROLS}
    assert len(keys.animation_data.drivers) == 4
    assert armature.animation_data is None or not armature.animation_data.drivers
    assert armature["pucker"] == pytest.approx(0.1)
    np.testing.assert_allclose(armature.pose.bones["corner.L"].location, 0.0, atol=1e-6)


def test_what_is_not_in_proportion_is_left_alone_and_told(head):
    keys = head.data.shape_keys
    for name in ("jawOpen", "mouthPucker"):
        driver = keys.key_blocks[name].driver_add("value").driver
        driver.type, driver.expression = "SCRIPTED", "0.25"
    assert inputs.prepare(head) == []
    assert set(shape_keys.drivable(head)[1]) == {"jawOpen", "mouthPucker"}


def test_a_head_whose_keys_are_all_driven_by_nothing_is_refused(head):
    bpy.context.scene.render.fps = 25
    strip = compat.add_sound_strip(bpy.context.scene, "Line", str(SAMPLE_SPEECH), 1, 1)
    for block in head.data.shape_keys.key_blocks[1:]:
        driver = block.driver_add("value").driver
        driver.type, driver.expression = "SCRIPTED", "0.0"
    with pytest.raises(InputError, match="Drivers move all"):
        api.generate(head, strip.name, None, lipsync.Options(transcript=TEXT))


def test_a_rigs_inputs_get_keyframes(rigged):
    head, armature = rigged
    head.kmtalk_bones.keyed = True
    armature["pucker"] = 0.1
    outcome = api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    assert not [w for w in outcome.warnings if "Drivers" in w]
    keys = head.data.shape_keys
    assert not [block for block in keys.key_blocks if "KMTalk" in block.name]
    clip = takes.find_clip(bpy.context.scene, "Line", head)
    slot = next(slot for slot in clip.action.slots if armature in slot.users())
    holder = compat.channels(clip.action, slot)
    jaw = holder.fcurves.find('pose.bones["jaw_ctrl"]["open"]')
    assert jaw.group.name == "jaw_ctrl" and holder.fcurves.find('["pucker"]') is not None
    assert not lipsync.is_edited(clip)
    armature.select_set(False)
    assert panels.unseen_rigs(clip) == [armature.name]
    armature.select_set(True)
    assert panels.unseen_rigs(clip) == []
    shown = takes.shown(clip.take)
    column = shown.controls[:, shown.control_names.index("jawOpen")]
    for frame in range(1, 60):
        bpy.context.scene.frame_set(frame)
        assert keys.key_blocks["jawOpen"].value == pytest.approx(column[frame - 1], abs=0.03)
        assert armature.pose.bones["jaw_ctrl"]["open"] == pytest.approx(keys.key_blocks["jawOpen"].value, abs=1e-5)
    point = [p for p in jaw.keyframe_points if p.type == "KEYFRAME"][3]
    frame, point.co[1] = point.co[0], 0.77
    jaw.update()
    api.complete(head, "Line")
    bpy.context.scene.frame_set(int(frame), subframe=frame % 1)
    assert keys.key_blocks["jawOpen"].value == pytest.approx(0.77, abs=1e-4)
    removal.remove_all(bpy.context.scene, head)
    assert armature["pucker"] == pytest.approx(0.1) and armature.animation_data is None
    assert len(keys.animation_data.drivers) == 4
    assert {block.name for block in keys.key_blocks} == {"Basis", "Wart", *ARKIT_CONTROLS}


def test_an_input_that_its_own_action_moves_is_driven(rigged):
    head, armature = rigged
    head.kmtalk_bones.keyed = True
    armature.keyframe_insert('["pucker"]', frame=1)
    api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    names = {block.name for block in head.data.shape_keys.key_blocks if "KMTalk" in block.name}
    assert names == {"mouthPucker (KMTalk)"}
