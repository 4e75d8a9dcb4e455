"""OT-Talk (Wang et al., arXiv 2505.01932), after its description: no code has been published.

HuBERT features, a transformer over time, Chebyshev graph convolution on the mesh (Defferrard et al., 2016) for its
geometry; losses are reconstruction, velocity, and the sliced Wasserstein distance between predicted and true surfaces
as measures. What the description leaves open is chosen here: the transformer makes a coarse displacement of every
vertex, and convolutions over it and the template's geometric features refine it; surfaces are sampled over triangles by
their area.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import InputError
from ..layers import TimeEncoding
from ..method import Batch, Geometry, Stage
from ..sequence_losses import per_clip, reconstruction, velocity
from ..speech import Speech, SpeechConfig
from .parts import FramewisePeer


@dataclass(frozen=True)
class NetworkConfig:
    """`features` of every vertex in the convolutions, of polynomial `order`."""

    d_model: int = 256
    heads: int = 4
    layers: int = 4
    features: int = 16
    order: int = 3
    dropout: float = 0.1


@dataclass(frozen=True)
class LossConfig:
    """Weights, in units of the geometry; `points` on each surface and `directions` to project them on."""

    rec: float = 1.0
    vel: float = 1.0
    wasserstein: float = 0.1
    points: int = 512
    directions: int = 32


@dataclass(frozen=True)
class HubertConfig(SpeechConfig):
    source: str = "facebook/hubert-base-ls960"
    architecture: Mapping[str, Any] = field(default_factory=dict)


class ChebyshevConvolution(nn.Module):
    """(…, V, c) → (…, V, c'): Σ_k T_k(L̃) x W_k over the vertices of a mesh, L̃ = L − I, L the normalized Laplacian."""

    def __init__(self, laplacian: Tensor, size: int, out: int, order: int) -> None:
        super().__init__()
        self.register_buffer("laplacian", laplacian, persistent=False)
        self.order = order
        self.mix = nn.Linear(order * size, out)

    laplacian: Tensor

    def forward(self, x: Tensor) -> Tensor:
        flat = x.movedim(-2, 0)
        shape = flat.shape
        terms = [flat.reshape(shape[0], -1).float()]
        with torch.autocast(x.device.type, enabled=False):  # sparse products are of one precision only
            for k in range(1, self.order):
                onward = torch.sparse.mm(self.laplacian, terms[-1])
                terms.append(onward if k == 1 else 2 * onward - terms[-2])
        stacked = torch.cat([t.reshape(shape) for t in terms], dim=-1)
        return self.mix(stacked).movedim(0, -2)


class OTTalk(FramewisePeer):
    stages = (Stage("motion"),)
    has_style = True

    def __init__(self, config: Mapping[str, Any], geometry: Geometry) -> None:
        super().__init__(config, geometry)
        if geometry.faces is None:
            raise InputError("OT-Talk needs the faces of the mesh; prepare the data with a .ply or .obj of it.")
        tables = {"network": NetworkConfig, "speech": HubertConfig, "losses": LossConfig}
        options = self._read(config, "ottalk", tables)
        c: NetworkConfig = options["network"]
        self._losses: LossConfig = options["losses"]
        self._encoder(options["speech"], geometry, c.d_model)
        laplacian = chebyshev_laplacian(geometry.faces, geometry.vertices)
        self.register_buffer("faces", torch.as_tensor(geometry.faces, dtype=torch.long), persistent=False)
        chances = drawing_chances(geometry.template, geometry.faces, geometry.lips)
        self.register_buffer("chances", chances, persistent=False)
        self.shape = nn.Sequential(
            ChebyshevConvolution(laplacian, 3, c.features, c.order),
            nn.ELU(),
            ChebyshevConvolution(laplacian, c.features, c.features, c.order),
        )
        self.face = nn.Linear(2 * c.features, c.d_model)
        self.style = nn.Linear(len(geometry.subjects), c.d_model, bias=False)
        self.encoding = TimeEncoding(c.d_model)
        layer = nn.TransformerEncoderLayer(
            c.d_model, c.heads, 2 * c.d_model, c.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, c.layers, enable_nested_tensor=False)
        self.out = nn.Linear(c.d_model, 3 * geometry.vertices)
        refined = ChebyshevConvolution(laplacian, c.features, 3, c.order)
        first = ChebyshevConvolution(laplacian, 3 + c.features, c.features, c.order)
        self.refine = nn.Sequential(first, nn.ELU(), refined)
        nn.init.zeros_(self.out.weight)  # training starts from the neutral face
        nn.init.zeros_(self.out.bias)
        nn.init.zeros_(refined.mix.weight)
        nn.init.zeros_(refined.mix.bias)

    faces: Tensor
    chances: Tensor

    def trained(self, stage: str) -> Sequence[nn.Module]:
        return [self]

    def generated(
        self, speech: Speech, template: Tensor, style: Tensor, frames: Tensor, fitted: bool = False
    ) -> tuple[Tensor, Tensor]:
        heard = self.heard(speech, frames, fitted)
        audio = heard.features
        geometric = self.shape(standardized(template))  # (B, V, f)
        token = self.face(torch.cat([geometric.mean(1), geometric.amax(1)], dim=-1)) + self.style(style)
        times = torch.arange(audio.shape[1], device=audio.device) / self.geometry.fps
        padding = torch.arange(audio.shape[1], device=audio.device)[None] >= heard.counts[:, None]
        x = self.transformer(audio + self.encoding(times) + token[:, None], src_key_padding_mask=padding)
        coarse = self.out(x).unflatten(-1, (-1, 3))
        around = geometric[:, None].expand(-1, coarse.shape[1], -1, -1)
        return (coarse + self.refine(torch.cat([coarse, around], dim=-1))).flatten(2), heard.counts

    def loss(self, stage: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        weights = self._losses
        made, motion, mask = self._learned(batch)
        parts = {"rec": reconstruction(made - motion, mask), "vel": velocity(made - motion, mask)}
        template = (batch.template / self.unit)[:, None]
        surfaces = [(template + m).unflatten(-1, (-1, 3)) for m in (made, motion)]
        distance = sliced_wasserstein(
            surfaces[0], surfaces[1], self.faces, self.chances, weights.points, weights.directions
        )
        parts["wasserstein"] = per_clip(distance, mask)
        total = weights.rec * parts["rec"] + weights.vel * parts["vel"] + weights.wasserstein * parts["wasserstein"]
        return total, parts


def chebyshev_laplacian(faces: np.ndarray, vertices: int) -> Tensor:
    """L̃ = −D^-½ A D^-½, sparse (V, V), of the mesh's edges; its eigenvalues are within −1…1."""
    ends = np.asarray(faces)[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    edges = np.unique(np.concatenate([ends, ends[:, ::-1]]), axis=0)
    degree = np.bincount(edges[:, 0], minlength=vertices).clip(min=1)
    values = -1.0 / np.sqrt(degree[edges[:, 0]] * degree[edges[:, 1]])
    index = torch.from_numpy(np.ascontiguousarray(edges.T))
    of_edges = torch.from_numpy(values).float()
    return torch.sparse_coo_tensor(index, of_edges, (vertices, vertices), check_invariants=True).coalesce()


def standardized(template: Tensor) -> Tensor:
    """(B, C) → (B, V, 3) about its middle and of unit size, so that the geometry's unit does not matter."""
    x = template.unflatten(-1, (-1, 3))
    x = x - x.mean(1, keepdim=True)
    return x / x.square().sum(2).mean(1).sqrt()[:, None, None].clamp(min=1e-12)


def drawing_chances(template: np.ndarray | None, faces: np.ndarray, lips: np.ndarray) -> Tensor:
    """(F,), of sum 1: how often a triangle is drawn. Half of the points fall on triangles at the lips, which are a
    small part of a head, half anywhere; in both by the area of the `template`, evenly where none is known."""
    area = np.ones(len(faces))
    if template is not None:
        area = _areas(torch.from_numpy(template[faces].astype(np.float64))).numpy()
        area = area + 1e-6 * area.mean()
    at_lips = area * np.isin(faces, lips).any(1)
    anywhere = area / area.sum()
    return torch.from_numpy((anywhere + at_lips / at_lips.sum()) / 2 if at_lips.any() else anywhere).float()


def _areas(corners: Tensor) -> Tensor:
    """(…, 3 corners, 3) → (…,) areas of triangles."""
    sides = corners[..., 1:, :] - corners[..., :1, :]
    return torch.linalg.cross(sides[..., 0, :], sides[..., 1, :]).norm(dim=-1) / 2


def sliced_wasserstein(
    first: Tensor, second: Tensor, faces: Tensor, chances: Tensor, points: int, directions: int
) -> Tensor:
    """Squared sliced 2-Wasserstein distance (Bonneel et al., 2015) of surfaces (B, N, V, 3): (B, N).

    A surface is a probability measure, uniform on its own area as it is at that frame. Points are drawn by `chances`
    (F,) and weigh what area they stand for; the draw is torch's, the same for all frames of the batch. In each
    direction the transport is exact.
    """
    index = torch.multinomial(chances.cpu(), points, replacement=True).to(faces.device)
    drawn, chance = faces[index], chances[index]
    shares = torch.rand(points, 2).to(first)
    root = shares[:, :1].sqrt()
    weights = torch.cat([1 - root, root * (1 - shares[:, 1:]), root * shares[:, 1:]], dim=1)
    towards = torch.randn(3, directions).to(first)
    towards = towards / towards.norm(dim=0, keepdim=True)

    def measured(surface: Tensor) -> tuple[Tensor, Tensor]:
        """Places (B, N, directions, points) and weights of the same shape."""
        corners = surface[:, :, drawn]  # (B, N, points, 3, 3)
        places = (corners * weights[..., None]).sum(3) @ towards
        mass = _areas(corners) / chance
        mass = mass / mass.sum(-1, keepdim=True)
        return places.transpose(2, 3), mass[:, :, None].expand(-1, -1, directions, -1)

    return transport(*measured(first), *measured(second)).mean(-1)


def transport(x: Tensor, x_mass: Tensor, y: Tensor, y_mass: Tensor) -> Tensor:
    """Cost (…,) of moving mass from places `x` (…, n) to `y` (…, m) on a line, squared distances, exactly: the same
    quantiles meet. Masses add up to 1; gradients reach places and masses."""
    x, order = x.sort(-1)
    x_reach = x_mass.gather(-1, order).cumsum(-1)
    y, order = y.sort(-1)
    y_reach = y_mass.gather(-1, order).cumsum(-1)
    ends = torch.cat([x_reach, y_reach], -1).sort(-1).values
    widths = torch.diff(ends, dim=-1, prepend=torch.zeros_like(ends[..., :1]))
    middles = (ends - widths / 2).detach()
    at_x = torch.searchsorted(x_reach.detach().contiguous(), middles).clamp(max=x.shape[-1] - 1)
    at_y = torch.searchsorted(y_reach.detach().contiguous(), middles).clamp(max=y.shape[-1] - 1)
    return (widths * (x.gather(-1, at_x) - y.gather(-1, at_y)).square()).sum(-1)
