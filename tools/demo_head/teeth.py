"""Two dental arches with gums; each is one loft along its arch, pinched between the teeth so that they look single."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from .mesh import Builder, Piece, mirror_and_weld

# Width of each tooth from the middle, mm (Wheeler's Dental Anatomy: mean mesiodistal diameters).
UPPER_WIDTHS = (8.5, 6.6, 7.6, 7.0, 6.8, 10.0)
LOWER_WIDTHS = (5.3, 5.7, 6.8, 7.0, 7.1, 11.0)
# How long each crown shows, and how thick it is at its neck, mm.
UPPER_CROWNS = (10.2, 9.0, 9.8, 8.2, 7.4, 6.8)
LOWER_CROWNS = (8.4, 8.6, 9.2, 8.0, 7.2, 6.6)
THICKNESS = (6.0, 5.6, 7.0, 8.0, 8.5, 10.0)
BLUNT = (0.22, 0.22, 0.3, 0.7, 0.75, 0.85)  # thickness of the edge against the neck: incisors thin, molars broad
STATIONS = (0.0, 0.12, 0.32, 0.5, 0.68, 0.88)  # across each tooth; the next one's 0 closes it


@dataclass(frozen=True)
class Arch:
    name: str
    widths: tuple[float, ...]
    crowns: tuple[float, ...]
    down: float  # direction of the crowns along y: -1 upper, 1 lower
    edge_y: float  # y of the incisors' edges
    front_z: float
    half_width: float
    depth: float
    rise: float  # of the premolars' edges behind the canine's, mm: they stay in the lips' shade


UPPER = Arch("teeth_upper", UPPER_WIDTHS, UPPER_CROWNS, -1.0, -68.3, 80.6, 23.4, 37.5, 1.2)
LOWER = Arch("teeth_lower", LOWER_WIDTHS, LOWER_CROWNS, 1.0, -66.0, 77.8, 22.8, 34.5, 0.6)


def arch(a: Arch) -> Piece:
    """A whole dental arch: rings of its profile along the left half, mirrored."""
    at_teeth = [(n, s) for n in range(len(a.widths)) for s in STATIONS] + [(len(a.widths) - 1, 1.0)]
    starts = np.concatenate([[0.0], np.cumsum(a.widths)])
    points, normals = _curve(a, np.array([starts[n] + s * a.widths[n] for n, s in at_teeth]))
    b = Builder()
    materials = [material for _, _, material in _profile(a, 0, 0.0)]
    count, last = len(materials), len(at_teeth) - 1
    for station, (n, s) in enumerate(at_teeth):
        for k, (out, high, _) in enumerate(_profile(a, n, s)):
            x, z = points[station] + normals[station] * out
            b.vertex((station, k), (max(x, 0.0) if station else 0.0, a.edge_y - a.down * high, z))
    b.vertex("end", np.mean([b.at((last, k)) for k in range(count)], axis=0))

    def face(material: str, *keys: Hashable) -> None:
        b.face(material, *(keys if a.down < 0 else keys[::-1]))

    for k, material in enumerate(materials):
        n = (k + 1) % count
        for station in range(last):
            face(material, (station, k), (station, n), (station + 1, n), (station + 1, k))
        face(material, (last, k), (last, n), "end")
    return mirror_and_weld(b.piece(a.name))[0]


def _curve(a: Arch, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and outward normals (N, 2) in x, z at these lengths along the half arch from the middle."""
    t = np.linspace(-0.1, np.pi / 2, 2000)
    x, z = a.half_width * np.sin(t), a.front_z - a.depth * (1 - np.cos(t)) ** 0.95
    run = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(z)))])
    run -= np.interp(0.0, t, run)

    def at(where: np.ndarray) -> np.ndarray:
        return np.column_stack([np.interp(where, run, x), np.interp(where, run, z)])

    along = at(length + 0.05) - at(length - 0.05)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return at(length), np.column_stack([-along[:, 1], along[:, 0]])


def _profile(a: Arch, n: int, s: float) -> tuple[tuple[float, float, str], ...]:
    """Across tooth `n` at `s` (0..1) of its width: outwards from the arch, height over the incisors' edges (mm), and
    the material of the strip that follows; from the inner gum over the outer one and round the crown."""
    pinch = abs(2 * s - 1) ** 4  # 1 between teeth, 0 in the middle
    thick, blunt = THICKNESS[n] * (1 - 0.30 * pinch), BLUNT[n]
    front = -1.5 * pinch
    neck = (a.crowns[0] + a.crowns[n]) / 2 - 2.0 * pinch
    edge = 1.1 * pinch + a.rise * max(n - 2, 0) ** 1.2
    if n == 1 and a.down < 0:
        edge += 0.7  # the upper lateral incisors are shorter
    return (
        (-thick - 1.5, neck + 9.0, "gums"),
        (-0.4, neck + 9.0, "gums"),
        (1.0, neck + 4.0, "gums"),
        (0.9, neck + 0.9, "gums"),
        (front - 0.1, neck + 0.2, "teeth"),
        (front + 0.35, neck * 0.62, "teeth"),
        (front - 0.2, neck * 0.25, "teeth"),
        (front - 0.9, edge + 0.5, "teeth"),
        (front - 1.4, edge, "teeth"),
        (front - 1.4 - thick * blunt * 0.8, edge + 0.2, "teeth"),
        (-thick * (0.35 + 0.6 * blunt), neck * 0.35, "teeth"),
        (-thick, neck * 0.8, "gums"),
        (-thick - 1.5, neck + 1.5, "gums"),
    )
