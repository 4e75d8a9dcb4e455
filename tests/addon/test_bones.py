"""Bones of any armature: jaw, eyes, head and neck move with a line, on top of the animator's own acting."""

import bpy
import numpy as np
import pytest
from mathutils import Vector

from kmtalk_addon import (
    api,
    bones,
    clips,
    compat,
    faces,
    key_view,
    keyframes,
    lipsync,
    removal,
    shape_keys,
    skeleton,
    takes,
)
from kmtalk_core.assets import DEMO_HEAD, SAMPLE_SPEECH
from kmtalk_core.errors import InputError
from kmtalk_core.retarget.lip_bones import find_lip_bones
from kmtalk_core.retarget.recognition import NO_NODS
from kmtalk_core.retarget.skeletons import JAW_DEG, find_bones, person_axes, turns_of
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.controls import ARKIT_CONTROLS, HEAD_DEG
from kmtalk_core.rig.mesh import load_mesh

TEXT = "Hello! My mouth moves by itself now."
pytestmark = pytest.mark.usefixtures("warm_worker")
UPRIGHT = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])  # y up → z up


@pytest.fixture(scope="module")
def rig():
    return build_rig(load_mesh(DEMO_HEAD))


@pytest.fixture
def character(blender, rig, monkeypatch):
    """The demo head upright with an armature: `character(bones, keys)`; its topology passes for unknown."""
    monkeypatch.setattr(shape_keys, "landmarks_known", lambda mesh: False)

    def make(names: dict[str, str], keys=ARKIT_CONTROLS, roll: float = 0.0, keyed: bool = False):
        mesh = bpy.data.meshes.new("Head")
        mesh.from_pydata((rig.neutral @ UPRIGHT.T).tolist(), [], load_mesh(DEMO_HEAD).faces.tolist())
        head = bpy.data.objects.new("Head", mesh)
        armature = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
        for obj in (head, armature):
            bpy.context.collection.objects.link(obj)
        bpy.context.view_layer.objects.active = armature
        bpy.ops.object.mode_set(mode="EDIT")
        places = {
            "hips": ((0, 0, -1.0), (0, 0, -0.9)), "neck": ((0, 0.05, -0.3), (0, 0.05, -0.15)),
            "head": ((0, 0.05, -0.15), (0, 0.05, 0.1)), "jaw": ((0, 0.03, -0.02), (0, -0.06, -0.1)),
            "eye_left": ((0.03, -0.04, 0), (0.03, -0.07, 0)), "eye_right": ((-0.03, -0.04, 0), (-0.03, -0.07, 0)),
        }  # fmt: skip
        for role, name in {"hips": "Hips", **names}.items():
            bone = armature.data.edit_bones.new(name)
            bone.head, bone.tail = places[role]
            bone.roll = roll
        bpy.ops.object.mode_set(mode="OBJECT")
        if keys:
            head.shape_key_add(name="Basis", from_mix=False)
        for name in keys:
            block = head.shape_key_add(name=name, from_mix=False)
            block.value = 0.0
            moved = (rig.neutral + rig.shapes[rig.control_names.index(name)]) @ UPRIGHT.T
            block.data.foreach_set("co", moved.astype(np.float32).ravel())
        head.parent = armature
        head.kmtalk_bones.keyed = keyed
        bpy.context.view_layer.objects.active = head
        bpy.context.scene.render.fps = 25
        compat.add_sound_strip(bpy.context.scene, "Line", str(SAMPLE_SPEECH), 1, 1)
        return head, armature

    return make


def pointing(armature, bone) -> Vector:
    """Where a bone points now, in the armature's space."""
    evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    pose = evaluated.pose.bones[bone]
    return (pose.tail - pose.head).normalized()


ROLES = {"head": "head", "neck": "neck", "eye_left": "eye.L", "eye_right": "eye.R"}


@pytest.mark.parametrize("roll", [0.0, 1.2])
def test_gaze_and_nods_go_to_bones_of_any_roll(character, roll):
    head, armature = character(ROLES, roll=roll)
    outcome = api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    assert "eye.L" in outcome.summary and "head" in outcome.summary
    keys = head.data.shape_keys
    assert {"headPitch", "headYaw", "headRoll"} <= {block.name for block in keys.key_blocks}
    removal_free = keys.animation_data
    removal_free.use_nla = False  # set values by hand
    for block in keys.key_blocks[1:]:
        block.value = 0.0
    bpy.context.view_layer.update()
    still = {bone: pointing(armature, bone) for bone in ROLES.values()}
    keys.key_blocks["eyeLookOutLeft"].value = 1.0
    keys.key_blocks["eyeLookUpRight"].value = 1.0
    bpy.context.view_layer.update()
    assert pointing(armature, "eye.L").x > still["eye.L"].x + 0.4  # to the person's left
    assert pointing(armature, "eye.R").z > still["eye.R"].z + 0.3
    keys.key_blocks["headPitch"].value = 1.0
    bpy.context.view_layer.update()
    assert pointing(armature, "head").y < still["head"].y - 0.8 * np.sin(np.radians(HEAD_DEG * 0.65))  # nods forward
    assert pointing(armature, "neck").y < still["neck"].y - 0.03


def test_the_animators_own_turn_of_a_bone_stays_below(character):
    head, armature = character(ROLES)
    bone = armature.pose.bones["head"]
    bone.rotation_mode = "XYZ"
    bone.rotation_euler = (0.3, 0.0, 0.0)
    bpy.context.view_layer.update()
    before = pointing(armature, "head").copy()
    api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    assert tuple(bone.rotation_euler) == pytest.approx((0.3, 0.0, 0.0))
    bpy.context.scene.frame_set(1)
    assert pointing(armature, "head").angle(before) < np.radians(HEAD_DEG)
    removal.remove_all(bpy.context.scene, head)
    bpy.context.view_layer.update()
    assert not bone.constraints and pointing(armature, "head").angle(before) < 1e-3
    assert not [obj for obj in bpy.data.objects if obj.type == "EMPTY"]
    assert {block.name for block in head.data.shape_keys.key_blocks} == {"Basis", *ARKIT_CONTROLS}


def test_a_head_with_a_jaw_bone_alone_speaks(character):
    head, armature = character({**ROLES, "jaw": "jaw"}, keys=())
    assert shape_keys.check_speaks(head) == head
    outcome = api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    assert "jaw" in outcome.summary
    opened = []
    for frame in range(1, 70):
        bpy.context.scene.frame_set(frame)
        opened.append(pointing(armature, "jaw").copy())
    angles = np.degrees([closed.angle(opened[0]) for closed in opened])
    assert 2.0 < angles.max() < JAW_DEG
    lowest = opened[int(angles.argmax())]
    assert lowest.z < opened[0].z  # down
    api.complete(head, "Line")
    removal.remove_all(bpy.context.scene, head)
    assert head.data.shape_keys is None and not armature.pose.bones["jaw"].constraints


def test_the_jaws_bone_stays_where_shapes_open_the_mouth(character):
    head, armature = character({**ROLES, "jaw": "jaw"})
    api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    assert not armature.pose.bones["jaw"].constraints and armature.pose.bones["eye.L"].constraints
    assert "eye left" in bones.told(head) and "jaw" not in bones.told(head)


def test_bones_are_chosen_by_hand(character):
    head, armature = character({"head": "Kopf", "jaw": "Kinn"}, keys=())
    assert skeleton.bones_of(head) is None
    with pytest.raises(InputError, match="no jaw bone"):
        shape_keys.check_speaks(head)
    head.kmtalk_bones.jaw = "Kinn"
    assert skeleton.bones_of(head).of == {"jaw": "Kinn"}
    api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    assert armature.pose.bones["Kinn"].constraints
    head.kmtalk_bones.jaw = skeleton.NONE
    assert skeleton.bones_of(head) is None


@pytest.mark.parametrize(
    ("names", "title", "jaw"),
    [
        (("torso", "head", "neck", "jaw_master", "master_eye.L", "ORG-face"), "Rigify", "jaw_master"),
        (("c_traj", "c_head.x", "c_jawbone.x", "c_eye.l"), "Auto-Rig Pro", "c_jawbone.x"),
        (("mixamorig:Hips", "mixamorig:Head", "mixamorig:Neck"), "Mixamo", None),
        (("mixamorig1:Hips", "mixamorig1:Head", "mixamorig:Hips"), "Mixamo", None),
        (("head.x", "neck.x", "jawbone.x", "c_lips_top.x", "c_eye_offset.l"), "Auto-Rig Pro", "jawbone.x"),
        (("J_Bip_C_Hips", "J_Bip_C_Head", "J_Adj_L_FaceEye"), "VRM and VRoid", None),
        (("CC_Base_Head", "CC_Base_JawRoot", "CC_Base_L_Eye"), "Character Creator", "CC_Base_JawRoot"),
        (("lowerFaceRig", "lowerJaw", "lEye", "head"), "Daz Genesis", "lowerJaw"),
        (("Hips", "Head", "LeftEye", "RightEye"), "Ready Player Me", None),
        (("root", "Jaw_Bone", "Left_Eye"), "Other", "Jaw_Bone"),
    ],
)
def test_skeletons_are_known(names, title, jaw):
    found = find_bones(names)
    assert found.title == title and found.bones.get("jaw") == jaw


def test_nothing_is_found_where_nothing_is():
    assert find_bones(("root", "tail")) is None


@pytest.mark.parametrize("begun", ["Character1_", "Bip01 ", "Hero-"])
def test_bones_are_found_behind_a_word_that_all_begin_with(begun):
    found = find_bones(
        [*(f"{begun}{name}" for name in ("Hips", "Spine", "Neck", "Head", "Jaw")), *(f"J_Hair_{n}" for n in range(7))]
    )
    assert dict(found.bones) == {role: f"{begun}{role.title()}" for role in ("jaw", "head", "neck")}


def test_a_lying_rig_has_its_own_axes():
    names = ["spine", "head", "hand.L", "hand.R"]
    heads = np.array([[0, 0, 0], [0, 1.7, 0], [0.5, 1, 0], [-0.5, 1, 0]])
    np.testing.assert_array_equal(person_axes(names, heads, heads, "head"), np.eye(3))
    assert turns_of("jaw", False)["jawOpen"][0] > 0


def test_what_bones_show_is_no_longer_missed(character):
    head, _ = character(ROLES)
    costs = shape_keys.recognition_of(head.data.shape_keys).costs
    assert set(costs) & bones.shows(head) == {NO_NODS}
    head.kmtalk_bones.head = skeleton.NONE
    assert NO_NODS not in bones.shows(head)


def test_an_eye_that_shape_keys_turn_is_not_turned_twice(character):
    """As Ready Player Me's: eyeballs with shape keys for the gaze, and a bone that turns the same eyeball."""
    head, armature = character(ROLES)
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.01, location=(0.03, -0.05, 0.0), segments=8, ring_count=6)
    eye = bpy.context.object
    eye.name = "EyeLeft"
    eye.vertex_groups.new(name="eye.L").add(range(len(eye.data.vertices)), 1.0, "REPLACE")
    eye.modifiers.new("Armature", "ARMATURE").object = armature
    assert "eye left" in bones.told(head)
    eye.shape_key_add(name="Basis")
    block = eye.shape_key_add(name="eyeLookOutLeft")
    assert "eye left" in bones.told(head), "it moves nothing"
    block.data[0].co.x += 0.005
    assert "eye left" not in bones.told(head) and "eye right" in bones.told(head)


def test_shapes_that_turn_the_head_are_no_missing_nods(character):
    head, _ = character({})
    assert NO_NODS not in bones.shows(head)
    head.shape_key_add(name="headPitch", from_mix=False)
    assert NO_NODS in bones.shows(head)


@pytest.mark.parametrize("keyed", [False, True])
def test_an_overridden_character_keeps_what_was_added(character, tmp_path, keyed):
    """Blender overrides objects and leaves meshes linked; what an override forgets when it is saved goes to copies."""
    own = [name for name in ARKIT_CONTROLS if not name.startswith("eyeLook")]
    head, armature = character(ROLES, keys=own, keyed=keyed)
    whole = bpy.data.collections.new("Character")
    bpy.context.scene.collection.children.link(whole)
    lashes = bpy.data.objects.new("Lashes", head.data.copy())
    beard = bpy.data.objects.new("Beard", bpy.data.meshes.new_from_object(head))
    for part in (lashes, beard):
        part.parent = armature
    for obj in (head, armature, lashes, beard):
        whole.objects.link(obj)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, wanted):
        wanted.collections = ["Character"]
    wanted.collections[0].override_hierarchy_create(bpy.context.scene, bpy.context.view_layer, do_fully_editable=True)
    bpy.context.scene.render.fps = 25
    compat.add_sound_strip(bpy.context.scene, "Line", str(SAMPLE_SPEECH), 1, 1)

    def found(name):
        return next(obj for obj in bpy.context.scene.objects if obj.name.startswith(name))

    with pytest.raises(InputError, match="press Own Meshes"):
        api.generate(found("Head"), "Line")
    assert sorted(name[:5] for name in api.own_meshes(found("Head"))) == ["Beard", "Head", "Lashe"]
    assert found("Lashes").data.override_library and bool(found("Head").data.override_library) == keyed
    outcome = api.generate(found("Head"), "Line", None, lipsync.Options(transcript=TEXT))
    assert "Beard" in outcome.summary and not any("Own Meshes" in told for told in outcome.warnings)

    def seen():
        places = []
        for frame in range(1, 75, 6):
            bpy.context.scene.frame_set(frame)
            lash = found("Lashes").data.shape_keys.key_blocks["eyeBlinkLeft"].value
            places.append([*pointing(found("Rig"), "head"), *pointing(found("Rig"), "eye.L"), lash])
        return np.array(places)

    before = seen()
    assert (np.ptp(before, axis=0) > 0.002).sum() >= 5
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    np.testing.assert_allclose(seen(), before, atol=1e-5)
    removal.remove_all(bpy.context.scene, found("Head"))
    assert not any(bone.constraints for bone in found("Rig").pose.bones)
    tracks = found("Rig").animation_data
    assert tracks is None or not len(tracks.nla_tracks)


@pytest.fixture
def skinned(character, rig):
    """A head of bones alone: `skinned(lips)`; skin follows a jaw and bones around the mouth, the lower ones its own."""

    def make(lips: dict[str, tuple[float, bool]], roll: float = 0.0):
        head, armature = character({"head": "head", "jaw": "jaw"}, keys=(), roll=roll)
        marks = rig.anatomy.vertex_of[rig.anatomy.marks]
        rest = rig.neutral @ UPRIGHT.T
        upper, lower = rest[marks[48:55]], rest[[*marks[54:60], marks[48]]][::-1]
        opening = np.linalg.norm(rig.shapes[rig.control_names.index("jawOpen")], axis=1)
        of_jaw = np.clip(opening / np.quantile(opening[opening > 0.01], 0.9), 0, 1)
        bpy.context.view_layer.objects.active = armature
        bpy.ops.object.mode_set(mode="EDIT")
        share = np.zeros((len(lips), len(rest)))
        for row, (name, (place, below)) in zip(share, lips.items(), strict=True):
            line = lower if below else upper
            at = np.array([np.interp(place * 6, np.arange(7), line[:, axis]) for axis in range(3)])
            bone = armature.data.edit_bones.new(name)
            bone.head, bone.tail, bone.roll = at, np.add(at, (0, -0.02, 0.004)), roll
            bone.parent = armature.data.edit_bones["jaw" if below else "head"]
            near = np.exp(-0.5 * (np.linalg.norm(rest - at, axis=1) / 0.011) ** 2)
            row[:] = np.where((of_jaw > 0.5) == below, near, 0.0)
        bpy.ops.object.mode_set(mode="OBJECT")
        share *= 0.9 / np.maximum(share.sum(0), 0.9)
        left = 1 - share.sum(0)
        for name, weights in (*zip(lips, share, strict=True), ("jaw", left * of_jaw), ("head", left * (1 - of_jaw))):
            group = head.vertex_groups.new(name=name)
            for vertex in np.flatnonzero(weights > 1e-4):
                group.add([int(vertex)], float(weights[vertex]), "REPLACE")
        head.modifiers.new("Armature", "ARMATURE").object = armature
        bpy.context.view_layer.update()
        return head, armature, marks

    return make


RIGIFY = {
    "lip.T": (0.5, False), "lip.T.L.001": (0.75, False), "lip.T.R.001": (0.25, False), "lip_end.L.001": (1.0, False),
    "lip_end.R.001": (0.0, False), "lip.B": (0.5, True), "lip.B.L.001": (0.75, True), "lip.B.R.001": (0.25, True),
}  # fmt: skip


@pytest.mark.parametrize(("roll", "scale"), [(0.0, (1.0, 1.0, 1.0)), (0.9, (-1.0, 1.0, 1.0))])
def test_lip_bones_shape_and_close_the_lips(skinned, roll, scale):
    head, armature, marks = skinned(RIGIFY, roll)
    armature.scale = scale
    assert bones.told(head).endswith("8 of the lips")
    rest = shown(head, marks)
    outcome = api.generate(head, "Line", None, lipsync.Options(transcript=TEXT, head=0.0))
    assert "8 bones of the lips" in outcome.summary and not any("still" in told for told in outcome.warnings)
    keys, free = head.data.shape_keys, head.data.shape_keys.animation_data
    free.use_nla = False

    def posed(**controls):
        for block in keys.key_blocks[1:]:
            block.value = controls.get(block.name, 0.0)
        return shown(head, marks)

    posed()
    opened = posed(jawOpen=0.3)
    assert gap(opened) > gap(rest) + 0.005
    assert gap(posed(jawOpen=0.3, mouthClose=0.3)) < gap(rest) + 0.0012, "lips meet while the jaw is down"
    assert (
        width(posed(mouthPucker=1.0))
        < 0.9 * width(rest)
        < width(rest)
        < width(posed(mouthSmileLeft=1, mouthSmileRight=1))
    )
    free.use_nla = True
    seen = []
    for frame in range(1, 70):
        bpy.context.scene.frame_set(frame)
        seen.append(gap(shown(head, marks)))
    (action,) = [a for a in bpy.data.actions if a.kmtalk_takes]
    phones = takes.loaded(action.kmtalk_takes[0].result).alignment.phones
    for phone in (p for p in phones if p.label in ("M", "B") and p.end < 2.6):
        closed = min(seen[round(phone.start * 25) : round(phone.end * 25) + 1])
        assert closed < gap(rest) + 0.0012, phone
    assert max(seen) > gap(rest) + 0.004
    removal.remove_all(bpy.context.scene, head)
    assert not any(bone.constraints for bone in armature.pose.bones) and head.data.shape_keys is None
    assert not [obj for obj in bpy.data.objects if obj.type == "EMPTY"]


def shown(head, marks):
    bpy.context.view_layer.update()
    evaluated = head.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return np.array([evaluated.data.vertices[int(v)].co for v in marks])


def gap(points) -> float:
    return float((points[[61, 62, 63], 2] - points[[67, 66, 65], 2]).mean())


def width(points) -> float:
    return float(points[54, 0] - points[48, 0])


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("DEF-lip.T.L", "ORG-lip.T.L", "lip.T", "lip.B", "lips.L", "jaw_master"), ("lip.T", "lip.B", "lips.L")),
        (("lips_top.x", "c_lips_top.x", "c_lips_smile.l", "c_jawbone.x"), ("c_lips_top.x", "c_lips_smile.l")),
        (("oris01", "oris03.L", "special01", "jaw"), ("oris01", "oris03.L")),
        (("LipUpperMiddle", "lLipCorner", "lowerJaw"), ("LipUpperMiddle", "lLipCorner")),
        (("l_lipcorner", "lipuppermiddle", "lowerjaw"), ("l_lipcorner", "lipuppermiddle")),
        (
            ("c_lips_bot_01.l", "c_lips_smile.r", "c_lips_offset.x", "c_lips_bot_proxy.x"),
            ("c_lips_bot_01.l", "c_lips_smile.r"),
        ),
        (
            ("lLipBelowNose", "lLipNasolabialCrease", "lNasolabialMouthCorner", "LipUpperMiddle", "lLipCorner"),
            ("LipUpperMiddle", "lLipCorner"),
        ),
        (
            ("FACIAL_C_LipUpper1", "FACIAL_L_12IPV_LipUpper1", "FACIAL_C_LipUpperSkin", "FACIAL_L_LipCorner1"),
            ("FACIAL_C_LipUpper1", "FACIAL_L_LipCorner1"),
        ),
        (("eyelid.L", "flipper", "clip", "tulip"), ()),
    ],
)
def test_lip_bones_are_known(names, found):
    assert find_lip_bones(names) == found


def curve_of(armature, action, path, index):
    """A curve of a line's for the rig."""
    slot = next(slot for slot in action.slots if armature in slot.users())
    return compat.channels(action, slot).fcurves.find(path, index=index)


def test_bones_that_nobody_animates_get_keyframes(character):
    head, armature = character({**ROLES, "jaw": "jaw"}, keys=(), keyed=True)
    armature.pose.bones["jaw"].rotation_mode = "XYZ"
    head.name = "Head"
    outcome = api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    assert "jaw" in outcome.summary and "head" in outcome.summary
    assert not any(bone.constraints for bone in armature.pose.bones)
    assert [block.name for block in head.data.shape_keys.key_blocks] == ["Basis"]
    clip = takes.find_clip(bpy.context.scene, "Line", head)
    jaw = curve_of(armature, clip.action, 'pose.bones["jaw"].rotation_euler', 0)
    assert jaw.group.name == "jaw" and len(jaw.keyframe_points) > 5
    assert curve_of(armature, clip.action, 'pose.bones["head"].rotation_quaternion', 0) is not None
    assert not lipsync.is_edited(clip)
    opened = []
    for frame in range(1, 70):
        bpy.context.scene.frame_set(frame)
        opened.append(pointing(armature, "jaw").copy())
    angles = np.degrees([one.angle(opened[0]) for one in opened])
    assert 2.0 < angles.max() < JAW_DEG and opened[int(angles.argmax())].z < opened[0].z
    assert armature.animation_data.action == clip.action, "its keyframes are shown"
    removal.remove_all(bpy.context.scene, head)
    assert head.data.shape_keys is None and armature.animation_data is None
    assert tuple(armature.pose.bones["jaw"].rotation_euler) == (0, 0, 0)
    assert not [action for action in bpy.data.actions if "KMTalk" in action.name]


@pytest.mark.parametrize("curves", ["sparse", "frames"])
def test_keys_edited_on_bones_stay_exactly_so(character, curves):
    head, armature = character({**ROLES, "jaw": "jaw"}, keys=(), keyed=True)
    armature.pose.bones["jaw"].rotation_mode = "XYZ"
    api.generate(head, "Line", None, lipsync.Options(transcript=TEXT, curves=curves))
    scene = bpy.context.scene
    clip = takes.find_clip(scene, "Line", head)
    jaw = curve_of(armature, clip.action, 'pose.bones["jaw"].rotation_euler', 0)
    side = curve_of(armature, clip.action, 'pose.bones["jaw"].rotation_euler', 1)
    frames = [p.co[0] for p in jaw.keyframe_points if p.type == "KEYFRAME"]
    keys = [p for p in jaw.keyframe_points if p.type == "KEYFRAME"]
    point = keys[len(keys) // 2]
    frame, before = point.co[0], point.co[1]
    point.co[1] = new = float(np.float32(before + 0.12))
    jaw.update()
    side.keyframe_points.insert(frame, 0.05).type = "KEYFRAME"
    assert lipsync.is_edited(clip)
    shown = takes.shown(clip.take)
    edited = shown.keys.controls[:, shown.control_names.index("jawOpen")].copy()

    def at(frame):
        clip = takes.find_clip(scene, "Line", head)
        curve = curve_of(armature, clip.action, 'pose.bones["jaw"].rotation_euler', 0)
        return min(curve.keyframe_points, key=lambda p: abs(p.co[0] - frame)).co[1]

    api.complete(head, "Line")
    clip = takes.find_clip(scene, "Line", head)
    assert at(frame) == pytest.approx(new, abs=1e-6)
    now = takes.shown(clip.take).keys.controls[:, shown.control_names.index("jawOpen")]
    assert np.abs(now - edited).max() > 0.2, "the controls know of it, and so do contacts and the motion around"
    assert [k for k in frames if k != frame] and lipsync.is_edited(clip)
    bpy.context.scene.sequence_editor.strips_all["Line"].kmtalk.jaw = 1.2
    assert at(frame) == pytest.approx(new, abs=1e-6), "sliders let it be"
    api.generate(head, "Line", None, lipsync.Options(transcript=TEXT, curves=curves))
    assert at(frame) == pytest.approx(new, abs=0.02), "it is carried over to a new take"
    clip = takes.find_clip(scene, "Line", head)
    assert len(takes.takes_of(clip.keys, clip.take.line_id)) == 2
    for other in takes.takes_of(clip.keys, clip.take.line_id)[:1]:
        removal.use_take(clip, other)
    assert at(frame) == pytest.approx(new, abs=1e-6), "the take of before plays on the rig too"


def test_lines_on_a_rig_follow_their_strips(character):
    head, armature = character({"jaw": "jaw"}, keys=(), keyed=True)
    armature.pose.bones["jaw"].rotation_mode = "XYZ"
    armature.pose.bones["jaw"].rotation_euler[0] = 0.1
    api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    scene = bpy.context.scene

    def turned(frame):
        scene.frame_set(frame)
        return armature.pose.bones["jaw"].rotation_euler[0]

    before = [turned(frame) for frame in range(1, 70)]
    strip = compat.all_strips(scene)[0]
    strip.frame_start = strip.frame_start + 100
    api.follow(scene)
    np.testing.assert_allclose([turned(frame + 100) for frame in range(1, 70)], before, atol=1e-5)
    assert turned(10) == pytest.approx(0.1, abs=1e-6), "beside lines it rests as it was"
    next(strip for _, strip in clips.own_strips(head.data.shape_keys)).mute = True
    api.follow(scene)
    assert turned(120) == pytest.approx(0.1, abs=1e-6), "what is muted on the face is so on the rig"
    removal.remove_all(scene, head)
    assert armature.pose.bones["jaw"].rotation_euler[0] == pytest.approx(0.1, abs=1e-6)


def test_what_the_rigs_own_action_moves_is_added_to(character):
    head, armature = character(ROLES, keyed=True)
    bone = armature.pose.bones["head"]
    bone.rotation_mode = "XYZ"
    bone.keyframe_insert("rotation_euler", frame=1)
    api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    assert bone.constraints and not armature.pose.bones["eye.L"].constraints
    assert "headPitch" in head.data.shape_keys.key_blocks and "neck" in bones.told(head)
    assert armature.animation_data.action.name != "KMTalk Line" and not armature.animation_data.use_tweak_mode
    armature.pose.bones["eye.L"].keyframe_insert("rotation_quaternion", frame=1)
    outcome = api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    assert any("hides the line's keyframes" in told for told in outcome.warnings)


def test_lip_bones_that_are_keyed_close_the_lips(skinned):
    head, armature, marks = skinned(RIGIFY)
    head.kmtalk_bones.keyed = True
    rest = shown(head, marks)
    outcome = api.generate(head, "Line", None, lipsync.Options(transcript=TEXT, head=0.0))
    assert "8 bones of the lips" in outcome.summary
    assert not any(bone.constraints for bone in armature.pose.bones)
    clip = takes.find_clip(bpy.context.scene, "Line", head)
    said = compat.all_strips(bpy.context.scene)[0].kmtalk
    for jaw in (1.1, 1.2, 0.9, 1.0):
        said.jaw = jaw
        assert not lipsync.is_edited(clip), "what is little in metres is no little change of a control"
    slot = next(slot for slot in clip.action.slots if armature in slot.users())

    def reach_of(curve):
        return float(np.ptp([point.co[1] for point in curve.keyframe_points]))

    curves = [c for c in compat.channels(clip.action, slot).fcurves if "location" in c.data_path]
    curve = min((c for c in curves if reach_of(c) > 0.002), key=reach_of)
    point = next(p for p in curve.keyframe_points if p.type == "GENERATED")
    before, reach = point.handle_left[1], reach_of(curve)
    assert reach < 0.01
    point.handle_left[1] += 0.3 * reach
    faces.draw(clip, takes.shown(clip.take), takes.look_of(clip))
    point = next(p for p in curve.keyframe_points if p.type == "GENERATED")
    assert point.handle_left[1] == pytest.approx(before, abs=0.02 * reach), "drawn anew, though little in metres"
    seen = []
    for frame in range(1, 70):
        bpy.context.scene.frame_set(frame)
        seen.append(gap(shown(head, marks)))
    phones = takes.loaded(clip.take.result).alignment.phones
    for phone in (p for p in phones if p.label in ("M", "B") and p.end < 2.6):
        assert min(seen[round(phone.start * 25) : round(phone.end * 25) + 1]) < gap(rest) + 0.0012, phone
    assert max(seen) > gap(rest) + 0.004


def test_what_is_keyed_on_the_rig_beside_a_line_stays_the_animators(character):
    head, armature = character({"jaw": "jaw"}, keys=(), keyed=True)
    api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    scene, hips = bpy.context.scene, armature.pose.bones["Hips"]
    assert armature.animation_data.use_tweak_mode
    for frame, place in ((5, 0.0), (20, 0.3)):
        hips.location[0] = place
        hips.keyframe_insert("location", index=0, frame=frame)
    removal.remove_line(takes.find_clip(scene, "Line", head))
    scene.frame_set(20)
    assert hips.location[0] == pytest.approx(0.3) and not len(armature.animation_data.nla_tracks)
    scene.frame_set(5)
    assert hips.location[0] == pytest.approx(0.0)


def test_completed_keys_of_a_rig_are_hidden_too(character):
    head, armature = character({**ROLES, "jaw": "jaw"}, keys=(), keyed=True)
    armature.pose.bones["jaw"].rotation_mode = "XYZ"
    api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    scene, hips = bpy.context.scene, armature.pose.bones["Hips"]
    clip = takes.find_clip(scene, "Line", head)

    def bits():
        curves = keyframes.by_place(clip.action).items()
        return {at: [a.tobytes() for a in keyframes.all_of(curve).values()] for at, (curve, _) in curves}

    def turned():
        poses = []
        for frame in range(1, 70, 3):
            scene.frame_set(frame)
            poses.append([tuple(bone.matrix.to_quaternion()) for bone in armature.pose.bones])
        return poses

    before, poses = bits(), turned()
    clip.strip.kmtalk.show_completed = False
    view = armature.animation_data.action
    assert view == head.data.shape_keys.animation_data.action != clip.action
    assert armature.animation_data.use_tweak_mode and turned() == poses and bits() == before
    of_rig = compat.channels(view, armature.animation_data.action_slot).fcurves
    assert {point.type for curve in of_rig for point in curve.keyframe_points} == {"KEYFRAME"}
    jaw = of_rig.find('pose.bones["jaw"].rotation_euler', index=0)
    point = jaw.keyframe_points[len(jaw.keyframe_points) // 2]
    frame, value = point.co
    point.co[1] = new = float(np.float32(value + 0.12))
    jaw.update()
    hips.location[0] = 0.3
    hips.keyframe_insert("location", index=0, frame=20)
    key_view.take_over(clip.keys)
    on_line = curve_of(armature, clip.action, 'pose.bones["jaw"].rotation_euler', 0)
    assert on_line.evaluate(frame) == pytest.approx(new, abs=1e-6) and lipsync.is_edited(clip)
    assert curve_of(armature, clip.action, 'pose.bones["Hips"].location', 0) is None
    api.complete(head, "Line")
    clip = takes.find_clip(scene, "Line", head)
    of_rig = compat.channels(view, armature.animation_data.action_slot).fcurves
    point = min(
        of_rig.find('pose.bones["jaw"].rotation_euler', index=0).keyframe_points, key=lambda p: abs(p.co[0] - frame)
    )
    assert armature.animation_data.action == view and tuple(point.co) == (frame, pytest.approx(new, abs=1e-6))
    name = view.name
    clip.strip.kmtalk.show_completed = True
    assert head.data.shape_keys.animation_data.action == clip.action and name not in bpy.data.actions
    scene.frame_set(20)
    assert hips.location[0] == pytest.approx(0.3), "what is keyed beside stays the animator's"
    assert not armature.animation_data.use_tweak_mode, "and is not hidden"
    assert [track.name for track in armature.animation_data.nla_tracks] == ["KMTalk Rest", "KMTalk"]


def test_two_lines_and_a_copy_of_a_character(character):
    head, armature = character({"jaw": "jaw"}, keys=(), keyed=True)
    scene = bpy.context.scene
    compat.add_sound_strip(scene, "Second", str(SAMPLE_SPEECH), 2, 400)
    for name in ("Line", "Second"):
        api.generate(head, name, None, lipsync.Options(transcript=TEXT))
    strips = [s for track in armature.animation_data.nla_tracks for s in track.strips]
    assert len(strips) == 3, "two lines and what is held beside them"
    for obj in scene.objects:
        obj.select_set(obj in (head, armature))
    bpy.ops.object.duplicate()
    copy = next(obj for obj in bpy.context.selected_objects if obj.type == "MESH")
    copy_rig = copy.parent
    assert copy_rig != armature and copy.data.shape_keys.kmtalk.rigs[0].block == copy_rig

    def turned(rig, frame):
        scene.frame_set(frame)
        bpy.context.view_layer.update()
        return pointing(rig, "jaw").copy()

    for frame in (10, 20, 410):
        assert turned(copy_rig, frame).angle(turned(armature, frame)) < 1e-4
    removal.remove_line(takes.find_clip(scene, "Second", head))
    assert turned(armature, 410).angle(turned(armature, 350)) < 1e-4
    assert max(turned(armature, f).angle(turned(armature, 350)) for f in range(1, 60, 5)) > 0.03
    removal.remove_all(scene, head)
    assert armature.animation_data is None
