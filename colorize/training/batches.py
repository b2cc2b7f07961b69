"""A folder of pictures as endless training batches, each one determined by its number. Knows nothing of networks.

All pictures lie in one uint8 tensor when they fit (in graphics memory when there is a GPU), and hints,
line styles and warps are made there, batch by batch; larger folders are read as they are needed.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from colorize.errors import ColorizeError
from colorize.hints import COLORED, OPTIONAL, Batch, Hints
from colorize.images import augment, lines, palettes, simulated_hints
from colorize.images.color import luminance, permute_hues
from colorize.images.dataset_folder import Row, read_folder
from colorize.images.under_ink import fill
from colorize.recipes.recipe import Recipe, Stage
from colorize.training.picture_store import load

PATCHES = 4  # a shuffled reference is cut into 4 x 4 pieces


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
    """For each row, the other rows that may be its reference: the ones it names, or else its group."""
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
        rows = read_folder(root, "train")
        side = stage.size if stage.mix.crop >= 1 else max(stage.size, min(2 * stage.size, 256))
        side = stored_side(self.sizes) if self.sizes else side
        self.store, self.skipped = load(rows, side, device)
        self.recipe, self.stage, self.seed, self.device = recipe, stage, seed, device
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
        told = torch.zeros(count, dtype=torch.bool)
        for name in COLORED:
            told |= ~drop.get(name, torch.ones(count, dtype=torch.bool))
        share = told & (torch.rand(count, generator=rng) < mix.hue)
        if mix.hue > 0:
            color, source = permute_hues([color, source], rng, share.to(color.device))
        drawn = "line" in self.recipe.hints
        if drawn:
            line, clean = self._styles(picks, color, line, rng)
        if drawn and not self.recipe.space.inked:
            under = fill(color, clean)  # by the clean line: worn lines show less ink than there is
            lined = ~drop.get("line", torch.zeros(count, dtype=torch.bool)).to(color.device)
            color = torch.where(lined[:, None, None, None], under, color)
        hints = self._hints(color, line, source, drop, rng)
        return Batch(color, hints, {name: rows.to(self.device) for name, rows in drop.items()})

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
        mix = self.stage.mix
        both = torch.cat([self.store.colors(picks), self.store.lines(picks)], dim=1)
        part = mix.crop + (1 - mix.crop) * float(torch.rand((), generator=rng))
        if self.sizes:
            size = self.sizes[int(torch.randint(len(self.sizes), (), generator=rng))]
            corners = torch.rand(len(picks), 2, generator=rng)
            views = cut(both, self.store.boxes(picks), size, part, corners)
        else:
            views = self._squares(both, part, rng)
        views = views.to(self.device)
        mirrored = (torch.rand(len(picks), generator=rng) < mix.flip).to(views.device)
        views = torch.where(mirrored[:, None, None, None], views.flip(3), views)
        if mix.turn > 0:
            views = augment.turn(views, torch.rand(len(picks), generator=rng) < mix.turn, rng)
        return views[:, :3].clamp(-1, 1), views[:, 3:].clamp(-1, 1)

    def _squares(self, both: Tensor, part: float, rng: Generator) -> Tensor:
        """Cut windows of a share of the side out of squares, at random, and bring them to size."""
        full, side = self.store.side, self.stage.size
        window = min(full, max(8, round(part * full)))
        corners = torch.randint(full - window + 1, (len(both), 2), generator=rng).tolist()
        cuts = [
            row[:, top : top + window, left : left + window] for row, (top, left) in zip(both, corners, strict=True)
        ]
        views = torch.stack(cuts).to(self.device).float() / 127.5 - 1
        if window != side:
            views = F.interpolate(views, (side, side), mode="bilinear", antialias=True)
        return views

    def _sources(self, picks: Tensor, color: Tensor, rng: Generator) -> Tensor:
        """The pictures that references are made of: another of the group, or the row's own."""
        luck = torch.rand(len(picks), 2, generator=rng)
        chosen = []
        for row, (first, second) in zip(picks.tolist(), luck.tolist(), strict=True):
            others = self.others[row] if first < self.stage.mix.other else []
            chosen.append(others[int(second * len(others))] if others else -1)
        mates = torch.tensor(chosen)
        foreign = mates >= 0
        if not bool(foreign.any()):
            return color
        pictures = self._mates(mates[foreign], (color.shape[-2], color.shape[-1]))
        source, foreign = color.clone(), foreign.to(color.device)
        source[foreign] = pictures.clamp(-1, 1)
        if self.stage.mix.alike > 0:
            strange = palettes.shared(color, source) < self.stage.mix.alike
            source[strange] = color[strange]
        return source

    def _mates(self, picks: Tensor, size: tuple[int, int]) -> Tensor:
        """Other pictures at the batch's size, whole or, where batches have shapes, their middle."""
        pages = self.store.colors(picks).to(self.device)
        if self.sizes:
            middle = torch.full((len(picks), 2), 0.5)
            return cut(pages, self.store.boxes(picks), size, 1.0, middle)
        return F.interpolate(pages.float() / 127.5 - 1, size, mode="bilinear", antialias=True)

    def _styles(self, picks: Tensor, color: Tensor, line: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        """Lines as people draw them, stored or extracted, some worn; and all the ink there is."""
        mix = self.stage.mix
        extracted = lines.mix(color, rng)
        replaced = (self.store.place[picks] < 0) | (torch.rand(len(picks), generator=rng) < mix.restyle)
        clean = torch.minimum(line, extracted)
        line = torch.where(replaced.to(line.device)[:, None, None, None], extracted, line)
        clean = torch.where(replaced.to(line.device)[:, None, None, None], clean, line)
        if mix.degrade > 0:
            worse = (torch.rand(len(picks), generator=rng) < mix.degrade).to(line.device)
            line = torch.where(worse[:, None, None, None], lines.degrade(line, rng), line)
        if mix.tone > 0:
            toned = (torch.rand(len(picks), generator=rng) < mix.tone).to(line.device)
            line = torch.where(toned[:, None, None, None], lines.screen(line, color, rng), line)
        if mix.margins > 0:
            line = lines.whiten(line, torch.rand(len(picks), generator=rng) < mix.margins, rng)
        if mix.jpeg > 0:
            stored = (torch.rand(len(picks), generator=rng) < mix.jpeg).to(line.device)
            quality = 15 + 80 * torch.rand(len(picks), generator=rng)
            line = torch.where(stored[:, None, None, None], augment.wear(line, quality), line)
        return line, clean

    def _hints(self, color: Tensor, line: Tensor, source: Tensor, drop: dict[str, Tensor], rng: Generator) -> Hints:
        """Make the hints of the recipe; rows shown as gray have no ink in their line."""
        names, given = self.recipe.hints, {}
        if "gray" in names:
            given["gray"] = self._grays(color, rng)
        if "gray" in names and "line" in names:
            gray_rows = drop["line"].to(line.device)[:, None, None, None]
            line = torch.where(gray_rows, torch.ones_like(line), line)
        if "line" in names:
            given["line"] = line
        if "reference" in names:
            given["reference"] = self._references(source, rng)
        if "hints" in names:
            given["hints"] = simulated_hints.simulate(color, rng, self.stage.mix.marks)
        return Hints(**given)

    def _grays(self, color: Tensor, rng: Generator) -> Tensor:
        """The luma of colors, (B, 1, H, W); some rows with their shades printed as screentone."""
        gray, share = luminance(color), self.stage.mix.printed
        if share <= 0:
            return gray
        printed = (torch.rand(len(gray), generator=rng) < share).to(gray.device)
        drawn = lines.extract(gray, "xdog")
        return torch.where(printed[:, None, None, None], lines.screen(drawn, color, rng), gray)

    def _references(self, source: Tensor, rng: Generator) -> Tensor:
        """Bend the sources; loosen and shuffle some of them, and reduce some to a palette."""
        mix, count = self.stage.mix, source.shape[0]
        bent = augment.warp(source, mix.warp, rng)
        if mix.loose > 0:
            chosen = (torch.rand(count, generator=rng) < mix.loose).to(source.device)
            loose = augment.reference(source, rng, mix.warp)
            bent = torch.where(chosen[:, None, None, None], loose, bent)
        if mix.shuffle > 0:
            chosen = (torch.rand(count, generator=rng) < mix.shuffle).to(source.device)
            mixed = augment.shuffle(bent, PATCHES, rng)
            bent = torch.where(chosen[:, None, None, None], mixed, bent)
        if mix.palette > 0:
            chosen = (torch.rand(count, generator=rng) < mix.palette).to(source.device)
            few = palettes.simulate(source, rng)
            bent = torch.where(chosen[:, None, None, None], few, bent)
        return bent


ROOM = 1.5  # a square out of a picture of 2:3 is not enlarged

Size = tuple[int, int]  # height and width in pixels


def sizes(stage: Stage, step: int) -> list[Size]:
    """Return a size for each of a stage's aspects: near `stage.size` squared pixels, in multiples of `step`.

    Raises ColorizeError if the stage's size is below `step`.
    """
    if stage.aspects and stage.size < step:
        told = f"size is {stage.size}, but pictures of several aspects come in steps of {step} pixels"
        raise ColorizeError(told, f"take a size of at least {step}, or aspects=[]", code=2)
    roots = [math.sqrt(ratio) for ratio in stage.ratios]
    return [(_near(stage.size / root, step), _near(stage.size * root, step)) for root in roots]


def stored_side(shapes: Sequence[Size]) -> int:
    """Return the side in pixels of the squares to keep pictures in that are to be cut to these sizes."""
    return round(ROOM * max(max(size) for size in shapes))


def cut(pages: Tensor, boxes: Tensor, size: Size, part: float, corners: Tensor) -> Tensor:
    """Cut a window of one shape out of each picture and bring it to a size: (B, C, *size) in [-1, 1].

    pages: (B, C, S, S) uint8, pictures in the middle of squares. boxes: (B, 2), height and width of
    the pictures there. part: share of the largest such window's sides that is kept. corners: (B, 2)
    in [0, 1), where in the picture it lies, 0.5 being the middle. Shapes are kept to a pixel of the page.
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


def _near(pixels: float, step: int) -> int:
    return max(1, round(pixels / step)) * step


class Batches(Protocol):
    """Training data whose k-th batch is always the same, so that a step number is a place in it."""

    def batch(self, step: int) -> Batch:
        """Make batch number 0, 1, 2, ..."""


class Ahead:
    """The same batches under the same numbers, up to `count` of them made before they are asked for.

    stride: how far the numbers asked for lie apart. end: one that will not be asked for, None if
    there is none. count: 0 makes every batch when it is asked for, on the caller's thread.
    """

    def __init__(self, batches: Batches, count: int, stride: int = 1, end: int | None = None) -> None:
        self.batches, self.count, self.stride, self.end = batches, count, stride, end
        self.waiting: deque[tuple[int, Future[Batch]]] = deque()
        self.pool = ThreadPoolExecutor(1, "batches") if count else None

    def batch(self, step: int) -> Batch:
        """Return a batch by its number; raises what making it raised."""
        if self.pool is None:
            return self.batches.batch(step)
        if not self.waiting or self.waiting[0][0] != step:
            self._forget()
            self.waiting.append((step, self.pool.submit(self.batches.batch, step)))
        _, wanted = self.waiting.popleft()
        place = step + self.stride * (1 + len(self.waiting))
        while len(self.waiting) < self.count and (self.end is None or place < self.end):
            self.waiting.append((place, self.pool.submit(self.batches.batch, place)))
            place += self.stride
        return wanted.result()

    def close(self) -> None:
        """End the thread; waits for the batch it is at."""
        self._forget()
        if self.pool is not None:
            self.pool.shutdown()

    def _forget(self) -> None:
        while self.waiting:
            self.waiting.popleft()[1].cancel()
