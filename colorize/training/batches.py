"""A folder of pictures as endless training batches, each one determined by its number.

All pictures are in one uint8 tensor when they fit (in graphics memory when there is a GPU), and hints,
line styles and warps are made there, batch by batch; larger folders are read as they are needed.
"""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from colorize.errors import ColorizeError
from colorize.hints import COLORED, OPTIONAL, Batch, Hints
from colorize.images import augment, color_hints, files, lines, palettes
from colorize.images.color import lightness, luminance, permute_hues
from colorize.images.dataset_folder import Row, read_folder
from colorize.images.under_ink import fill
from colorize.recipes.recipe import Recipe, Stage

MEMORY = 6 * 2**30  # bytes of pictures kept in memory; 23,000 of 256 px with their lines
PATCHES = 4  # a shuffled reference is cut into 4 x 4 pieces
MARGIN = 1.5  # a square out of a picture of 2:3 is not enlarged

Bytes = npt.NDArray[np.uint8]
Size = tuple[int, int]  # height and width in pixels


def square(path: Path, side: int, gray: bool) -> Bytes:
    """Read a picture into a white square, (1 or 3, side, side) uint8, its longer side filling it."""
    return framed(path, side, gray)[0]


def framed(path: Path, side: int, gray: bool) -> tuple[Bytes, Size]:
    """Read a picture into the middle of a white square; also return its height and width there."""
    values = ((files.read(path).tensor()[0] + 1) * 127.5).round().to(torch.uint8)
    pixels: Bytes = values.permute(1, 2, 0).numpy()
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    pixels = np.asarray(cv2.resize(pixels, size, interpolation=shrink), np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    page = np.full((side, side, 3), 255, np.uint8)
    page[top : top + size[1], left : left + size[0]] = pixels
    if gray:
        page = np.asarray(cv2.cvtColor(page, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]
    return np.ascontiguousarray(page.transpose(2, 0, 1)), (size[1], size[0])


def _page(row: Row, side: int, with_line: bool = True) -> tuple[Bytes, Size]:
    """Read a row's picture and line art, (4, S, S) uint8, white where there is no line, and its height and width."""
    color, size = framed(row.file, side, False)
    line = square(row.line, side, True) if row.line and with_line else np.full_like(color[:1], 255)
    return np.concatenate([color, line]), size


@dataclass
class Store:
    """The pictures of a folder, with their line art: in one tensor, or read from disk when asked for.

    boxes: (N, 2), height and width of each picture in the middle of its square; 0 until it was read.
    pages: (N, 4, S, S) uint8, colors and line, or None.
    """

    rows: list[Row]
    side: int
    boxes: Tensor
    pages: Tensor | None = None

    def read(self, picks: Tensor, with_lines: bool = True) -> Tensor:
        """Return pages by row number, (B, 4, S, S) uint8; their boxes are known afterwards."""
        if self.pages is not None:
            return self.pages[picks.to(self.pages.device)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = pool.map(lambda at: _page(self.rows[at], self.side, with_lines), picks.tolist())
            pages, boxes = zip(*found, strict=True)
        self.boxes[picks] = torch.tensor(boxes)
        return torch.from_numpy(np.stack(pages))


def load(rows: list[Row], side: int, device: torch.device) -> tuple[Store, list[str]]:
    """Fill a store; returns it and a sentence for every row that had to be left out."""
    if len(rows) * side * side * 4 > MEMORY:
        return Store(rows, side, torch.zeros(len(rows), 2, dtype=torch.long)), []

    def read(row: Row) -> tuple[Bytes, Size] | str:
        try:
            return _page(row, side)
        except ColorizeError as error:
            return f"{row.file.name}: {error.message}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(read, rows))
    good = [(row, *result) for row, result in zip(rows, results, strict=True) if not isinstance(result, str)]
    bad = [result for result in results if isinstance(result, str)]
    if not good:
        raise ColorizeError("none of the pictures can be read", bad[0] if bad else "")
    kept, pages, boxes = zip(*good, strict=True)
    return Store(list(kept), side, torch.tensor(boxes), torch.from_numpy(np.stack(pages)).to(device)), bad


def row_weights(rows: Sequence[Row], sets: Sequence[tuple[str, float]]) -> Tensor:
    """Return how often each row is drawn, (N,) with sum 1: named sets get their share, the rest by size."""
    counts = Counter(row.set for row in rows)
    share = {name: part for name, part in sets if counts[name]}
    rest = sum(count for name, count in counts.items() if name not in share)
    left = 1 - sum(share.values()) if rest else 0.0
    each = [share[row.set] / counts[row.set] if row.set in share else left / max(1, rest) for row in rows]
    weights = torch.tensor(each, dtype=torch.float64)
    return weights / weights.sum()


def companions(rows: Sequence[Row]) -> list[list[int]]:
    """Return for each row the other rows that may be its reference: the ones it names, or else its group."""
    place = {row.file: index for index, row in enumerate(rows)}
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[row.set, row.group].append(index)
    found = []
    for index, row in enumerate(rows):
        named = [place[path] for path in row.references if path in place]
        group = groups[row.set, row.group] if row.group else []
        found.append([other for other in named or group if other != index])
    return found


class Pictures:
    """Training batches by number: the same seed and number give the same batch, whoever asks and when."""

    def __init__(self, root: Path, recipe: Recipe, stage: Stage, seed: int, device: torch.device) -> None:
        self.sizes = sizes(stage, recipe.system.multiple(recipe)) if stage.aspects else []
        side = stage.size if stage.mix.crop >= 1 else max(stage.size, min(2 * stage.size, 256))
        if self.sizes:
            side = round(MARGIN * max(max(size) for size in self.sizes))
        self.store, self.skipped = load(read_folder(root, "train"), side, device)
        self.recipe, self.stage, self.seed, self.device = recipe, stage, seed, device
        self.has_line = torch.tensor([row.line is not None for row in self.store.rows])
        self.weights = row_weights(self.store.rows, stage.mix.sets)
        self.others = companions(self.store.rows)

    def __len__(self) -> int:
        return len(self.store.rows)

    def batch(self, step: int) -> Batch:
        """Make batch number `step`: colors, hints, and which hints each row must do without."""
        rng = Generator().manual_seed((self.seed * 1_000_003 + step) % 2**63)
        mix, count = self.stage.mix, self.stage.batch
        picks = torch.multinomial(self.weights, count, replacement=True, generator=rng)
        drop = self._drop(count, rng)
        color, line = self._views(picks, rng)
        source = self._sources(picks, color, rng)
        hinted = torch.zeros(count, dtype=torch.bool)
        for name in COLORED:
            hinted |= ~drop.get(name, torch.ones(count, dtype=torch.bool))
        share = hinted & (torch.rand(count, generator=rng) < mix.hue)
        if mix.hue > 0:
            color, source = permute_hues([color, source], rng, share.to(color.device))
        if "line" in self.recipe.hints:
            line, clean = self._styles(picks, color, line, rng)
            if not self.recipe.space.inked:
                under = fill(color, clean)  # by the clean line: degraded lines show less ink than there is
                lined = ~drop.get("line", torch.zeros(count, dtype=torch.bool)).to(color.device)
                color = torch.where(lined[:, None, None, None], under, color)
        hints = self._hints(color, line, source, drop, rng)
        return Batch(color, hints, {name: rows.to(self.device) for name, rows in drop.items()})

    def _draw(self, count: int, share: float, rng: Generator) -> Tensor:
        """Draw a share of the rows, (B, 1, 1, 1) bool."""
        return (torch.rand(count, generator=rng) < share).to(self.device)[:, None, None, None]

    def _drop(self, count: int, rng: Generator) -> dict[str, Tensor]:
        """Draw which rows do without which hint."""
        mix, names = self.stage.mix, self.recipe.hints
        drop = {}
        if "gray" in names and "line" in names:
            drop["line"] = torch.rand(count, generator=rng) < mix.gray
            drop["gray"] = ~drop["line"]
        for name in OPTIONAL:
            if name in names:
                drop[name] = torch.rand(count, generator=rng) >= getattr(mix, name)
        return drop

    def _views(self, picks: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        """Cut the same window out of colors and lines, mirror some rows, and bring them to size."""
        mix, count = self.stage.mix, len(picks)
        both = self.store.read(picks)
        part = mix.crop + (1 - mix.crop) * float(torch.rand((), generator=rng))
        if self.sizes:
            size = self.sizes[int(torch.randint(len(self.sizes), (), generator=rng))]
            views = cut(both, self.store.boxes[picks], size, part, torch.rand(count, 2, generator=rng))
        else:
            full = self.store.side
            window = min(full, max(8, round(part * full)))
            corners = torch.randint(full - window + 1, (count, 2), generator=rng).tolist()
            cuts = [row[:, y : y + window, x : x + window] for row, (y, x) in zip(both, corners, strict=True)]
            views = torch.stack(cuts).to(self.device).float() / 127.5 - 1
            if window != self.stage.size:
                views = F.interpolate(views, (self.stage.size,) * 2, mode="bilinear", antialias=True)
        views = views.to(self.device)
        views = torch.where(self._draw(count, mix.flip, rng), views.flip(3), views)
        if mix.turn > 0:
            views = augment.turn(views, torch.rand(count, generator=rng) < mix.turn, rng)
        return views[:, :3].clamp(-1, 1), views[:, 3:].clamp(-1, 1)

    def _sources(self, picks: Tensor, color: Tensor, rng: Generator) -> Tensor:
        """Return the pictures that references are made of: another of the group, or the row's own."""
        luck = torch.rand(len(picks), 2, generator=rng)
        chosen = []
        for row, (first, second) in zip(picks.tolist(), luck.tolist(), strict=True):
            others = self.others[row] if first < self.stage.mix.other else []
            chosen.append(others[int(second * len(others))] if others else -1)
        found = torch.tensor(chosen)
        foreign = found >= 0
        if not bool(foreign.any()):
            return color
        pages, size = self.store.read(found[foreign], False)[:, :3].to(self.device), (color.shape[-2], color.shape[-1])
        if self.sizes:
            middle = torch.full((len(pages), 2), 0.5)
            pictures = cut(pages, self.store.boxes[found[foreign]], size, 1.0, middle)
        else:
            pictures = F.interpolate(pages.float() / 127.5 - 1, size, mode="bilinear", antialias=True)
        source = color.clone()
        source[foreign.to(color.device)] = pictures.clamp(-1, 1)
        if self.stage.mix.alike > 0:
            unlike = palettes.shared(color, source) < self.stage.mix.alike
            source[unlike] = color[unlike]
        return source

    def _styles(self, picks: Tensor, color: Tensor, line: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        """Return lines as people draw them, stored or extracted, some degraded; and all the ink there is."""
        mix, count = self.stage.mix, len(picks)
        extracted = lines.mix(color, rng)
        replaced = ~self.has_line[picks] | (torch.rand(count, generator=rng) < mix.restyle)
        replaced = replaced.to(line.device)[:, None, None, None]
        clean = torch.where(replaced, torch.minimum(line, extracted), line)
        line = torch.where(replaced, extracted, line)
        if mix.degrade > 0:
            line = torch.where(self._draw(count, mix.degrade, rng), lines.degrade(line, rng), line)
        if mix.tone > 0:
            line = torch.where(self._draw(count, mix.tone, rng), lines.screen(line, color, rng), line)
        if mix.margins > 0:
            line = lines.whiten_borders(line, torch.rand(count, generator=rng) < mix.margins, rng)
        if mix.jpeg > 0:
            stored, quality = self._draw(count, mix.jpeg, rng), 15 + 80 * torch.rand(count, generator=rng)
            line = torch.where(stored, augment.compress(line, quality), line)
        return line, clean

    def _hints(self, color: Tensor, line: Tensor, source: Tensor, drop: dict[str, Tensor], rng: Generator) -> Hints:
        """Make the hints of the recipe; rows shown as gray have no ink in their line."""
        names, made = self.recipe.hints, {}
        if "gray" in names:
            exact = getattr(self.recipe.space, "lightness", False)
            made["gray"] = gray = lightness(color) if exact else luminance(color)
            if self.stage.mix.printed > 0:  # screentone for shades
                rows = self._draw(len(gray), self.stage.mix.printed, rng)
                made["gray"] = torch.where(rows, lines.screen(lines.xdog(gray), color, rng), gray)
        if "gray" in names and "line" in names:
            gray_rows = drop["line"].to(line.device)[:, None, None, None]
            line = torch.where(gray_rows, torch.ones_like(line), line)
        if "line" in names:
            made["line"] = line
        if "reference" in names:
            made["reference"] = self._references(source, rng)
        if "hints" in names:
            made["hints"] = color_hints.simulate(color, rng, self.stage.mix.marks)
        return Hints(**made)

    def _references(self, source: Tensor, rng: Generator) -> Tensor:
        """Bend the sources; loosen and shuffle some of them, and reduce some to a palette."""
        mix, count = self.stage.mix, source.shape[0]
        bent = augment.warp(source, mix.warp, rng, mix.bend)
        if mix.loose > 0:
            bent = torch.where(self._draw(count, mix.loose, rng), augment.reference(source, rng, mix.warp), bent)
        if mix.shuffle > 0:
            bent = torch.where(self._draw(count, mix.shuffle, rng), augment.shuffle(bent, PATCHES, rng), bent)
        if mix.palette > 0:
            bent = torch.where(self._draw(count, mix.palette, rng), palettes.simulate(source, rng), bent)
        return bent


def sizes(stage: Stage, step: int) -> list[Size]:
    """Return a size for each of a stage's aspects: near `stage.size` squared pixels, in multiples of `step`.

    Raises ColorizeError if the stage's size is below `step`.
    """
    if stage.aspects and stage.size < step:
        message = f"size is {stage.size}, but pictures of several aspects come in steps of {step} pixels"
        raise ColorizeError(message, f"choose a size of at least {step}, or aspects=[]", code=2)
    roots = [math.sqrt(ratio) for ratio in stage.ratios]
    pixels = [(stage.size / root, stage.size * root) for root in roots]
    return [(max(1, round(high / step)) * step, max(1, round(wide / step)) * step) for high, wide in pixels]


def cut(pages: Tensor, boxes: Tensor, size: Size, part: float, corners: Tensor) -> Tensor:
    """Cut a window of one shape out of each picture and bring it to a size: (B, C, *size) in [-1, 1].

    pages: (B, C, S, S) uint8, pictures in the middle of squares. boxes: (B, 2), height and width of
    the pictures there. part: share of the largest such window's sides that is kept. corners: (B, 2)
    in [0, 1), its place in the picture, 0.5 being the middle. Shapes are kept to a pixel of the page.
    """
    cuts = []
    for page, box, luck in zip(pages, boxes.tolist(), corners.tolist(), strict=True):
        most = part * min(have / want for have, want in zip(box, size, strict=True))
        window = [max(1, min(have, round(most * want))) for have, want in zip(box, size, strict=True)]
        top, left = (
            (page.shape[-1] - have) // 2 + int(chance * (have - kept + 1))
            for have, kept, chance in zip(box, window, luck, strict=True)
        )
        view = page[:, top : top + window[0], left : left + window[1]].float() / 127.5 - 1
        if tuple(window) != size:
            view = F.interpolate(view[None], size, mode="bilinear", antialias=True)[0]
        cuts.append(view)
    return torch.stack(cuts)
