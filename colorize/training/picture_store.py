"""The pictures of a training folder: all in one uint8 tensor, or read when asked for. Knows nothing of hints."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from colorize.errors import ColorizeError
from colorize.images import files
from colorize.images.dataset_folder import Row

MEMORY = 6 * 2**30  # bytes of pictures kept in memory; 23,000 of 256 px with their lines


Bytes = npt.NDArray[np.uint8]


Box = tuple[int, int]  # height and width in pixels


def square(path: Path, side: int, gray: bool) -> Bytes:
    """Read a picture into a white square, (1 or 3, side, side) uint8, its longer side filling it."""
    return framed(path, side, gray)[0]


def framed(path: Path, side: int, gray: bool) -> tuple[Bytes, Box]:
    """Read a picture into the middle of a white square; also return its height and width there."""
    picture = files.read(path)
    values = ((picture.tensor()[0] + 1) * 127.5).round().to(torch.uint8)
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


@dataclass
class Store:
    """The pictures themselves: in one tensor, or read from disk when asked for.

    color: (N, 3, S, S) uint8 or None. line: (M, 1, S, S) uint8 or None; place[i] is row i's line, or -1.
    box: (N, 2), height and width of each picture in the middle of its square; 0 until it was read.
    """

    rows: list[Row]
    side: int
    place: Tensor
    box: Tensor
    color: Tensor | None = None
    line: Tensor | None = None

    def colors(self, picks: Tensor) -> Tensor:
        """Pictures by row number, (B, 3, S, S) uint8."""
        if self.color is not None:
            return self.color[picks.to(self.color.device)]
        pages, boxes = _read([self.rows[i].file for i in picks.tolist()], self.side, gray=False)
        self.box[picks] = boxes
        return pages

    def boxes(self, picks: Tensor) -> Tensor:
        """Height and width of pictures by row number, (B, 2)."""
        if bool((unread := self.box[picks, 0] == 0).any()):
            self.colors(picks[unread])
        return self.box[picks]

    def lines(self, picks: Tensor) -> Tensor:
        """Line art by row number, (B, 1, S, S) uint8; rows without one are paper."""
        places = self.place[picks]
        blank = torch.full((len(picks), 1, self.side, self.side), 255, dtype=torch.uint8)
        if self.line is not None:
            found = self.line[places.clamp(min=0).to(self.line.device)]
            missing = (places < 0).to(found.device)[:, None, None, None]
            return torch.where(missing, blank.to(found.device), found)
        has = [i for i in range(len(picks)) if places[i] >= 0]
        if has:
            paths = [self.rows[int(picks[i])].line for i in has]
            blank[has] = _read([path for path in paths if path], self.side, gray=True)[0]
        return blank


def _read(paths: Sequence[Path], side: int, gray: bool) -> tuple[Tensor, Tensor]:
    """Squares (B, 1 or 3, S, S) uint8 and boxes (B, 2)."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda path: framed(path, side, gray), paths))
    pages = torch.from_numpy(np.stack([page for page, _ in found]))
    return pages, torch.tensor([box for _, box in found])


def load(rows: list[Row], side: int, device: torch.device) -> tuple[Store, list[str]]:
    """Fill a store; returns it and a sentence for every row that had to be left out."""
    kept: list[Row] = []
    bad: list[str] = []
    colors: list[Bytes] = []
    boxes: list[Box] = []
    inks: list[Bytes] = []
    in_memory = len(rows) * side * side * 4 <= MEMORY
    if not in_memory:
        has = torch.tensor([index if row.line else -1 for index, row in enumerate(rows)])
        return Store(rows, side, has, torch.zeros(len(rows), 2, dtype=torch.long)), []

    def one(row: Row) -> tuple[Bytes, Box, Bytes | None] | str:
        try:
            page, box = framed(row.file, side, False)
            return page, box, square(row.line, side, True) if row.line else None
        except ColorizeError as error:
            return f"{row.file.name}: {error.message}"

    place = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, result in zip(rows, pool.map(one, rows), strict=True):
            if isinstance(result, str):
                bad.append(result)
                continue
            kept.append(row)
            page, box, ink = result
            colors.append(page)
            boxes.append(box)
            place.append(-1 if ink is None else len(inks))
            if ink is not None:
                inks.append(ink)
    if not kept:
        raise ColorizeError("none of the pictures can be read", bad[0] if bad else "")
    color = torch.from_numpy(np.stack(colors)).to(device)
    line = torch.from_numpy(np.stack(inks)).to(device) if inks else None
    return Store(kept, side, torch.tensor(place), torch.tensor(boxes), color, line), bad
