"""The tensors of a published checkpoint: how old layers become ours."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def folded(found: Mapping[str, Tensor], conv: str, norm: str, eps: float = 1e-5) -> dict[str, Tensor]:
    """Return weight and bias of a convolution that also does what the batch norm behind it does in evaluation mode.

    found: holds both, under the names `conv` and `norm`, each followed by `.weight` and so on.
    """
    weight, mean = found[f"{conv}.weight"], found[f"{norm}.running_mean"]
    scale = found[f"{norm}.weight"] / (found[f"{norm}.running_var"] + eps).sqrt()
    bias = found.get(f"{conv}.bias", torch.zeros_like(mean))
    shape = (-1, *[1] * (weight.dim() - 1))
    return {
        f"{conv}.weight": weight * scale.reshape(shape),
        f"{conv}.bias": (bias - mean) * scale + found[f"{norm}.bias"],
    }
