"""What the networks of published systems share: how they are asked, and how their files are opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from colorize.checkpoints import weights_io
from colorize.checkpoints.weights_io import AGAIN, prefix, refused, strip_prefix
from colorize.errors import ColorizeError
from colorize.model import Colorizer
from colorize.networks.unet import Cond, pad
from colorize.system import ModelFile, System

if TYPE_CHECKING:
    from colorize.recipes.recipe import Recipe

SNAP = 1e-3  # of a table entry, as `diffusion.schedules` has it
INVALID = (ColorizeError, LookupError, ValueError, ArithmeticError, RuntimeError)  # what odd shapes lead to


class Original(nn.Module):
    """A published network: x, t and a `Cond` in, noise out, of any size.

    stack_first: whether the condition's channels stand before those of x. steps: entries of its schedule. stride: what
    sides are padded to multiples of.
    """

    stack_first = False
    steps = 1000

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """x: (B, C, H, W); t: (B,) in [0, 1]; the answer has x's shape."""
        assert cond.stack is not None
        height, width = x.shape[-2:]
        parts = [cond.stack, x] if self.stack_first else [x, cond.stack]
        whole = pad(torch.cat(parts, dim=1), self.stride).contiguous(memory_format=torch.channels_last)
        return self.noise(whole, index(t, self.steps), cond)[..., :height, :width]

    def noise(self, x: Tensor, index: Tensor, cond: Cond) -> Tensor:
        """Find the noise in x, (B, all channels, H, W) with sides of whole strides. index: of the time, (B,)."""
        raise NotImplementedError


def index(t: Tensor, steps: int) -> Tensor:
    """Return the 0-based index of times in a published table of so many entries, (B,): 0 for the first, t = 1 / steps.

    Times between entries stay between them.
    """
    entry = steps * (t.float() if t.device.type == "mps" else t.double())
    whole = entry.round()
    return (torch.where((entry - whole).abs() < SNAP, whole, entry) - 1).clamp(min=0).float()


def angles(index: Tensor, count: int, base: float, parts: int = 0) -> Tensor:
    """Return index * base^(-i / parts) for i = 0 ... count - 1: (B, count). parts: as many as `count` if not given."""
    powers = torch.arange(count, device=index.device) / (parts or count)
    return index[:, None] * base**-powers


class PublishedSystem(System):
    """A system whose network is an original's.

    variant: of the recipe that it belongs to. signs: tensors that only its files have, all of them. part: what stands
    before the names of the network, beside which a file may hold its schedule and the like.
    """

    variant: ClassVar[str]
    part: ClassVar[str] = ""
    signs: ClassVar[tuple[str, ...]]

    def build(self, recipe: Recipe) -> Colorizer:
        """Make a model with fresh weights."""
        colorizer = super().build(recipe)
        colorizer.network.steps = recipe.schedule.steps  # type: ignore[assignment]
        return colorizer

    def adopt(self, file: ModelFile, variants: Mapping[str, Recipe]) -> tuple[Recipe, Colorizer, dict[str, str]] | None:
        """Load a file of the original program, recognized by its tensors, whatever it is called."""
        before = prefix(file.tensors, self.signs)
        if before is None:
            return None
        try:
            found = strip_prefix(file.tensors, before)
            recipe = self.described(variants[self.variant], found)
            with weights_io.meta_device():
                colorizer = recipe.build()
        except INVALID as error:
            name = f"{variants[self.variant].name}:{self.variant}"
            raise refused(file.path.name, f"cannot be read as {name}: {error}", AGAIN) from error
        weights_io.fill(file.path.name, self.networks(colorizer), self.renamed(found))
        return recipe, colorizer.eval(), {}

    def described(self, recipe: Recipe, found: Mapping[str, Tensor]) -> Recipe:
        """Return the recipe with the numbers that the shapes of a file's tensors tell."""
        raise NotImplementedError

    def networks(self, colorizer: Colorizer) -> nn.Module:
        """Return the module whose tensors have the names in the file."""
        return colorizer.network

    def renamed(self, found: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return those tensors of a file that `networks` has, under its names."""
        return strip_prefix(found, self.part)
