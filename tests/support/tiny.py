"""A model and data small enough to train within a second."""

import time
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from colorize.diffusion.denoiser import Denoiser
from colorize.diffusion.schedules import Linear
from colorize.hints import Batch, Hints
from colorize.model import Colorizer
from colorize.networks.spaces import RGB
from colorize.recipes.recipe import Denoising, Stage
from colorize.training import loop, objectives
from colorize.training.loop import Progress
from colorize.training.options import TrainOptions


class Door(nn.Module):
    """A condition with weights: the line through one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)

    def forward(self, hints: Hints, drop: object = None, strength: object = None) -> Tensor:
        return self.conv(hints["line"])


class Net(nn.Module):
    """Two convolutions with dropout between them, so that the global generator matters, too."""

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = dropout
        self.first, self.last = nn.Conv2d(5, 8, 3, padding=1), nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        inside = self.first(torch.cat([x, cond], 1)).relu()
        return self.last(nn.functional.dropout(inside, self.dropout, self.training))


def model(net: nn.Module | None = None, dropout: float = 0.1) -> Colorizer:
    """Make the same small model every time."""
    torch.manual_seed(0)
    return Colorizer(RGB(), Door(), Denoiser(net or Net(dropout), Linear(steps=100), "v"))


class Flat:
    """Batches of pictures of one color each, which their line tells."""

    def __init__(self, count: int = 4) -> None:
        self.count = count

    def batch(self, step: int) -> Batch:
        shades = [
            torch.rand(1, generator=torch.Generator().manual_seed(step * self.count + i)) * 2 - 1
            for i in range(self.count)
        ]
        line = torch.stack(shades)[:, :, None, None].expand(-1, 1, 6, 6).clone()
        color = line.expand(-1, 3, 6, 6).clone()
        return Batch(color, Hints(line=line, reference=color.flip(0)))


class Settings(NamedTuple):
    """The numbers of a stage, and options."""

    stage: Stage
    options: TrainOptions


def settings(**changes: object) -> Settings:
    """A short run on the CPU, logged at every step; steps=None is as many as the budget allows."""
    short = {"steps": 6, "lr": 1e-2, "warmup": 0, "log_every": 1, "device": "cpu"}
    values = {"precision": "fp32", "save_every": 1e9, "sample_every": 0, **short, **changes}
    names = {field.name for field in fields(Stage)}
    numbers = {name: value for name, value in values.items() if name in names and value is not None}
    return Settings(Stage(**numbers), TrainOptions(**{n: v for n, v in values.items() if n not in names - {"steps"}}))


def fit(model, objective, batches, settings, run, save=None, show=None, clock=time.monotonic):
    """Train in the folder `run`."""
    options = replace(settings.options, out=run)
    return iter(loop.Loop(model, objective, batches, settings.stage, options, save, show, clock))


def denoising(**numbers: float):
    """The losses of denoising."""
    return partial(objectives.denoising_losses, Denoising(**numbers))


def train(run: Path, objective: object, batches: object = None, **changes: object):
    """Train a new model to the end; return it and what the run said."""
    colorizer = model()
    said: list[Progress] = list(fit(colorizer, objective, batches or Flat(), settings(**changes), run))
    return colorizer, said


def mean_color(model, batch, rng):
    """An objective without chance: the mean over the batch of the network's error at one time."""
    t = torch.full((len(batch.color),), 0.5)
    guess = model.denoiser(batch.color, t, model.condition(batch.hints))
    yield (guess - batch.color + 1).square().mean()


def same(a, b, tolerance=1e-6):
    """Claim that two models have the same weights."""
    for name, value in a.state_dict().items():
        torch.testing.assert_close(value, b.state_dict()[name], atol=tolerance, rtol=0)
