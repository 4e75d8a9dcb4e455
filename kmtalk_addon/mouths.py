"""Mouths that are drawings: which pictures, layers, objects, … show those of a chart, found by names and put to use.

The number of the drawing lies on an empty shape key (`charted`): of the mesh itself, or, where the mouth is an image, a
Grease Pencil object or several objects, of a small mesh beside it that is not rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bpy

from kmtalk_core.errors import InputError
from kmtalk_core.retarget.cues import drawings_of, filled
from kmtalk_core.retarget.families import Family, families
from kmtalk_core.retarget.recognition import match_family

from . import carrier, charted, clips, compat, poses
from .mouth_nodes import index_node, remove_nodes, sheet_of, time_modifier
from .mouth_outputs import Output, check_free, drive, found_again, release
from .pictures import picture_of, show_one_picture
from .session import current

HOLDS = "kmtalk_holds"  # custom property of the object, see compat.keep_pointers
MADE = "mouth"  # the custom property that is made where none is named
SAID = ("kind", "chart", "target", "node", "columns", "rows", "path", "made", "mouths", "driven", "mapping_before")
POSES = "POSES"
GREASE_PENCIL = ("GPENCIL", "GREASEPENCIL")
NUMBERED = ("PICTURES", "SHEET", "MATERIALS", "TIME", "PROPERTY")  # kinds whose rows count by their number
NAMED = ("LAYERS", "KEYS")  # by their name


def head_of(obj: bpy.types.Object | None) -> bpy.types.Object | None:
    """The mesh with the lines of an object: itself, or the one that shows its mouths."""
    if obj is None or obj.type == "MESH":
        return obj
    found = [some for some in bpy.data.objects if some.type == "MESH" and some.kmtalk_mouths.target == obj]
    return next((some for some in found if is_used(some)), obj)


def is_used(head: bpy.types.Object) -> bool:
    """Whether the mouths of a head are drawings or poses."""
    return head.type == "MESH" and (charted.chart_of(head.data.shape_keys) is not None or poses.is_used(head))


def guess(obj: bpy.types.Object) -> str:
    """The kind (mouth_rows.KINDS) that an object most likely has."""
    if obj.type == "ARMATURE":
        return POSES
    if obj.type in GREASE_PENCIL:
        layers = _match(families()["rhubarb"], _layers(obj)) or _match(families()["preston_blair"], _layers(obj))
        return "LAYERS" if len(layers) > 2 else "TIME"
    if picture_of(obj) is not None:
        return "PICTURES"
    if len(_chart_and_names(_slots(obj))[1]) > 2:
        return "MATERIALS"
    if len(_chart_and_names([some.name for some in _beside(obj)])[1]) > 2:
        return "OBJECTS"
    return "SHEET" if sheet_of(obj) is not None else "PROPERTY"


def set_up(
    obj: bpy.types.Object, kind: str = "", chart: str = "", given: Mapping[str, Any] | None = None
) -> bpy.types.Object:
    """Let an object show mouths; returns the mesh on which lines are made. Raises InputError.

    What is not said is found by names. `given`: mouth → picture, cell, slot, frame or value (a number), layer or shape
    key (its name), object, or Action.
    """
    kind = kind or guess(obj)
    target = poses.rig_for(obj) if kind == POSES else obj
    head = _mesh_for(obj, kind, target)
    said = head.kmtalk_mouths
    if is_used(head):
        remove(head, keep_mesh=True)
    compat.keep_pointers(head, HOLDS)
    with current.fill_in():
        said.kind, said.target = kind, target
        said.chart = chart or _likely_chart(target, kind) or said.chart
    try:
        fill(head)
        with current.fill_in():
            for name, value in (given or {}).items():
                _say(head, name, value)
        use(head)
    except Exception:
        _forget(head)
        raise
    return head


def fill(head: bpy.types.Object) -> None:
    """Let the rows show what is found by names, or else in the usual order."""
    said = head.kmtalk_mouths
    chart = families()[said.chart]
    found = _FOUND[said.kind](said.target, chart, said) if said.kind != POSES else {}
    with current.fill_in():
        said.mouths.clear()
        for name in chart.mouths:
            row = said.mouths.add()
            row.name = name
            if name in found:
                _set(row, said.kind, found[name])
    if said.kind == POSES:
        poses.fill(head, chart)


def use(head: bpy.types.Object) -> None:
    """Put the mouths to use as the rows say, instead of what was before. Raises InputError, with nothing changed."""
    said = head.kmtalk_mouths
    chart, keys = families()[said.chart], head.data.shape_keys
    now = charted.chart_of(keys)
    if keys is not None and len(keys.kmtalk.actions) and (now != chart if now is not None else poses.is_used(head)):
        raise InputError(f"Lines of {head.name} have other mouths; remove the lines first.")
    if said.kind == POSES:
        _release(head)
        _drop_key(head)
        poses.use(head, chart)
        return
    present = {row.name: value for row in said.mouths if (value := _get(row, said.kind)) is not None}
    if said.target is None or not present:
        raise InputError(f"No mouths are known for {head.name}; choose what shows them, and which is which.")
    _check_target(said)
    before = {(row.block, row.path, row.index): row.before for row in said.driven}
    shown = filled(chart, present)
    outputs = _OUTPUTS[said.kind](said, [shown[name] for name in drawings_of(chart)], before)
    check_free(outputs, keys)
    poses.remove(head)
    block = _key(head, chart)
    _release(head)
    for output in outputs:
        row = said.driven.add()
        row.block, row.path, row.index, row.before = output.block, output.path, output.index, output.value
        drive(output, block)
    head.data.shape_keys.update_tag()


def refresh(head: bpy.types.Object) -> None:
    """Show a change of the rows at once; what cannot be is said in the panel."""
    if not is_used(head):
        return
    try:
        use(head)
        current.error = ""
    except Exception as error:  # a traceback in a property's update helps nobody
        current.explain(error)


def look_again(head: bpy.types.Object) -> None:
    """Look for the mouths of another kind, chart or target."""
    said = head.kmtalk_mouths
    if said.target is None:
        return
    try:
        fill(head)
    except Exception as error:
        current.explain(error)
        return
    refresh(head)


def remove(head: bpy.types.Object, keep_mesh: bool = False) -> None:
    """Take all of it off again; everything is as before. Raises InputError while lines are there."""
    keys = head.data.shape_keys
    if keys is not None and len(keys.kmtalk.actions) and not keep_mesh:
        raise InputError(f"Remove the lines of {head.name} first.")
    said = head.kmtalk_mouths
    poses.remove(head)
    _release(head)
    if said.target is not None:
        remove_nodes(said.target)
    _drop_key(head)
    if keep_mesh:
        return
    if said.made:
        del said.target[MADE]
    _forget(head)


def _forget(head: bpy.types.Object) -> None:
    """Let nothing be left of what was said, nor of a mesh that was made for it."""
    with current.fill_in():
        for name in SAID:
            head.kmtalk_mouths.property_unset(name)
    if carrier.is_carrier(head):
        carrier.remove_carrier(head)


def show(head: bpy.types.Object, name: str) -> None:
    """Let a mouth be seen now, as if it was posed; what plays comes back on the next frame."""
    chart = families()[head.kmtalk_mouths.chart]
    if poses.is_used(head):
        poses.show(head, name)
    elif (block := charted.block_of(head.data.shape_keys)) is not None:
        block.value = drawings_of(chart).index(name)
    head.data.shape_keys.update_tag()


def _mesh_for(obj: bpy.types.Object, kind: str, target: bpy.types.Object) -> bpy.types.Object:
    """The mesh whose shape key says the number: the object itself, or one made for that."""
    if kind == POSES:
        return poses.head_for(obj, target)
    is_mouth = kind == "OBJECTS" and obj.name in _chart_and_names([some.name for some in _beside(obj)])[1].values()
    if obj.type == "MESH" and len(obj.data.polygons) and not is_mouth:
        return obj
    return carrier.carrier_of(obj) or carrier.new_carrier(obj, obj.parent if is_mouth else obj)


def _key(head: bpy.types.Object, chart: Family) -> bpy.types.ShapeKey:
    """The shape key for a chart's drawings, which is made if it is missing."""
    if charted.chart_of(head.data.shape_keys) == chart:
        return charted.block_of(head.data.shape_keys)
    _drop_key(head)
    if head.data.shape_keys is None:
        head.shape_key_add(name="Basis", from_mix=False)
    active = head.active_shape_key_index
    block = head.shape_key_add(name=charted.key_name(chart), from_mix=False)
    block.slider_max, block.value = len(drawings_of(chart)) - 1, 0.0
    head.active_shape_key_index = active
    head.data.shape_keys.kmtalk.chart = chart.name
    return block


def _drop_key(head: bpy.types.Object) -> None:
    keys = head.data.shape_keys
    block = charted.block_of(keys) if keys is not None else None
    if keys is not None:
        keys.kmtalk.chart = ""
    if block is not None:
        head.shape_key_remove(block)
        if len(keys.key_blocks) == 1 and not clips.playing(keys):
            head.shape_key_clear()  # the basis came with it


def _release(head: bpy.types.Object) -> None:
    if poses.is_used(head):
        return
    rows = [row for row in head.kmtalk_mouths.driven if row.block is not None]
    known = [Output(row.block, row.path, row.index, ()) for row in rows]
    for output, row in zip(found_again(known, head.data.shape_keys), rows, strict=True):
        release(output, row.before)
    head.kmtalk_mouths.driven.clear()


def _check_target(said: bpy.types.PropertyGroup) -> None:
    needs = {"MATERIALS": ("MESH",), "KEYS": ("MESH",), "LAYERS": GREASE_PENCIL, "TIME": GREASE_PENCIL}
    if said.kind in needs and said.target.type not in needs[said.kind]:
        what = "a mesh" if needs[said.kind] == ("MESH",) else "a Grease Pencil object"
        raise InputError(f"{said.target.name} is not {what}; choose another object or kind of mouths.")


def _say(head: bpy.types.Object, name: str, value: Any) -> None:
    row = next((row for row in head.kmtalk_mouths.mouths if row.name == name), None)
    if row is None:
        names = ", ".join(row.name for row in head.kmtalk_mouths.mouths)
        raise InputError(f"There is no mouth {name}; the chart has {names}.")
    try:
        _set(row, head.kmtalk_mouths.kind, value)
    except TypeError:
        raise InputError(f"{value!r:.40} can be no mouth of this kind; docs/two_d.md says what can.") from None


def _set(row: bpy.types.PropertyGroup, kind: str, value: Any) -> None:
    if kind in NUMBERED:
        row.number = value
    elif kind in NAMED:
        row.layer = value
    elif kind == "OBJECTS":
        row.shown = value
    else:
        row.action = value


def _get(row: bpy.types.PropertyGroup, kind: str) -> Any:
    """What shows a mouth; None if nothing does."""
    if kind in NUMBERED:
        return row.number if row.number >= 0 else None
    return (row.layer or None) if kind in NAMED else row.shown


def _match(chart: Family, names: Sequence[str]) -> dict[str, str]:
    """Mouth → the one of `names` that is called so."""
    return match_family(chart, names)


def _chart_and_names(names: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The chart of which `names` has most mouths, and these."""
    found = {chart: _match(families()[chart], names) for chart in charted.CHARTS}
    best = max(found, key=lambda chart: len(found[chart]))
    return best, found[best]


def _likely_chart(target: bpy.types.Object, kind: str) -> str:
    """The chart that names tell, else the number of pictures; "" if nothing does."""
    if kind == POSES:
        names = [name for name, _, _ in poses.candidates()]
    else:
        names = _NAMES[kind](target) if kind in _NAMES else []
    chart, found = _chart_and_names(names)
    if found:
        return chart
    picture = picture_of(target) if kind == "PICTURES" else None
    return "preston_blair" if picture is not None and len(picture.numbers) == 10 else ""


def _layers(obj: bpy.types.Object) -> list[str]:
    return [compat.layer_name(layer) for layer in obj.data.layers] if obj.type in GREASE_PENCIL else []


def _slots(obj: bpy.types.Object) -> list[str]:
    return [slot.material.name if slot.material else "" for slot in obj.material_slots]


def _shape_keys(obj: bpy.types.Object) -> list[str]:
    keys = clips.keys_of(obj)
    return [block.name for block in keys.key_blocks[1:] if block != charted.block_of(keys)] if keys is not None else []


def _beside(obj: bpy.types.Object) -> list[bpy.types.Object]:
    """The objects that may be its mouths: below it, beside it, or in its collections."""
    found = [*obj.children_recursive, *(obj.parent.children if obj.parent is not None else ())]
    found += [some for collection in obj.users_collection for some in collection.objects]
    return [some for some in dict.fromkeys(found) if not carrier.is_carrier(some)]


_NAMES: Mapping[str, Callable[[Any], list[str]]] = {
    "LAYERS": _layers,
    "MATERIALS": _slots,
    "KEYS": _shape_keys,
    "OBJECTS": lambda obj: [some.name for some in _beside(obj)],
}


def _in_order(chart: Family, numbers: Sequence[int]) -> dict[str, int]:
    """Numbers for the mouths of a chart in its order, as far as there are some."""
    return dict(zip(chart.mouths, numbers, strict=False))


def _numbers_of_pictures(target: Any, chart: Family, said: Any) -> dict[str, int]:
    picture = picture_of(target, said.node)
    return _or_none(chart, _in_order(chart, (picture and picture.numbers) or range(1, 99)))


def _slots_found(target: Any, chart: Family, said: Any) -> dict[str, int]:
    slots = _slots(target)
    named = {name: slots.index(slot) for name, slot in _match(chart, slots).items()}
    return _or_none(chart, named or _in_order(chart, range(len(slots))))


def _frames_found(target: Any, chart: Family, said: Any) -> dict[str, int]:
    if target.type not in GREASE_PENCIL:
        return _or_none(chart, {})
    layers = [layer for layer in target.data.layers if "mouth" in compat.layer_name(layer).lower()]
    frames = sorted({frame.frame_number for layer in layers or target.data.layers for frame in layer.frames})
    return _or_none(chart, _in_order(chart, frames))


def _or_none(chart: Family, found: Mapping[str, int]) -> dict[str, int]:
    return {name: found.get(name, -1) for name in chart.mouths}


_FOUND: Mapping[str, Callable[[Any, Family, Any], Mapping[str, Any]]] = {
    "PICTURES": _numbers_of_pictures,
    "SHEET": lambda target, chart, said: _in_order(chart, range(99)),
    "MATERIALS": _slots_found,
    "OBJECTS": lambda target, chart, said: {
        name: next(some for some in _beside(target) if some.name == found)
        for name, found in _match(chart, [some.name for some in _beside(target)]).items()
    },
    "LAYERS": lambda target, chart, said: _match(chart, _layers(target)),
    "TIME": _frames_found,
    "KEYS": lambda target, chart, said: _match(chart, _shape_keys(target)),
    "PROPERTY": lambda target, chart, said: _in_order(chart, range(99)),
}

Before = Mapping[tuple[Any, str, int], float]


def _pictures(said: Any, shown: Sequence[int], before: Before) -> list[Output]:
    picture = picture_of(said.target, said.node)
    if picture is None:
        raise InputError(f"{said.target.name} has no picture sequence; give it one, or choose another kind of mouths.")
    show_one_picture(picture)
    return [Output(picture.block, picture.path + ".frame_offset", -1, tuple(number - 1 for number in shown))]


def _sheet(said: Any, shown: Sequence[int], before: Before) -> list[Output]:
    sheet = sheet_of(said.target, said.node)
    if sheet is None:
        raise InputError(f"No material of {said.target.name} has a Mapping node; put one before the picture.")
    block, path = sheet
    first = [before.get((block, path, axis), block.path_resolve(path)[axis]) for axis in (0, 1)]
    columns, rows = said.columns, said.rows
    across = tuple(first[0] + (cell % columns) / columns for cell in shown)
    down = tuple(first[1] - (cell // columns) / rows for cell in shown)
    return [Output(block, path, 0, across), Output(block, path, 1, down)]


def _materials(said: Any, shown: Sequence[int], before: Before) -> list[Output]:
    block, path = index_node(said.target)
    return [Output(block, path, -1, tuple(shown))]


def _objects(said: Any, shown: Sequence[Any], before: Before) -> list[Output]:
    hides = {obj: tuple(float(obj != now) for now in shown) for obj in dict.fromkeys(shown)}
    return [Output(obj, way, -1, values) for obj, values in hides.items() for way in ("hide_viewport", "hide_render")]


def _layers_hidden(said: Any, shown: Sequence[str], before: Before) -> list[Output]:
    data, outputs = said.target.data, []
    for name in dict.fromkeys(shown):
        if name not in _layers(said.target):
            raise InputError(f"{said.target.name} has no layer {name}; choose another.")
        path = f'layers["{bpy.utils.escape_identifier(name)}"].hide'
        outputs.append(Output(data, path, -1, tuple(float(name != now) for now in shown)))
    return outputs


def _frames(said: Any, shown: Sequence[int], before: Before) -> list[Output]:
    layers = [name for name in _layers(said.target) if "mouth" in name.lower()]
    path = time_modifier(said.target, layers[0] if len(layers) == 1 else "")
    return [Output(said.target, path, -1, tuple(shown))]


def _keys(said: Any, shown: Sequence[str], before: Before) -> list[Output]:
    keys, outputs = clips.keys_of(said.target), []
    for name in dict.fromkeys(shown):
        if keys is None or name not in keys.key_blocks:
            raise InputError(f"{said.target.name} has no shape key {name}; choose another.")
        path = keys.key_blocks[name].path_from_id("value")
        outputs.append(Output(keys, path, -1, tuple(float(name == now) for now in shown)))
    return outputs


def _property(said: Any, shown: Sequence[int], before: Before) -> list[Output]:
    if not said.path:
        with current.fill_in():
            said.path, said.made = f'["{MADE}"]', MADE not in said.target
        if said.made:
            said.target[MADE] = 0
    return [Output(said.target, said.path, -1, tuple(shown))]


_OUTPUTS: Mapping[str, Callable[[Any, Sequence[Any], Before], list[Output]]] = {
    "PICTURES": _pictures,
    "SHEET": _sheet,
    "MATERIALS": _materials,
    "OBJECTS": _objects,
    "LAYERS": _layers_hidden,
    "TIME": _frames,
    "KEYS": _keys,
    "PROPERTY": _property,
}
