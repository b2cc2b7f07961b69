"""Train regions to choose: the losses of colors and shade, and the pictures that a model remembers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from colorize.images.color import lab_of, rgb_to_lab
from colorize.recipes.recipe import Choosing
from colorize.region_diffusion.network import Choices, RegionNet, joined
from colorize.region_diffusion.pieces import COLORS, LEAST, SIDE, main_colors, means
from colorize.region_diffusion.system import RegionColorizer
from colorize.training.region_batches import PictureStore, Threes

if TYPE_CHECKING:
    from colorize.hints import Batch
    from colorize.model import Colorizer

SOFT = 5.0  # CIE76; width of the soft labels: colors that differ by less are equally right
FAR = 22.0  # CIE76 to the nearest available color, at which a place counts a third
PURE = 18.0  # CIE76; spread of a region's true colors at which it counts a third
DIM = 0.15  # of a gray picture's L: its own lightness is known
UNTOLD = 0.45  # share of rows in which no region's color is known
HINTED = 0.3  # share of steps in which rows with a reference get some of their own colors, too
OPEN = 0.3  # share of rows with a palette that may take colors of the code book, too
KEPT = 0.85  # of the colors of a picture, that its palette keeps
RARE = 0.004  # of the area; colors of less are in no palette
LEAST_COLORS = 4  # main colors that a picture worth remembering has
FRESH = 16.0  # mean chroma of its colored area, at least
PALE, DULL = 92.0, 8.0  # L* and chroma; lighter and grayer is paper
RARE_COLOR = 0.01  # of the area; rarer colors do not count
TRIES = 12  # pictures looked at for one that is remembered
NOISE = 0.03  # of a palette's colors, in [-1, 1]
BULK = 0.02  # of the area; a color of more than that counts less per pixel


@dataclass(frozen=True)
class ChoosingLoss:
    """Absorbing-state diffusion: some regions' colors are known, the others are to be found, all in one call.

    numbers: see the recipe's.
    """

    numbers: Choosing = Choosing()

    def __call__(self, model: Colorizer, batch: Batch, rng: Generator) -> Iterator[Tensor]:
        """Yield one loss for the batch, which must be of threes."""
        assert isinstance(batch, Threes)
        net, count, pixels = model.network, batch.regions, self.numbers.pixels
        assert isinstance(net, RegionNet)
        queries, features = net.encode(batch.drawing, batch.gray)
        seen = _Seen(net, batch, queries.float(), features.float(), count)
        known = _references(net, batch, features)
        place = torch.arange(len(batch.color), device=batch.color.device)
        first = place // 3 * 3
        turns = torch.cat([first + (place + turn) % 3 for turn in (1, 2)])
        offered = known.rows(turns)
        if _happens(HINTED, rng):
            offered = joined([offered, _palette(net, batch, rng, sparse=1.0).rows(place.repeat(2))])
        pairs = seen.loss(place.repeat(2), offered, rng, pixels)
        palette, book = _palette(net, batch, rng), net.from_book(len(place))
        chosen = (batch.palette & palette.valid.any(1))[:, None]  # both side by side, one of them valid, or both
        alone = chosen & (_random(rng, chosen.device, *chosen.shape) >= OPEN)
        free = (replace(palette, valid=palette.valid & chosen), replace(book, valid=book.valid & ~alone))
        single = seen.loss(place, joined(free), rng, pixels)
        yield (2 * pairs + single) / 3 + self.numbers.shade * seen.shading(known)


class _Seen:
    """Drawings that are encoded, and the truth about them."""

    def __init__(self, net: RegionNet, batch: Threes, queries: Tensor, features: Tensor, count: int) -> None:
        self.net, self.batch, self.count = net, batch, count
        self.queries, self.features = queries, features
        drawing, labels = batch.drawing, batch.labels
        self.regions = net.regions(drawing, features, labels, count)
        self.contact = net.contacts(drawing, labels, count)
        gray = batch.gray[:, None, None, None]
        self.field = F.avg_pool2d(torch.where(gray, batch.color, batch.under), 2)
        light = torch.where(gray, torch.ones_like(drawing), drawing)
        self.paper = F.avg_pool2d((light + 1) / 2, 2).clamp(0, 1)
        lab = rgb_to_lab(self.field).float()
        moments, _ = means(torch.cat([self.field, lab, lab.square()], 1), labels, count, 0.02 + self.paper[:, 0])
        self.mean = moments[..., :3]
        spread = (moments[..., 6:] - moments[..., 3:6].square()).clamp(min=0).sum(-1)
        self.pure = torch.exp(-spread / PURE**2)
        quarter = F.avg_pool2d(self.field, 2)
        self.cells = quarter.flatten(2).mT  # (B, h * w, 3)
        self.coarse = labels[:, ::2, ::2].flatten(1)
        self.light = F.avg_pool2d(self.paper, 2).flatten(1)

    def loss(self, rows: Tensor, choices: Choices, rng: Generator, pixels: float) -> Tensor:
        """Cross-entropy of regions and cells for rows of the batch with what each is offered."""
        gray, regions = self.batch.gray[rows], self.regions.rows(rows)
        soft, weight, best = _targets(self.mean[rows], choices, gray)
        count, on = len(rows), rows.device
        known = _random(rng, on, count, 1) * (_random(rng, on, count, 1) > UNTOLD)
        known = (_random(rng, on, count, self.count) < known).float()
        hue = choices.colors.gather(1, best[..., None].expand(-1, -1, 3))
        votes, at_color = self.net(regions, self.contact[rows], choices, hue, known)
        own = self.net.pixels(self.queries[rows], at_color).flatten(2)  # (R, K, h * w)
        coarse = self.coarse[rows]
        spread = votes.gather(1, coarse[..., None].expand(-1, -1, votes.shape[-1]))
        cells = (spread + own.mT).log_softmax(-1)
        cell_soft, cell_weight, _ = _targets(self.cells[rows], choices, gray)
        common = cell_soft.mean(1, keepdim=True)
        rare = (cell_soft / (common + BULK).sqrt()).sum(-1)
        rare = rare / rare.mean(1, keepdim=True)
        hidden = known.gather(1, coarse)
        cell_weight = cell_weight * rare * (0.1 + 0.9 * self.light[rows]) * (1 - 0.9 * hidden)
        cell_loss = -(cell_soft * cells).sum(-1)
        per_cell = (cell_loss * cell_weight).sum(1) / cell_weight.sum(1).clamp(min=1)
        size = regions.mass.sqrt() * (regions.mass > 1.5)
        weight = weight * self.pure[rows] * size * (1 - 0.9 * known)
        region_loss = -(soft * votes.log_softmax(-1)).sum(-1)
        per_region = (region_loss * weight).sum(1) / weight.sum(1).clamp(min=1e-3)
        total: Tensor = pixels * per_cell.mean() + per_region.mean()
        return total

    def shading(self, known: Choices) -> Tensor:
        """Error of the shaded color, where regions have one color and it is available."""
        first = torch.arange(len(self.field), device=self.field.device)
        choices = known.rows(first // 3 * 3 + (first + 1) % 3)
        _, weight, best = _targets(self.mean, choices, self.batch.gray)
        hue = choices.colors.gather(1, best[..., None].expand(-1, -1, 3))
        flat = hue.gather(1, self.batch.labels.flatten(1)[..., None].expand(-1, -1, 3))
        flat = flat.mT.reshape(self.field.shape)
        shade = self.net.shade(self.features, flat)
        sure = (self.pure * weight).gather(1, self.batch.labels.flatten(1)).view_as(self.paper)
        wrong = F.huber_loss(flat + shade, self.field, delta=0.2, reduction="none").mean(1, True)
        return (wrong * sure * (0.1 + 0.9 * self.paper)).mean()


def _references(net: RegionNet, batch: Threes, features: Tensor) -> Choices:
    """Offer every picture as a reference: the colors and parts that are in view."""
    rgb, share, valid = _colors(batch)
    place = batch.part.clamp(min=0).flatten(1)
    there = torch.zeros(len(rgb), batch.owner.shape[1], device=rgb.device)
    there.scatter_add_(1, place, (batch.part >= 0).float().flatten(1))
    own = batch.owner.clamp(min=0)
    owner = torch.where((there >= 3) & (batch.owner >= 0) & valid.gather(1, own), batch.owner, -1)
    parts = net.parts(batch.hints["line"], features, batch.part, owner)
    return net.from_reference(rgb, share, valid, parts, owner)


def _colors(batch: Threes) -> tuple[Tensor, Tensor, Tensor]:
    """The main colors of pictures as they are in view: rgb (B, K, 3), share and valid (B, K)."""
    own = batch.owner.gather(1, batch.part.clamp(min=0).flatten(1)).view_as(batch.part)
    which = torch.where(batch.part < 0, -1, own)
    small = F.interpolate(batch.color, (SIDE, SIDE), mode="nearest-exact")
    rgb, mass = means(small, which, COLORS)
    return rgb, mass / SIDE**2, mass >= LEAST


def _palette(net: RegionNet, batch: Threes, rng: Generator, sparse: float = 0.4) -> Choices:
    """Offer most colors of each picture, a little off; a share `sparse` of the rows any part of them, as by hints."""
    rgb, share, valid = _colors(batch)
    on = rgb.device
    few = _random(rng, on, len(rgb), 1) < sparse
    kept = torch.where(few, _random(rng, on, len(rgb), 1), KEPT)
    keep = valid & (_random(rng, on, *valid.shape) < kept) & (share > RARE)
    noise = torch.randn(rgb.shape, generator=rng).to(on)
    return net.from_palette((rgb + NOISE * noise).clamp(-1, 1), keep)


def _targets(colors: Tensor, choices: Choices, gray: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Soft labels of true colors (R, N, 3) among the choices: (R, N, K), how much each counts, and the best (R, N).

    In gray pictures the lightness is known, so a and b decide.
    """
    scale = torch.ones(len(gray), 1, 3, device=gray.device)
    scale[..., 0] -= (1 - DIM) * gray[:, None].float()
    apart = torch.cdist(lab_of(colors) * scale, lab_of(choices.colors) * scale)
    apart = apart.masked_fill(~choices.valid[:, None], 1e4)
    least, best = apart.min(-1)
    soft = (-(apart.square() - least.square()[..., None]) / (2 * SOFT**2)).softmax(-1)
    return soft, torch.exp(-(least / FAR).square()).clamp(min=0.02), best


def _random(rng: Generator, device: torch.device, *shape: int) -> Tensor:
    """Uniform numbers, the same ones on every device."""
    return torch.rand(shape, generator=rng).to(device)


def _happens(share: float, rng: Generator) -> bool:
    return float(torch.rand((), generator=rng)) < share


def remember(model: RegionColorizer, store: PictureStore, seed: int = 0) -> list[int]:
    """Fill a model's memory from training pictures, drawn as training draws them; return their numbers.

    Pictures of few or dull colors are passed over, and only one of a character is taken.
    """
    rng = Generator().manual_seed(seed)
    count = min(int((store.weights > 0).sum()), TRIES * model.memory.room)
    order = torch.multinomial(store.weights, count, replacement=False, generator=rng)
    picked: list[int] = []
    taken: set[int] = set()
    for at in order.tolist():
        if len(picked) >= model.memory.room:
            break
        if at not in taken and fresh(store.color[at][None].float() / 127.5 - 1):
            picked.append(at)
            taken.update((at, *store.mates[at]))
    keep(model, store, picked)
    return picked


class Refresh:
    """Remembers anew when a model is saved: what is kept of a picture follows the encoder that is trained.

    That takes some seconds, and is left out where less than ten times as many went by since the last time.
    """

    def __init__(self, store: PictureStore, clock: Callable[[], float] = time.monotonic) -> None:
        self.store, self.clock = store, clock
        self.picked = chosen(store)
        self.until = -math.inf

    def __call__(self, model: RegionColorizer) -> None:
        """Fill the model's memory, if it is time."""
        begun = self.clock()
        if begun < self.until:
            return
        if self.picked:
            keep(model, self.store, self.picked[: model.memory.room])
        else:
            self.picked = remember(model, self.store)
        self.until = begun + 11 * (self.clock() - begun)


def chosen(store: PictureStore) -> list[int]:
    """The pictures that were chosen by eye for the embedded model, where the folder holds all of them, else none."""
    names = resources.files("colorize.weights").joinpath("memory.txt").read_text("utf-8").split()
    place = {name: at for at, name in enumerate(store.names)}
    return [place[name] for name in names] if all(name in place for name in names) else []


def keep(model: RegionColorizer, store: PictureStore, picked: list[int]) -> None:
    """Fill a model's memory with these pictures of a store."""
    before = model.training
    model.eval()
    with torch.inference_mode():
        pairs = ((store.color[at][None], store.ink[at, 0][None, None]) for at in picked)
        found = [model.offer(*(one.float() / 127.5 - 1 for one in pair)) for pair in pairs]
        model.memory.keep([choices for choices, _ in found], [share for _, share in found])
    model.train(before)


def fresh(picture: Tensor) -> bool:
    """Whether a picture (1, 3, H, W) in [-1, 1] has several colors that are not dull."""
    found = main_colors(picture)
    lab = lab_of(found.rgb)[0]
    chroma = lab[:, 1:].norm(dim=1)
    there = found.valid[0] & (found.share[0] > RARE_COLOR)
    colored = there & ((lab[:, 0] < PALE) | (chroma > DULL))
    area = (found.share[0] * colored).sum().clamp(min=0.02)
    mean = float((chroma * found.share[0] * there).sum() / area)
    return int(there.sum()) >= LEAST_COLORS and mean >= FRESH
