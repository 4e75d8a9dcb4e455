"""KMTalk in a real Blender, end to end. Run it with any Blender from 4.2 on:

    blender -b --python-exit-code 1 -P blender_tests/run.py

It tests the installed extension if there is one, else this checkout, for which Blender's Python must have the packages
that pyproject.toml names. Nothing is saved.
"""

import importlib
import sys
import time
from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parents[1]
INSTALLED = "bl_ext.user_default.kmtalk"
FIRST_FRAME = 50


def main() -> None:
    """Generate, edit, re-run, slide, correct; switch the add-on off and on."""
    name, addon = switched_on()
    compat, keyframes = (importlib.import_module(f"{name}.{part}") for part in ("compat", "keyframes"))
    api, session = (importlib.import_module(f"{name}.{part}") for part in ("api", "session"))
    core = Path(importlib.import_module("kmtalk_core").__file__).parent
    print(f"Blender {bpy.app.version_string}, Python {sys.version.split()[0]}, {name}, core in {core}")

    head = demo_head(core / "assets" / "demo_head.npz")
    sound = str(core / "assets" / "sample_speech.flac")
    strip = compat.add_sound_strip(bpy.context.scene, "Line", sound, 1, FIRST_FRAME)
    for run in ("cold", "warm"):
        begin = time.perf_counter()
        print(f"{run}: {api.generate(head).summary} in {time.perf_counter() - begin:.2f} s")
    jaw = jaw_curve(head, compat, keyframes)
    points = jaw.keyframe_points
    frames = list(range(FIRST_FRAME, compat.handles(strip).right))
    assert (points[0].co[0], points[-1].co[0]) == (frames[0], frames[-1]), "does not fill the strip"
    assert {point.type for point in points} == {"KEYFRAME", "GENERATED"}
    handles = {(point.type, point.handle_left_type) for point in points}
    assert handles == {("KEYFRAME", "ALIGNED"), ("GENERATED", "FREE")}, "keys are not told apart"
    assert len(points) < 0.6 * len(frames), "not sparse"
    assert shown(jaw, frames)[1] > 0.2, "hardly moves"

    keys = [point for point in points if point.type == "KEYFRAME"]
    edited = keys[len(keys) // 2].co[0]
    far = [frame for frame in frames if abs(frame - edited) > 120]
    before, most = shown(jaw, far)
    keys[len(keys) // 2].co[1] = 0.625
    begin = time.perf_counter()
    print(f"re-run: {api.complete(head).summary} in {time.perf_counter() - begin:.2f} s")
    jaw = jaw_curve(head, compat, keyframes)
    assert jaw.evaluate(edited) == 0.625, "the edited key was changed"
    assert max(abs(a - b) for a, b in zip(shown(jaw, far)[0], before, strict=True)) < 1e-6, "far frames were changed"
    bpy.context.scene.frame_set(int(edited))
    assert abs(head.data.shape_keys.key_blocks["jawOpen"].value - 0.625) < 1e-6, "the mesh does not follow"

    settings, take = strip.kmtalk, keyframes.own_action(head).kmtalk_takes["Line"]
    begin = time.perf_counter()
    settings.jaw = 0.5
    print(f"slider: {time.perf_counter() - begin:.3f} s; {take.contacts}")
    jaw = jaw_curve(head, compat, keyframes)
    assert jaw.evaluate(edited) == 0.625, "a slider changed the edited key"
    assert shown(jaw, far)[1] < 0.7 * most, "the slider did nothing"
    settings.jaw = 1.0

    settings.curves = "frames"
    dense = jaw_curve(head, compat, keyframes)
    assert [point.co[0] for point in dense.keyframe_points] == frames, "not a keyframe on every frame"
    values = shown(dense, frames)[0]
    settings.curves = "sparse"
    sparse = shown(jaw_curve(head, compat, keyframes), frames)[0]
    assert max(abs(a - b) for a, b in zip(values, sparse, strict=True)) < 0.0151, "sparse curves are too far off"

    words = [word.name for word in take.words]
    take.words[3].name = "sings"
    assert bpy.ops.kmtalk.correct() == {"FINISHED"}
    assert [word.name for word in take.words] == [*words[:3], "sings", *words[4:]], "the word was not corrected"
    corrected = shown(jaw_curve(head, compat, keyframes), far[-24:])[0]
    assert max(abs(a - b) for a, b in zip(corrected, before[-24:], strict=True)) < 0.03, "far frames were changed"
    assert bpy.ops.kmtalk.check_contacts() == {"FINISHED"}
    print(f"corrected: {settings.corrections}; {take.contacts}")

    worker = session.current.worker
    addon.unregister()
    assert not worker.alive, "the worker outlived the add-on"
    addon.register()
    print("KMTalk works here.")


def switched_on() -> tuple[str, object]:
    """The name and the module of the add-on, enabled."""
    if INSTALLED in bpy.context.preferences.addons.keys():  # noqa: SIM118 (a Blender collection iterates over values)
        return INSTALLED, importlib.import_module(INSTALLED)
    sys.path.insert(0, str(ROOT))
    addon = importlib.import_module("kmtalk_addon")
    addon.register()
    return "kmtalk_addon", addon


def demo_head(path: Path) -> bpy.types.Object:
    """The demo head as an importer would leave it, active."""
    from kmtalk_core.rig.mesh import load_mesh

    shape = load_mesh(path)
    mesh = bpy.data.meshes.new("Head")
    mesh.from_pydata(shape.vertices.tolist(), [], shape.faces.tolist())
    obj = bpy.data.objects.new("Head", mesh)
    bpy.context.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    return obj


def shown(curve: bpy.types.FCurve, frames: list[int]) -> tuple[list[float], float]:
    """What an F-curve shows on these frames, and the most of it."""
    values = [curve.evaluate(frame) for frame in frames]
    return values, max(values)


def jaw_curve(obj: bpy.types.Object, compat: object, keyframes: object) -> bpy.types.FCurve:
    """The F-curve of jawOpen."""
    slot = compat.action_slot(obj.data.shape_keys.animation_data)
    curves = compat.channels(keyframes.own_action(obj), slot).fcurves
    return next(curve for curve in curves if "jawOpen" in curve.data_path)


main()
