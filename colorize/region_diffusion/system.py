"""A system that gives every region of a drawing one of the colors at hand, with the interface of `Colorizer`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.diffusion.samplers import State
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.images import flat_regions, lines, palettes
from colorize.images.color import lab_of
from colorize.images.under_ink import paper_white
from colorize.model import Colorizer, Sampling
from colorize.networks.spaces import Regions, Space, pulled_to_hints
from colorize.region_diffusion.choosing import Drawing, Offer, choose, hint_cells
from colorize.region_diffusion.network import Choices, Pieces, RegionNet, RegionNetSpec, joined
from colorize.region_diffusion.pieces import COLORS, GEOMETRY, PARTS, main_colors, parts
from colorize.system import System

if TYPE_CHECKING:
    from colorize.recipes.recipe import Recipe

STEPS = 31.0  # of a byte per unit of geometry, which lies between -4 and 4
FARTHEST = -12.0  # logarithm of the likeness of parts; less counts the same
LARGE = 0.15  # of the picture; a larger piece counts no more than this
GRAY = 14.0  # of L*; a part that is lighter or darker by so much is less like a region of a gray picture
MOST = 400  # regions of a drawing; smaller ones belong to their neighbors
SCALE = 160 / 256  # of a drawing's inner size: what the encoder sees, near to what it was trained on
SEEN = 160  # pixels a side of a reference, as the encoder sees it
DRAWN_AT = 256  # pixels a side at which a reference's lines are extracted
PIECES = 60  # parts of a reference
STYLE = 4  # seed of the style in which a reference's lines are drawn
CALLS = 4  # of the network for a picture that is drawn from what is likely, unless more steps are wanted
NEAREST = 8  # remembered pictures among which a seed chooses
FEW = 2  # colors of hints; with fewer, what is not hinted goes by a remembered picture
LIVELY = 1.25  # what the chroma of gray pictures with nothing given is multiplied by, since means are dull
LATEST = 4  # drawings and references that are kept encoded
SAME = 1e-3  # of 2; colors so near to each other are one
WHITE = 0.85  # in [-1, 1]; colors that are all darker have no paper among them


class Memory(nn.Module):
    """`count` remembered pictures; none as long as `used` is 0. The most alike one serves as the reference.

    Of each only its colors and the looks and places of its parts are kept, as bytes.
    """

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


class RegionColorizer(Colorizer):
    """Lets the regions of drawings choose among the colors that are given; see `net` and `memory`.

    x is the answer itself: shaded and flat color, (B, 6, h, w) in [-1, 1] at half the drawing's size.
    """

    full_precision = True  # bfloat16 saves next to nothing, and choices near a tie would differ between machines
    likeliest = True

    def __init__(self, spec: RegionNetSpec, remembered: int) -> None:
        nn.Module.__init__(self)  # of the parts of a `Colorizer` it has but the space
        self.space: Space = Regions(remembered)
        self.net = RegionNet(spec)
        self.memory = Memory(remembered, spec.features)
        self.critic = None
        self.trained_on = torch.device("cpu")
        self._references: list[tuple[Tensor, Choices]] = []  # many drawings share one
        self._drawings: list[tuple[Tensor, Drawing]] = []  # hints and colors change, they do not

    @property
    def network(self) -> nn.Module:
        """The network whose calls are counted."""
        return self.net

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.net.near.device

    def walk(
        self,
        hints: Hints,
        sampling: Sampling,
        seeds: Sequence[int],
        guidance: Mapping[str, float] | None = None,
        strength: Mapping[str, float] | None = None,
        settings: object = None,
    ) -> Iterator[State]:
        """Yield the state after every step, in each of which the surest of the regions left get their colors.

        The last one's x is the answer, for `decode`. seeds: one per picture; 0 gives the likeliest colors, others
        draw among the likely ones, or with nothing given among the remembered pictures that are most alike.
        Raises ColorizeError (wrong usage) for settings, and for guidance: a choice cannot be exaggerated.
        """
        if settings is not None:
            raise ColorizeError("this model takes none of these settings", "leave them out, or choose another", code=2)
        for name, weight in {**(guidance or {}), **(strength or {})}.items():
            if weight != 1:
                raise ColorizeError(
                    f"the weight of `{name}` is {weight:g}, and this model chooses among the colors that are given",
                    "leave --guidance and --strength out, or choose another model",
                    code=2,
                )
        offers = [self._offer(hints.rows(slice(at, at + 1)), seed) for at, seed in enumerate(seeds)]
        steps = sampling.steps
        for index in range(steps):
            for offer in offers:
                self._step(offer, index, steps)
            x = torch.cat([offer.shown(self.net) for offer in offers])
            yield State(x, x, 1 - (index + 1) / steps, index)

    def _step(self, offer: Offer, index: int, steps: int) -> None:
        repeats = CALLS if steps == 1 and offer.rng is not None else 1
        for call in range(repeats):
            done = (index * repeats + call + 1) / (steps * repeats)
            choose(self.net, offer, 1 - math.cos(done * math.pi / 2))

    @torch.inference_mode()
    def useful(self, several: Sequence[Hints], seeds: Sequence[int], steps: int, most: int) -> Tensor:
        """Return the colors that cover most of drawings (each of one row) that choose among all: (1, 3, N, 1).

        N is `most`, less the colors of hints, which are offered in any case, and less if no more are used.
        """
        table: dict[tuple[float, ...], float] = {}
        hinted = 0
        for hints, seed in zip(several, seeds, strict=True):
            offer = self._offer(hints, seed)
            for index in range(steps):
                self._step(offer, index, steps)
            area = offer.areas()
            hinted = max(hinted, 0 if offer.hints is None else len(offer.hints.colors))
            for color, part in zip(offer.choices.colors[0][: offer.hinted].tolist(), area.tolist(), strict=False):
                if part and min(color) <= WHITE:
                    table[tuple(color)] = table.get(tuple(color), 0.0) + part
        best = sorted(table, key=lambda color: -table[color])[: max(0, most - hinted)]
        return torch.tensor(best).view(1, -1, 3, 1).transpose(1, 2)

    def decode(
        self,
        x: Tensor,
        hints: Hints,
        strength: Mapping[str, float] | None = None,
        obedient: bool = True,
        flat: bool = False,
    ) -> Tensor:
        """Turn x into color (B, 3, h, w) in [-1, 1]: shaded, or flat as it was chosen.

        Gray pictures are drawn towards the user's hints along their shades, if `obedient`.
        """
        color = x[:, 3:] if flat else x[:, :3]
        if "line" in hints:
            return paper_white(color)
        return pulled_to_hints(color, hints, float(obedient), 2)

    def offer(self, reference: Tensor, line: Tensor | None = None) -> tuple[Choices, Tensor]:
        """What a reference (1, 3, H, W) offers, and the shares of its colors (1, K). line: its own lines, if known."""
        small = F.interpolate(reference, (DRAWN_AT, DRAWN_AT), mode="bilinear", antialias=True)
        if line is None:
            rng = torch.Generator().manual_seed(STYLE)
            line = lines.mix(small.clamp(-1, 1), rng).clamp(-1, 1)
        line = F.interpolate(line, (SEEN, SEEN), mode="bilinear", antialias=True)
        colors = main_colors(reference)
        labels, owner = parts(colors, PIECES)
        _, features = self.net.encode(line, torch.zeros(1, dtype=torch.bool))
        pieces = self.net.parts(line, features, labels, owner)
        choices = self.net.from_reference(colors.rgb, colors.share, colors.valid, pieces, owner)
        return choices, colors.share

    def to(self, *args: Any, **kwargs: Any) -> RegionColorizer:
        """Change numbers or layout as any module does. To another device it moves only while it is trained.

        Drawings are cut into regions on the processor, where a picture takes a fifth of a second.
        """
        devices = [one for one in (*args, kwargs.get("device")) if isinstance(one, str | torch.device)]
        kept = [one for one in args if not isinstance(one, str | torch.device)]
        named = {name: value for name, value in kwargs.items() if name != "device"}
        if kept or named:
            super().to(*kept, **named)
        if devices:
            self.trained_on = torch.device(devices[0])
            self.train(self.training)
        return self

    def train(self, mode: bool = True) -> RegionColorizer:
        """Switch the mode as any module does, and go to the device of training, or back to the processor."""
        if mode != self.training:  # weights that were trained since have not encoded what is kept
            self.forget()
        super().train(mode)
        device = self.trained_on if mode else torch.device("cpu")
        if device != self.device:
            nn.Module.to(self, device)
        return self

    def forget(self) -> None:
        """Let go of the drawings and references that were encoded last, which are kept for what comes next."""
        self._references, self._drawings = [], []

    def recall(self, several: Sequence[Hints]) -> Tensor:
        """How much each remembered picture is like drawings (each of one row), all together: (1, M, 1, 1)."""
        total = torch.zeros(len(self.memory))
        for hints in several:
            drawing = self.drawing(hints)
            light = drawing.lightness() if drawing.gray else None
            total += self.memory.alike(self.net, drawing.regions, light)
        return total.view(1, -1, 1, 1)

    def drawing(self, hints: Hints) -> Drawing:
        """Cut a drawing (of one row) into regions and encode it."""
        picture, gray = hints.drawing, "line" not in hints
        for before, known in self._drawings:
            if known.gray == gray and _equal(before, picture):
                return known
        size = [max(16, round(side * SCALE / 4) * 4) for side in picture.shape[-2:]]
        small = F.interpolate(picture, size, mode="bilinear", antialias=True).clamp(-1, 1)
        queries, features = self.net.encode(small, torch.full((1,), gray))
        labels = flat_regions.cut(flat_regions.walls(picture) if gray else picture, MOST)
        count = int(labels.max()) + 1
        regions = self.net.regions(picture, features, labels, count)
        contact = self.net.contacts(picture, labels, count)
        made = Drawing(picture, gray, labels, regions, contact, queries, features)
        self._drawings = [*self._drawings, (picture, made)][-LATEST:]
        return made

    def _offer(self, hints: Hints, seed: int) -> Offer:
        """What the regions of one drawing may choose from."""
        drawing = self.drawing(hints)
        found = None if drawing.gray else hint_cells(hints)
        given = self._given(hints)
        rng = torch.Generator().manual_seed(seed) if seed else None
        gain = 1.0
        if not given and drawing.gray and not seed:  # truer, and duller, than a remembered picture
            given, gain = [self.net.from_book(1)], LIVELY
        elif not given and len(self.memory) and (found is None or len(found.colors) < FEW):
            scores = (hints["recalled"] if "recalled" in hints else self.recall([hints])).flatten()
            near = scores.topk(min(NEAREST, len(scores))).indices
            given = [self.memory.offer(self.net, near[seed % len(near)][None])]
            rng = None if found is None else rng  # another seed is another picture
        elif not given:  # with hints of several colors: what none of them fits takes a usual one
            given = [self.net.from_book(1)]
        before = sum(one.colors.shape[1] for one in given)
        colors = torch.zeros(0, 3) if found is None else found.colors
        bare = not any(one.owner.numel() for one in given)  # a reference shows its own paper, or has none
        offered = torch.cat([*(one.colors[one.valid] for one in given), colors])
        if bare and not bool((offered.amin(1) > WHITE).any()):
            colors = torch.cat([colors, torch.ones(1, 3)])
        if len(colors):
            there = torch.ones(1, len(colors), dtype=torch.bool)
            given = [*given, self.net.from_palette(colors[None], there)]
        choices = joined(given)
        if "offered" in hints:
            own, few = choices.colors[0], hints["offered"][0, :, :, 0].T
            among = (torch.cdist(own, few) < SAME).any(1) | (own.amin(1) > WHITE)
            among[before:] = True
            choices = replace(choices, valid=choices.valid & among)
        return Offer(drawing, choices, before, found, rng, gain, hints.get("before"))

    def _given(self, hints: Hints) -> list[Choices]:
        """The references and palettes that a user gives."""
        reference = hints.get("reference")
        if reference is None:
            return []
        for before, known in self._references:
            if _equal(before, reference):
                return [known]
        found = []
        for one in torch.split(reference, 3, dim=1):
            if bool(palettes.is_palette(one)[0]):
                colors = main_colors(one)
                found.append(self.net.from_palette(colors.rgb, colors.valid))
            else:
                found.append(self.offer(one)[0])
        self._references = [*self._references, (reference, joined(found))][-LATEST:]
        return [self._references[-1][1]]


class RegionSystem(System):
    """Regions of a drawing choose among given colors."""

    chooses = True

    def build(self, recipe: Recipe) -> Colorizer:
        """Make a model with fresh weights."""
        assert isinstance(recipe.denoiser.net, RegionNetSpec)
        assert isinstance(recipe.space, Regions), "regions choose colors, and x is what they chose"
        return RegionColorizer(recipe.denoiser.net, recipe.space.remembered)


def _equal(one: Tensor, other: Tensor) -> bool:
    return one is other or (one.shape == other.shape and torch.equal(one, other))
