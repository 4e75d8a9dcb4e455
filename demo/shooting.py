"""From Blender's scene to what pictures are taken of: the poses of film and contact sheet, and their light."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import bpy
import numpy as np

from kmtalk_addon import example as stage
from kmtalk_core.delivery.raster import OVER

from . import bake, capture, film, light
from .blend import Shot
from .edit import Edit
from .film import Played
from .picture import Camera, Studio
from .pictures import Shoot

CLOSE_UP = 2.1  # how much nearer than for the film
CLOSE_UP_SIZE = 300  # pixels
CLOSE_UP_SHIFT = {"front": (0.0, -0.2), "side": (-0.32, -0.2)}  # of the picture's size: from the head to the mouth


@dataclass(frozen=True)
class Recording:
    """The vertices on some frames of the scene: `points` (T, V, 3), and the row of each frame."""

    rows: dict[int, int]
    points: np.ndarray

    @classmethod
    def of(cls, shot: Shot, frames: Sequence[int]) -> Recording:
        """Play `frames`, counted from 0."""
        numbers = [shot.scene.frame_start + frame for frame in frames]
        return cls(
            {frame: row for row, frame in enumerate(frames)}, capture.mesh_motion(shot.scene, shot.head, numbers)
        )

    def __contains__(self, frame: int) -> bool:
        return frame in self.rows

    def __getitem__(self, frame: int) -> np.ndarray:
        return self.points[self.rows[frame]]


def prepare(
    shot: Shot,
    generated: Recording,
    edit: Edit | None,
    poses: Sequence[Played],
    progress: Callable[[float, str], None],
) -> Shoot:
    """What is needed to take pictures of `poses`, whose numbers in the result are their places there.

    `generated` is the motion from before the edit; the scene plays the one after it.
    """
    edited = Recording.of(shot, edit.frames if edit else [])
    changed = set(edit.frames) if edit else set()

    def at(frame: int, after: bool) -> np.ndarray:
        return edited[frame] if after and frame in edited else generated[frame]

    motion = np.empty((len(poses), len(shot.head.data.vertices), 3), np.float32)
    playable = []  # as the scene is now
    for number, pose in enumerate(poses):
        low = int(pose.frame)
        part = np.float32(pose.frame - low)
        motion[number] = at(low, pose.edited)
        if part:
            motion[number] += part * (at(low + 1, pose.edited) - motion[number])
        elif pose.edited or low not in changed:
            playable.append(number)

    weights = light.components(motion)
    chosen = [playable[row] for row in light.telling_poses(weights[playable], light.POSES)]
    albedo, emission = bake.own_colours(shot.scene, shot.head)
    numbers = [shot.scene.frame_start + int(poses[number].frame) for number in chosen]
    measured = bake.measure(shot.scene, shot.head, numbers, progress)
    surface = capture.surface(shot.head, albedo, emission)
    studio = Studio(
        surface, capture.lamps(shot.scene), np.array(stage.WORLD, np.float32), capture.tone_curve(shot.scene)
    )
    return Shoot(studio, motion, light.fit(measured, chosen, weights, surface), _views(shot.scene))


def _views(scene: bpy.types.Scene) -> dict[str, tuple[Camera, np.ndarray]]:
    large, small = (capture.backdrop(scene, size * OVER) for size in (film.PICTURE, CLOSE_UP_SIZE))
    views: dict[str, tuple[Camera, np.ndarray]] = {}
    for view in ("front", "three_quarter"):
        with _camera(scene, view) as obj:
            views[view] = capture.camera(obj), large
    for view, shift in CLOSE_UP_SHIFT.items():
        with _camera(scene, view) as obj:
            obj.data.lens *= CLOSE_UP
            obj.data.shift_x, obj.data.shift_y = shift
            views[f"{view} close-up"] = capture.camera(obj), small
    return views


@contextmanager
def _camera(scene: bpy.types.Scene, view: stage.View) -> Iterator[bpy.types.Object]:
    obj = stage.add_camera(scene.collection, view)
    try:
        bpy.context.view_layer.update()
        yield obj
    finally:
        data = obj.data
        bpy.data.objects.remove(obj)
        bpy.data.cameras.remove(data)
