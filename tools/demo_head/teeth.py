"""Two dental arches with gums; each is one loft along its arch, pinched between the teeth so that they look single."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

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


UPPER = Arch("teeth_upper", UPPER_WIDTHS, UPPER_CROWNS, -1.0, -67.2, 80.6, 27.0, 36.0)
LOWER = Arch("teeth_lower", LOWER_WIDTHS, LOWER_CROWNS, 1.0, -66.0, 77.8, 24.5, 34.0)


def _curve(arch: Arch, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and outward normals (N, 2) in x, z at these lengths along the half arch from the middle."""
    a = np.linspace(0, np.pi / 2, 2000)
    x, z = arch.half_width * np.sin(a), arch.front_z - arch.depth * (1 - np.cos(a)) ** 0.95
    run = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(z)))])
    at = np.column_stack([np.interp(length, run, x), np.interp(length, run, z)])
    ahead = np.column_stack([np.interp(length + 0.05, run, x), np.interp(length + 0.05, run, z)])
    behind = np.column_stack(
        [
            np.where(length > 0.05, np.interp(length - 0.05, run, x), -np.interp(0.05, run, x)),
            np.interp(np.abs(length - 0.05), run, z),
        ]
    )
    along = ahead - behind
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return at, np.column_stack([-along[:, 1], along[:, 0]])


def arch(a: Arch) -> Piece:
    b = Builder()
    rows, flags, start, station = [], [], 0.0, 0
    for n, width in enumerate(a.widths):
        for s in (*STATIONS, *((1.0,) if n == len(a.widths) - 1 else ())):
            at, normal = _curve(a, np.array([start + s * width]))
            pinch = abs(2 * s - 1) ** 4  # 1 between teeth, 0 in the middle
            thick, blunt = THICKNESS[n] * (1 - 0.30 * pinch), BLUNT[n]
            front = -1.5 * pinch
            edge_lift = 1.1 * pinch + (0.0 if n < 3 else 0.6 * (n - 2) ** 1.2) + (0.7 if n == 1 and a.down < 0 else 0)
            neck = a.crowns[0] - (a.crowns[0] - a.crowns[n]) * 0.5 - 2.0 * pinch
            profile = (  # outwards along the normal, height over the incisors' edge, material of the strip after it
                (-thick - 1.5, neck + 9.0, "gums"),
                (-0.4, neck + 9.0, "gums"),
                (1.0, neck + 4.0, "gums"),
                (0.9, neck + 0.9, "gums"),
                (front - 0.1, neck + 0.2, "teeth"),
                (front + 0.35, neck * 0.62, "teeth"),
                (front - 0.2, neck * 0.25, "teeth"),
                (front - 0.9, edge_lift + 0.5, "teeth"),
                (front - 1.4, edge_lift, "teeth"),
                (front - 1.4 - thick * blunt * 0.8, edge_lift + 0.2, "teeth"),
                (-thick * (0.35 + 0.6 * blunt), neck * 0.35, "teeth"),
                (-thick, neck * 0.8, "gums"),
                (-thick - 1.5, neck + 1.5, "gums"),
            )
            row = []
            for k, (out, high, material) in enumerate(profile):
                x, z = at[0] + normal[0] * out
                y = a.edge_y - a.down * high
                b.vertex((station, k), (max(x, 0.0) if station else 0.0, y, z))
                row.append((station, k))
                if station == 0:
                    flags.append(material)
            rows.append(row)
            station += 1
        start += width
    for near, far in pairwise(rows):
        for k in range(len(near)):
            n = (k + 1) % len(near)
            quad = (near[k], near[n], far[n], far[k])
            b.face(flags[k], *(quad if a.down < 0 else quad[::-1]))
    end = rows[-1]
    b.vertex("end", np.mean([b.at(k) for k in end], axis=0))
    for k in range(len(end)):
        n = (k + 1) % len(end)
        triangle = (end[k], end[n], "end")
        b.face("teeth" if flags[k] == "teeth" else "gums", *(triangle if a.down < 0 else triangle[::-1]))
    return mirror_and_weld(b.piece(a.name))[0]
