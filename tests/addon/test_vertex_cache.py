"""Vertex space in Blender: a vertex cache that plays, key motions as shape keys, edits that come back exactly."""

import json

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="Blender as a module is not installed")
torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from kmtalk_addon import vertex_cache  # noqa: E402
from kmtalk_core.errors import InputError  # noqa: E402
from kmtalk_core.motion import VertexAnimation  # noqa: E402
from kmtalk_core.networks.method import Geometry, make_method, save_method  # noqa: E402
from kmtalk_core.service.worker import serve  # noqa: E402

SPEECH = {
    "model_type": "wav2vec2", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 32, "conv_dim": [8, 8, 8], "conv_kernel": [20, 16, 8], "conv_stride": [10, 8, 4],
    "num_feat_extract_layers": 3, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip


@pytest.fixture
def grid(blender, tmp_path):
    """A grid in a saved file, with a subdivision modifier of the user's."""
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=6, y_subdivisions=5)
    obj = bpy.context.object
    obj.name = "Köpf"
    obj.location, obj.scale = (1, 2, 3), (2, 2, 2)
    obj.modifiers.new("Subdivision", "SUBSURF")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    return obj


@pytest.fixture
def checkpoint(grid, tmp_path):
    torch.manual_seed(0)
    template = np.array([v.co for v in grid.data.vertices], np.float32)
    geometry = Geometry(len(template), 30.0, np.arange(8), np.arange(20, 30), ("a",), 0.02, None, template)
    tables = {"network": {"d_model": 16, "heads": 2}, "speech": {"source": "", "architecture": SPEECH}}
    method = make_method("kmtalk", tables, geometry)
    for decoder in (method.lkma, method.cmc):
        torch.nn.init.normal_(decoder.out.weight, std=0.3)
    save_method(method, "kmtalk", {"name": "tiny", "keys": {"rule": "uniform"}}, tmp_path / "tiny.npz")
    return str(tmp_path / "tiny.npz")


def run(steps):
    """What api.run does, in this process: torch need not be imported twice."""
    try:
        request = next(steps)
        while True:
            request = steps.send(serve(request, lambda share, doing: None))
    except StopIteration as stop:
        return stop.value


def shown(obj, frame):
    """(V, 3) what Blender's evaluation makes of the mesh without subdivision, in the object's own space."""
    obj.modifiers["Subdivision"].show_viewport = False
    bpy.context.scene.frame_set(frame)
    mesh = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    return np.array([v.co for v in mesh.vertices])


def test_a_line_plays_is_sculpted_and_completed_again(grid, checkpoint, add_strip):
    scene, strip = bpy.context.scene, add_strip(frame=20)
    scene.render.fps = 30
    outcome = run(vertex_cache.generate(scene, strip, grid, checkpoint))
    assert "key motions on frames 20 to" in outcome.summary
    name, line = vertex_cache.find_line(scene, "", grid)
    before = vertex_cache._loaded(vertex_cache._place(line.result, ".npz"))
    assert isinstance(before, VertexAnimation) and grid.modifiers[0].type == "MESH_CACHE"
    rest = before.template
    for frame in (20, 33, line.first_frame + line.frames - 1):
        assert np.allclose(shown(grid, frame), before.vertices[frame - 20], atol=1e-5)
    assert not np.allclose(before.vertices[13], rest, atol=1e-4)
    assert np.allclose(shown(grid, 19), rest, atol=1e-6)  # before and after the line the mesh rests
    assert np.allclose(shown(grid, line.first_frame + line.frames), rest, atol=1e-6)
    blocks = vertex_cache.key_blocks(grid, name)
    assert list(blocks) == (before.key_frames + 20).tolist()

    # The strip, the mesh and the object may have any other names by now.
    strip.name, grid.name, grid.data.name = "sc010", "Kopf", "Netz"
    assert vertex_cache.find_line(scene, "sc010", grid) == (name, line)

    # Sculpt one key, delete one, move one by a frame.
    frames = list(blocks)
    sculpted = np.empty(3 * len(rest), np.float32)
    blocks[frames[3]].data.foreach_get("co", sculpted)
    sculpted[2::3] += 0.05
    blocks[frames[3]].data.foreach_set("co", sculpted)
    moved = before.key_vertices[6]
    blocks[frames[6]].name = vertex_cache.key_name(name, frames[6] + 1)
    grid.shape_key_remove(blocks[frames[9]])
    run(vertex_cache.complete(scene, "", grid))
    after = vertex_cache._loaded(vertex_cache._place(line.result, ".npz"))
    assert np.array_equal(after.vertices[frames[3] - 20].ravel(), sculpted)
    assert np.array_equal(after.vertices[frames[6] + 1 - 20], moved)
    assert frames[9] - 20 not in after.key_frames and len(after.key_times) == len(frames) - 1
    assert np.array_equal(after.vertices[: frames[2] - 20], before.vertices[: frames[2] - 20])
    assert np.allclose(shown(grid, frames[3]).ravel(), sculpted, atol=1e-5)
    # The operator shows the nearest key alone, to be sculpted.
    scene.kmtalk.mesh = grid
    scene.kmtalk_checkpoint = checkpoint
    assert bpy.ops.kmtalk.generate_vertices.poll() and bpy.ops.kmtalk.complete_vertices.poll()
    scene.frame_set(31)
    assert bpy.ops.kmtalk.pose_key() == {"FINISHED"}
    pose = np.array([point.co for point in grid.active_shape_key.data])
    assert grid.active_shape_key.name == vertex_cache.key_name(name, scene.frame_current)
    assert np.allclose(shown(grid, scene.frame_current), pose, atol=1e-6)
    # What was not touched since is not read as an edit, though shape keys are kept in another precision.
    unchanged, poses = vertex_cache.read_keys(grid, name, line, after)
    assert unchanged == (after.key_frames + 20).tolist() and np.array_equal(poses, after.key_vertices)


def test_what_is_missing_is_said(grid, checkpoint, add_strip, tmp_path):
    scene, strip = bpy.context.scene, add_strip()
    with pytest.raises(InputError, match="No checkpoint is chosen"):
        run(vertex_cache.generate(scene, strip, grid, ""))
    with pytest.raises(Exception, match="no checkpoint"):
        run(vertex_cache.generate(scene, strip, grid, str(tmp_path / "none.npz")))
    with pytest.raises(InputError, match="not generated in vertex space"):
        vertex_cache.find_line(scene, "", grid)
    assert grid.data.shape_keys is None and len(grid.modifiers) == 1  # the file is as it was
    bpy.ops.wm.read_factory_settings(use_empty=True)


def test_unsaved_files_have_no_place_for_a_cache(head, add_strip):
    with pytest.raises(InputError, match="Save the"):
        run(vertex_cache.generate(bpy.context.scene, add_strip(), head, "any.npz"))


def test_a_blend_file_cannot_choose_where_something_is_written_or_what_is_run(head, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    kept = {"checkpoint": "c.npz", "result": "//../../.profile", "cache": "/etc/passwd", "first_frame": 1, "frames": 9}
    head[vertex_cache.LINES] = json.dumps({"Line": {**kept, "fps": 24}})
    line = vertex_cache.lines_of(head)["Line"]
    for name, suffix in ((line.result, ".npz"), (line.cache, ".pc2"), ("..", ".npz"), ("a/b.npz", ".npz")):
        with pytest.raises(InputError, match="no file of KMTalk's own"):
            vertex_cache._place(name, suffix)
    (tmp_path / vertex_cache.FOLDER).mkdir()
    (tmp_path / vertex_cache.FOLDER / "Head.npz").symlink_to(tmp_path / "profile.npz")
    with pytest.raises(InputError, match="no file of KMTalk's own"):
        vertex_cache._place("Head.npz", ".npz")
    for wrong in ({"first_frame": "__import__('os').abort()"}, {"fps": None}, {"cache": "a\0b.pc2"}, {"more": 1}):
        head[vertex_cache.LINES] = json.dumps({"Line": {**kept, "fps": 24, **wrong}})
        assert vertex_cache.lines_of(head) == {}
    for wrong in ("[", "[1]", '{"Line": 3}', "{}"):
        head[vertex_cache.LINES] = wrong
        assert vertex_cache.lines_of(head) == {}


def test_names_that_look_alike_have_files_of_their_own(head, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert len({vertex_cache._files(head, strip) for strip in ("A b", "A_b", "Ä b", "A" * 200, "A" * 201)}) == 5
