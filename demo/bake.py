"""What Cycles measures on the mesh itself: its colours, and the light that falls on each vertex."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import bpy
import numpy as np

from .capture import without_modifiers
from .render import quiet

SAMPLES = 2  # rays from each corner of a polygon; a vertex has some four corners

Bake = Callable[[str, set[str], int], np.ndarray]  # kind, passes, samples -> (N, 3)


def measure(
    scene: bpy.types.Scene, head: bpy.types.Object, frames: Sequence[int], progress: Callable[[float, str], None]
) -> np.ndarray:
    """(P, V, 3) the light that falls on each vertex on `frames`."""
    out = np.empty((len(frames), len(head.data.vertices), 3), np.float32)
    with _baking(scene, head, "POINT") as values:
        for done, (row, frame) in enumerate(zip(out, frames, strict=True)):
            scene.frame_set(frame)
            row[:] = values("DIFFUSE", {"DIRECT", "INDIRECT"}, SAMPLES)
            progress((done + 1) / len(frames), f"light in pose {done + 1} of {len(frames)}")
    return out


def own_colours(scene: bpy.types.Scene, head: bpy.types.Object) -> tuple[np.ndarray, np.ndarray]:
    """Albedo and emission (L, 3) of the polygons' corners."""
    with _baking(scene, head, "CORNER") as values:
        return values("DIFFUSE", {"COLOR"}, 1), values("EMIT", set(), 1)


@contextmanager
def _baking(scene: bpy.types.Scene, head: bpy.types.Object, domain: str) -> Iterator[Bake]:
    """For as long as the block runs, colours of the mesh can be computed; it leaves no trace in the scene."""
    render, cycles, colours = scene.render, scene.cycles, head.data.color_attributes
    kept = render.engine, cycles.samples, cycles.use_denoising
    # Scattering is left to `light.smoothed`: paths through the skin are the noisiest of all.
    inputs = [m.node_tree.nodes["Principled BSDF"].inputs["Subsurface Weight"] for m in head.data.materials]
    weights = [socket.default_value for socket in inputs]
    layer = colours.new("KMTalk light", "FLOAT_COLOR", domain).name

    def bake(kind: str, passes: set[str], samples: int) -> np.ndarray:
        cycles.samples = samples
        with quiet():
            bpy.ops.object.bake(type=kind, pass_filter=passes, target="VERTEX_COLORS")
        data = colours[layer].data
        values = np.empty(4 * len(data), np.float32)
        data.foreach_get("color", values)
        return values.reshape(-1, 4)[:, :3].copy()

    try:
        render.engine, cycles.use_denoising = "CYCLES", False
        for socket in inputs:
            socket.default_value = 0.0
        colours.active_color = colours[layer]
        bpy.context.view_layer.objects.active = head
        head.select_set(True)
        with without_modifiers(head):
            yield bake
    finally:
        colours.remove(colours[layer])
        for socket, weight in zip(inputs, weights, strict=True):
            socket.default_value = weight
        render.engine, cycles.samples, cycles.use_denoising = kept
