"""What a user can give: one declaration per hint, and the tensors of a batch. Knows nothing of networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from colorize.errors import ColorizeError


@dataclass(frozen=True)
class Hint:
    """One thing a user can give.

    name: as in `--guidance name=x`, metadata columns and error texts. channels: of its tensor.
    column: the metadata column that holds it, or "" when it is always made from the color picture.
    option: the command line option that gives it. colored: whether it says something about color.
    """

    name: str
    channels: int
    help: str
    column: str = ""
    option: str = ""
    colored: bool = False


LINE = Hint("line", 1, "line art; paper +1, ink -1", "line_file_name", "the drawing itself")
GRAY = Hint("gray", 1, "gray picture, luma in [-1, 1]", "", "the picture itself")
REFERENCE = Hint("reference", 3, "a picture whose colors to use", "reference_file_names", "--ref PICTURE", True)
HINTS = Hint(
    "hints", 4, "color dots and strokes: RGB and a mask", "hint_file_name", "--hint X,Y=COLOR or --hints PICTURE", True
)


class Hints(Mapping[str, Tensor]):
    """Named tensors (B, C, H, W) in [-1, 1]; asking for a missing one raises the sentence the user needs.

    `reference` holds 3 * R channels when R references are given, and may have another size than
    the drawing. All other hints share the size of the drawing.
    """

    def __init__(self, **tensors: Tensor | None) -> None:
        self._tensors = {name: value for name, value in tensors.items() if value is not None}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._tensors:
            known = {hint.name: hint for hint in (LINE, GRAY, REFERENCE, HINTS)}
            option = known[name].option if name in known else ""
            raise ColorizeError(
                f"the model needs the hint `{name}`, which was not given",
                f"give it with {option}, or choose a model that works without it: mini",
                code=2,
            )
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def get(self, name: str, default: Tensor | None = None) -> Tensor | None:  # type: ignore[override]
        """Return a hint, or the default when it was not given."""
        return self._tensors.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    @property
    def drawing(self) -> Tensor:
        """The line art or gray picture itself, (B, 1, H, W)."""
        return self._tensors["gray"] if "line" not in self._tensors else self._tensors["line"]

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
    """What one training step sees: the answer, the hints, and which hints each row must do without.

    color: (B, 3, H, W) in [-1, 1]. drop: per hint a (B,) bool tensor, True where it is left out.
    """

    color: Tensor
    hints: Hints
    drop: dict[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device) -> Batch:
        """Move everything to a device."""
        drop = {name: rows.to(device) for name, rows in self.drop.items()}
        return Batch(self.color.to(device), self.hints.to(device), drop)
