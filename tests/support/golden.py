"""Weights and inputs of the published golden numbers, made by a hash, and how numbers are compared."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

R = math.sqrt(3)


def fill(number: int, shape: tuple[int, ...], scale: float) -> Tensor:
    """Numbers between -scale and scale that depend on nothing but their place."""
    i = np.arange(math.prod(shape), dtype=np.uint64)
    mask = np.uint64(0xFFFFFFFF)
    start = np.uint64(1013904223 * (number + 1))
    h = (np.uint64(1664525) * (i + start) + np.uint64(1013904223)) & mask
    for shift, factor in ((16, 2246822519), (13, 3266489917)):
        h ^= h >> np.uint64(shift)
        h = (h * np.uint64(factor)) & mask
    h ^= h >> np.uint64(16)
    value = (2 * (h.astype(np.float64) / 2**32) - 1) * scale
    return torch.from_numpy(value.astype(np.float32)).reshape(shape)


def filled(module: nn.Module, keys: int | None = None) -> nn.Module:
    """Give every tensor of a module its hash, by the sorted place of its name."""
    state = module.state_dict()
    assert keys is None or len(state) == keys
    hashed(state)
    return module.eval().requires_grad_(False)


def hashed(state: dict[str, Tensor]) -> None:
    """Overwrite tensors by their hashes."""
    for j, name in enumerate(sorted(state)):
        shape = tuple(state[name].shape)
        if len(shape) == 1:
            value = fill(j, shape, 0.2) + (1 if name.endswith(".weight") else 0)
        else:
            value = fill(j, shape, math.sqrt(3 / math.prod(shape[1:])))
        state[name].copy_(value)


def agree(value: Tensor, shape: tuple[int, ...], mean: float, std: float, *samples: float) -> None:
    """Claim shape, mean, spread and five samples of a tensor."""
    assert tuple(value.shape) == shape
    flat = value.double().flatten()
    n = len(flat)
    picked = [flat[k].item() for k in (0, n // 7, n // 3, n // 2, n - 1)]
    got = [flat.mean().item(), flat.std(correction=0).item(), *picked]
    assert got == pytest.approx([mean, std, *samples], rel=1e-3, abs=2e-4)
