"""Where the 68 iBUG landmarks are: in the mesh itself, or known for its topology.

A topology is recognised by its connectivity alone (Weisfeiler-Lehman colour refinement), so that the order of the
vertices, scale, axes, pose and other parts in the same mesh do not matter.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..assets import DEMO_HEAD
from ..errors import InputError
from .frame import PAIRS
from .mesh import Mesh, load_mesh
from .surface import edges_of, welded

ROUNDS = 16  # colours know the connectivity this many edges around their vertex

# The colour of each landmark in FLAME topology (5,023 vertices).
FLAME_COLOURS = (
    0xd14616c714aef0a6, 0x200bf83256cc9238, 0x9a91a73fbfc59e9e, 0x002d68da53850e06, 0x72f51f130828d622,
    0x335def5dd3b3f872, 0x448ea9ac2995dfce, 0xf8d31a901c5f23d7, 0xd8f539ea7bfbd7c1, 0xf8d31a901c5f23d7,
    0x448ea9ac2995dfce, 0x335def5dd3b3f872, 0x72f51f130828d622, 0x002d68da53850e06, 0x9a91a73fbfc59e9e,
    0x200bf83256cc9238, 0xd14616c714aef0a6, 0xb348874144f3de67, 0x657e8ecfef79a6c3, 0xa786c0eef2405b94,
    0x5d2624d33be67f1e, 0xbc21a9e9b0c2265d, 0x59f1d4d7c4b16c23, 0xa448c5ef70cec0fc, 0xb8e86cb648ca4e71,
    0x461c22306aaa0324, 0xbbcea1ec62a1a74e, 0x20529f084552c679, 0xc6c29b58def90cc6, 0x8a9aa0fa0363d897,
    0x5e351a14e00b0bc8, 0xc18c5851db34645d, 0xf56372e54f1fd8e2, 0x194cc9c8ba44a065, 0xf56372e54f1fd8e2,
    0xc18c5851db34645d, 0x163447097abd4069, 0xcb376e3c87a04df7, 0xc909c82f18925a78, 0x9121aa7e5a8eb4db,
    0xae8aba9dc6e7a815, 0xfa5a4f561785413f, 0x72d20d025ffc79bc, 0x311eac722e8d86b8, 0xb903f4ad687c6780,
    0xfc8d291106a6e63b, 0x289f93f9be8eb1a0, 0x9505b31489ea7c5f, 0x0ce2ecf9a2ce8a8f, 0x46c5f2fc906f0ada,
    0x099339ddca4c47e9, 0xca34f25df98eb407, 0x099339ddca4c47e9, 0x46c5f2fc906f0ada, 0x0ce2ecf9a2ce8a8f,
    0xec9b7c8b711a5253, 0x5a0a70f824518993, 0xc87a8693f5dfd119, 0x5a0a70f824518993, 0xec9b7c8b711a5253,
    0x2697557ad84544eb, 0xe4c9be9825532af2, 0x92110e2c28177a14, 0xe4c9be9825532af2, 0x2697557ad84544eb,
    0x66828496017c8d8f, 0xf92c8a02cbf2288f, 0x66828496017c8d8f,
)  # fmt: skip


def find_landmarks(mesh: Mesh) -> np.ndarray:
    """(68,) int: the vertex of each landmark; raises InputError where they are not known."""
    if mesh.landmarks is not None:
        return mesh.landmarks
    size = np.ptp(mesh.vertices, axis=0).max()
    same = welded(mesh.vertices, mesh.faces, 1e-6 * max(float(size), 1e-300))
    colours = vertex_colours(len(mesh.vertices), same[mesh.faces])
    for profile in (np.array(FLAME_COLOURS, dtype=np.uint64), _demo_head_colours()):
        marks = _match(profile, colours, mesh.vertices)
        if marks is not None:
            return marks
    raise InputError(
        "The landmarks of this mesh are not known (it has neither FLAME's nor the demo head's edges, or they were "
        "changed on import); pick its 68 face landmarks, or export it again without changing its faces."
    )


def vertex_colours(count: int, faces: np.ndarray) -> np.ndarray:
    """(count,) uint64: equal for vertices that look the same ROUNDS edges far, whatever the order of the vertices."""
    sides, _ = edges_of(count, faces)
    ends = np.concatenate([sides, sides[:, ::-1]])
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    inside, start = np.unique(ends[:, 0], return_index=True)
    colours = np.zeros(count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for _ in range(ROUNDS):
            around = np.add.reduceat(_mixed(colours[ends[:, 1]]), start)
            colours[inside] = _mixed(colours[inside] * np.uint64(3) + around)
    return colours


def _mixed(x: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64: spreads every bit over all."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@cache
def _demo_head_colours() -> np.ndarray:
    head = load_mesh(DEMO_HEAD)
    assert head.landmarks is not None
    return vertex_colours(len(head.vertices), head.faces)[head.landmarks]


def _match(profile: np.ndarray, colours: np.ndarray, vertices: np.ndarray) -> np.ndarray | None:
    """The landmarks whose colours are `profile` (68,), or None; sides are told apart by where they lie."""
    candidates = [np.flatnonzero(colours == colour) for colour in profile]
    if not all(1 <= len(found) <= 2 for found in candidates):
        return None
    # The person's left is where up × forward points, in a mirrored head too.
    p = np.stack([vertices[found].mean(0) for found in candidates])
    up = p[27] - p[8]
    left = np.cross(up, p[30] - (p[[0, 16]].mean(0)))
    # Where a topology is symmetric, partners share a colour; where it is not, a mirrored head has them the wrong way.
    mirrored = sum(np.sign((p[b] - p[a]) @ left) for a, b in PAIRS if profile[a] != profile[b]) < 0
    partner = {side: other for pair in PAIRS for side, other in (pair, pair[::-1])} if mirrored else {}
    on_left = {i for pair in PAIRS for i in pair[1:]}
    return np.array(
        [
            found[np.argmax(vertices[found] @ left) if i in on_left else np.argmin(vertices[found] @ left)]
            for i, found in enumerate(candidates[partner.get(i, i)] for i in range(68))
        ]
    )
