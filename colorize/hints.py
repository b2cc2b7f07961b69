"""The hints a model can be given: one table for all parts of the program, and the tensors of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from colorize.errors import ColorizeError


@dataclass(frozen=True)
class Hint:
    """One hint, as recipes, `--guidance NAME=1.5`, `Mix` and error messages name it.

    channels: of its tensor, per picture where several can be given. option: what gives it on the command line.
    fields: of `Job` that hold it; none for the drawing itself. colored: whether it says which colors to use.
    """

    name: str
    channels: int
    option: str
    fields: tuple[str, ...] = ()
    colored: bool = False


_TABLE = (
    Hint("line", 1, "the drawing itself"),  # paper +1, ink -1
    Hint("gray", 1, "the picture itself"),  # luma
    Hint("reference", 3, "--ref", ("references",), colored=True),  # RGB
    Hint("hints", 4, "--hint or --hints", ("hints", "dots"), colored=True),  # RGB and mask of dots and strokes
)
HINTS = {hint.name: hint for hint in _TABLE}
OPTIONAL = tuple(hint.name for hint in _TABLE if hint.fields)  # what a user may add to the drawing
COLORED = tuple(hint.name for hint in _TABLE if hint.colored)


class Hints(dict[str, Tensor]):
    """Named tensors (B, C, H, W) in [-1, 1]; asking for a missing one raises ColorizeError (wrong usage).

    `reference` holds 3 * R channels when R references are given, and may have another size than
    the drawing. All other hints share the size of the drawing.
    """

    def __init__(self, **tensors: Tensor | None) -> None:
        super().__init__({name: value for name, value in tensors.items() if value is not None})

    def __missing__(self, name: str) -> Tensor:
        how = f"give it with {HINTS[name].option}, or " if name in HINTS else ""
        raise ColorizeError(
            f"the model needs the hint `{name}`, which was not given",
            f"{how}choose a model that works without it: mini",
            code=2,
        )

    @property
    def drawing(self) -> Tensor:
        """The line art or gray picture itself, (B, 1, H, W)."""
        return self["line" if "line" in self else "gray"]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the drawing in pixels."""
        height, width = self.drawing.shape[-2:]
        return int(height), int(width)

    @property
    def batch(self) -> int:
        """The number of pictures."""
        return self.drawing.shape[0]

    def to(self, device: torch.device) -> Hints:
        """Move all tensors to a device."""
        return Hints(**{name: value.to(device) for name, value in self.items()})

    def rows(self, rows: slice) -> Hints:
        """Keep some pictures of the batch."""
        return Hints(**{name: value[rows] for name, value in self.items()})


@dataclass(frozen=True)
class Batch:
    """One training step's pictures.

    color: (B, 3, H, W) in [-1, 1], the answer. drop: per hint a (B,) bool tensor, True where it is left out.
    """

    color: Tensor
    hints: Hints
    drop: dict[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device) -> Batch:
        """Move everything to a device."""
        drop = {name: rows.to(device) for name, rows in self.drop.items()}
        return Batch(self.color.to(device), self.hints.to(device), drop)
