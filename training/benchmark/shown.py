"""What systems look like beside each other: a film, a sheet of phones (the paper's Fig. 3), error maps (Fig. 4).

Everywhere the captured face comes first; errors are heat on the captured face, on one scale for all systems.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kmtalk_core.audio import SAMPLE_RATE
from kmtalk_core.files import written_whole
from kmtalk_core.phones import Phone
from training.captured.dataset import CapturedClip, DataSet
from training.captured.film import Stage
from training.captured.mp4 import encode

PANEL, CAPTION, LEFT = 200, 20, 96  # pixels
CAPTURED = "captured"
# Phones whose faces differ most, of each group the first one that a sentence has: closed, on the teeth, rounded, open,
# spread, narrow.
GROUPS = (
    ("P", "B", "M"), ("F", "V"), ("UW", "OW", "W", "UH", "OY"), ("AA", "AE", "AO", "AY", "AW", "AH"),
    ("IY", "IH", "EY", "EH"), ("S", "Z", "SH", "CH", "JH", "T", "D"),
)  # fmt: skip


def write_film(path: Path, data: DataSet, stage: Stage, clip: CapturedClip, made: Mapping[str, np.ndarray]) -> None:
    """All systems side by side with the sound, errors below: `made` (T, V, 3) by name. An .mp4, whole or not at all."""
    true, phones = data.vertices(clip), data.alignment(clip).phones
    frames = min(len(true), *(len(vertices) for vertices in made.values()))
    samples = data.samples(clip)[: round(frames / data.fps * SAMPLE_RATE)]
    with written_whole(path) as partial:
        encode(partial, _frames(stage, true, made, phones, data.fps, frames), data.fps, samples)


def _frames(
    stage: Stage, true: np.ndarray, made: Mapping[str, np.ndarray], phones: tuple[Phone, ...], fps: float, count: int
) -> Iterator[np.ndarray]:
    for k in range(count):
        said = next((p.label.lower() for p in phones if p.start <= k / fps < p.end), "")
        faces = [(CAPTURED, true[k]), *((name, vertices[k]) for name, vertices in made.items())]
        upper = [_panel(stage.picture(face, size=PANEL), name) for name, face in faces]
        heats = [stage.heat(np.linalg.norm(face - true[k], axis=1)) for _, face in faces[1:]]
        below = [_panel(stage.picture(true[k], heat, PANEL), "") for heat in heats]
        scale = _note([f"{k / fps:.2f} s", said, "", "below: error,", f"0 … {stage.hottest:.2g} {stage.unit}"])
        yield np.concatenate([np.concatenate(upper, 1), np.concatenate([scale, *below], 1)], 0)


def write_sheet(path: Path, data: DataSet, stage: Stage, clip: CapturedClip, made: Mapping[str, np.ndarray]) -> None:
    """One phone of each group in the middle of its time, a row a system: its face and its error. A .png."""
    true = data.vertices(clip)
    instants = phone_frames(data.alignment(clip).phones, data.fps, len(true))
    rows = [[_blank(LEFT, CAPTION, ""), *(_blank(2 * PANEL, CAPTION, f"  {name}") for name, _ in instants)]]
    for name, vertices in {CAPTURED: true, **made}.items():
        row = [_blank(LEFT, PANEL, name)]
        for _, k in instants:
            face = vertices[min(k, len(vertices) - 1)]
            error = np.linalg.norm(face - true[k], axis=1)
            shown = stage.picture(face, size=PANEL)
            heat = np.full_like(shown, 255) if name == CAPTURED else stage.picture(true[k], stage.heat(error), PANEL)
            row.append(np.concatenate([shown, heat], 1))
        rows.append(row)
    _save(np.concatenate([np.concatenate(row, 1) for row in rows], 0), path)


def write_error_maps(path: Path, stage: Stage, errors: Mapping[str, np.ndarray]) -> None:
    """Mean errors (V,) of each system side by side. A .png."""
    panels = [_panel(stage.error_map(of_system, PANEL), name) for name, of_system in errors.items()]
    scale = _note(["mean error,", f"0 … {stage.hottest:.2g}", stage.unit])
    _save(np.concatenate([*panels, scale], 1), path)


def phone_frames(phones: tuple[Phone, ...], fps: float, frames: int) -> list[tuple[str, int]]:
    """(phone, frame) of GROUPS, as far as they are said, in the order of time."""
    found = []
    for group in GROUPS:
        said = [p for p in phones if p.label in group and p.end * fps < frames]
        if said:
            longest = max(said, key=lambda p: p.end - p.start)
            found.append((longest.label.lower(), round((longest.start + longest.end) / 2 * fps)))
    return sorted(found, key=lambda pair: pair[1])


def _panel(picture: np.ndarray, name: str) -> np.ndarray:
    return np.concatenate([_blank(picture.shape[1], CAPTION, name), picture], 0)


def _note(lines: list[str]) -> np.ndarray:
    return _blank(PANEL, PANEL + CAPTION, "\n".join(lines))


def _blank(width: int, height: int, text: str) -> np.ndarray:
    image = Image.new("RGB", (width, height), (255, 255, 255))
    ImageDraw.Draw(image).multiline_text((5, 2), text, (0, 0, 0), ImageFont.load_default(13))
    return np.asarray(image)


def _save(pixels: np.ndarray, path: Path) -> None:
    with written_whole(path) as partial:
        Image.fromarray(pixels).save(partial)
