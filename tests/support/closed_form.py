"""Denoisers known in closed form, and small makers of noise. Knows nothing of what is claimed."""

from collections.abc import Callable

import torch
from torch import Tensor

from colorize.diffusion.denoiser import Denoise
from colorize.diffusion.samplers import State, walk
from colorize.diffusion.schedules import Cosine, Linear, Schedule, expand

MILD = Linear(1e-6, 1e-2)  # AnimeDiffusion's: the walk begins with some picture left
ZERO = Cosine(zero_snr=True)  # the walk begins at alpha = 0
MEAN, SPREAD = 0.3, 0.5


def ideal(pictures: Tensor, schedule: Schedule) -> Denoise:
    """The best possible denoiser of a finite data set: the mean of its pictures, given x."""

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = schedule(t)
        away = (x[:, None] - expand(alpha, x)[:, None] * pictures).flatten(2).pow(2).sum(2)
        share = (-away / (2 * sigma[:, None] ** 2)).softmax(1)  # (B, pictures)
        return torch.einsum("bn,nchw->bchw", share, pictures)

    return denoise


def gaussian(schedule: Schedule) -> Denoise:
    """The best possible denoiser of independent pixels of mean MEAN and deviation SPREAD."""

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (expand(part.double(), x) for part in schedule(t))
        gain = SPREAD**2 * alpha / (SPREAD**2 * alpha**2 + sigma**2)
        return (MEAN + gain * (x - alpha * MEAN)).to(x.dtype)

    return denoise


def fresh(like: Tensor, seed: int = 1) -> Callable[[int], Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return lambda _: torch.randn(like.shape, generator=rng, dtype=like.dtype)


def start(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def end(*args, **settings) -> State:
    *_, last = walk(*args, **settings)
    return last
