"""All that training in threes draws from, made once and mapped: pictures, colors under the ink, lines, parts.

The files lie in the user's cache, under a fingerprint of the folder's pictures; a second run maps them.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from colorize.errors import ColorizeError
from colorize.images import lines
from colorize.images.dataset_folder import Row, read_folder
from colorize.images.under_ink import fill
from colorize.region_diffusion.pieces import PARTS, SIDE, main_colors, parts
from colorize.training.batches import companions, row_weights, square

PIXELS = 192  # a side of the stored pictures
STYLES = 3  # line arts of each picture
NONE = 255  # a cell that belongs to no part
VERSION = 1  # of what the files hold; another one is made anew
CHUNK = 64  # pictures that a worker makes at a time
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
    found = {name: _mapped(folder / f"{name}.npy") for name in ARRAYS}
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


def _mapped(path: Path) -> Tensor:
    array = np.load(path, mmap_mode="c", allow_pickle=False)  # copy on write: torch wants it writable
    return torch.from_numpy(array)


def _make(rows: Sequence[Row], folder: Path) -> None:
    """Make the files of a store, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    needed = len(rows) * sum(math.prod(shape) for shape, _ in ARRAYS.values())
    if shutil.disk_usage(folder.parent).free < 1.05 * needed:
        raise ColorizeError(
            f"`{folder.parent}` has no room for {needed / 2**30:.1f} GiB of prepared pictures",
            "free some space, or set XDG_CACHE_HOME to a folder on another disk",
        )
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
    if row.line is not None:
        clean = torch.from_numpy(square(row.line, PIXELS, True))[None].float() / 127.5 - 1
        styles = [clean, drawn[0], clean]
    else:
        styles = [drawn[0], drawn[1], lines.xdog(color)]
        clean = torch.minimum(*drawn)
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
