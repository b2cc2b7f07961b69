"""Pictures that are remembered, for drawings with which nothing is given: the most alike one serves as the reference.

Of each only its colors and the looks and places of its parts are kept, as bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from colorize.region_diffusion.network import Choices, Pieces, RegionNet
from colorize.region_diffusion.pieces import COLORS, GEOMETRY, PARTS, lab_of

STEPS = 31.0  # of a byte per unit of geometry, which lies between -4 and 4
FARTHEST = -12.0  # logarithm of the likeness of parts; less counts the same
LARGE = 0.15  # of the picture; a larger piece counts no more than this
GRAY = 14.0  # of L*; a part that is lighter or darker by so much is less like a region of a gray picture


class Memory(nn.Module):
    """`count` remembered pictures; none as long as `used` is 0."""

    used: Tensor
    rgb: Tensor
    share: Tensor
    pooled: Tensor
    peak: Tensor
    geometry: Tensor
    owner: Tensor

    def __init__(self, count: int, features: int) -> None:
        super().__init__()
        self.register_buffer("used", torch.zeros((), dtype=torch.int32))
        self.register_buffer("rgb", torch.zeros(count, COLORS, 3, dtype=torch.uint8))
        self.register_buffer("share", torch.zeros(count, COLORS, dtype=torch.uint8))
        self.register_buffer("pooled", torch.zeros(count, PARTS, features, dtype=torch.int8))
        self.register_buffer("peak", torch.zeros(count))
        self.register_buffer("geometry", torch.zeros(count, PARTS, GEOMETRY, dtype=torch.int8))
        self.register_buffer("owner", torch.full((count, PARTS), -1, dtype=torch.int8))

    def __len__(self) -> int:
        return int(self.used)

    @property
    def room(self) -> int:
        """How many pictures it can hold."""
        return len(self.rgb)

    def keep(self, offers: Sequence[Choices], shares: Sequence[Tensor]) -> None:
        """Remember these references (each of one row) and no others; shares (1, K) of their colors."""
        assert len(offers) <= self.room, f"there is room for {self.room} pictures"
        self.used.fill_(len(offers))
        for at, (offer, share) in enumerate(zip(offers, shares, strict=True)):
            parts = offer.parts.first(PARTS)  # the largest
            self.rgb[at] = ((offer.colors[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
            self.share[at] = (share[0] * 255).ceil().clamp(0, 255).to(torch.uint8) * offer.valid[0]
            self.peak[at] = parts.pooled[0].abs().amax().clamp(min=1e-6)
            self.pooled[at] = (parts.pooled[0] / self.peak[at] * 127).round().to(torch.int8)
            self.geometry[at] = (parts.geometry[0] * STEPS).round().to(torch.int8)
            self.owner[at] = offer.owner[0, :PARTS].to(torch.int8)

    def offer(self, net: RegionNet, pick: Tensor) -> Choices:
        """Offer remembered pictures as references, one for each row: pick (B,)."""
        parts, share = self._parts(net, pick), self.share[pick].float() / 255
        rgb = self.rgb[pick].float() / 127.5 - 1
        return net.from_reference(rgb, share, share > 0, parts, self.owner[pick].long())

    def alike(self, net: RegionNet, regions: Pieces, light: Tensor | None = None) -> Tensor:
        """How much each remembered picture is like a drawing (regions of one row): (used,), the more the better.

        light: (N,), L* of the regions of a gray picture, which then counts, too.
        """
        everyone = torch.arange(len(self))
        parts, owner = self._parts(net, everyone), self.owner[everyone].long()
        near = net.near.detach()
        apart = torch.cdist(regions.geometry * near, parts.geometry * near).square()  # (M, N, P)
        via = regions.look @ parts.look.mT * net.scale[2].detach().exp() - apart
        if light is not None:
            own = lab_of(self.rgb[everyone].float() / 127.5 - 1)[..., 0].gather(1, owner.clamp(min=0))
            via = via - ((light[None, :, None] - own[:, None]) / GRAY).square()
        via = via.clamp(min=FARTHEST)
        there = (owner >= 0).float()
        mass = regions.mass[0]
        weight = (mass / mass.sum().clamp(min=1e-6)).clamp(max=LARGE).sqrt()
        size = (parts.geometry[..., 6] * 3).exp().clamp(max=LARGE).sqrt() * there
        best = via.masked_fill(there[:, None] == 0, FARTHEST)
        to_parts = (best.amax(2) * weight).sum(1) / weight.sum()
        to_regions = (best.masked_fill(mass[:, None] == 0, FARTHEST).amax(1) * size).sum(1)
        return to_parts + to_regions / size.sum(1).clamp(min=1e-6)

    def _parts(self, net: RegionNet, pick: Tensor) -> Pieces:
        pooled = self.pooled[pick].float() * (self.peak[pick, None, None] / 127)
        look = torch.nn.functional.normalize(net.look(pooled), dim=-1)
        mass = (self.owner[pick] >= 0).float()
        return Pieces(pooled, self.geometry[pick].float() / STEPS, look, mass)
