"""What shows the drawings of a mouth: properties that drivers set by the number of the drawing, as in a table.

Each driver has a stepped curve of its own, number of the drawing → value, which can be looked at and changed in the
Drivers editor. It needs no Python, so files work whatever scripts are allowed, and without KMTalk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import bpy

from kmtalk_core.errors import InputError

from . import compat

HALF = 0.5  # of a drawing's number: values in between belong to the nearest


@dataclass(frozen=True)
class Output:
    """A property: `path` from the data-block `block` on, its component `index` (-1: it has none); and its `values`, one
    for each drawing."""

    block: Any
    path: str
    index: int
    values: tuple[float, ...]

    @property
    def value(self) -> float:
        """As it is now."""
        found = self.block.path_resolve(self.path)
        return float(found[self.index] if self.index >= 0 else found)

    @property
    def owner(self) -> Any:
        """The data-block that keeps its driver: a material's nodes have one of their own."""
        return self.block.node_tree if self.path.startswith("node_tree.") else self.block

    @property
    def own_path(self) -> str:
        """The path from `owner` on."""
        return self.path.removeprefix("node_tree.")

    def set(self, value: float) -> None:
        """Change it."""
        beside, _, name = self.path.rpartition(".")
        holder = self.block.path_resolve(beside) if beside else self.block
        if self.index >= 0:
            self.block.path_resolve(self.path)[self.index] = value
        elif self.path.endswith("]"):
            start = self.path.rindex("[")
            holder = self.block.path_resolve(self.path[:start]) if start else self.block
            holder[self.path[start + 2 : -2]] = type(holder[self.path[start + 2 : -2]])(value)
        else:
            setattr(holder, name, type(getattr(holder, name))(value))


def check_free(outputs: Sequence[Output], keys: bpy.types.Key | None) -> None:
    """Raise InputError where somebody else moves one of these properties, or there is none."""
    for output in outputs:
        if not _is_number(output):
            raise InputError(f"{output.block.name} has no number {output.path}; correct it.")
        if getattr(output.block, "library", None) is not None:
            raise InputError(f"{output.block.name} is linked from another file; make it local or override it first.")
        data = output.owner.animation_data
        if data is None:
            continue
        curve = _driver(output)
        if curve is not None and not _is_ours(curve, keys):
            raise InputError(f"A driver moves {output.path} of {output.block.name}; remove the driver first.")
        if data.action is not None and output.own_path in compat.played_paths(data.action, compat.action_slot(data)):
            raise InputError(f"{output.path} of {output.block.name} has keyframes; remove them first.")


def drive(output: Output, block: bpy.types.ShapeKey) -> None:
    """Let the value of a shape key, the number of a drawing, choose the property's value."""
    if _driver(output) is not None:
        _undrive(output)
    index = (output.index,) if output.index >= 0 else ()
    curve = output.owner.driver_add(output.own_path, *index)
    for modifier in list(curve.modifiers):
        curve.modifiers.remove(modifier)
    curve.driver.type = "SUM"
    variable = curve.driver.variables.new()
    variable.name = "drawing"
    variable.targets[0].id_type = "KEY"
    variable.targets[0].id = block.id_data
    variable.targets[0].data_path = block.path_from_id("value")
    points = curve.keyframe_points
    while len(points):
        points.remove(points[0], fast=True)
    points.add(len(output.values))
    for number, (point, value) in enumerate(zip(points, output.values, strict=True)):
        point.co, point.interpolation = (number - HALF, value), "CONSTANT"
    curve.extrapolation = "CONSTANT"
    curve.update()


def found_again(outputs: Sequence[Output], keys: bpy.types.Key) -> list[Output]:
    """The same properties where layers or nodes may have been renamed since: Blender renames the drivers' paths."""
    known = {(output.owner, output.own_path, output.index) for output in outputs}
    found = []
    for output in outputs:
        data = output.owner.animation_data
        if _driver(output) is None and data is not None:
            own = (c.data_path for c in data.drivers if _is_ours(c, keys))
            other = next((path for path in own if (output.owner, path, output.index) not in known), None)
            if other is not None:
                known.add((output.owner, other, output.index))
                output = replace(output, path=output.path.removesuffix(output.own_path) + other)
        found.append(output)
    return found


def release(output: Output, before: float) -> None:
    """The inverse of `drive`; the property has the value `before`."""
    try:
        if _driver(output) is not None:
            _undrive(output)
        output.set(before)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return  # it is gone


def _is_number(output: Output) -> bool:
    try:
        return isinstance(output.value, float)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return False


def _undrive(output: Output) -> None:
    if output.index >= 0:
        output.owner.driver_remove(output.own_path, output.index)
    else:
        output.owner.driver_remove(output.own_path)


def _driver(output: Output) -> bpy.types.FCurve | None:
    data = output.owner.animation_data
    if data is None:
        return None
    return data.drivers.find(output.own_path, index=max(output.index, 0))


def _is_ours(curve: bpy.types.FCurve, keys: bpy.types.Key | None) -> bool:
    return keys is not None and keys in set(_ids(curve))


def _ids(curve: bpy.types.FCurve) -> Iterator[Any]:
    for variable in curve.driver.variables:
        yield variable.targets[0].id
