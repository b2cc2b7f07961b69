"""Choose the table entries at which a walk stops, from the noisiest down to the first noisy one.

Knows nothing of what the entries hold, except their angles for the rules that ask for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

KARRAS_RHO = 7.0  # Karras et al. 2022 (EDM), table 1
KARRAS_CEILING = 80.0  # EDM's largest sigma / alpha; stands in where alpha = 0 makes it infinite


def trailing(steps: int, last: int) -> list[int]:
    """Start at the very end, where training's noisiest pictures are: Lin et al. 2024, table 2."""
    return [round(last * (steps - k) / steps) for k in range(steps)]


def linspace(steps: int, last: int) -> list[int]:
    """Include both ends, as the Coloring Assistant does: integers of k * (T - 1) / (N - 1).

    Published, a list of one is index 0, an almost clean picture; here it is the noisiest.
    """
    if steps == 1:
        return [last]
    return [k * (last - 1) // (steps - 1) + 1 for k in reversed(range(steps))]


def leading(steps: int, last: int) -> list[int]:
    """Start one stride before the end: AnimeDiffusion's list, indices 1 + k * floor(T / N).

    Published, the list falls short unless N divides T (N = 600 starts at 600 of 1000), runs out of
    the table at N = T, and ends on abar[0]. Here the stride is T / N itself, and the end is clean.
    """
    first = 2 if steps < last else 1  # as many steps as entries leaves no room for the offset
    return [first + k * last // steps for k in reversed(range(steps))]


def inner(steps: int, last: int) -> list[int]:
    """Stop at the N inner borders of N + 1 whole strides: the multistep schedulers of `diffusers`, offset 1.

    As published, strides are rounded down, so a walk of very many steps begins low: 600 steps of a table
    of 1000 begin at entry 602.
    """
    stride = max(1, last // (steps + 1))
    offset = min(2, last - steps * stride)
    return [offset + k * stride for k in reversed(range(1, steps + 1))]


def uniform(steps: int, last: int) -> list[float]:
    """Even steps of time, both ends included, also between entries: k-diffusion's own list."""
    return [last - (last - 1) * k / max(1, steps - 1) for k in range(steps)]


def sgm(steps: int, last: int) -> list[float]:
    """The first of one more even steps than asked for: the list of Stability's generative models."""
    return uniform(steps + 1, last)[:-1]


def karras(steps: int, last: int, angles: Tensor) -> Tensor:
    """Even steps of (sigma / alpha)^(1 / 7): Karras et al. 2022, equation 5.

    angles: atan(sigma / alpha) of every entry, (T + 1,) float64, rising. Returns fractional
    entries, (steps,) float64. The first is always `last`, even where its ratio is infinite.
    """
    high, low = (ratio ** (1 / KARRAS_RHO) for ratio in _ends(last, angles))
    share = torch.linspace(0, 1, steps, dtype=torch.float64)
    return _entries(torch.lerp(high, low, share).pow(KARRAS_RHO), last, angles)


def exponential(steps: int, last: int, angles: Tensor) -> Tensor:
    """Even steps of log(sigma / alpha): k-diffusion's list for third-order samplers. Like `karras` otherwise."""
    high, low = (ratio.log() for ratio in _ends(last, angles))
    share = torch.linspace(0, 1, steps, dtype=torch.float64)
    return _entries(torch.lerp(high, low, share).exp(), last, angles)


def _ends(last: int, angles: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest and the smallest sigma / alpha of a walk."""
    pure = bool(angles[last] >= torch.pi / 2)  # alpha = 0 there
    return angles.new_tensor(KARRAS_CEILING) if pure else angles[last].tan(), angles[1].tan()


def _entries(ratios: Tensor, last: int, angles: Tensor) -> Tensor:
    """Find the fractional entries that have these sigma / alpha, the first of which is `last` by decree."""
    entries = entries_of(ratios.atan(), angles[: last + 1])
    entries[0] = last
    return entries


def entries_of(wanted: Tensor, angles: Tensor) -> Tensor:
    """Return the fractional entries at which atan(sigma / alpha) has these values, by straight lines.

    wanted: (N,) float64. angles: those of every entry, (T + 1,) float64, rising.
    """
    above = torch.searchsorted(angles, wanted).clamp(1, len(angles) - 1)
    part = (wanted - angles[above - 1]) / (angles[above] - angles[above - 1])
    return above - 1 + part


PLAIN: dict[str, Callable[[int, int], Sequence[float]]] = {
    "trailing": trailing,
    "linspace": linspace,
    "leading": leading,
    "inner": inner,
    "uniform": uniform,
    "sgm": sgm,
}
LEVELED: dict[str, Callable[[int, int, Tensor], Tensor]] = {
    "karras": karras,
    "exponential": exponential,
}
RULES: tuple[str, ...] = (*PLAIN, *LEVELED)
