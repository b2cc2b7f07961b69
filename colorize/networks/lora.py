"""Low-rank changes of a network's attention (LoRA, Hu et al. 2022): trained, stacked, merged.

A layer keeps its class, its name and its weight; a hook adds the changes to its output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.utils.hooks import RemovableHandle

from colorize.errors import ColorizeError, within
from colorize.networks.unet import zero

RANKS = (1, 256)
NAME = "lora"  # of a layer's changes among its submodules
Layer = nn.Linear | nn.Conv2d
Value = TypeVar("Value")
Ranks = tuple[float, float]  # of the foreground's and the background's change; below 1 a share of the smaller side


class Change(nn.Module):
    """What is added to a layer's output: scale * up(down(x)).

    down: (rank, inputs). up: (outputs, rank). scale: alpha / rank (Hu et al. 2022, section 4.1), times the weight that
    a user gives the adapter. convolved: for maps (B, C, H, W) instead of tokens.
    """

    def __init__(self, down: Tensor, up: Tensor, scale: float, convolved: bool = False) -> None:
        super().__init__()
        self.down, self.up = nn.Parameter(down), nn.Parameter(up)
        self.scale, self.convolved = scale, convolved

    def forward(self, x: Tensor) -> Tensor:
        """Return the change for a layer's input, in its kind of numbers."""
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

    handle: RemovableHandle


class LowRankLinear(nn.Linear):
    """A linear layer without bias, and low-rank changes of it for foreground and background (LoRA)."""

    def __init__(self, inputs: int, outputs: int, ranks: Ranks) -> None:
        super().__init__(inputs, outputs, bias=False)
        for ground, rank in zip(("fg", "bg"), ranks, strict=True):
            size = int(rank * min(inputs, outputs) if rank < 1 else rank)
            self.add_module(f"lora_down_{ground}", nn.Linear(inputs, size, bias=False))
            self.add_module(f"lora_up_{ground}", zero(nn.Linear(size, outputs, bias=False)))

    def changed(self, x: Tensor, ground: str) -> Tensor:
        """(B, N, inputs) -> (B, N, outputs); ground: `fg` or `bg`, or empty for the layer as it is."""
        out: Tensor = self(x)
        if not ground:
            return out
        down, up = (self.get_submodule(f"lora_{part}_{ground}") for part in ("down", "up"))
        change: Tensor = up(down(x))
        return out + change


def adaptable_layers(net: nn.Module) -> dict[str, Layer]:
    """Return the layers that can be changed, by name: every projection in modules that are marked `adaptable`.

    These are linear layers and 1x1 convolutions: query, key, value and output of the attention, the perceptron, and the
    layers that lead into a transformer and out of it.
    """
    found: dict[str, Layer] = {}
    for place, part in net.named_modules():
        if getattr(part, "adaptable", False):
            for name, layer in part.named_modules(prefix=place):
                inside = name.rpartition(".")[0] in found  # as the low-rank parts of a layer are
                if not inside and _is_projection(layer):
                    found[name] = cast(Layer, layer)
    return found


def _is_projection(layer: nn.Module) -> bool:
    if not isinstance(layer, nn.Conv2d):
        return isinstance(layer, nn.Linear)
    return (layer.kernel_size, layer.stride, layer.padding, layer.groups) == ((1, 1), (1, 1), (0, 0), 1)


def shapes(layer: Layer, rank: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the shapes of `down` and `up` for a layer; no rank is above the layer's smaller side."""
    outputs, inputs = layer.weight.shape[:2]
    least = min(rank, outputs, inputs)
    return (least, inputs), (outputs, least)


def begin(net: nn.Module, rank: int, rng: Generator) -> None:
    """Freeze a network and add a change to each of its projections, to be trained; at first it adds nothing.

    `down` starts at random and `up` at zero. The scale is 1, that is alpha = rank. Raises ColorizeError (wrong usage)
    for a rank out of range, and for a network without transformers.
    """
    within("the rank of an adapter", rank, *RANKS)
    found = adaptable_layers(net)
    if not found:
        message = "an adapter changes the attention of a network, and this one has none"
        raise ColorizeError(message, "finetune without --lora, or choose a model with attention: mini", code=2)
    net.requires_grad_(False)
    for layer in found.values():
        down, up = shapes(layer, rank)
        start = torch.randn(down, generator=rng) / down[1] ** 0.5
        _add(layer, Change(start, torch.zeros(up), 1.0, isinstance(layer, nn.Conv2d)))


def stack(net: nn.Module, tensors: Mapping[str, Tensor], scale: float) -> None:
    """Add a trained adapter to a network, beside those that it has; `tensors` as `tensors_of` gives them.

    scale: alpha / rank, times the adapter's weight. The tensors must fit, and are not trained further.
    """
    known = adaptable_layers(net)
    for name in (key.removesuffix(".up") for key in tensors if key.endswith(".up")):
        layer = known[name]
        down, up = (tensors[f"{name}.{part}"].to(layer.weight.device) for part in ("down", "up"))
        change = Change(down, up, scale, isinstance(layer, nn.Conv2d))
        _add(layer, change.requires_grad_(False))


def tensors_of(net: nn.Module) -> dict[str, Tensor]:
    """Return the adapter added last: `down` and `up` of every changed layer, by the layer's name."""
    found: dict[str, Tensor] = {}
    for name, layer in adaptable_layers(net).items():
        if changes := _changes(layer):
            found |= {f"{name}.{part}": getattr(changes[-1], part).detach() for part in ("down", "up")}
    return found


@torch.no_grad()
def merge(net: nn.Module) -> None:
    """Put all changes into the weights of their layers, and leave the layers as if there had been none."""
    for layer in adaptable_layers(net).values():
        for change in _changes(layer) or ():
            exact = layer.weight.float() + cast(Change, change).matrix().reshape(layer.weight.shape)
            layer.weight.copy_(exact)  # rounded once, if the weights are halves
    remove(net)


def remove(net: nn.Module) -> None:
    """Take all changes away."""
    for layer in adaptable_layers(net).values():
        if (changes := _changes(layer)) is not None:
            changes.handle.remove()
            delattr(layer, NAME)


def plain(named: Mapping[str, Value]) -> dict[str, Value]:
    """Leave out what belongs to changes: the rest are the names of the network alone."""
    return {name: value for name, value in named.items() if f".{NAME}." not in name}


def _changes(layer: nn.Module) -> Changes | None:
    found: Changes | None = getattr(layer, NAME, None)
    return found


def _add(layer: Layer, change: Change) -> None:
    changes = _changes(layer)
    if changes is None:
        changes = Changes()
        changes.handle = layer.register_forward_hook(_changed)
        setattr(layer, NAME, changes)
    changes.append(change)


def _changed(layer: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> Tensor:
    for change in _changes(layer) or ():
        out = out + change(inputs[0])
    return out
