"""Low-rank changes of a network's attention (LoRA, Hu et al. 2022): trained, stacked, merged. Knows no file.

A layer keeps its class, its name and its weight; a hook corrects what it says. So whatever asks for a layer's
kind, or calls a method of its own such as `Changed.side`, finds what it always found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.utils.hooks import RemovableHandle

from colorize.errors import ColorizeError, within

RANKS = (1, 256)
HELD = "lora"  # the name under which a layer holds its changes
Layer = nn.Linear | nn.Conv2d
Value = TypeVar("Value")


class Change(nn.Module):
    """What is added to a layer's answer: scale * up(down(x)).

    down: (rank, inputs). up: (outputs, rank). scale: alpha / rank (Hu et al. 2022, section 4.1), times
    the weight that a user gives the adapter. convolved: for maps (B, C, H, W) instead of tokens.
    """

    def __init__(self, down: Tensor, up: Tensor, scale: float, convolved: bool = False) -> None:
        super().__init__()
        self.down, self.up = nn.Parameter(down), nn.Parameter(up)
        self.scale, self.convolved = scale, convolved

    def forward(self, x: Tensor) -> Tensor:
        """Return the change for what a layer was given, in its kind of numbers."""
        down, up = self.down.to(x.dtype), self.up.to(x.dtype)
        if self.convolved:
            one = (..., None, None)  # a matrix as a 1x1 convolution
            return self.scale * F.conv2d(F.conv2d(x, down[one]), up[one])
        return self.scale * F.linear(F.linear(x, down), up)

    def matrix(self) -> Tensor:
        """Return the same change as one matrix (outputs, inputs)."""
        return self.scale * (self.up @ self.down)


class Changes(nn.ModuleList):
    """All changes of one layer, and the hook that adds them."""

    def __init__(self, handle: RemovableHandle) -> None:
        super().__init__()
        self.handle = handle


def adaptable_layers(net: nn.Module) -> dict[str, Layer]:
    """Return the layers that can be changed, by name: every projection in a network's transformers.

    These are linear layers and 1x1 convolutions: query, key, value and output of the attention, the
    perceptron, and the layers that lead into a transformer and out of it.
    """
    found: dict[str, Layer] = {}
    for place, part in net.named_modules():
        if getattr(part, "adaptable", False):
            for name, layer in part.named_modules(prefix=place):
                inside = name.rpartition(".")[0] in found  # as the low-rank parts of `Changed` are
                if not inside and _projects(layer):
                    found[name] = cast(Layer, layer)
    return found


def _projects(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        plain = (layer.stride, layer.padding, layer.groups) == ((1, 1), (0, 0), 1)
        return plain and layer.kernel_size == (1, 1)
    return isinstance(layer, nn.Linear)


def shapes(layer: Layer, rank: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the shapes of `down` and `up` for a layer; no rank is above the layer's smaller side."""
    outputs, inputs = layer.weight.shape[:2]
    least = min(rank, outputs, inputs)
    return (least, inputs), (outputs, least)


def begin(net: nn.Module, rank: int, rng: Generator) -> None:
    """Freeze a network and add a change to each of its projections, to be trained; at first it adds nothing.

    `down` starts at random and `up` at zero. The scale is 1, that is alpha = rank. Raises ColorizeError
    (wrong usage) for a rank out of range, and for a network without transformers.
    """
    within("the rank of an adapter", rank, *RANKS)
    found = adaptable_layers(net)
    if not found:
        raise ColorizeError(
            "an adapter changes the attention of a network, and this one has none",
            "finetune without --lora, or choose a model with attention: mini",
            code=2,
        )
    net.requires_grad_(False)
    for layer in found.values():
        down, up = shapes(layer, rank)
        start = torch.randn(down, generator=rng) / down[1] ** 0.5
        _hold(layer, Change(start, torch.zeros(up), 1.0, isinstance(layer, nn.Conv2d)))


def stack(net: nn.Module, tensors: Mapping[str, Tensor], scale: float) -> None:
    """Add a trained adapter to a network, beside those that it has; `tensors` as `tensors_of` gives them.

    scale: alpha / rank, times the adapter's weight. The tensors must fit, and are not trained further.
    """
    known = adaptable_layers(net)
    for name in (key.removesuffix(".up") for key in tensors if key.endswith(".up")):
        layer = known[name]
        down, up = (tensors[f"{name}.{part}"].to(layer.weight.device) for part in ("down", "up"))
        change = Change(down, up, scale, isinstance(layer, nn.Conv2d))
        _hold(layer, change.requires_grad_(False))


def tensors_of(net: nn.Module) -> dict[str, Tensor]:
    """Return the adapter added last: `down` and `up` of every changed layer, by the layer's name."""
    found = {name: held for name, layer in adaptable_layers(net).items() if (held := _held(layer))}
    return {
        f"{name}.{part}": getattr(held[-1], part).detach() for name, held in found.items() for part in ("down", "up")
    }


@torch.no_grad()
def merge(net: nn.Module) -> None:
    """Put all changes into the weights of their layers, and leave the layers as if there had been none."""
    for layer in adaptable_layers(net).values():
        for change in _changes(layer):
            exact = layer.weight.float() + change.matrix().reshape(layer.weight.shape)
            layer.weight.copy_(exact)  # rounded once, if the weights are halves
    remove(net)


def remove(net: nn.Module) -> None:
    """Take all changes away."""
    for layer in adaptable_layers(net).values():
        if held := _held(layer):
            held.handle.remove()
            delattr(layer, HELD)


def plain(named: Mapping[str, Value]) -> dict[str, Value]:
    """Leave out what belongs to changes: the rest are the names of the network alone."""
    return {name: value for name, value in named.items() if f".{HELD}." not in name}


def _hold(layer: Layer, change: Change) -> None:
    held = _held(layer)
    if held is None:
        held = Changes(layer.register_forward_hook(_corrected))
        setattr(layer, HELD, held)
    held.append(change)


def _held(layer: nn.Module) -> Changes | None:
    held: Changes | None = getattr(layer, HELD, None)
    return held


def _changes(layer: nn.Module) -> Iterator[Change]:
    return (cast(Change, change) for change in _held(layer) or ())


def _corrected(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> Tensor:
    for change in _changes(layer):
        out = out + change(given[0])
    return out
