"""Keep fewer values for the backward pass, by computing blocks twice."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from colorize.colorize_diffusion.latent_space import SketchEncoder
from colorize.colorize_diffusion.unet_blocks import Rung
from colorize.manga import colorization_v2, generators
from colorize.networks import layers, unet

# What all networks are made of: levels of the two U-Nets, residual blocks, and parts of generators.
BLOCKS = (
    unet.Level,
    Rung,
    SketchEncoder,
    layers.Residual,
    generators.Down,
    generators.Up,
    colorization_v2.Residue,
    colorization_v2.Bottleneck,
)


def recomputing(model: nn.Module) -> int:
    """Let every block of a model compute its inner values again for the gradient; return the number of blocks.

    Gradients stay the same, dropout included, and so do the names of the weights; a step takes about a third
    longer. Without gradients nothing changes. Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
    """
    if isinstance(model, BLOCKS):
        if "forward" not in vars(model):  # not twice: that would compute a block three times
            model.forward = partial(_checkpointed, model.forward)  # type: ignore[method-assign]
        return 1
    return sum(recomputing(part) for part in model.children())


def _checkpointed(forward: Any, *inputs: Any) -> Any:
    return checkpoint(forward, *inputs, use_reentrant=False) if torch.is_grad_enabled() else forward(*inputs)
