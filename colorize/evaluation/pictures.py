"""Read and fingerprint the pictures of a folder once, however many modes look at them. Knows nothing of modes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from colorize.errors import ColorizeError
from colorize.images import color, dataset_folder, files, hint_files, lines
from colorize.images.resize import centered, crop, fit_size, letterbox

Kind = Literal["line", "gray"]
ROOM = 2**28  # bytes of fitted pictures that are kept; about 250 with their drawings at 256 px
SAME_FRAME = 0.02  # by how much the aspect ratio of a line drawing may miss its picture's


class Store:
    """The rows of `root/validation`, or of `root` itself if it has no splits, and their pictures.

    Files are taken to stay as they are while this lives. Raises ColorizeError as `read_folder` does.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows = dataset_folder.read_folder(root, "validation")
        self.base = dataset_folder.splits(root).get("validation", root)
        self._sizes: dict[Path, tuple[int, int]] = {}  # height and width of the files
        self._digests: dict[Path, bytes] = {}
        self._kept: dict[tuple[str, Path, int], Tensor] = {}
        self._room = ROOM

    def name(self, row: dataset_folder.Row) -> str:
        """Return what reports call a row: its path below the folder."""
        return row.file.relative_to(self.base).as_posix()

    def truth(self, file: Path, size: int) -> Tensor:
        """Return a picture fitted into a square, (1, 3, size, size) in [-1, 1]."""
        return self._once(("truth", file, size), lambda: fit(self._read(file), size))

    def drawing(self, row: dataset_folder.Row, size: int, kind: Kind) -> Tensor:
        """Return what is to be colored, (1, 1, size, size) in [-1, 1]: line art or the gray picture.

        Line art is the true line where the row names one, else XDoG of the picture. Raises
        ColorizeError if the line and its picture cannot show the same frame.
        """
        if kind == "gray":
            return color.luminance(self.truth(row.file, size))
        return self._once(("line", row.file, size), lambda: self._line(row, size))

    def hints(self, row: dataset_folder.Row, size: int) -> Tensor:
        """Return the hints that a row stores, (1, 4, size, size), see `strokes`; it must have some.

        Raises ColorizeError if they are no picture that is transparent but for the hints.
        """
        assert row.hint is not None, row
        picture = files.read(row.hint)
        if picture.alpha is None:
            raise ColorizeError(
                f"the hints of `{self.name(row)}` are not transparent between the strokes",
                "make the folder again with `colorize prepare-data`",
            )
        rgb = np.broadcast_to(picture.pixels, (*picture.size, 3))
        given = hint_files.parse(np.dstack([rgb, picture.alpha]), picture.size)
        return fit_hints(given, size)

    def digest(self, path: Path | None) -> bytes:
        """Return the SHA-256 of a file, or the word none. Raises ColorizeError if it is unreadable."""
        if path is None:
            return b"none"
        if path not in self._digests:
            try:
                self._digests[path] = hashlib.sha256(path.read_bytes()).digest()
            except OSError as error:
                raise ColorizeError(f"`{path}` cannot be read: {error.strerror}") from error
        return self._digests[path]

    def _line(self, row: dataset_folder.Row, size: int) -> Tensor:
        truth = self.truth(row.file, size)
        if row.line is None:
            return lines.xdog(truth)
        drawing = color.luminance(self._read(row.line))
        (height, width), (tall, wide) = drawing.shape[-2:], self._sizes[row.file]
        if abs(height * wide - width * tall) > SAME_FRAME * tall * width:
            raise ColorizeError(
                f"the line drawing of `{self.name(row)}` has {height} x {width} pixels and its "
                f"picture {tall} x {wide}; they cannot show the same frame",
                "make the folder again with `colorize prepare-data`",
            )
        return fit(drawing, size)

    def _read(self, path: Path) -> Tensor:
        picture = files.read(path).tensor()
        self._sizes[path] = (picture.shape[-2], picture.shape[-1])
        return picture

    def _once(self, key: tuple[str, Path, int], make: Callable[[], Tensor]) -> Tensor:
        """Make a tensor, or find it; the first ones are kept, for every mode comes along in order."""
        if key in self._kept:
            return self._kept[key]
        made = make()
        if made.nbytes <= self._room:
            self._kept[key] = made
            self._room -= made.nbytes
        return made


def fit_hints(hints: Tensor, size: int) -> Tensor:
    """Place hints as `fit` places their picture: (1, 4, H, W) to (1, 4, size, size)."""
    box = centered(fit_size(hints.shape[-2:], size), (size, size))
    result = hint_files.blank(hints.new_empty(1, 3, size, size))
    crop(result, box).copy_(hint_files.resize(hints, (box.height, box.width)))
    return result


def fit(picture: Tensor, size: int) -> Tensor:
    """Resize a picture so that its longer side is `size`, and pad it white to a square.

    picture: (1, C, H, W) in [-1, 1]. Returns (1, C, size, size).
    """
    return letterbox(picture, size, "bicubic")
