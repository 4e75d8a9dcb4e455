"""Landmarks in Blender: noted on the mesh, found by the worker, completed from picks, mirrored, and undone."""

from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from mathutils import Vector

from kmtalk_addon import landmark_operators, landmarks, operators, session, shape_keys
from kmtalk_addon.landmark_drawing import Editing, beside_toolbar
from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.errors import InputError
from kmtalk_core.landmarks.picking import GUIDE
from kmtalk_core.rig.mesh import load_mesh


@pytest.fixture(scope="module")
def demo():
    return load_mesh(DEMO_HEAD)


@pytest.fixture
def stranger(blender, demo):
    """The demo head with one face less, so that its topology is not known."""
    mesh = bpy.data.meshes.new("Stranger")
    mesh.from_pydata(demo.vertices.tolist(), [], demo.faces[demo.components[demo.faces[:, 0]] == 0].tolist())
    obj = bpy.data.objects.new("Stranger", mesh)
    bpy.context.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    bpy.context.scene.kmtalk.mesh = obj
    obj.location, obj.rotation_euler = (3.0, 1.0, 2.0), (1.5, 0.0, 0.4)
    return obj


def test_landmarks_are_found_noted_and_forgotten(stranger, demo, warm_worker, monkeypatch):
    monkeypatch.setattr(shape_keys, "_topology_known", lambda *_: False)
    with pytest.raises(InputError, match="Find Landmarks"):
        shape_keys.check_speaks(stranger)
    assert bpy.ops.kmtalk.find_landmarks() == {"FINISHED"}
    marks = landmarks.of(stranger.data)
    far = np.linalg.norm(demo.vertices[marks] - demo.vertices[demo.landmarks], axis=1)[36:]
    eyes = np.linalg.norm(demo.vertices[demo.landmarks[45]] - demo.vertices[demo.landmarks[36]])
    assert np.median(far) < 0.05 * eyes and len(set(marks.tolist())) == 68
    assert bpy.context.scene.kmtalk.show_landmarks and shape_keys.landmarks_known(stranger.data)
    assert shape_keys.check_speaks(stranger) == stranger
    assert bpy.ops.kmtalk.mirror_landmarks(left_to_right=True) == {"FINISHED"}
    after = landmarks.of(stranger.data)
    kept = [mark for mark in range(68) if demo.vertices[demo.landmarks[mark], 0] >= 0]
    assert (after[kept] == marks[kept]).all()
    assert bpy.ops.kmtalk.forget_landmarks() == {"FINISHED"}
    assert landmarks.of(stranger.data) is None


def test_what_is_no_head_says_so(blender, warm_worker):
    bpy.ops.mesh.primitive_ico_sphere_add(subdivisions=4)
    bpy.context.scene.kmtalk.mesh = bpy.context.object
    with pytest.raises(RuntimeError, match="No face was found"):
        bpy.ops.kmtalk.find_landmarks()
    assert landmarks.of(bpy.context.object.data) is None


def test_picks_are_completed_to_vertices(stranger, demo):
    picked = {mark: int(demo.landmarks[mark]) for mark in GUIDE}
    marks = landmarks.completed(stranger, picked)
    assert all(marks[mark] == vertex for mark, vertex in picked.items() if mark not in landmarks.INNER_LIPS)
    assert len(set(marks.tolist())) == 68
    far = np.linalg.norm(demo.vertices[marks] - demo.vertices[demo.landmarks], axis=1)
    assert np.median(far) < 0.003 and far.max() < 0.015
    closed = landmarks.completed(stranger, {**picked, 66: picked[62]})  # both clicks meet the upper lip
    assert len(set(closed.tolist())) == 68 and (closed[:60] == marks[:60]).all()
    assert np.linalg.norm(demo.vertices[closed[66]] - demo.vertices[demo.landmarks[66]]) < 0.004
    assert not landmarks.note(stranger, marks)
    assert (landmarks.of(stranger.data) == marks).all()


def test_notes_that_no_longer_fit_count_as_none(stranger):
    stranger.data[shape_keys.LANDMARKS] = [10**6] * 68
    assert landmarks.of(stranger.data) is None
    stranger.data[shape_keys.LANDMARKS] = [1, 2, 3]
    assert landmarks.of(stranger.data) is None


def test_a_ray_meets_the_vertex_that_is_seen(stranger, demo):
    bpy.context.view_layer.update()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    positions = landmarks.shown_positions(stranger, depsgraph)
    nose = int(demo.landmarks[30])
    world = stranger.matrix_world
    front = world.to_3x3() @ Vector((0.0, 0.0, 1.0))
    origin = world @ Vector(positions[nose]) + front
    assert landmarks.vertex_under(stranger, depsgraph, origin, -front, positions) == nose
    assert landmarks.vertex_under(stranger, depsgraph, origin, front, positions) is None


def test_the_guide_asks_for_one_point_after_the_other():
    editing = Editing(1)
    landmark_operators._ask(editing)
    first = editing.wanted
    assert first == next(iter(GUIDE)) and editing.told.startswith(f"1 of {len(GUIDE)}")
    editing.marks[first] = 5
    landmark_operators._ask(editing)
    assert editing.wanted != first
    editing.marks = dict.fromkeys(GUIDE, 0)
    landmark_operators._ask(editing)
    assert editing.wanted is None


def test_opening_a_file_ends_what_is_being_edited(stranger):
    session.current.editing = Editing(stranger.session_uid)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert session.current.editing is None


def test_a_coarse_mesh_is_told(stranger, demo):
    eyes = float(np.linalg.norm(np.subtract(*demo.vertices[demo.landmarks[[45, 36]]])))
    assert landmarks.coarseness(stranger, demo.landmarks) < landmarks.COARSE
    grid = 0.1 * eyes
    cells, first = np.unique(np.round(demo.vertices / grid), axis=0, return_inverse=True)
    first = first.ravel()
    faces = first[demo.faces]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    stranger.data = bpy.data.meshes.new("Coarse")
    stranger.data.from_pydata((cells * grid).tolist(), [], np.unique(np.sort(faces, axis=1), axis=0).tolist())
    assert landmarks.coarseness(stranger, first[demo.landmarks]) > landmarks.COARSE


def test_the_guide_lies_beside_the_toolbar():
    def region(kind, x, width):
        return SimpleNamespace(type=kind, x=x, width=width)

    view = region("WINDOW", 100, 900)
    assert beside_toolbar([view, region("TOOLS", 100, 58), region("UI", 800, 200)], view) == 58
    assert beside_toolbar([view, region("TOOLS", 100, 1)], view) == 0  # hidden
    assert beside_toolbar([view, region("TOOLS", 40, 60)], view) == 0  # of its own, where regions do not overlap
    assert beside_toolbar([view, region("TOOLS", 942, 58)], view) == 0  # on the right


def test_what_is_said_in_the_status_bar_is_seen_and_taken_away():
    said = []
    workspace = SimpleNamespace(status_text_set=said.append)
    operators.show_status(SimpleNamespace(workspace=workspace), "Enter ends")
    (draw,) = said  # once: a further call, whosever, would take it away again
    labels = []
    draw(SimpleNamespace(layout=SimpleNamespace(label=lambda text: labels.append(text))), None)
    assert labels == ["Enter ends"]
    operators.show_status(SimpleNamespace(workspace=workspace), None)
    assert said[1:] == [None]
