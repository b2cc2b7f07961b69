"""Turn what a network predicts into a clean picture and a loss; guide and clamp clean pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from colorize.diffusion.schedules import Schedule, expand, noised
from colorize.errors import ColorizeError, nearest

Predicts = Literal["eps", "v", "x0"]
Join = Callable[[Sequence[Any], int], object]  # conditions, rows of each -> one of all rows
Denoise = Callable[[Tensor, Tensor], Tensor]  # x (B, ...), t (B,) in [0, 1] -> x0 (B, ...)


class Denoiser(nn.Module):
    """A network together with what it predicts and the noise it was made for: noisy in, clean out.

    net: called as net(x (B, C, H, W), t (B,) in [0, 1], cond), returns the shape of x. predicts: `eps`, the noise;
    `x0`, the clean picture; `v` = alpha * noise - sigma * x0 (Salimans and Ho 2022).

    Raises ColorizeError for an unknown prediction, or for `eps` where the schedule ends in pure noise.
    """

    def __init__(self, net: nn.Module, schedule: Schedule, predicts: Predicts = "v") -> None:
        super().__init__()
        if predicts not in get_args(Predicts):
            raise ColorizeError(f"a network cannot predict `{predicts}`", nearest(predicts, get_args(Predicts)))
        if predicts == "eps" and schedule(torch.ones((), device="cpu"))[0] == 0:
            message = "a network that predicts noise (`eps`) cannot start from pure noise: alpha = 0 leaves no way back"
            raise ColorizeError(message, "choose `v` or `x0`, or a schedule without zero_snr")
        self.net, self.schedule = net, schedule
        self.predicts: Predicts = predicts

    def forward(self, x: Tensor, t: Tensor, cond: object = None) -> Tensor:
        """Return the clean picture expected behind x: x0, shape of x. t: (B,)."""
        alpha, sigma = (expand(part, x) for part in self.schedule(t))
        out = self._predict(x, t, cond)
        if self.predicts == "x0":
            return out
        if self.predicts == "v":
            return alpha * x - sigma * out
        return (x - sigma * out) / alpha

    def prediction(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return what a perfect network would say: the noise, x0, or v, shape of x0."""
        if self.predicts == "x0":
            return x0
        if self.predicts == "eps":
            return noise
        alpha, sigma = (expand(part, x0) for part in self.schedule(t))
        return alpha * noise - sigma * x0

    def loss(
        self, x0: Tensor, noise: Tensor, t: Tensor, cond: object = None, weight: Tensor | None = None, robust: float = 0
    ) -> Tensor:
        """Return the mean square error of each picture's prediction: (B,).

        robust: with c > 0 the square of an error e becomes 2 c^2 (sqrt(1 + (e / c)^2) - 1), which is the square for
        small errors and 2 c |e| for large ones (Charbonnier et al. 1997). weight: (B, 1, H, W), multiplies the squared
        error, not normalized.
        """
        out = self._predict(noised(self.schedule, x0, noise, t), t, cond)
        error = (out - self.prediction(x0, noise, t)) ** 2
        if robust:
            error = 2 * robust**2 * ((1 + error / robust**2).sqrt() - 1)
        if weight is not None:
            error = error * weight
        return error.flatten(1).mean(1)  # (B, C, H, W) -> (B,)

    def _predict(self, x: Tensor, t: Tensor, cond: object) -> Tensor:
        out: Tensor = self.net(x, t, cond)
        return out.to(x.dtype)  # autocast may hand back bfloat16, too coarse for the arithmetic here


def guide(
    denoise: Callable[[Tensor, Tensor, object], Tensor],
    cond: object,
    without: Mapping[str, object],
    weights: Mapping[str, float],
    join: Join | None = None,
) -> Denoise:
    """Return a denoise function that follows some hints more (weight > 1) or less (weight < 1).

    cond: the encoded hints; without[name]: the same with that hint left out. For each hint whose weight w is not 1 this
    runs once more and takes u + w * (c - u), c with the hint and u without (Ho and Salimans 2022); several hints are
    averaged, as ColorizeDiffusion does. join: makes one condition of several, of so many rows each, so that one call
    answers them all. Raises ColorizeError for a weight on a hint that is not in `without`.
    """
    strong = {name: w for name, w in weights.items() if w != 1.0}
    for name in strong:
        if name not in without:
            raise ColorizeError(f"there is no hint `{name}` to guide by", nearest(name, without))

    conds = [cond, *(without[name] for name in strong)]
    if not strong:
        return lambda x, t: denoise(x, t, cond)
    joined = cache(partial(join, conds)) if join else None

    def guided(x: Tensor, t: Tensor) -> Tensor:
        if joined is None:
            base, *others = (denoise(x, t, one) for one in conds)
        else:
            many = len(conds)
            wide = x.repeat(many, *[1] * (x.ndim - 1))
            base, *others = denoise(wide, t.repeat(many), joined(len(x))).chunk(many)
        pushes = [(w - 1) * (base - other) for w, other in zip(strong.values(), others, strict=True)]
        return base + torch.stack(pushes).mean(0)

    return guided


@dataclass(frozen=True)
class Static:
    """Clamp x0 to [-limit, limit].

    limit: the largest value.
    """

    limit: float = 1.0

    def __call__(self, x0: Tensor) -> Tensor:
        """Return x0 clamped."""
        return x0.clamp(-self.limit, self.limit)


@dataclass(frozen=True)
class Dynamic:
    """Clamp each picture to its own percentile of |x0| and scale that to `floor`.

    Imagen, Saharia et al. 2022; keeps strong guidance from saturating colors.

    percentile: share of values that stay, above 0 up to 1, not interpolated.
    floor: the least value that is clamped to, and the largest afterwards.
    """

    percentile: float = 0.995
    floor: float = 1.0

    def __call__(self, x0: Tensor) -> Tensor:
        """Return x0 in [-floor, floor]; rows of the batch do not see each other."""
        size = x0.abs().flatten(1)  # (B, C * H * W)
        rank = max(1, round(self.percentile * size.shape[1]))
        # kthvalue, since torch.quantile refuses more than 16 million numbers.
        limit = expand(size.kthvalue(rank, dim=1).values.clamp(min=self.floor), x0)
        return x0.clamp(-limit, limit) * (self.floor / limit)


Threshold = Static | Dynamic
