"""Layers as plain formulas on named tensors, independent of the program's own modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from golden import hashed
from torch import Tensor


@dataclass
class Layers:
    """Shapes of a network's tensors, gathered layer by layer."""

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def add(self, name: str, *shape: int, bias: bool = True) -> None:
        """A layer with a weight and a bias for each of its outputs."""
        self.shapes[f"{name}.weight"] = shape
        if bias:
            self.shapes[f"{name}.bias"] = shape[:1]

    def weights(self) -> dict[str, Tensor]:
        """Weights that depend on nothing but their place."""
        made = {name: torch.zeros(shape) for name, shape in self.shapes.items()}
        hashed(made)
        return made


@dataclass
class Plain:
    """The layers of a network by the names of their tensors."""

    w: Mapping[str, Tensor]
    groups: int = 32

    def conv(self, name: str, h: Tensor, padding: int = 0) -> Tensor:
        return F.conv2d(h, self.w[f"{name}.weight"], self.w.get(f"{name}.bias"), padding=padding)

    def norm(self, name: str, h: Tensor) -> Tensor:
        return F.group_norm(h, self.groups, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def linear(self, name: str, h: Tensor) -> Tensor:
        return h @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def has(self, name: str) -> bool:
        return f"{name}.weight" in self.w


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Softmax attention of (B, C, N), head after head."""
    out = []
    for a, b, c in zip(q.chunk(heads, 1), k.chunk(heads, 1), v.chunk(heads, 1), strict=True):
        scores = torch.einsum("bcn,bcm->bnm", a, b) * a.shape[1] ** -0.5
        out.append(torch.einsum("bnm,bcm->bcn", scores.softmax(-1), c))
    return torch.cat(out, 1)
