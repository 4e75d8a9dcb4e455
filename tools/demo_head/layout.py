"""The face's quad mesh: a grid of rows round the head and columns from the front to the back of the left half,
with concentric rings set into it round the mouth, the eye, the nostril and the ear; then fitted to the sculpted skin.

Keys: ("g", row, column); ("m", ring, t) mouth, ring 0 the slit, negative inwards, t from the upper centre over the
corner to the lower centre; ("e", ring, t) eye, ring 0 the lid margin, t from the inner corner over the upper lid;
("n", ring, t) nostril; ("a", ring, t) ear; "top", "nostril" and "ear" close what they name.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from . import ear, lids, lips
from .implicit import cast_z, gradient, project
from .mesh import Builder, neighbours
from .sculpt import EYE_RADIUS, LID_THICKNESS, skin

# Rows: index; front (y, z); side (x, y, z); back (y, z), mm.
ROWS = (
    (0, (-202, 24), (92, -184, -36), (-172, -92)),
    (3, (-184, 22), (66, -170, -34), (-152, -84)),
    (6, (-154, 24), (51, -138, -24), (-118, -74)),
    (8, (-132, 30), (50, -110, -18), (-95, -76)),
    (10, (-118, 50), (54, -88, -8), (-78, -80)),
    (12, (-114, 74), (61, -74, -5), (-62, -86)),
    (14, (-101, 87), (67, -61, -6), (-47, -92)),
    (16, (-86, 84), (70, -48, -7), (-33, -98)),
    (24, (-45, 90), (74, -20, -8), (-4, -104)),
    (26, (-41, 104), (74, -14, -8), (2, -105)),
    (28, (-32, 111), (75, -8, -8), (9, -106)),
    (31, (-18, 100), (75, 0, -8), (17, -106)),
    (37, (15, 88), (76, 22, -9), (34, -105)),
    (39, (25, 89), (75, 30, -9), (42, -103)),
    (43, (52, 88), (72, 50, -9), (60, -98)),
    (47, (82, 72), (60, 76, -9), (82, -82)),
    (51, (104, 40), (36, 103, -9), (104, -50)),
    (53, (113, 12), (12, 113, -9), (113, -26)),
)
TOP = (0.0, 116.0, -9.0)
# Column: azimuth round the head, degrees. Dense over nose, mouth and eye.
COLUMNS = ((0, 0), (5, 12), (13, 52), (20, 100), (28, 180))
MOUTH_ROWS, MOUTH_COLUMN = (16, 24), 10
EYE_ROWS, EYE_COLUMNS = (31, 37), (5, 13)
NOSTRIL_ROWS, NOSTRIL_COLUMNS = (24, 26), (1, 3)
EAR_ROWS, EAR_COLUMNS = (24, 37), (20, 22)
HOLES = (
    (MOUTH_ROWS, (-1, MOUTH_COLUMN)),
    (EYE_ROWS, EYE_COLUMNS),
    (NOSTRIL_ROWS, NOSTRIL_COLUMNS),
    (EAR_ROWS, EAR_COLUMNS),
)
NOSTRIL_CENTRE, NOSTRIL_RADII = np.array([7.6, -41.5, 95.2]), (4.9, 2.7)  # mm; half length, half width of the rim
NOSTRIL_SLANT = np.radians(24)  # the long axes of both meet at the tip
# Its rings, from the grid's own on the skin inwards: size against the rim, how far up and to the middle, mm.
NOSTRIL_RINGS = ((1.45, 0.0, 0.0), (1.0, 0.0, 0.0), (0.86, 1.6, 0.1), (0.66, 8.0, 1.2))
MOUTH_RINGS, EYE_RINGS = 9, 8  # from slit or lid margin to the grid
LID_RINGS = len(lids.ABOVE)
SMOOTHING_ROUNDS = 60

LAST_ROW, LAST_COLUMN = ROWS[-1][0], COLUMNS[-1][0]
HALF_LIP = MOUTH_COLUMN + (MOUTH_ROWS[1] - MOUTH_ROWS[0]) // 2  # quads from the centre to the corner
EYE_COUNT = 2 * (EYE_ROWS[1] - EYE_ROWS[0] + EYE_COLUMNS[1] - EYE_COLUMNS[0])


def mouth_ring(k: int) -> list:
    """Keys of ring `k` round the left half of the mouth; the outermost is the grid's own."""
    if k < MOUTH_RINGS:
        return [("m", k, t) for t in range(2 * HALF_LIP + 1)]
    low, high = MOUTH_ROWS
    return (
        [("g", high, j) for j in range(MOUTH_COLUMN)]
        + [("g", i, MOUTH_COLUMN) for i in range(high, low, -1)]
        + [("g", low, j) for j in range(MOUTH_COLUMN, -1, -1)]
    )


def eye_ring(k: int) -> list:
    if k < EYE_RINGS:
        return [("e", k, t) for t in range(EYE_COUNT)]
    (low, high), (left, right) = EYE_ROWS, EYE_COLUMNS
    loop = (
        [("g", i, left) for i in range(low, high)]
        + [("g", high, j) for j in range(left, right)]
        + [("g", i, right) for i in range(high, low, -1)]
        + [("g", low, j) for j in range(right, left, -1)]
    )
    start = (high - low) // 2
    return loop[start:] + loop[:start]


def half_face() -> Builder:
    """The left half of the face component, fitted; vertices on the mirror plane have x = 0 exactly."""
    b = Builder()
    _grid(b)
    fixed = _mouth(b) | _eye(b) | _nostril(b) | _ear(b)
    _faces(b)
    _fit(b, fixed)
    _pocket(b)
    return b


def _grid(b: Builder) -> None:
    index = [r[0] for r in ROWS]
    table = PchipInterpolator(index, [(*r[1], *r[2], *r[3]) for r in ROWS])
    azimuth = PchipInterpolator(*zip(*COLUMNS, strict=True))
    for i in range(LAST_ROW + 1):
        yf, zf, xs, ys, zs, yb, zb = table(i)
        for j in range(LAST_COLUMN + 1):
            if any(low < i < high and left < j < right for (low, high), (left, right) in HOLES):
                continue
            a = np.radians(float(azimuth(j)))
            end_y, end_z = (yf, zf) if a <= np.pi / 2 else (yb, zb)
            c, s = abs(np.cos(a)), np.sin(a)
            y = ys + (end_y - ys) * c**1.5
            b.vertex(("g", i, j), (xs * s if 0 < j < LAST_COLUMN else 0.0, y, zs + (end_z - zs) * c))
    b.vertex("top", TOP)


def _mouth(b: Builder) -> set:
    """Place the mouth's rings; those of the red are fixed."""
    n, fixed = HALF_LIP, set()
    t = np.arange(n + 1) / n
    red = len(lips.RED_RINGS) - 1
    rim = np.array([b.at(key) for key in mouth_ring(MOUTH_RINGS)])
    for upper in (True, False):
        slit, border = lips.slit(t), lips.border(t, upper)
        steps = np.arange(n + 1) if upper else np.arange(2 * n, n - 1, -1)
        for k, s in enumerate(lips.RED_RINGS):
            xy = slit + (border - slit) * s
            xy[n] = slit[n] + np.array([lips.CORNER_WIDTH * s, 0.0])
            z = cast_z(skin, xy) + lips.relief(s, t, upper)
            z[n] = cast_z(skin, xy[n:])[0] - lips.CORNER_DEPTH * (1 - s)
            if k == 0:
                xy[:n, 1] += 0.5 * lips.GAP if upper else -0.5 * lips.GAP
            points = np.column_stack([xy, z])
            for step, point in zip(steps, points, strict=True):
                b.vertex(("m", k, step), point)
                fixed.add(("m", k, step))
        for k in range(red + 1, MOUTH_RINGS):
            for step, point in zip(
                steps, points + (rim[steps] - points) * (k - red) / (MOUTH_RINGS - red), strict=True
            ):
                b.vertex(("m", k, step), point)
    return fixed


def _eye(b: Builder) -> set:
    """Place the lids' rings, from behind the lids outwards; up to the margin they are fixed."""
    azimuth, elevation = lids.margin(EYE_COUNT)
    fixed = set()
    rim = np.array([b.at(key) for key in eye_ring(EYE_RINGS)])
    for k in range(-3, EYE_RINGS):
        if k < 0:
            widen = 1 + 0.22 * (-1 - k)
            points = lids.on_eye(azimuth * widen, elevation * widen, EYE_RADIUS + 0.25 + 0.1 * (-1 - k))
        elif k <= LID_RINGS:
            azimuth, elevation = lids.margin(EYE_COUNT, k)
            points = lids.on_eye(azimuth, elevation, EYE_RADIUS + LID_THICKNESS)
            points = outermost = project(skin, points, 6) if k else points
            if k == lids.CREASE_RING:
                fold = np.clip(np.sin(2 * np.pi * np.arange(EYE_COUNT) / EYE_COUNT), 0, 1) ** 0.5
                points = points - lids.CREASE_DEPTH * fold[:, None] * gradient(skin, points)
        else:
            points = outermost + (rim - outermost) * ((k - LID_RINGS) / (EYE_RINGS - LID_RINGS))
        for t in range(EYE_COUNT):
            b.vertex(("e", k, t), points[t])
            if k <= LID_RINGS:
                fixed.add(("e", k, t))
    return fixed


def nostril_ring(k: int) -> list:
    """Keys of ring `k` of the nostril, -1 being the grid's own; from the rear inner corner clockwise."""
    if k >= 0:
        return [("n", k, t) for t in range(8)]
    (low, high), (left, right) = NOSTRIL_ROWS, NOSTRIL_COLUMNS
    mid_row, mid_column = low + 1, left + 1
    spots = ((low, left), (mid_row, left), (high, left), (high, mid_column), (high, right), (mid_row, right))
    return [("g", *spot) for spot in (*spots, (low, right), (low, mid_column))]


def _nostril(b: Builder) -> set:
    """Place the nostril's rings: an oval in the underside of the nose that leads up into it.

    All rings, the grid's own too, have their points in the same eight directions, so that no strip between two folds.
    """
    angle = np.radians(-135 - 45 * np.arange(8.0))  # as the grid's corners, seen with z up and x to the right
    out = np.column_stack([np.cos(angle), 0 * angle, np.sin(angle)])
    along = np.array([-np.sin(NOSTRIL_SLANT), 0, np.cos(NOSTRIL_SLANT)])
    across = np.array([np.cos(NOSTRIL_SLANT), 0, np.sin(NOSTRIL_SLANT)])
    length, width = NOSTRIL_RADII
    rim = out / np.hypot(out @ along / length, out @ across / width)[:, None]
    fixed = set()
    for k, (scale, rise, inwards) in enumerate(NOSTRIL_RINGS, start=-1):
        points = NOSTRIL_CENTRE + scale * rim + np.array([-inwards, rise, 0.0])
        if k < 0:
            points = project(skin, points, 6)
            level = points[:, 1]
        else:
            points[:, 1] = level + rise  # the rim is no ridge in the skin around it
        for key, point in zip(nostril_ring(k), points, strict=True):
            b.vertex(key, point)
            fixed.add(key)
    b.vertex("nostril", points.mean(axis=0) + np.array([0.0, 1.0, 0.0]))
    return fixed | {"nostril"}


def _ear_rim() -> list:
    """The grid's keys round the ear, clockwise seen from the left, from the lower front corner."""
    (low, high), (left, right) = EAR_ROWS, EAR_COLUMNS
    return (
        [("g", i, left) for i in range(low, high)]
        + [("g", high, j) for j in range(left, right)]
        + [("g", i, right) for i in range(high, low, -1)]
        + [("g", low, j) for j in range(right, left, -1)]
    )


def _ear(b: Builder) -> set:
    """Place the ear's rings."""
    count = len(_ear_rim())
    rings = ear.loops(count, start=(EAR_ROWS[1] - EAR_ROWS[0]) / 2)
    for k, ring in enumerate(rings[:-1]):
        for t, point in enumerate(ring):
            b.vertex(("a", k, t), point)
    b.vertex("ear", rings[-1][0])
    return {key for key in b.index if isinstance(key, tuple) and key[0] == "a"} | {"ear"}


def _faces(b: Builder) -> None:
    hole = set()
    for (low, high), (left, right) in HOLES:
        hole |= {(i, j) for i in range(low, high) for j in range(left, right)}
    for i in range(LAST_ROW):
        for j in range(LAST_COLUMN):
            if (i, j) not in hole:
                b.face("skin", ("g", i, j), ("g", i, j + 1), ("g", i + 1, j + 1), ("g", i + 1, j))
    for j in range(LAST_COLUMN):
        b.face("skin", ("g", LAST_ROW, j), ("g", LAST_ROW, j + 1), "top")
    for k in range(MOUTH_RINGS):
        b.strip("lips" if k < len(lips.RED_RINGS) - 1 else "skin", mouth_ring(k), mouth_ring(k + 1))
    for k in range(-3, EYE_RINGS):
        b.strip("lid_margin" if k == -1 else "skin", eye_ring(k), eye_ring(k + 1), closed=True)
    for k in range(-1, len(NOSTRIL_RINGS) - 2):
        b.strip("skin" if k < 0 else "nostril", nostril_ring(k + 1), nostril_ring(k), closed=True)
    last = nostril_ring(len(NOSTRIL_RINGS) - 2)
    for t in range(0, 8, 2):
        b.face("nostril", last[t], "nostril", last[(t + 2) % 8], last[t + 1])
    outer, k = _ear_rim(), 0
    while ("a", k, 0) in b.index:
        ring = [("a", k, t) for t in range(len(outer))]
        b.strip("skin", ring, outer, closed=True)
        outer, k = ring, k + 1
    for t in range(len(outer)):
        b.face("skin", outer[t], "ear", outer[(t + 1) % len(outer)])


def _fit(b: Builder, fixed: set) -> None:
    """Spread the free vertices evenly over the skin and pull them onto it."""
    x = np.array(b.positions)
    keys = list(b.index)
    free = np.array([key not in fixed and key != "top" for key in keys])
    middle = x[:, 0] == 0
    average = neighbours(np.array([(*f, -1)[:4] for f in b.faces]), len(x))
    x[free] = project(skin, x[free], 6)
    free &= np.array([not (isinstance(key, tuple) and key[:2] == ("g", 0)) for key in keys])
    for _ in range(SMOOTHING_ROUNDS):
        pull = (average @ x - x)[free]
        normal = gradient(skin, x[free])
        pull -= (pull * normal).sum(1, keepdims=True) * normal
        x[free] = project(skin, x[free] + 0.4 * pull, 1)
        x[middle, 0] = 0
    for key in keys:
        b.positions[b.index[key]] = x[b.index[key]]


def _pocket(b: Builder) -> None:
    """The inside of the mouth, from the slit inwards, closed at the throat."""
    n = HALF_LIP
    slit = np.array([b.at(("m", 0, t)) for t in range(2 * n + 1)])
    u = np.concatenate([np.arange(n + 1), np.arange(n - 1, -1, -1)]) / n  # 0 centre, 1 corner
    lower = np.arange(2 * n + 1) > n
    angle = u * np.pi / 2
    for k, (back, up, down, width) in enumerate(lips.POCKET, start=1):
        height = np.where(lower, -down, up) * np.cos(angle) ** 0.8
        p = slit.copy()
        p[:, 0] *= width / lips.HALF_WIDTH
        p[:, 1] += height
        p[:, 2] -= back
        deep = min(back / 40, 1)
        p[:, 2] += deep * (slit[0, 2] - back * 1.0 - p[:, 2]) * 0.6
        if k > lips.LIP_RINGS:  # leave flesh between the pocket and the skin
            p = np.where((skin(p) > -lips.FLESH)[:, None], project(lambda q: skin(q) + lips.FLESH, p), p)
        p[[0, 2 * n], 0] = 0
        for t in range(2 * n + 1):
            b.vertex(("m", -k, t), p[t])
        b.strip("lips" if k <= lips.LIP_RINGS else "mouth", mouth_ring(-k), mouth_ring(1 - k))
    last = mouth_ring(-len(lips.POCKET))
    for t in range(n):
        quad = (last[t + 1], last[t], last[2 * n - t], last[2 * n - t - 1])
        b.face("mouth", *(quad if t < n - 1 else quad[:3]))
