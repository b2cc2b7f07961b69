"""Let the regions of one drawing choose: which are sure enough, what their pixels say, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from colorize.hints import Hints
from colorize.images import color_hints, flat_regions
from colorize.images.color import lab_of, lab_to_rgb, one_hue, rgb_to_lab
from colorize.images.resize import spread_between_lines
from colorize.networks.unet import pad
from colorize.region_diffusion.network import FAINT, INKED, Choices, Pieces, RegionNet
from colorize.region_diffusion.pieces import means

SAME = 6.0  # CIE76; hints that differ by less are one color
MOST = 48  # colors of hints; of more the nearest one counts
BRIGHT, SPECK = 0.8, 0.15  # of [-1, 1], what counts as white; share of an area below which white is a speck
COVER = 0.2  # of a cell of the field, from which a hint counts there
SPOT = 16  # cells of a stroke, up to which it is a dot and meant for one region
GRAZED = 0.25  # of a stroke; a region that holds less of it, and not the most, is not meant
PULL = 10.0  # of regions with nothing but paper between them, on each other's votes
TURNS = 8  # in which they hear each other
LEAST = -30.0  # logarithm of a vote that counts no less
RIM = 3  # cells from a line, over which a color is taken from farther inside
SMOOTH = 2.5  # cells over which the borders of colors are rounded off
AGREED = 0.7  # share of a region's pixels of one color from which all of it has that color
WHOLE, CLOSED = 0.93, 0.8  # the same for regions with wide passages between them, which are one; if they are small
HUE, TONES = 0.6, 45.0  # radians and CIE76 between tones of one hue
MOST_TONE = 0.65  # of an area's main hue; a tone of more is the tone of all of it
SCENE = 0.3  # of a drawing; a larger area changes color without a line
SURE = 0.6  # the same for a region whose color is given or was drawn
FIRM = 6.0  # what a region's color, once it is given or drawn, adds to the votes of its pixels
STAY = 3.0  # what the color that a cell had before adds to its votes
LIKE = 12.0  # CIE76; a color so near to that is it, in light or shade
SHARP = 0.38  # temperature of the mean over colors in gray pictures (Zhang et al. 2016, annealed mean)
LIVELY = 1.8  # temperature at which colors are drawn


@dataclass(frozen=True)
class HintCells:
    """Hints on one drawing.

    at: (n,) cells of the field; which: (n,), the color of each; stroke: (n,), the stroke that each is part of.
    colors: (m, 3) in [-1, 1].
    """

    at: Tensor
    which: Tensor
    stroke: Tensor
    colors: Tensor

    def meant(self, cells: Tensor, paper: Tensor) -> Tensor:
        """Which cells (n,) lie in a region that their stroke is meant for: where most of it lies, ink counting little.

        A long stroke may be meant for several. cells, paper: (h * w,), the region of each cell, and how light it is.
        """
        keep = torch.zeros(len(self.at), dtype=torch.bool)
        for stroke in torch.unique(self.stroke):
            mine = self.stroke == stroke
            at = self.at[mine]
            numbers, place = torch.unique(cells[at], return_inverse=True)
            weight = torch.zeros(len(numbers)).index_add_(0, place, paper[at])
            share = weight / weight.sum()
            least = GRAZED if len(at) > SPOT else 1.0
            meant = numbers[(share >= least) | (weight == weight.max())]
            keep |= mine & torch.isin(cells[self.at], meant)
        return keep


def hint_cells(hints: Hints) -> HintCells | None:
    """Return the color hints of one row on a field of half the drawing's size, or None where there are none.

    Gray hints that lie on ink say nothing of color, and are left out.
    """
    layer = hints.get("hints")
    if layer is None:
        return None
    layer = color_hints.off_ink(layer, hints["line"])
    field, cover = _halved(layer)
    at = (cover.flatten() > COVER).nonzero()[:, 0]
    if not len(at):
        return None
    rgb = field.flatten(1).T[at]
    colors, which = _grouped(rgb)
    there = (cover > COVER).numpy().astype(np.uint8)
    stroke = cv2.connectedComponents(there, connectivity=8)[1]
    return HintCells(at, which, torch.from_numpy(stroke).flatten()[at], colors)


def _halved(layer: Tensor) -> tuple[Tensor, Tensor]:
    """The colors of a hint map (1, 4, H, W) at half its size, (3, h, w), how much of each cell it covers, (h, w)."""
    mask = (layer[:, 3:] > 0).to(layer)
    half = F.avg_pool2d(torch.cat([layer[:, :3] * mask, mask], 1), 2, ceil_mode=True)[0]
    return half[:3] / half[3].clamp(min=COVER), half[3]


def _grouped(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Colors (m, 3) that differ visibly, each the mean of its group, and the group of each of (n, 3)."""
    lab = lab_of(rgb)
    centers = lab[:1]
    while len(centers) < MOST:
        away = torch.cdist(lab, centers).amin(1)
        if float(away.max()) < SAME:
            break
        centers = torch.cat([centers, lab[away.argmax()][None]])
    which = torch.cdist(lab, centers).argmin(1)
    count = torch.bincount(which, minlength=len(centers)).clamp(min=1)
    total = torch.zeros(len(centers), 3).index_add_(0, which, rgb)
    return total / count[:, None], which


@dataclass(frozen=True)
class Drawing:
    """A drawing (1, 1, H, W), its regions, and what the encoder says of it. labels: (1, h, w) at half its size."""

    picture: Tensor
    gray: bool
    labels: Tensor
    regions: Pieces
    contact: Tensor
    queries: Tensor
    features: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the field."""
        return self.labels.shape[-2], self.labels.shape[-1]

    @property
    def count(self) -> int:
        """The number of regions."""
        return self.contact.shape[1]

    @cached_property
    def areas(self) -> Tensor:
        """For each region the number of what it belongs to, see `flat_regions.passages`: (N,)."""
        clear = -F.adaptive_max_pool2d(-self.picture, self.size)[0, 0] > FAINT
        return torch.from_numpy(flat_regions.passages(self.labels[0].numpy(), clear.numpy()))

    @cached_property
    def inner(self) -> Tensor:
        """For each cell the one whose color it has: beside ink, the nearest of its area that is clear of it, (h * w,).

        A cell beside a line holds some of both of its sides. What is too thin to be clear of ink keeps its own colors.
        """
        height, width = self.size
        place = torch.arange(height * width).view(1, 1, height, width)
        if self.gray:
            return place.flatten()
        dark = F.max_pool2d(-pad(self.picture, 2), 2)
        clear = F.pad((F.max_pool2d(dark, 3, 1, 1) < -FAINT).long() * (place + 1), (1, 1, 1, 1))
        area = F.pad(self.areas[self.labels][None], (1, 1, 1, 1), value=-1)
        for _ in range(RIM):
            for axis, step in ((-1, 1), (-2, 1), (-1, -1), (-2, -1)):
                same = (clear == 0) & (area == area.roll(step, axis))
                clear = torch.where(same, clear.roll(step, axis), clear)
        found = clear[..., 1:-1, 1:-1] - 1
        return torch.where(found < 0, place, found).flatten()

    def paper(self) -> Tensor:
        """How much each cell of the field counts, (h * w,): less under ink."""
        light = torch.ones_like(self.picture) if self.gray else self.picture
        return INKED + F.avg_pool2d((pad(light, 2) + 1) / 2, 2).flatten()

    def lightness(self) -> Tensor:
        """L* of the regions of a gray picture, (N,)."""
        light = rgb_to_lab(F.avg_pool2d(pad(self.picture, 2), 2).expand(-1, 3, -1, -1))[:, :1]
        return means(light, self.labels, self.count)[0][0, :, 0]


@dataclass
class Offer:
    """What the regions of a drawing may choose from, and what they have chosen so far.

    hinted: the place among the choices at which the colors of the hints begin. rng: None takes the likeliest
    colors. gain: of the chroma of gray pictures. before: (1, 4, H, W), a hint map of what the drawing's colors were,
    which they are likely to stay.
    chosen: (N,), the color of each region, -1 for none yet. votes: (K, h * w), what the cells say now.
    """

    drawing: Drawing
    choices: Choices
    hinted: int
    hints: HintCells | None
    rng: Generator | None
    gain: float = 1.0
    before: Tensor | None = None
    chosen: Tensor = field(init=False)
    firm: Tensor = field(init=False)
    votes: Tensor = field(init=False)

    def __post_init__(self) -> None:
        count, cells = self.drawing.count, self.drawing.labels.flatten()
        self.chosen = torch.full((count,), -1)
        self.firm = torch.zeros(count, dtype=torch.bool)
        if self.hints is None:
            return
        meant = self.hints.meant(cells, self.drawing.paper())
        at, which = self.hints.at[meant], self.hints.which[meant] + self.hinted
        # Of the hints in what a region belongs to, its own come first, then the nearest one; none if it had a color.
        (height, width), areas = self.drawing.size, self.drawing.areas
        place = self.drawing.regions.geometry[0, :, :2] / 2 + 0.5
        apart = torch.cdist(place, torch.stack([at // width / height, at % width / width], 1))
        own = cells[at][None] == torch.arange(count)[:, None]
        same = (areas[cells[at]][None] == areas[:, None]) & (self.before is None)
        least, nearest = torch.where(own, apart - 2, torch.where(same, apart, torch.inf)).min(1)
        self.firm = least.isfinite()
        self.chosen[self.firm] = which[nearest[self.firm]]

    def areas(self) -> Tensor:
        """How much of the drawing's paper has each color, (K,)."""
        pick = self._picked()
        return torch.zeros(len(self.votes)).index_add_(0, pick, self.drawing.paper())

    def stay(self) -> Tensor:
        """What the cells' votes gain by the colors they had, (K, h * w)."""
        assert self.before is not None
        rgb, cover = _halved(self.before)
        apart = torch.cdist(lab_of(rgb.flatten(1).T), lab_of(self.choices.colors[0]))
        near, which = apart.min(1)
        known = (near < LIKE) & (cover.flatten() > COVER)
        return STAY * (F.one_hot(which, apart.shape[1]).float() * known[:, None]).T

    def shown(self, net: RegionNet) -> Tensor:
        """The answer as it stands: shaded and flat color, (1, 6, h, w) in [-1, 1]."""
        if self.drawing.gray:
            color = self._tinted()
            return torch.cat([color, color], 1)
        height, width = self.drawing.size
        flat = self.choices.colors[0][self._picked()].T.reshape(1, 3, height, width)
        size = (-(-height // 2), -(-width // 2))
        features = F.interpolate(self.drawing.features, size, mode="bilinear")
        shade = net.shade(features, pad(flat, 2))[..., :height, :width]
        shade = shade.flatten(2)[..., self.drawing.inner].view(shade.shape)
        return torch.cat([(flat + shade).clamp(-1, 1), flat], 1)

    def _picked(self) -> Tensor:
        """The color of every cell, (h * w,). Regions leak: where the cells of one disagree, each has its own."""
        cells, count = self.drawing.labels.flatten(), self.drawing.count
        pick = (self.votes + self._pulled()).argmax(0)
        tally = torch.zeros(count, len(self.votes))
        tally.index_put_((cells, pick), self.drawing.paper(), accumulate=True)
        pick = _unified(pick, cells, tally, torch.where(self.firm, SURE, AGREED))
        area = self.drawing.areas
        tally = torch.zeros(count, len(self.votes))
        tally.index_put_((area[cells], pick), self.drawing.paper(), accumulate=True)
        small = tally.sum(1) < SCENE * tally.sum()
        pick = _unified(pick, area[cells], tally, torch.where(small, CLOSED, WHOLE))
        pick = _one_tone(pick, area[cells], self.choices.colors[0], self.drawing.paper())
        # Round off the borders of colors that no line shows, and drop specks.
        used, place = torch.unique(pick, return_inverse=True)
        planes = F.one_hot(place, len(used)).float().view(*self.drawing.size, -1).numpy()
        light = -F.max_pool2d(-pad(self.drawing.picture, 2), 2)[0, 0]
        smooth = spread_between_lines(planes, ((light + 1) / 2).numpy(), SMOOTH)
        pick = self._filled(used[torch.from_numpy(smooth).flatten(0, 1).argmax(1)])[self.drawing.inner]
        return pick if self.hints is None else self._marked(pick)

    def _filled(self, pick: Tensor) -> Tensor:
        """Give white specks (of cells, (h * w,)) the color of most of what they lie in."""
        paper, cells = self.drawing.paper(), self.drawing.areas[self.drawing.labels.flatten()]
        tally = torch.zeros(int(cells.max()) + 1, len(self.votes)).index_put_((cells, pick), paper, accumulate=True)
        white, filled = self.choices.colors[0].amin(1) > BRIGHT, pick.clone()
        for color in torch.unique(pick)[white[torch.unique(pick)]]:
            there = (pick == color).view(self.drawing.size).numpy().astype(np.uint8)
            count, found = cv2.connectedComponents(there, connectivity=4)
            part = torch.from_numpy(found).flatten().long()
            inside = torch.zeros(count, len(tally)).index_put_((part, cells), paper, accumulate=True)
            speck = inside.sum(1) < SPECK * tally.sum(1)[inside.argmax(1)]
            speck[0] = False  # all other colors
            filled = torch.where(speck[part], tally.argmax(1)[cells], filled)
        return filled

    def _pulled(self) -> Tensor:
        """What the cells' votes gain by their neighbors' without ink between, and by what is known: (K, h * w).

        Mean field of a Potts model (Koller and Friedman 2009, section 11.5): a small inlet follows what it opens to.
        """
        cells, count = self.drawing.labels.flatten(), self.drawing.count
        known = F.one_hot(self.chosen.clamp(min=0), len(self.votes)).float() * self.firm[:, None]
        own = _mean(self.votes.clamp(min=LEAST), cells, count, self.drawing.paper()) + FIRM * known
        openly = PULL * self.drawing.contact[0, ..., 0]
        share = own.softmax(-1)
        for _ in range(TURNS):
            share = (own + openly @ share).softmax(-1)
        return (openly @ share + FIRM * known).T[:, cells]

    def _marked(self, pick: Tensor) -> Tensor:
        """Divide regions with hints of several colors: each cell has the color of the nearest of them."""
        assert self.hints is not None
        cells = self.drawing.labels.flatten()
        meant = self.hints.meant(cells, self.drawing.paper())
        at, which = self.hints.at[meant], self.hints.which[meant] + self.hinted
        for region in torch.unique(cells[at]):
            mine = cells[at] == region
            if len(torch.unique(which[mine])) > 1:
                inside = (cells == region).nonzero()[:, 0]
                held, known = np.zeros(len(cells), bool), torch.zeros(len(cells), dtype=torch.long)
                held[at[mine]], known[at[mine]] = True, which[mine]
                nearest = flat_regions.nearest_region(held.reshape(self.drawing.size)).ravel()
                pick[inside] = known[torch.from_numpy(nearest)[inside]]
        pick[at] = which
        return pick

    def _tinted(self) -> Tensor:
        """Color for a gray picture, whose lightness stays: a and b are the annealed mean of the available colors."""
        height, width = self.drawing.size
        share = (self.votes / SHARP).softmax(0)
        ab = (lab_of(self.choices.colors[0])[:, 1:].T @ share).view(1, 2, height, width) * self.gain
        gray = F.avg_pool2d(pad(self.drawing.picture, 2), 2)
        light = rgb_to_lab(gray.expand(-1, 3, -1, -1))[:, :1]
        return lab_to_rgb(torch.cat([light, ab], 1)).clamp(-1, 1)


def _unified(pick: Tensor, cells: Tensor, tally: Tensor, least: Tensor) -> Tensor:
    """Give all of a region the color of most of its cells, where that are more than `least` of them."""
    top = tally.argmax(1)
    whole = tally.amax(1) / tally.sum(1).clamp(min=1e-6) > least
    return torch.where(whole[cells], top[cells], pick)


def _one_tone(pick: Tensor, areas: Tensor, rgb: Tensor, paper: Tensor) -> Tensor:
    """Give all tones of an area's main hue the one that most of it has, unless the area is large.

    pick, areas, paper: (h * w,). rgb: (K, 3) in [-1, 1].
    """
    lab = lab_of(rgb)
    alike = one_hue(lab[:, None], lab[None], HUE) & (torch.cdist(lab, lab) < TONES)
    tally = torch.zeros(int(areas.max()) + 1, len(rgb)).index_put_((areas, pick), paper, accumulate=True)
    top = tally.argmax(1)
    clear = tally.amax(1) > MOST_TONE * (tally * alike[top]).sum(1)
    clear &= tally.sum(1) < SCENE * tally.sum()
    return torch.where(alike[top[areas], pick] & clear[areas], top[areas], pick)


def choose(net: RegionNet, offer: Offer, share: float) -> None:
    """Call the network once, and let the surest regions choose until `share` of the area has a color.

    At share 1 all the rest do. Chang et al. 2022, MaskGIT, section 3.2.
    """
    drawing, choices = offer.drawing, offer.choices
    cells, count = drawing.labels.flatten(), drawing.count
    known = (offer.chosen >= 0).float()[None]
    hue = choices.colors[0][offer.chosen.clamp(min=0)][None] * known[..., None]
    votes, at_color = net(drawing.regions, drawing.contact, choices, hue, known)
    own = F.interpolate(net.pixels(drawing.queries, at_color), drawing.size, mode="bilinear")[0].flatten(1)
    if offer.before is not None:
        own = own + offer.stay()
    barred = ~choices.valid[0]
    offer.votes = (votes[0].T[:, cells] + own).masked_fill(barred[:, None], -1e4)
    if offer.rng is None and share >= 1:
        return  # every cell has its say; nothing is drawn
    paper = drawing.paper()
    area = torch.zeros(count).index_add_(0, cells, paper)
    regional = (votes[0] + _mean(own, cells, count, paper)).masked_fill(barred[None], -1e4).log_softmax(-1)
    drawn = regional
    if offer.rng is not None:
        luck = torch.rand(regional.shape, generator=offer.rng).clamp(1e-9, 1 - 1e-7)
        drawn = regional - LIVELY * (-luck.log()).log()
    pick = drawn.argmax(-1)
    sure = regional.gather(1, pick[:, None])[:, 0]
    left = offer.chosen < 0
    order = torch.where(left, -sure, torch.inf).argsort()
    before = float((area * ~left).sum() / area.sum())
    take = torch.zeros(count, dtype=torch.bool)
    take[order[(area * left)[order].cumsum(0) / area.sum() <= share - before + 1e-6]] = True
    take &= left
    if share >= 1:
        take = left
    offer.chosen = torch.where(take, pick, offer.chosen)
    offer.firm = offer.firm | take


def _mean(values: Tensor, cells: Tensor, count: int, weight: Tensor) -> Tensor:
    """Mean of what cells say (K, h * w) over each region: (count, K)."""
    total = torch.zeros(count, len(values)).index_add_(0, cells, (values * weight).T)
    return total / torch.zeros(count).index_add_(0, cells, weight).clamp(min=1e-6)[:, None]
