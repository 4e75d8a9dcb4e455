"""Which shape keys are driven, which are built, and that the user's own stay."""

from pathlib import Path

import bpy
import numpy as np
import pytest

from kmtalk_addon import lipsync, session, shape_keys, strip
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.mesh import Mesh, load_mesh
from kmtalk_core.service.protocol import BuildRig

DEMO_HEAD = Path(shape_keys.__file__).parents[1] / "kmtalk_core" / "assets" / "demo_head.npz"


@pytest.fixture(scope="module")
def demo_mesh() -> Mesh:
    return load_mesh(DEMO_HEAD)


@pytest.fixture
def bare_head(blender, demo_mesh):
    """The demo head without shape keys."""
    mesh = bpy.data.meshes.new("Head")
    mesh.from_pydata(demo_mesh.vertices.tolist(), [], demo_mesh.faces.tolist())
    mesh[shape_keys.LANDMARKS] = [int(vertex) for vertex in demo_mesh.landmarks]
    obj = bpy.data.objects.new("Head", mesh)
    bpy.context.collection.objects.link(obj)
    return obj


def build(obj, folder) -> shape_keys.Built:
    def steps():
        shape_keys.save_mesh(obj, folder / "mesh.npz")
        yield BuildRig(str(folder / "mesh.npz"), str(folder / "rig.npz"))
        return shape_keys.load_shapes(obj, folder / "rig.npz")

    try:
        return session.current.start(steps(), "").wait()
    finally:
        session.current.job = None


def shape_of(obj, name) -> np.ndarray:
    block = obj.data.shape_keys.key_blocks[name]
    flat = np.empty(len(obj.data.vertices) * 3, np.float32)
    block.data.foreach_get("co", flat)
    return flat.reshape(-1, 3) - shape_keys.rest_positions(obj)


def test_arkit_names_are_driven_as_they_are(head):
    assert not shape_keys.needs_rig(head)
    assert shape_keys.controls_of(head)["jawOpen"] == "jawOpen"


def test_a_head_with_few_of_the_names_needs_the_rig(head):
    for block in list(head.data.shape_keys.key_blocks):
        if block.name.startswith("mouth"):
            head.shape_key_remove(block)
    head.data[shape_keys.LANDMARKS] = list(range(49)) * 2
    assert shape_keys.needs_rig(head)
    del head.data[shape_keys.LANDMARKS]  # nothing can be built: what there is is driven, and what that costs is told
    assert not shape_keys.needs_rig(head)
    assert shape_keys.recognition_of(head.data.shape_keys).family.name == "simple"


def test_built_shape_keys_are_the_rigs_whatever_the_transform(bare_head, demo_mesh, tmp_path):
    bare_head.scale, bare_head.rotation_euler, bare_head.location = (2.0, 2.0, 2.0), (0.3, 0.1, 2.0), (5.0, 6.0, 7.0)
    bpy.context.view_layer.update()
    built = build(bare_head, tmp_path)
    bare_head.vertex_groups.new(name="Neck")
    added = shape_keys.add_missing(bare_head, built)
    rig = build_rig(Mesh(demo_mesh.vertices, demo_mesh.faces, landmarks=demo_mesh.landmarks))
    size = np.ptp(demo_mesh.vertices, axis=0).max()
    for name in ("jawOpen", "mouthPucker", "eyeBlinkLeft"):
        expected = rig.shapes[rig.control_names.index(name)]
        assert np.abs(shape_of(bare_head, name) - expected).max() < 1e-3 * size
        assert np.abs(expected).max() > 1e-2 * size
    assert [block.name for block in bare_head.data.shape_keys.key_blocks] == ["Basis", *added]
    assert "Neck" in bare_head.vertex_groups
    sliders = {block.name: block.slider_min for block in bare_head.data.shape_keys.key_blocks}
    assert sliders["headYaw"] == -1.0 and sliders["jawOpen"] == 0.0
    assert not shape_keys.needs_rig(bare_head)


def test_the_users_shape_keys_stay(bare_head, demo_mesh):
    bare_head.shape_key_add(name="Basis", from_mix=False)
    own = bare_head.shape_key_add(name="jawOpen", from_mix=False)
    own.value, own.data[7].co.z = 0.4, 9.0
    before = shape_of(bare_head, "jawOpen")
    shapes = np.full((2, len(demo_mesh.vertices), 3), 0.01)
    added = shape_keys.add_missing(bare_head, shape_keys.Built(("jawOpen", "mouthPucker"), shapes))
    assert added == ["mouthPucker"]
    np.testing.assert_array_equal(shape_of(bare_head, "jawOpen"), before)
    assert bare_head.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(0.4)
    np.testing.assert_allclose(shape_of(bare_head, "mouthPucker"), 0.01, atol=1e-6)


def test_a_known_topology_is_known_although_some_corners_name_no_vertex(blender):
    """As scripts make meshes of arrays whose triangles are padded to four corners; Blender keeps the corner."""
    stored = np.load(DEMO_HEAD)
    assert (stored["faces"] == -1).any()
    mesh = bpy.data.meshes.new("Head")
    mesh.from_pydata(stored["vertices"].tolist(), [], stored["faces"].tolist())
    assert shape_keys.landmarks_known(mesh)


def test_a_mesh_without_known_landmarks_gets_the_rigs_sentence(blender, tmp_path):
    bpy.ops.mesh.primitive_monkey_add()
    with pytest.raises(KMTalkError, match="landmarks"):
        build(bpy.context.object, tmp_path)


def test_driven_shape_keys_are_left_alone_and_said(head, add_strip, made):
    head.data.shape_keys.key_blocks["jawOpen"].driver_add("value").driver.expression = "0.5"
    sound_strip = add_strip()
    line = strip.read_line(bpy.context.scene, sound_strip)
    outcome = lipsync.apply(bpy.context.scene, head, sound_strip, line, *made(line))
    assert "jawOpen" in outcome.warnings[0]
    assert "jawOpen" not in shape_keys.drivable(head)[0]
    bpy.context.scene.frame_set(20)
    assert head.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(0.5)


@pytest.mark.parametrize("more", [False, True])
def test_a_renamed_shape_key_is_known_by_any_name(head, more):
    keys = head.data.shape_keys
    shape_keys.remember(keys)
    keys.key_blocks["jawOpen"].name = "Mund auf"
    keys.key_blocks["Wart"].name = "Warze"
    if more:
        head.shape_key_add(name="jawOpen", from_mix=False)
    controls = shape_keys.controls_of(head)
    assert controls["jawOpen"] == "Mund auf" and "Warze" not in controls.values()
    shape_keys.remember(keys)
    keys.key_blocks["Mund auf"].name = "Kiefer"
    assert shape_keys.controls_of(head)["jawOpen"] == "Kiefer" and not shape_keys.needs_rig(head)


def test_motion_beyond_the_slider_is_not_cut_off(head):
    shape_keys.make_room(head, {"jawOpen": (0.0, 1.5), "mouthPucker": (0.1, 0.5)})
    blocks = head.data.shape_keys.key_blocks
    assert (blocks["jawOpen"].slider_max, blocks["mouthPucker"].slider_max) == (1.5, 1.0)
    assert blocks["mouthPucker"].slider_min == 0.0
    shape_keys.make_room(head, {"mouthPucker": (-0.5, 0.5)})
    assert blocks["mouthPucker"].slider_min == -0.5


def test_meshes_that_cannot_be_used_say_why(head):
    with pytest.raises(InputError, match="select a mesh"):
        shape_keys.check_mesh(None)
    bpy.ops.object.light_add()
    with pytest.raises(InputError, match="select a mesh"):
        shape_keys.check_mesh(bpy.context.object)
    head.data.shape_keys.use_relative = False
    with pytest.raises(InputError, match="Relative"):
        shape_keys.check_mesh(head)
    bpy.context.view_layer.objects.active = head
    bpy.ops.object.mode_set(mode="EDIT")
    with pytest.raises(InputError, match="Edit Mode"):
        shape_keys.check_mesh(head)
