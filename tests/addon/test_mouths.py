"""Mouths that are drawings: what shows them is found by names, stepped keys choose among them, edits are kept."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="Blender as a module is not installed")

from kmtalk_addon import api, charted, clips, compat, drawings, faces, lipsync, mouths, removal, takes  # noqa: E402
from kmtalk_addon.strip import read_line  # noqa: E402
from kmtalk_core.errors import InputError  # noqa: E402
from kmtalk_core.phones import Alignment, Phone  # noqa: E402
from kmtalk_core.results import save_animation  # noqa: E402
from kmtalk_core.retarget.charts import HOLD  # noqa: E402
from kmtalk_core.retarget.cues import drawings_of  # noqa: E402
from kmtalk_core.retarget.families import families  # noqa: E402

RHUBARB = drawings_of(families()["rhubarb"])
PHONES = ("SIL", "P", "AA", "M", "AA", "F", "OW", "L", "SIL")


def link(obj):
    bpy.context.scene.collection.objects.link(obj)
    return obj


def empty(name="Mouth", parent=None):
    obj = link(bpy.data.objects.new(name, None))
    obj.parent = parent
    return obj


@pytest.fixture
def say(add_strip, made, tmp_path):
    """`say(head)` lays a line of PHONES on a head, as `lipsync` does with what the worker has made of a strip."""
    strip = add_strip(frame=11)

    def lay(head, phones=PHONES, cues=(), strip=strip):
        line = read_line(bpy.context.scene, strip)
        animation, _ = made(line)
        edges = np.linspace(0, line.duration, len(phones) + 1)
        spoken = tuple(Phone(p, a, b) for p, a, b in zip(phones, edges[:-1], edges[1:], strict=True))
        animation = replace(animation, alignment=Alignment(spoken, (), line.duration, "test"))
        save_animation(animation, tmp_path / "said.npz")
        result = (tmp_path / "said.npz").read_bytes()
        lipsync.apply(bpy.context.scene, head, strip, line, animation, result, cues=cues)
        return takes.find_clip(bpy.context.scene, strip.name, head)

    return SimpleNamespace(on=lay, strip=strip)


@pytest.fixture
def number(blender):
    """A head whose mouth is a custom property of an empty."""
    target = empty()
    target["mouth"] = 0
    return api.use_mouths(target, "PROPERTY")


def shown_curve(clip):
    return compat.channels(clip.action).fcurves.find(charted.block_of(clip.keys).path_from_id("value"), index=0)


def shown(clip):
    """(frame, drawing) of each keyframe of a line, and the curve."""
    curve = shown_curve(clip)
    return [(round(p.co[0]), RHUBARB[round(p.co[1])]) for p in curve.keyframe_points], curve


def values_of(head, look):
    """What `look` finds for each of the drawings."""
    found = {}
    for name in RHUBARB:
        mouths.show(head, name)
        bpy.context.view_layer.update()
        found[name] = look()
    return found


def test_a_line_has_one_stepped_key_for_each_drawing_and_shows_every_closure(number, say):
    clip = say.on(number)
    keys, curve = shown(clip)
    assert [name for _, name in keys] == ["X", "A", "D", "A", "D", "G", "F", "H", "X"]
    assert {p.interpolation for p in curve.keyframe_points} == {"CONSTANT"}
    assert min(b - a for (a, _), (b, _) in pairwise(keys)) >= HOLD
    frame = keys[3][0]
    seen = []
    for at in (frame - 1, frame, frame + 1, 5, 200):
        bpy.context.scene.frame_set(at)
        seen.append(number.kmtalk_mouths.target["mouth"])
    chart = families()["rhubarb"]
    value = {name: place for place, name in enumerate(chart.mouths)}
    assert seen == [value["D"], value["A"], value["A"], value["X"], value["X"]]


def test_edited_and_deleted_keys_stay_through_sliders_and_a_new_text(number, say):
    clip = say.on(number)
    keys, curve = shown(clip)
    assert not lipsync.is_edited(clip)
    curve.keyframe_points[2].co[1] = RHUBARB.index("E")  # D becomes E
    curve.keyframe_points.remove(curve.keyframe_points[5])  # no G
    free = keys[6][0] + 4
    drawings.key_here(clip.keys, clip.action, free, RHUBARB.index("B"))
    assert lipsync.is_edited(clip)
    wanted = {keys[2][0]: "E", free: "B"}
    edits = drawings.edits_on(clip.keys, clip.action, clip.line)
    faces.draw(clip, takes.shown(clip.take), takes.look_of(clip))
    now = dict(shown(clip)[0])
    assert wanted.items() <= now.items() and keys[5][0] not in now
    assert drawings.edits_on(clip.keys, clip.action, clip.line) == edits
    # A new result is a new take, with the edits.
    again = say.on(number, ("SIL", "P", "AA", "M", "AA", "F", "OW", "AA", "SIL"), edits)
    assert again.action != clip.action
    now = dict(shown(again)[0])
    assert wanted.items() <= now.items() and keys[5][0] not in now and now[keys[7][0]] == "D"
    assert drawings.take_back(again.keys, again.action, again.line, None)
    faces.draw(again, takes.shown(again.take), takes.look_of(again))
    assert [name for _, name in shown(again)[0]] == ["X", "A", "D", "A", "D", "G", "F", "D", "X"]


def test_edits_go_with_the_phones_that_they_belong_to(number, say):
    clip = say.on(number)
    _, curve = shown(clip)
    curve.keyframe_points[2].co[1] = RHUBARB.index("E")  # the first AA
    curve.keyframe_points.remove(curve.keyframe_points[5])  # no G for the F
    old = takes.shown(clip.take)
    phones = ("SIL", "T", "T", *PHONES[1:-1], "SIL", "SIL", "SIL")  # spoken faster, after something else
    edges = np.linspace(0, clip.line.duration, len(phones) + 1)
    spoken = tuple(Phone(p, a, b) for p, a, b in zip(phones, edges[:-1], edges[1:], strict=True))
    new = replace(old, alignment=Alignment(spoken, (), clip.line.duration, "test"))
    kept, lost = drawings.carried(clip.keys, clip.action, clip.line, old, new)
    first = next(p for p in spoken if p.label == "AA")
    lips = next(p for p in spoken if p.label == "F")
    changed, gone = sorted(kept, key=lambda edit: edit.time)
    assert changed.drawing == RHUBARB.index("E") and abs(changed.time - first.start) < 0.1 and not lost
    assert gone.drawing == -1 and lips.start - 0.1 <= gone.time < lips.end
    other = tuple(Phone("T" if p.label == "AA" else p.label, p.start, p.end) for p in spoken)
    kept, lost = drawings.carried(
        clip.keys, clip.action, clip.line, old, replace(old, alignment=replace(new.alignment, phones=other))
    )
    assert len(kept) == 1 and len(lost) == 1
    same, _ = drawings.carried(clip.keys, clip.action, clip.line, old, old)
    assert [edit.time for edit in same] == pytest.approx(
        [edit.time for edit in drawings.edits_on(clip.keys, clip.action, clip.line)]
    )


def test_what_is_counted_and_jumped_to_are_the_drawings(number, say):
    clip = say.on(number)
    frames = [frame for frame, _ in shown(clip)[0]]
    assert drawings.counted(clip.keys, clip.action, clip.line) == f"{len(frames)} drawings"
    bpy.context.scene.kmtalk.mesh = number
    bpy.context.scene.frame_set(frames[0])
    seen = []
    for _ in frames[1:]:
        bpy.ops.kmtalk.jump_key(next=True)
        seen.append(bpy.context.scene.frame_current)
    assert seen == frames[1:]


def test_an_edit_leaves_no_drawing_of_one_frame_beside_it(number, say):
    clip = say.on(number)
    keys, _ = shown(clip)
    drawings.key_here(clip.keys, clip.action, keys[3][0] + 1, RHUBARB.index("F"))
    drawings.key_here(clip.keys, clip.action, keys[5][0] - 1, RHUBARB.index("C"))
    faces.draw(clip, takes.shown(clip.take), takes.look_of(clip))
    now, _ = shown(clip)
    assert min(b - a for (a, _), (b, _) in pairwise(now)) >= HOLD
    assert dict(now)[keys[3][0] + 1] == "F" and dict(now)[keys[5][0] - 1] == "C"


def test_a_line_with_drawings_never_eases_and_leaves_the_mouth_when_told(number, say):
    clip = say.on(number)
    _, strip = next(clips.own_strips(clip.keys))
    assert (strip.blend_in, strip.blend_out) == (0, 0)
    faces.draw(clip, takes.shown(clip.take), takes.Look(parts=frozenset({"BLINKS"})))
    assert not clip.take.cues and shown_curve(clip) is None


def test_picture_sequences_show_the_picture_of_each_mouth(blender, tmp_path):
    image = bpy.data.images.new("m", 4, 4)
    for place in range(10):
        image.filepath_raw, image.file_format = str(tmp_path / f"mouth_{place + 21:04d}.png"), "PNG"
        image.save()
    picture = bpy.data.images.load(str(tmp_path / "mouth_0021.png"))
    obj = link(bpy.data.objects.new("Face", None))
    obj.empty_display_type, obj.data = "IMAGE", picture
    head = api.use_mouths(obj)
    assert head.parent == obj and head.hide_render and mouths.head_of(obj) == head
    said = head.kmtalk_mouths
    assert (said.kind, said.chart) == ("PICTURES", "preston_blair")
    assert [row.number for row in said.mouths] == list(range(21, 31))
    mouths.show(head, "O")
    bpy.context.view_layer.update()
    assert obj.image_user.frame_offset == 22
    said.mouths["O"].number = 29
    bpy.context.view_layer.update()
    assert obj.image_user.frame_offset == 28
    api.remove_mouths(obj)
    assert obj.image_user.frame_offset == 0 and not obj.children and obj.animation_data.drivers.values() == []


def test_a_material_shows_a_sequence_or_a_cell_of_a_sheet(head):
    material = bpy.data.materials.new("Lips")
    material.use_nodes = True
    head.data.materials.append(material)
    node = material.node_tree.nodes.new("ShaderNodeMapping")
    node.inputs[1].default_value[1] = 0.5
    used = api.use_mouths(head, "SHEET")
    assert used == head
    at = values_of(head, lambda: tuple(round(v, 3) for v in node.inputs[1].default_value[:2]))
    assert (at["A"], at["D"], at["X"]) == ((0.0, 0.5), (0.0, 0.167), (round(2 / 3, 3), round(0.5 - 2 / 3, 3)))
    picture = material.node_tree.nodes.new("ShaderNodeTexImage")
    picture.image = bpy.data.images.new("m", 4, 4)
    picture.image.source = "SEQUENCE"
    head.kmtalk_mouths.kind = "PICTURES"
    assert values_of(head, lambda: picture.image_user.frame_offset)["C"] == 2
    assert tuple(node.inputs[1].default_value[:2]) == (0.0, 0.5)
    mouths.remove(head)
    assert len(head.data.shape_keys.key_blocks) == 54


def test_objects_and_material_slots_are_found_by_their_names(blender):
    body = empty("Face")
    planes = {}
    for name in ("A", "B", "C", "D", "E", "F"):
        bpy.ops.mesh.primitive_plane_add()
        planes[name] = bpy.context.object
        planes[name].name, planes[name].parent = f"Mouth_{name}", body
    head = api.use_mouths(planes["A"])
    assert head not in planes.values() and head.parent == body and head.kmtalk_mouths.kind == "OBJECTS"
    seen = values_of(head, lambda: [name for name, obj in planes.items() if not obj.hide_render and obj.visible_get()])
    assert {name: [name] for name in planes}.items() <= seen.items()
    assert (seen["G"], seen["H"], seen["X"]) == (["A"], ["C"], ["A"])  # as Rhubarb says
    mouths.remove(head)
    assert not any(obj.hide_render for obj in planes.values())
    bpy.ops.mesh.primitive_plane_add()
    plane = bpy.context.object
    for name in ("X", "A", "B", "C", "D", "E", "F"):
        plane.data.materials.append(bpy.data.materials.new(f"mouth {name}"))
    assert api.use_mouths(plane) == plane and plane.kmtalk_mouths.kind == "MATERIALS"

    def slot():
        evaluated = plane.evaluated_get(bpy.context.evaluated_depsgraph_get())
        return evaluated.data.polygons[0].material_index

    seen = values_of(plane, slot)
    assert (seen["X"], seen["A"], seen["F"], seen["G"]) == (0, 1, 6, 1)
    mouths.remove(plane)
    assert plane.data.shape_keys is None and not len(plane.modifiers) and not len(bpy.data.node_groups)


def grease_pencil(layers):
    kept = "grease_pencils_v3" if hasattr(bpy.data, "grease_pencils_v3") else "grease_pencils"
    data = getattr(bpy.data, kept).new("g")
    for name in layers:
        data.layers.new(name)
    return link(bpy.data.objects.new("Ink", data))


def test_grease_pencil_shows_layers_or_frames(blender):
    obj = grease_pencil(["Head", "A", "B", "C", "D", "E", "F", "G", "H", "X"])
    head = api.use_mouths(obj)
    assert head.kmtalk_mouths.kind == "LAYERS"
    seen = values_of(head, lambda: [compat.layer_name(layer) for layer in obj.data.layers if not layer.hide])
    assert seen == {name: ["Head", name] for name in RHUBARB}
    layer = obj.data.layers["A"]
    layer.name = "Mouth"
    for frame in range(1, 10):
        layer.frames.new(frame * 10)
    head.kmtalk_mouths.kind = "TIME"
    modifier = obj.modifiers[0]
    assert modifier.mode == "FIX"
    seen = values_of(head, lambda: modifier.offset)
    assert (seen["A"], seen["H"], seen["X"]) == (10, 80, 90)
    assert not any(layer.hide for layer in obj.data.layers)
    mouths.remove(head)
    assert not len(obj.modifiers)


def test_shape_keys_are_on_or_off_and_what_others_move_is_refused(blender):
    bpy.ops.mesh.primitive_plane_add()
    plane = bpy.context.object
    for name in ("Basis", *families()["preston_blair"].mouths):
        plane.shape_key_add(name=name, from_mix=False)
    head = api.use_mouths(plane, "KEYS")
    blocks = plane.data.shape_keys.key_blocks
    mouths.show(head, "FV")
    bpy.context.view_layer.update()
    assert [b.name for b in blocks[1:] if b.value == 1.0] == ["FV"]
    mouths.remove(head)
    blocks["E"].driver_add("value")
    with pytest.raises(InputError, match="driver"):
        api.use_mouths(plane, "KEYS")
    assert charted.chart_of(plane.data.shape_keys) is None
    other = empty("Other")
    with pytest.raises(InputError, match="mesh"):
        api.use_mouths(other, "KEYS", mouths={"A": "x"})
    with pytest.raises(InputError, match="no mouth Q"):
        api.use_mouths(plane, "KEYS", mouths={"Q": "x"})


def test_lines_come_off_and_the_mouths_stay_until_they_are_removed(number, say):
    say.on(number)
    with pytest.raises(InputError, match="Remove the lines"):
        mouths.remove(number)
    removal.remove_all(bpy.context.scene, number)
    assert mouths.is_used(number) and number.data.shape_keys.kmtalk.chart == "rhubarb"
    target = number.kmtalk_mouths.target
    mouths.remove(number)
    assert target["mouth"] == 0 and not target.children
