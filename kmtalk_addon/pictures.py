"""Picture sequences: the image of a material's node, or of an empty, one of whose numbered files is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy


@dataclass(frozen=True)
class Picture:
    """Where an image is used: `path` of its image user from `block` on; `numbers` of its files, ascending."""

    block: Any
    path: str
    image: bpy.types.Image
    numbers: tuple[int, ...]

    @property
    def user(self) -> bpy.types.ImageUser:
        """What says which of the pictures is shown."""
        return self.block.path_resolve(self.path)


def picture_of(obj: bpy.types.Object, node: str = "") -> Picture | None:
    """The picture sequence of an object, in the node of that name if one is named; None without any."""
    if obj.type == "EMPTY":
        if obj.empty_display_type != "IMAGE" or obj.data is None:
            return None
        return Picture(obj, "image_user", obj.data, numbers_of(obj.data))
    found = [picture for picture in _in_materials(obj, node) if node or is_sequence(picture)]
    return max(found, key=lambda picture: len(picture.numbers), default=None)


def show_one_picture(picture: Picture) -> None:
    """Let the image user show the first picture on all frames, so that its offset alone chooses."""
    if picture.image.source != "SEQUENCE":
        picture.image.source = "SEQUENCE"
    user = picture.user
    user.frame_start, user.frame_duration, user.use_cyclic, user.use_auto_refresh = 1, 1, True, True


def is_sequence(picture: Picture) -> bool:
    """Whether an image is one of several numbered files."""
    return picture.image.source == "SEQUENCE" or len(picture.numbers) > 2


def numbers_of(image: bpy.types.Image) -> tuple[int, ...]:
    """The numbers of an image's files: those beside it that have its name."""
    path = Path(bpy.path.abspath(image.filepath, library=image.library)) if image.filepath else None
    match = re.fullmatch(r"(.*?)(\d+)(\D*)", path.name) if path is not None else None
    if path is None or match is None or not path.parent.is_dir():
        return ()
    like = re.compile(re.escape(match[1]) + r"(\d+)" + re.escape(match[3]))
    return tuple(sorted(int(found[1]) for file in path.parent.iterdir() if (found := like.fullmatch(file.name))))


def _in_materials(obj: bpy.types.Object, wanted: str) -> Iterator[Picture]:
    for slot in getattr(obj, "material_slots", ()):
        material = slot.material
        for node in material.node_tree.nodes if material is not None and material.node_tree is not None else ():
            if node.type == "TEX_IMAGE" and node.image is not None and wanted in ("", node.name):
                path = f'node_tree.nodes["{bpy.utils.escape_identifier(node.name)}"].image_user'
                yield Picture(material, path, node.image, numbers_of(node.image))
