"""Batches of threes for networks that let regions choose: three views of one character, each encoded once.

Every picture of a three is a drawing, and the reference of the two others: six pairs out of three encodings.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from colorize.errors import ColorizeError
from colorize.hints import Batch, Hints
from colorize.images import flat_regions, lines, palettes
from colorize.images.color import luminance, permute_hues
from colorize.images.dataset_folder import Row, read_folder
from colorize.images.under_ink import fill
from colorize.recipes.recipe import Stage
from colorize.region_diffusion.pieces import PARTS, SIDE, main_colors, parts
from colorize.training.batches import companions, row_weights, square

PIXELS = 192  # a side of the stored pictures
STYLES = 3  # line arts of each picture
NONE = 255  # a cell that belongs to no part
VERSION = 1  # of what the files hold; another one is made anew
CHUNK = 64  # pictures that a worker makes at a time
SHOWN = 88  # regions of a drawing in training; smaller ones belong to their neighbors
CELL = 4  # pixels of the side of an encoder's cell
ZOOM, TURN, SHIFT, BEND = (0.68, 1.45), 0.28, 0.13, 0.08
ARRAYS = {
    "color": ((3, PIXELS, PIXELS), np.uint8),
    "under": ((3, PIXELS, PIXELS), np.uint8),
    "ink": ((STYLES, PIXELS, PIXELS), np.uint8),
    "part": ((SIDE, SIDE), np.uint8),
    "owner": ((PARTS,), np.int8),
    "good": ((), np.bool_),
}


@dataclass(frozen=True)
class PictureStore:
    """color, under: (N, 3, S, S) uint8, with ink and without. ink: (N, 3, S, S), line art in three styles.

    part: (N, 64, 64) uint8, parts of equal color; owner: (N, P) int8, the main color of each. weights: (N,), how often
    each is drawn. mates: the other pictures of the same character. names: folder and file of each picture.
    """

    color: Tensor
    under: Tensor
    ink: Tensor
    part: Tensor
    owner: Tensor
    weights: Tensor
    mates: list[list[int]]
    names: list[str]
    skipped: list[str]

    def __len__(self) -> int:
        return int((self.weights > 0).sum())


def opened(root: Path, sets: Sequence[tuple[str, float]], first: bool = True) -> PictureStore:
    """Map the store of a folder, after making it where there is none; not the `first` process waits for it.

    Raises ColorizeError if no picture can be read, or the cache cannot be written.
    """
    rows = read_folder(root, "train")
    owner = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8]
    folder = cache() / f"{owner}-{_fingerprint(rows)}"
    if first and not (folder / "good.npy").exists():
        for old in folder.parent.glob(f"{owner}-*"):  # of this folder as it was before
            shutil.rmtree(old, ignore_errors=True)
        _make(rows, folder)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    # Copy on write: torch wants writable arrays.
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in ARRAYS}
    found = {name: torch.from_numpy(array) for name, array in arrays.items()}
    good = found.pop("good").clone()
    if not bool(good.any()):
        raise ColorizeError("none of the pictures can be read", f"look into `{root}`")
    weights = row_weights(rows, sets) * good
    mates = [[at for at in others if good[at]] for others in companions(rows)]
    skipped = [row.file.name for row, fine in zip(rows, good.tolist(), strict=True) if not fine]
    names = [f"{row.file.parent.name}/{row.file.name}" for row in rows]
    return PictureStore(**found, weights=weights, mates=mates, names=names, skipped=skipped)


def cache() -> Path:
    """Where stores are kept: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "colorize" / "training"


def _fingerprint(rows: Sequence[Row]) -> str:
    """Twelve signs that change with the pictures of a folder: their paths, sizes and times."""
    digest = hashlib.sha256(f"{VERSION} {PIXELS}".encode())
    for row in rows:
        for path in (row.file, row.line):
            status = path.stat() if path else None
            digest.update(repr((str(path), status and (status.st_size, status.st_mtime_ns))).encode())
    return digest.hexdigest()[:12]


def _make(rows: Sequence[Row], folder: Path) -> None:
    """Make the files of a store, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    needed = len(rows) * sum(math.prod(shape) for shape, _ in ARRAYS.values())
    if shutil.disk_usage(folder.parent).free < 1.05 * needed:
        hint = "free some space, or set XDG_CACHE_HOME to a folder on another disk"
        raise ColorizeError(f"`{folder.parent}` has no room for {needed / 2**30:.1f} GiB of prepared pictures", hint)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, (shape, kind) in ARRAYS.items():
            np.lib.format.open_memmap(work / f"{name}.npy", "w+", kind, (len(rows), *shape)).flush()
        starts = range(0, len(rows), CHUNK)
        jobs = [(work, start, list(rows[start : start + CHUNK])) for start in starts]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for done in [pool.submit(_chunk, *job) for job in jobs]:
                done.result()
        shutil.rmtree(folder, ignore_errors=True)
        work.replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _chunk(folder: Path, start: int, rows: Sequence[Row]) -> None:
    """Make some pictures' share of a store."""
    found = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in ARRAYS}
    for at, row in enumerate(rows, start):
        try:
            made = _picture(row, at)
        except ColorizeError:
            continue
        for name, value in made.items():
            found[name][at] = value
    for array in found.values():
        array.flush()


def _picture(row: Row, seed: int) -> dict[str, np.ndarray | bool]:
    """One picture's entries; raises ColorizeError if it cannot be read."""
    rng = Generator().manual_seed(seed)
    pixels = torch.from_numpy(square(row.file, PIXELS, False))[None]
    color = pixels.float() / 127.5 - 1
    drawn = [lines.mix(color, rng) for _ in range(2)]
    clean, styles = torch.minimum(*drawn), [*drawn, lines.xdog(color)]
    if row.line is not None:
        clean = torch.from_numpy(square(row.line, PIXELS, True))[None].float() / 127.5 - 1
        styles = [clean, drawn[0], clean]
    found = main_colors(color)
    labels, owner = parts(found)
    return {
        "color": pixels[0].numpy(),
        "under": _bytes(fill(color, clean))[0].numpy(),
        "ink": _bytes(torch.cat(styles, 1))[0].numpy(),
        "part": torch.where(labels[0] < 0, NONE, labels[0]).byte().numpy(),
        "owner": owner[0].to(torch.int8).numpy(),
        "good": True,
    }


def _bytes(picture: Tensor) -> Tensor:
    return ((picture.clamp(-1, 1) + 1) * 127.5).round().byte()


@dataclass(frozen=True, kw_only=True)
class Threes(Batch):
    """Pictures 3 i, 3 i + 1 and 3 i + 2 belong together; of hints there is the line.

    under: (B, 3, S, S), the color without ink. drawing: (B, 1, S, S), the line, or the gray picture where gray (B,)
    is True. labels: (B, S/2, S/2), regions of the drawing, numbered below `regions`. part: (B, 64, 64), parts of the
    picture as a reference, -1 for none; owner: (B, P), their main colors. palette: (B,), whether the row that goes
    without a reference gets a palette. pick: (B,), the number of each picture.
    """

    under: Tensor
    drawing: Tensor
    labels: Tensor
    part: Tensor
    owner: Tensor
    gray: Tensor
    palette: Tensor
    pick: Tensor
    regions: int

    def to(self, device: torch.device) -> Threes:
        """Move everything to a device."""
        own: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        moved = {name: value.to(device) for name, value in own.items() if isinstance(value, Tensor | Hints)}
        return Threes(**(own | moved))


class RegionBatches:
    """Training batches by number: the same seed and number give the same batch, whoever asks and when."""

    def __init__(self, store: PictureStore, stage: Stage, seed: int) -> None:
        self.store, self.stage, self.seed = store, stage, seed

    @staticmethod
    def check(stage: Stage) -> None:
        """Refuse a size that cells do not divide (ColorizeError, wrong usage)."""
        if stage.size % CELL or stage.size < 8 * CELL:
            message = f"size is {stage.size}, but this model trains on multiples of {CELL}, at least {8 * CELL}"
            raise ColorizeError(message, f"choose size={max(8, round(stage.size / CELL)) * CELL}", code=2)

    def __len__(self) -> int:
        return len(self.store)

    @property
    def skipped(self) -> list[str]:
        """A sentence for every picture that had to be left out."""
        return [f"{name}: cannot be read" for name in self.store.skipped]

    def batch(self, step: int) -> Threes:
        """Make batch number `step`."""
        rng = Generator().manual_seed((self.seed * 1_000_003 + step) % 2**63)
        mix = self.stage.mix
        pick = self._picks(max(1, self.stage.batch // 3), rng)
        color, count = self.store.color[pick].float() / 127.5 - 1, len(pick)
        first = torch.arange(count) // 3 * 3  # serves in place of what shares too few of its colors
        pick = torch.where(palettes.shared(color[first], color) < mix.alike, pick[first], pick)
        luck = torch.rand(count, 4, generator=rng)
        style = torch.where(luck[:, 0] < 1 - mix.restyle, 0, torch.where(luck[:, 0] < 1 - 0.4 * mix.restyle, 1, 2))
        under, color, line, part = self._views(pick, style, rng)
        under, color = self._recolored([under, color], rng)
        if float(torch.rand((), generator=rng)) < mix.degrade:
            line = lines.degrade(line, rng, 0.35)
        toned = (luck[:, 1] < mix.tone)[:, None, None, None]
        line = (torch.where(toned, lines.screen(line, color, rng), line) if bool(toned.any()) else line).clamp(-1, 1)
        gray, plain = luck[:, 2] < mix.gray, luminance(color)
        rows = gray[:, None, None, None]
        labels = flat_regions.cut(torch.where(rows, flat_regions.walls(plain), line), SHOWN)
        return Threes(
            color=color,
            hints=Hints(line=line),
            under=under,
            drawing=torch.where(rows, plain, line),
            labels=labels,
            part=part,
            owner=self.store.owner[pick].long(),
            gray=gray,
            palette=luck[:, 3] < mix.palette,
            pick=pick,
            regions=int(labels.max()) + 1,
        )

    def _picks(self, groups: int, rng: Generator) -> Tensor:
        """Draw pictures by set, each with two others of its character, or with itself."""
        picks: list[int] = []
        for first in torch.multinomial(self.store.weights, groups, True, generator=rng).tolist():
            mates = self.store.mates[first]
            order = torch.randperm(len(mates), generator=rng)[:2].tolist()
            others = [mates[at] for at in order] + [first] * (2 - len(order))
            if float(torch.rand((), generator=rng)) >= self.stage.mix.other:
                others[0] = first
            picks += [first, *others]
        return torch.tensor(picks)

    def _views(self, pick: Tensor, style: Tensor, rng: Generator) -> Sequence[Tensor]:
        """Turned, zoomed, mirrored and bent views: under, color, line, and part labels (B, 64, 64)."""
        store, size = self.store, self.stage.size
        ink = store.ink[pick, style][:, None]
        view = torch.cat([store.under[pick], store.color[pick], ink], 1).float() / 127.5 - 1
        grid = _grid(len(pick), size, rng)
        view = F.grid_sample(view - 1, grid, mode="bilinear", align_corners=False) + 1
        view = view.clamp(-1, 1)
        coarse = F.interpolate(grid.permute(0, 3, 1, 2), (SIDE, SIDE), mode="bilinear").permute(0, 2, 3, 1)
        part = store.part[pick][:, None].float() + 1  # 255 is none, and so is what lies outside
        part = F.grid_sample(part, coarse, mode="nearest", align_corners=False)[:, 0].round().long() - 1
        return view[:, :3], view[:, 3:6], view[:, 6:], torch.where(part >= PARTS, -1, part)

    def _recolored(self, pictures: Sequence[Tensor], rng: Generator) -> list[Tensor]:
        """Move the hues of a share of the threes, all three alike."""
        threes = [list(one.view(-1, 3, *one.shape[1:]).unbind(1)) for one in pictures]
        groups = len(threes[0][0])
        chosen = torch.rand(groups, generator=rng) < self.stage.mix.hue
        moved = permute_hues([view for three in threes for view in three], rng, chosen)
        return [torch.stack(moved[at : at + 3], 1).flatten(0, 1) for at in range(0, len(moved), 3)]


def _grid(count: int, size: int, rng: Generator) -> Tensor:
    """Random views for `grid_sample`: (count, size, size, 2)."""

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=rng)

    zoom, angle = between(*ZOOM), between(-TURN, TURN)
    flip = torch.where(torch.rand(count, generator=rng) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    across, down = between(-SHIFT, SHIFT), between(-SHIFT, SHIFT)
    rows = torch.stack([cos * flip, -sin, across], -1), torch.stack([sin * flip, cos, down], -1)
    grid = F.affine_grid(torch.stack(rows, 1), [count, 1, size, size], align_corners=False)
    field = torch.randn(count, 2, 4, 4, generator=rng) * BEND * torch.rand(count, 1, 1, 1, generator=rng)
    return grid + F.interpolate(field, (size, size), mode="bicubic").permute(0, 2, 3, 1)
