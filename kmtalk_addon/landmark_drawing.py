"""Landmarks over the head in the 3-D view, and the picture that shows what to pick."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import blf
import bpy
import gpu
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from gpu_extras.batch import batch_for_shader
from gpu_extras.presets import draw_texture_2d
from mathutils import Vector

from . import landmarks
from .operators import chosen_mesh
from .session import current

RADIUS, MARGIN, LINE = 4.0, 20, 18  # pixels at a resolution scale of 1
GUIDE_SIZE, GUIDE_WIDTH = 320, 230.0  # points a side of the picture; mm that it shows
CORNERS = 10  # of a point
COLOURS = (
    (range(17), (0.45, 0.75, 1.0, 1.0)),  # jaw
    (range(17, 27), (1.0, 0.75, 0.3, 1.0)),  # brows
    (range(27, 36), (0.6, 1.0, 0.6, 1.0)),  # nose
    (range(36, 48), (0.3, 1.0, 1.0, 1.0)),  # eyes
    (range(48, 68), (1.0, 0.45, 0.5, 1.0)),  # lips
)
CHOSEN, DONE = (1.0, 1.0, 1.0, 1.0), (0.2, 0.2, 0.2, 0.7)


@dataclass
class Editing:
    """What a user does with landmarks in the window, on the head `uid`.

    `marks`: landmark → vertex; `held`: the one that is dragged; of a pick `wanted`, what comes next, what is `told`.
    """

    uid: int
    marks: dict[int, int] = field(default_factory=dict)
    held: int | None = None
    wanted: int | None = None
    told: str = ""


def screen_points(
    context: bpy.types.Context, region: bpy.types.Region, head: bpy.types.Object, vertices: Sequence[int]
) -> list[Vector | None]:
    """Where vertices of the head are seen in a region of a 3-D view; None for what is behind the eye."""
    view = next(area for area in context.screen.areas if region in area.regions[:]).spaces.active.region_3d
    positions = landmarks.shown_positions(head, context.evaluated_depsgraph_get())
    world = head.matrix_world
    return [location_3d_to_region_2d(region, view, world @ Vector(positions[vertex])) for vertex in vertices]


def draw() -> None:
    """Called for every 3-D view; shows nothing unless the user wants to see it."""
    context = bpy.context
    head, editing = chosen_mesh(context), current.editing
    if head is None or head.type != "MESH":
        return
    if editing is not None and editing.uid == head.session_uid:
        marks = editing.marks
    elif context.scene.kmtalk.show_landmarks and (noted := landmarks.of(head.data)) is not None:
        marks, editing = dict(enumerate(noted.tolist())), None
    else:
        return
    scale = context.preferences.system.ui_scale
    seen = screen_points(context, context.region, head, list(marks.values()))
    gpu.state.blend_set("ALPHA")
    for mark, place in zip(marks, seen, strict=True):
        if place is not None:
            _disc(place, RADIUS * scale, DONE)
            held = editing is not None and mark == editing.held
            _disc(place, (RADIUS - 1) * scale * (1.6 if held else 1), CHOSEN if held else _colour(mark))
    if editing is not None and editing.wanted is not None:
        _draw_guide(editing, scale, beside_toolbar(context.area.regions, context.region))
    gpu.state.blend_set("NONE")


def beside_toolbar(regions: Iterable[bpy.types.Region], view: bpy.types.Region) -> int:
    """How much of the left of a view, in pixels, a toolbar lies over."""
    covers = (
        bar.x + bar.width - view.x for bar in regions if bar.type == "TOOLS" and bar.width > 1 and bar.x <= view.x
    )
    return max(0, *covers, 0)


def _draw_guide(editing: Editing, scale: float, beside: int) -> None:
    """The demo head in the corner, `beside` the toolbar, with the point to pick, and what it is."""
    texture, places = _guide()
    side = GUIDE_SIZE * scale * 0.8
    left, low = beside + MARGIN * scale, 2 * MARGIN * scale
    draw_texture_2d(texture, (left, low), side, side)
    for mark in range(68):
        place = Vector((left + places[mark][0] * side, low + places[mark][1] * side))
        if mark == editing.wanted:
            _disc(place, 2.2 * RADIUS * scale, DONE)
            _disc(place, 1.6 * RADIUS * scale, (1.0, 0.2, 0.2, 1.0))
        elif mark in editing.marks:
            _disc(place, 0.7 * RADIUS * scale, _colour(mark))
    blf.size(0, LINE * 0.7 * scale)
    blf.color(0, 1.0, 1.0, 1.0, 1.0)
    for row, text in enumerate(reversed(editing.told.split("\n"))):
        blf.position(0, left, low + side + (0.5 + row) * LINE * scale, 0)
        blf.draw(0, text)


@lru_cache(maxsize=1)
def _guide() -> tuple[gpu.types.GPUTexture, np.ndarray]:
    """The picture, and where the landmarks are in it (68, 2), 0 to 1 from its lower left corner."""
    from kmtalk_core.landmarks.picking import demo_face
    from kmtalk_core.landmarks.views import Surface, View, look

    mesh, marks = demo_face()
    view = View(np.array([0.0, -35.0, 20.0]), np.eye(3), GUIDE_WIDTH)
    picture = look(Surface.of(mesh.vertices, mesh.faces), view, GUIDE_SIZE)
    light = np.clip(np.einsum("cij,c->ij", picture[:3], [-0.4, 0.4, 0.82]), 0, 1)
    grey = np.where(picture[4] > 0, 0.15 + 0.6 * light, 0.08)
    colours = np.stack([grey, grey, grey, np.where(picture[4] > 0, 1.0, 0.6)], axis=2)[::-1].astype(np.float32)
    buffer = gpu.types.Buffer("FLOAT", colours.size, np.ascontiguousarray(colours).ravel())
    texture = gpu.types.GPUTexture((GUIDE_SIZE, GUIDE_SIZE), format="RGBA32F", data=buffer)
    return texture, view.to_picture(marks)[:, :2] + 0.5


def _colour(mark: int) -> tuple[float, float, float, float]:
    return next(colour for part, colour in COLOURS if mark in part)


def _disc(place: Vector, radius: float, colour: tuple[float, float, float, float]) -> None:
    turns = np.arange(CORNERS) * 2 * np.pi / CORNERS
    corners = [(place.x + radius * x, place.y + radius * y) for x, y in zip(np.cos(turns), np.sin(turns), strict=True)]
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    fan = [(0, k, k + 1) for k in range(1, CORNERS - 1)]
    shader.bind()
    shader.uniform_float("color", colour)
    batch_for_shader(shader, "TRIS", {"pos": corners}, indices=fan).draw(shader)


def register() -> None:
    """Draw from now on."""
    current.drawing = bpy.types.SpaceView3D.draw_handler_add(draw, (), "WINDOW", "POST_PIXEL")


def unregister() -> None:
    """The inverse of `register`."""
    if current.drawing is not None:
        bpy.types.SpaceView3D.draw_handler_remove(current.drawing, "WINDOW")
    current.drawing = None
    _guide.cache_clear()
