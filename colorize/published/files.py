"""The tensors of a published checkpoint: where its network begins, and how old layers become ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

COPIES = ("ema_", "forward_noise_model")  # words in the prefixes of networks that are kept beside the trained one


def prefix(tensors: Mapping[str, Tensor], signs: Sequence[str]) -> str | None:
    """Return what stands before the names of a network, None if it is not there.

    signs: names of tensors that, together, no other network has. Wrappers such as `state_dict.`, `model.` (Lightning)
    and `module.` (DataParallel) are prefixes like any other.
    """
    first = signs[0]
    for name in tensors:
        before = name.removesuffix(first)
        whole = name.endswith(first) and (not before or before.endswith("."))
        if whole and not any(word in before for word in COPIES) and all(before + sign in tensors for sign in signs):
            return before
    return None


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
