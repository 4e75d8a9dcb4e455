"""A picture of the head: light that falls on its surface, gleams, tones, and pixels. Knows numpy only, not Blender."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kmtalk_core.delivery.raster import Samples, rasterise, resolve

GREY, STOPS_BELOW, STOPS_ABOVE = 0.18, 10.0, 6.0  # what the table of tones spans around middle grey


@dataclass(frozen=True)
class Surface:
    """A mesh of V vertices and T triangles with its materials.

    Where materials meet, a vertex has a spot for each of them: `vertex` (S,) of each spot; `triangles` (T, 3) spots;
    `albedo`, `emission` (S, 3) linear; `roughness`, `specular` (reflection head-on), `material` (V,); `scatters` (V,)
    bool, light spreads under the surface; `coat` (T,) weight of a clear, smooth coat.
    """

    vertex: np.ndarray
    triangles: np.ndarray
    albedo: np.ndarray
    emission: np.ndarray
    roughness: np.ndarray
    specular: np.ndarray
    scatters: np.ndarray
    material: np.ndarray
    coat: np.ndarray

    def normals(self, points: np.ndarray) -> np.ndarray:
        """(V, 3) unit normals of a pose `points` (V, 3), weighted by area."""
        corners = self.vertex[self.triangles]
        a, b, c = (points[corners[:, k]] for k in range(3))
        face = np.cross(b - a, c - a)
        out = np.stack(
            [
                sum(np.bincount(corners[:, k], face[:, axis], len(points)) for k in range(3))  # type: ignore[misc]
                for axis in range(3)
            ],
            axis=1,
        )
        return (out / np.maximum(_length(out), 1e-12)[:, None]).astype(np.float32)


@dataclass(frozen=True)
class Lamp:
    """A square area light: `place` (3,); rows of `axes` (3, 3), it shines along -axes[2]; `size` m; `power` (3,) W."""

    place: np.ndarray
    axes: np.ndarray
    size: float
    power: np.ndarray
    diffuse: bool
    glossy: bool

    def reaching(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit directions (V, 3) to the lamp, and how strongly (V,) a surface that faces it is lit for each W."""
        way = self.place - points
        distance = _length(way)
        way = way / distance[:, None]
        return way, np.maximum(way @ self.axes[2], 0) / (np.pi * distance**2)


@dataclass(frozen=True)
class Camera:
    """`place` (3,); `axes` (3, 3) rows: right, up and backwards; `focal` and `shift` in heights of the picture."""

    place: np.ndarray
    axes: np.ndarray
    focal: float
    shift: tuple[float, float]

    def project(self, points: np.ndarray, size: int) -> np.ndarray:
        """(V, 3) float32: x to the right and y downwards in samples of a square picture, and 1 / distance."""
        right, up, back = ((points - self.place) @ self.axes.T.astype(np.float32)).T
        near = -1 / back
        x = 0.5 + self.focal * right * near - self.shift[0]
        y = 0.5 - self.focal * up * near + self.shift[1]
        return np.stack([x * size, y * size, near], axis=1).astype(np.float32)


@dataclass(frozen=True)
class ToneCurve:
    """What a screen shows, 0..1, for linear light: `table` (n, n, n, 3) over the stops of red, green and blue."""

    table: np.ndarray

    @staticmethod
    def light(position: np.ndarray) -> np.ndarray:
        """Linear light at places 0..1 of the table."""
        return GREY * 2 ** (position * (STOPS_BELOW + STOPS_ABOVE) - STOPS_BELOW)

    def __call__(self, light: np.ndarray) -> np.ndarray:
        """(N, 3) float32 for `light` (N, 3)."""
        count = len(self.table)
        stops = np.log2(np.maximum(light, 1e-6) / GREY) + STOPS_BELOW
        at = np.clip(stops * ((count - 1) / (STOPS_BELOW + STOPS_ABOVE)), 0, count - 1.001).astype(np.float32)
        low = at.astype(np.int32)
        part = (at - low).T
        flat = self.table.reshape(-1, 3)
        base = (low[:, 0] * count + low[:, 1]) * count + low[:, 2]
        out = np.zeros(light.shape, np.float32)
        for corner in range(8):
            r, g, b = corner >> 2 & 1, corner >> 1 & 1, corner & 1
            share = part[0] if r else 1 - part[0]
            share = share * (part[1] if g else 1 - part[1]) * (part[2] if b else 1 - part[2])
            out += share[:, None] * flat[base + (r * count + g) * count + b]
        return out


@dataclass(frozen=True)
class Studio:
    """All that stays the same from picture to picture. `world` (3,) is the light from all sides."""

    surface: Surface
    lamps: tuple[Lamp, ...]
    world: np.ndarray
    tones: ToneCurve

    def paint(self, points: np.ndarray, light: np.ndarray, camera: Camera, background: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8: the pose `points` (V, 3) in `light` (V, 3), over `background` (H·OVER, W·OVER, 3) 0..1.

        `light` is what falls on the surface: what a white matt one would send back.
        """
        surface, size = self.surface, background.shape[0]
        normals = surface.normals(points)
        lit = surface.albedo * light[surface.vertex] + surface.emission
        reached = self._reached(points, normals, light)
        lit += (self._gleam(points, normals, camera) * reached[:, None])[surface.vertex]
        screen = camera.project(points, size)[surface.vertex]
        seen = rasterise(screen[surface.triangles], (size, size))
        shown = self.tones(lit)
        colours = np.einsum("nkc,nk->nc", shown[surface.triangles][seen.triangle], seen.weights)
        coated = np.flatnonzero(surface.coat[seen.triangle] > 0)
        if len(coated):
            part = Samples(seen.place[coated], seen.triangle[coated], seen.weights[coated])
            colours[coated] = self._coated(part, points, normals, reached, lit, camera)
        return np.clip(resolve(colours, seen.place, background) * 255 + 0.5, 0, 255).astype(np.uint8)

    def _reached(self, points: np.ndarray, normals: np.ndarray, light: np.ndarray) -> np.ndarray:
        """(V,) the share 0..1 of the light that is not kept off by something in between."""
        free = np.broadcast_to(self.world, points.shape).copy()
        for lamp in self.lamps:
            if lamp.diffuse:
                way, strength = lamp.reaching(points)
                turned = np.maximum(_dot(normals, way), 0)
                free += (strength * turned)[:, None] * lamp.power / np.pi
        return np.clip(light.sum(1) / np.maximum(free.sum(1), 1e-6), 0, 1).astype(np.float32)

    def _gleam(self, points: np.ndarray, normals: np.ndarray, camera: Camera) -> np.ndarray:
        """(V, 3) what rough surfaces reflect of the lamps (GGX) and of the world, if nothing is in between."""
        surface = self.surface
        view = camera.place - points
        view /= _length(view)[:, None]
        facing = np.clip(_dot(normals, view), 0.05, 1)
        out = _fresnel(surface.specular, facing, surface.roughness)[:, None] * self.world
        for lamp in self.lamps:
            if not lamp.glossy:
                continue
            way, strength = lamp.reaching(points)
            turned = np.maximum(_dot(normals, way), 0)
            half = way + view
            half /= _length(half)[:, None]
            along = np.clip(_dot(way, half), 0.05, 1)
            width = np.minimum(surface.roughness**2 + 0.15 * lamp.size, 1) ** 2
            peak = np.maximum(_dot(normals, half), 0) ** 2 * (width - 1) + 1
            mirrored = width / (4 * np.pi * peak**2 * along**2) * _fresnel(surface.specular, along)
            out += (strength * turned * mirrored)[:, None] * lamp.power
        return out

    def _coated(
        self,
        seen: Samples,
        points: np.ndarray,
        normals: np.ndarray,
        reached: np.ndarray,
        lit: np.ndarray,
        camera: Camera,
    ) -> np.ndarray:
        """(N, 3) samples under a clear coat, in which the lamps mirror themselves."""
        corners = self.surface.triangles[seen.triangle]
        vertices = self.surface.vertex[corners]
        place, normal, light = (
            np.einsum("nkc,nk->nc", values, seen.weights)
            for values in (points[vertices], normals[vertices], lit[corners])
        )
        normal /= np.maximum(_length(normal), 1e-6)[:, None]
        view = camera.place - place
        view /= _length(view)[:, None]
        facing = _dot(normal, view)
        mirror = 2 * facing[:, None] * normal - view
        clear = _dot(reached[vertices], seen.weights)
        weight = clear * self.surface.coat[seen.triangle] * _fresnel(np.float32(0.04), np.clip(facing, 0, 1))
        gleam = np.broadcast_to(self.world * 0.5, light.shape).copy()
        for lamp in self.lamps:
            if not lamp.glossy:
                continue
            down = mirror @ lamp.axes[2]
            with np.errstate(divide="ignore", invalid="ignore"):
                hit = place + mirror * (((lamp.place - place) @ lamp.axes[2]) / down)[:, None] - lamp.place
            inside = (down > 0) & (np.abs(hit @ lamp.axes[:2].T) < lamp.size / 2).all(1)
            gleam[inside] += lamp.power / (np.pi * lamp.size**2)
        return self.tones(light + weight[:, None] * gleam)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) of (N, 3) and (N, 3); much faster than a sum along so short an axis."""
    return np.einsum("nc,nc->n", a, b)


def _length(vectors: np.ndarray) -> np.ndarray:
    """(N,) of (N, 3)."""
    return np.sqrt(_dot(vectors, vectors))


def _fresnel(head_on: np.ndarray | np.float32, cosine: np.ndarray, roughness: np.ndarray | float = 0.0) -> np.ndarray:
    """Schlick's share of light that is reflected, less at the rim of rough surfaces."""
    return head_on + (np.maximum(1 - roughness, head_on) - head_on) * (1 - cosine) ** 5
