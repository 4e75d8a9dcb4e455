"""The operators of landmarks: find them, move one, pick them from scratch, mirror them, forget them."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import BoolProperty
from bpy_extras.view3d_utils import region_2d_to_origin_3d, region_2d_to_vector_3d
from mathutils import Vector

from kmtalk_core.errors import InputError, KMTalkError

from . import landmarks, shape_keys
from .job import Steps
from .landmark_drawing import Editing, screen_points
from .live import redraw
from .operators import Working, can_work, chosen_mesh, show_status
from .session import current
from .wrapping import sentence

NEAR = 14  # pixels around a point within which a press takes it
TURNING = {"MIDDLEMOUSE", "WHEELUPMOUSE", "WHEELDOWNMOUSE", "TRACKPADPAN", "TRACKPADZOOM", "MOUSEROTATE", "NDOF_MOTION"}


def _head(context: bpy.types.Context, with_marks: bool = False) -> bpy.types.Object:
    head = shape_keys.check_mesh(chosen_mesh(context))
    if with_marks and landmarks.of(head.data) is None:
        raise InputError(f"No landmarks are noted on {head.name}; find or pick them first.")
    return head


class KMTALK_OT_find_landmarks(Working, bpy.types.Operator):
    """Find the face of the head: 68 points of its jaw, brows, nose, eyes and lips"""

    bl_idname = "kmtalk.find_landmarks"
    bl_label = "Find Landmarks"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: _head(context))

    def steps(self, context: bpy.types.Context) -> Steps[landmarks.Outcome]:
        return landmarks.find(_head(context))

    def finish(self, outcome: landmarks.Outcome) -> set[str]:
        bpy.context.scene.kmtalk.show_landmarks = True
        current.glances.forget()
        return super().finish(outcome)


class OnLandmarks:
    """An operator on the landmarks that are noted on the head."""

    bl_options: ClassVar = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: _head(context, with_marks=True))

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            self.work(context, _head(context, with_marks=True))
        except Exception as error:
            self.report({"ERROR"}, current.explain(error))
            return {"CANCELLED"}
        current.glances.forget()
        redraw()
        return {"FINISHED"}


class KMTALK_OT_mirror_landmarks(OnLandmarks, bpy.types.Operator):
    """Let one side's landmarks be the mirror image of the other's"""

    bl_idname = "kmtalk.mirror_landmarks"
    bl_label = "Mirror"

    left_to_right: BoolProperty(name="Left to Right", default=True, description="From the character's left side")

    def work(self, context, head):
        marks = landmarks.mirrored(head, landmarks.of(head.data), self.left_to_right)
        for told in landmarks.note(head, marks):
            self.report({"WARNING"}, told)


class KMTALK_OT_forget_landmarks(OnLandmarks, bpy.types.Operator):
    """Take the landmarks off the head"""

    bl_idname = "kmtalk.forget_landmarks"
    bl_label = "Forget Landmarks"

    def work(self, context, head):
        del head.data[shape_keys.LANDMARKS]


class InView:
    """An operator that goes on in the 3-D view until the user ends it; turning and zooming the view stay possible."""

    bl_options: ClassVar = {"UNDO"}
    hint = ""

    def begin(self, context: bpy.types.Context, editing: Editing) -> set[str]:
        current.editing = editing
        context.window_manager.modal_handler_add(self)
        show_status(context, self.hint)
        redraw()
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        head = chosen_mesh(context)
        if current.editing is None or head is None or head.session_uid != current.editing.uid or head.mode == "EDIT":
            return self.end(context, "CANCELLED")
        if event.type in TURNING or (event.type.startswith("NUMPAD") and event.type != "NUMPAD_ENTER"):
            return {"PASS_THROUGH"}
        try:
            status = self.handle(context, event, head)
        except KMTalkError as error:
            self.report({"ERROR"}, current.explain(error))
            status = "RUNNING_MODAL"
        if status in {"FINISHED", "CANCELLED"}:
            return self.end(context, status)
        return {status}

    def end(self, context: bpy.types.Context, status: str) -> set[str]:
        current.editing = None
        current.glances.forget()
        show_status(context, None)
        redraw()
        return {status}

    def cancel(self, context: bpy.types.Context) -> None:
        """Called when Blender ends it: another file is opened, or the window closed."""
        current.editing = None


class KMTALK_OT_move_landmarks(InView, bpy.types.Operator):
    """Drag wrong points to where they belong, on the surface of the head"""

    bl_idname = "kmtalk.move_landmarks"
    bl_label = "Move Points"
    hint = "Drag points to where they belong; Enter ends, Esc takes everything back"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: _head(context, with_marks=True))

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        head = _head(context, with_marks=True)
        return self.begin(context, Editing(head.session_uid, dict(enumerate(landmarks.of(head.data).tolist()))))

    def handle(self, context: bpy.types.Context, event: bpy.types.Event, head: bpy.types.Object) -> str:
        editing, view = current.editing, _view_under(context, event)
        if event.type in {"RET", "NUMPAD_ENTER"} and event.value == "PRESS":
            for told in landmarks.note(head, [editing.marks[mark] for mark in range(68)]):
                self.report({"WARNING"}, told)
            return "FINISHED"
        if event.type == "ESC":
            return "CANCELLED"
        if event.type == "LEFTMOUSE" and event.value == "RELEASE" and editing.held is not None:
            editing.held = None
        elif view is None:
            return "PASS_THROUGH"
        elif event.type == "LEFTMOUSE" and event.value == "PRESS":
            editing.held = _point_under(context, view, event, head)
        elif event.type == "MOUSEMOVE" and editing.held is not None:
            vertex = _vertex_under(context, view, event, head)
            if vertex is not None and vertex not in editing.marks.values():
                editing.marks[editing.held] = vertex
        redraw()
        return "RUNNING_MODAL"


class KMTALK_OT_pick_landmarks(InView, bpy.types.Operator):
    """Click some twenty points of the face, which a picture shows; the other side and the rest follow from them"""

    bl_idname = "kmtalk.pick_landmarks"
    bl_label = "Pick"
    hint = "Click the point that the picture shows; Backspace takes one back, Enter completes the rest, Esc cancels"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: _head(context))

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        editing = Editing(_head(context).session_uid)
        _ask(editing)
        return self.begin(context, editing)

    def handle(self, context: bpy.types.Context, event: bpy.types.Event, head: bpy.types.Object) -> str:
        editing, view = current.editing, _view_under(context, event)
        if event.type == "ESC":
            return "CANCELLED"
        if event.type in {"RET", "NUMPAD_ENTER"} and event.value == "PRESS":
            return self.complete(context, head)
        if event.type == "BACK_SPACE" and event.value == "PRESS" and editing.marks:
            editing.marks.popitem()
            _ask(editing)
        elif view is None:
            return "PASS_THROUGH"
        elif event.type == "LEFTMOUSE" and event.value == "PRESS":
            vertex = _vertex_under(context, view, event, head)
            if vertex is not None:  # closed lips share what is seen of their edges
                editing.marks[editing.wanted] = vertex
                _ask(editing)
                if editing.wanted is None:
                    return self.complete(context, head)
        redraw()
        return "RUNNING_MODAL"

    def complete(self, context: bpy.types.Context, head: bpy.types.Object) -> str:
        for told in landmarks.note(head, landmarks.completed(head, current.editing.marks)):
            self.report({"WARNING"}, told)
        context.scene.kmtalk.show_landmarks = True
        self.report({"INFO"}, f"The face of {head.name} is known now. {landmarks.SHOW}")
        return "FINISHED"


def _ask(editing: Editing) -> None:
    """Set what is to be picked next."""
    from kmtalk_core.landmarks.picking import GUIDE

    left = [mark for mark in GUIDE if mark not in editing.marks]
    editing.wanted = left[0] if left else None
    count = f"{len(GUIDE) - len(left) + 1} of {len(GUIDE)}"
    editing.told = f"{count}: click {GUIDE[left[0]]}\n(left and right are the character's)" if left else ""


def _view_under(context: bpy.types.Context, event: bpy.types.Event) -> bpy.types.Region | None:
    """The region of a 3-D view in which the pointer is."""
    for area in context.screen.areas:
        if area.type != "VIEW_3D":
            continue
        over = [region for region in area.regions if _inside(region, event)]
        if over and all(region.type in {"WINDOW", "HEADER"} for region in over):
            return next((region for region in over if region.type == "WINDOW"), None)
    return None


def _inside(region: bpy.types.Region, event: bpy.types.Event) -> bool:
    x, y = event.mouse_x - region.x, event.mouse_y - region.y
    return 0 <= x < region.width and 0 <= y < region.height


def _vertex_under(
    context: bpy.types.Context, region: bpy.types.Region, event: bpy.types.Event, head: bpy.types.Object
) -> int | None:
    """The head's vertex under the pointer."""
    view = next(area for area in context.screen.areas if region in area.regions[:]).spaces.active.region_3d
    place, depsgraph = (event.mouse_x - region.x, event.mouse_y - region.y), context.evaluated_depsgraph_get()
    positions = landmarks.shown_positions(head, depsgraph)
    origin, way = region_2d_to_origin_3d(region, view, place), region_2d_to_vector_3d(region, view, place)
    return landmarks.vertex_under(head, depsgraph, origin, way, positions)


def _point_under(
    context: bpy.types.Context, region: bpy.types.Region, event: bpy.types.Event, head: bpy.types.Object
) -> int | None:
    """The landmark nearest to the pointer, if it is near."""
    pointer, marks = Vector((event.mouse_x - region.x, event.mouse_y - region.y)), current.editing.marks
    seen = screen_points(context, region, head, list(marks.values()))
    far = {mark: (place - pointer).length for mark, place in zip(marks, seen, strict=True) if place is not None}
    nearest = min(far, key=far.__getitem__, default=None)
    return nearest if nearest is not None and far[nearest] < NEAR * context.preferences.system.ui_scale else None


def draw(layout: bpy.types.UILayout, context: bpy.types.Context, mesh: bpy.types.Object) -> None:
    """What can be done about the landmarks of a head that has no shapes of its own."""
    noted = landmarks.of(mesh.data) is not None
    row = layout.row(align=True)
    row.use_property_split = False
    row.operator("kmtalk.find_landmarks", icon="VIEWZOOM", text="Find Again" if noted else "Find Landmarks")
    row.operator("kmtalk.pick_landmarks", icon="RESTRICT_SELECT_OFF")
    if not noted:
        sentence(layout, context, "Its face is not known yet: find it, or pick it yourself")
        return
    row = layout.row(align=True)
    row.use_property_split = False
    row.prop(context.scene.kmtalk, "show_landmarks", text="", icon="HIDE_OFF")
    row.operator("kmtalk.move_landmarks", icon="TRANSFORM_ORIGINS")
    row.operator("kmtalk.forget_landmarks", text="", icon="X")
    row = layout.row(align=True)
    row.use_property_split = False
    row.operator("kmtalk.mirror_landmarks", text="Mirror L > R", icon="MOD_MIRROR").left_to_right = True
    row.operator("kmtalk.mirror_landmarks", text="R > L").left_to_right = False


classes = (
    KMTALK_OT_find_landmarks,
    KMTALK_OT_mirror_landmarks,
    KMTALK_OT_forget_landmarks,
    KMTALK_OT_move_landmarks,
    KMTALK_OT_pick_landmarks,
)
