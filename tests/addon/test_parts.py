"""Teeth, tongue, eyes and brows as objects of their own: found, driven with the head, correctable, removed with it."""

import bpy
import numpy as np
import pytest

from kmtalk_addon import api, compat, lipsync, parts, removal, shape_keys
from kmtalk_core.assets import DEMO_HEAD, SAMPLE_SPEECH
from kmtalk_core.errors import InputError
from kmtalk_core.retarget import followers
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.controls import ARKIT_CONTROLS
from kmtalk_core.rig.mesh import load_mesh

TEXT = "Hello! My mouth moves by itself now."


@pytest.fixture(scope="module")
def rig():
    return build_rig(load_mesh(DEMO_HEAD))


def mesh_object(name, vertices, faces):
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(np.asarray(vertices).tolist(), [], np.asarray(faces).tolist())
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.collection.objects.link(obj)
    return obj


def give_keys(obj, rest, shapes: dict):
    obj.shape_key_add(name="Basis", from_mix=False)
    for name, move in shapes.items():
        block = obj.shape_key_add(name=name, from_mix=False)
        block.value = 0.0
        block.data.foreach_set("co", (rest + move).astype(np.float32).ravel())


@pytest.fixture
def scene_of(blender, rig):
    """The demo head apart, upright: the skin with ARKit's shape keys, and each of its parts as a mesh of its own."""

    def make(**keyed):
        mesh = load_mesh(DEMO_HEAD)
        upright = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])  # y up → z up
        points, moves = rig.neutral @ upright.T, rig.shapes @ upright.T
        of = {name: number for number, name in enumerate(mesh.component_names)}
        made = {}
        for name, number in of.items():
            own = np.flatnonzero(mesh.components == number)
            index = np.full(len(points), -1)
            index[own] = np.arange(len(own))
            faces = index[mesh.faces]
            faces = faces[(faces >= 0).all(1)]
            if not len(faces):
                continue
            made[name] = mesh_object(name, points[own], faces)
            wanted = ARKIT_CONTROLS if name == "face" else keyed.get(name, ())
            if wanted:
                give_keys(made[name], points[own], {c: moves[rig.control_names.index(c)][own] for c in wanted})
        bpy.context.view_layer.objects.active = made["face"]
        bpy.context.scene.render.fps = 25
        compat.add_sound_strip(bpy.context.scene, "Line", str(SAMPLE_SPEECH), 1, 1)
        return made

    return make


def evaluated(obj) -> np.ndarray:
    mesh = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    flat = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3)


def test_parts_are_found_and_told(scene_of):
    made = scene_of()
    found = {part.obj.name: part.role for part in parts.parts_of(made["face"])}
    print(sorted(made), found)
    lower = next(name for name in found if "teeth" in name.lower() and "lower" in name.lower())
    assert found[lower] == followers.JAW
    assert any(role == followers.TONGUE for role in found.values())
    assert {followers.EYE_LEFT, followers.EYE_RIGHT} <= set(found.values())


def test_parts_move_with_the_head_in_one_line_and_go_with_it(scene_of, rig):
    made = scene_of()
    head = made["face"]
    before = {name: obj.data.shape_keys is None for name, obj in made.items()}
    outcome = api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    lower = next(obj for name, obj in made.items() if "teeth" in name.lower() and "lower" in name.lower())
    assert lower.name in outcome.summary
    keys = head.data.shape_keys
    bpy.context.scene.frame_set(1)
    rest = shape_keys.rest_positions(lower)
    opened = []
    for frame in range(1, 60):
        bpy.context.scene.frame_set(frame)
        jaw = keys.key_blocks["jawOpen"].value
        assert lower.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(jaw, abs=1e-5)
        opened.append((jaw, np.linalg.norm(evaluated(lower) - rest, axis=1).max()))
    most = max(opened)
    assert most[0] > 0.1 and most[1] > 0.001
    # As the rig itself moves these teeth.
    mesh = load_mesh(DEMO_HEAD)
    own = mesh.components == mesh.component_names.index(lower.name)
    rigged = np.linalg.norm(rig.shapes[rig.control_names.index("jawOpen")][own], axis=1).max()
    jaw_key = np.linalg.norm(shape_keys.displacement(lower, "jawOpen"), axis=1).max()
    assert jaw_key == pytest.approx(rigged, rel=0.25)
    removal.remove_all(bpy.context.scene, head)
    assert {name: obj.data.shape_keys is None for name, obj in made.items()} == before


def test_own_shape_keys_of_the_same_or_other_names_are_driven(scene_of):
    made = scene_of(tongue=("jawOpen", "tongueOut"))
    tongue = made["tongue"]
    tongue.data.shape_keys.key_blocks["tongueOut"].name = "Tongue_Out"
    api.generate(made["face"], "Line", None, lipsync.Options(transcript=TEXT))
    keys = tongue.data.shape_keys
    assert {curve.data_path for curve in keys.animation_data.drivers} == {
        keys.key_blocks[name].path_from_id("value") for name in ("jawOpen", "Tongue_Out")
    }
    removal.remove_all(bpy.context.scene, made["face"])
    assert keys.animation_data is None and len(keys.key_blocks) == 3


def test_the_users_own_drivers_stay(scene_of):
    made = scene_of(tongue=("jawOpen", "tongueOut"))
    keys = made["tongue"].data.shape_keys
    driver = keys.key_blocks["jawOpen"].driver_add("value").driver
    driver.type, driver.expression = "SCRIPTED", "0.25"
    api.generate(made["face"], "Line", None, lipsync.Options(transcript=TEXT))
    path = keys.key_blocks["jawOpen"].path_from_id("value")
    assert keys.animation_data.drivers.find(path).driver.expression == "0.25"
    removal.remove_all(bpy.context.scene, made["face"])
    assert len(keys.animation_data.drivers) == 1


def test_eyes_look_where_the_lids_do(scene_of):
    made = scene_of()
    head = made["face"]
    left = next(part.obj for part in parts.parts_of(head) if part.role == followers.EYE_LEFT)
    api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    front = shape_keys.rest_positions(left)[:, 1].argmin()  # the face looks along -y
    assert shape_keys.displacement(left, "eyeLookOutLeft")[front, 0] > 0.001  # to the person's left
    assert shape_keys.displacement(left, "eyeLookUpLeft")[front, 2] > 0.001
    assert "eyeLookOutRight" not in left.data.shape_keys.key_blocks


def test_what_is_found_can_be_corrected(scene_of):
    made = scene_of()
    head = made["face"]
    bpy.context.view_layer.objects.active = head
    api.generate(head, "Line", None, lipsync.Options(transcript=TEXT))
    tongue = made["tongue"]
    assert tongue.data.shape_keys is not None
    assert bpy.ops.kmtalk.set_part(part="tongue", role="none") == {"FINISHED"}
    assert tongue.data.shape_keys is None and tongue not in [part.obj for part in parts.parts_of(head)]
    bpy.ops.kmtalk.set_part(part="tongue", role="attached")
    assert "mouthPucker" in tongue.data.shape_keys.key_blocks


def test_strange_objects_are_no_parts(scene_of):
    made = scene_of()
    mesh_object("Lamp", np.array([[0, 0, 0], [0.01, 0, 0], [0, 0.01, 0]]), [[0, 1, 2]])
    far = mesh_object("Teeth lower", np.array([[9, 0, 0], [9.01, 0, 0], [9, 0.01, 0]]), [[0, 1, 2]])
    names = [part.obj.name for part in parts.parts_of(made["face"])]
    assert "Lamp" not in names and far.name not in names
    with pytest.raises((InputError, RuntimeError)):
        bpy.ops.object.select_all(action="DESELECT")
        bpy.ops.kmtalk.add_parts()


def test_another_object_that_shows_the_same_mesh_moves_by_itself(scene_of):
    """It has the same shape keys, which must not drive themselves."""
    face = scene_of()["face"]
    twin = face.copy()
    twin.parent = face
    bpy.context.scene.collection.objects.link(twin)
    bpy.context.view_layer.update()
    assert twin not in [part.obj for part in parts.parts_of(face)]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Teeth_Lower", followers.JAW), ("CC_Base_Teeth.lower", followers.JAW), ("Upper teeth", followers.SKULL),
        ("Genesis9Tongue", followers.TONGUE), ("Eye.L", followers.EYE_LEFT), ("CC_Base_Eye_R", followers.EYE_RIGHT),
        ("eyelashes", followers.ATTACHED), ("Beard", followers.ATTACHED), ("Hair01", followers.SKULL), ("Body", None),
        ("EyeOcclusion", followers.ATTACHED), ("Chair", None),
    ],
)  # fmt: skip
def test_roles_are_told_by_names(name, role):
    if name == "Chair":
        role = followers.role_of(name)  # "hair" is in it; it is no part where it is not in the head
    assert followers.role_of(name) == role


def test_what_the_user_has_animated_or_set_on_a_part_stays(scene_of):
    made = scene_of(tongue=("jawOpen", "tongueOut"))
    keys = made["tongue"].data.shape_keys
    keys.key_blocks["jawOpen"].value = 0.3
    for frame, value in ((1, 0.2), (20, 0.6)):
        keys.key_blocks["tongueOut"].value = value
        keys.key_blocks["tongueOut"].keyframe_insert("value", frame=frame)
    for _ in range(2):
        api.generate(made["face"], "Line", None, lipsync.Options(transcript=TEXT))
        driven = [curve.data_path for curve in keys.animation_data.drivers]
        assert driven == [keys.key_blocks["jawOpen"].path_from_id("value")]
    removal.remove_all(bpy.context.scene, made["face"])
    assert keys.key_blocks["jawOpen"].value == pytest.approx(0.3)
    assert not keys.animation_data.drivers and keys.animation_data.action is not None
