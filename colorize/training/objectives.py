"""The losses of each objective: what a network should get better at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.func import functional_call

from colorize.diffusion.samplers import ddim_step
from colorize.diffusion.schedules import Schedule, draw, expand, times
from colorize.errors import ColorizeError
from colorize.hints import COLORED
from colorize.manga.networks import PatchCritic, Perceptual
from colorize.model import Sampling
from colorize.networks.conditions import shown
from colorize.networks.unet import Cond
from colorize.recipes.recipe import Adversarial, Choosing, Denoising, Recipe, Stage, Trajectory
from colorize.training import frozen_networks
from colorize.training.region_objective import ChoosingLoss

if TYPE_CHECKING:
    from colorize.hints import Batch
    from colorize.model import Colorizer

ALMOST_CLEAN = 1e-3  # the first entry of a table of 1000; where inversion asks about a clean picture
CLEAR = 0.9  # time from which on tokens become clean again, as published


class Objective(Protocol):
    """A way of learning: every yielded scalar is one change of the weights, made before the next is asked for."""

    def __call__(self, model: Colorizer, batch: Batch, rng: Generator, /) -> Iterator[Tensor]:
        """Yield losses; rng: a CPU generator, the only source of chance."""


def build(stage: Stage, recipe: Recipe) -> Objective:
    """Return the losses of a stage's objective, along the steps that the recipe samples with.

    Raises ColorizeError (wrong usage) for an objective that does not go with the recipe.
    """
    objective, name = stage.objective, type(stage.objective).__name__
    if isinstance(objective, Choosing) != recipe.chooses:
        message = f"`{recipe.name}` cannot be trained by the objective {name}"
        raise ColorizeError(message, "leave `objective` as the recipe has it", code=2)
    if isinstance(objective, Choosing):
        return ChoosingLoss(objective)
    if isinstance(objective, Adversarial):
        if not recipe.once:
            message = f"`{recipe.name}` samples in steps, but a critic judges what one call makes"
            raise ColorizeError(message, "choose objective=Denoising, or a recipe such as manga-gan", 2)
        return partial(adversarial_losses, objective, frozen_networks.perceptual(objective))
    if isinstance(objective, Trajectory):
        if recipe.sampling.steps % objective.every:
            message = f"{recipe.sampling.steps} steps cannot be divided into groups of {objective.every}"
            raise ColorizeError(message, "choose `every` so that it divides the steps", code=2)
        return partial(trajectory_losses, objective, recipe.sampling)
    if objective.noisy and not recipe.condition.tokens:
        message = f"objective.noisy is {objective.noisy:g}, but `{recipe.name}` has no tokens to make noisy"
        raise ColorizeError(message, "leave it at 0, or choose a recipe whose references are tokens", 2)
    return partial(denoising_losses, objective)


def gaussian(like: Tensor, rng: Generator) -> Tensor:
    """Draw noise of the shape and device of `like`.

    On the CPU rng draws it; for a graphics card rng draws the seed of a generator there, since
    moving megabytes of noise costs more than making it. So a run repeats on one kind of device.
    """
    if like.device.type == "cpu":
        return torch.randn(like.shape, generator=rng)
    seed = int(torch.randint(2**62, (), generator=rng))
    there = Generator(like.device).manual_seed(seed)
    return torch.randn(like.shape, generator=there, device=like.device)


def truth(model: Colorizer, batch: Batch) -> Tensor:
    """Encode what the model should find, (B, C, h, w); in full precision even under autocast."""
    with torch.no_grad(), torch.autocast(batch.color.device.type, enabled=False):
        return model.space.encode(batch.color, batch.hints)


def denoising_losses(numbers: Denoising, model: Colorizer, batch: Batch, rng: Generator) -> Iterator[Tensor]:
    """Yield one loss: the mean over the batch of the denoiser's, at random times (Ho et al. 2020)."""
    x0 = truth(model, batch)
    t = draw(x0.shape[0], rng)
    t = torch.where(torch.rand(t.shape, generator=rng) < numbers.pure, 1.0, t).to(x0.device)
    noise = gaussian(x0, rng)
    if numbers.offset:
        noise = noise + numbers.offset * gaussian(x0[..., :1, :1], rng)
    cond = model.condition(batch.hints, batch.drop, None)
    if numbers.noisy:
        rows = (torch.rand(t.shape, generator=rng) < numbers.noisy).to(x0.device) & has_color_hint(batch)
        cond = noisy_tokens(cond, t, rows, model.denoiser.schedule, rng)
    weigh = getattr(model.space, "weight", None)  # spaces without unseen places have none
    weight = weigh(batch.hints) if weigh else None
    yield model.denoiser.loss(x0, noise, t, cond, weight=weight, robust=numbers.robust).mean()


def noisy_tokens(cond: Cond, t: Tensor, rows: Tensor, schedule: Schedule, rng: Generator) -> Cond:
    """Make the tokens of some rows as noisy as their pictures, c -> alpha(t) c + sigma(t) noise.

    t: (B,), the pictures' times. rows: (B,) bool. In training a reference fits its drawing place by place;
    what a token says of a place drowns first, so that colors are learned rather than places (Yan et al. 2025,
    "noisy training"). In the noisiest tenth 1 - t stands for t: there x says nothing, and noisy tokens would
    teach the first calls of sampling, whose tokens are clean, to ignore the reference.
    """
    assert cond.tokens is not None
    alpha, sigma = schedule(torch.where(t > CLEAR, 1 - t, t))
    alpha, sigma = (expand(part, cond.tokens) for part in (alpha, sigma))
    noisy = alpha * cond.tokens + sigma * gaussian(cond.tokens, rng)
    return replace(cond, tokens=torch.where(rows[:, None, None], noisy, cond.tokens))


def has_color_hint(batch: Batch) -> Tensor:
    """Return which rows keep a hint of color, (B,) bool: noise in what says "no hint" would say something."""
    left_out = [batch.drop[name] for name in COLORED if name in batch.drop]
    if not left_out:
        return torch.ones(len(batch.color), dtype=torch.bool, device=batch.color.device)
    return ~torch.stack(left_out).all(0)


def trajectory_losses(
    numbers: Trajectory, sampling: Sampling, model: Colorizer, batch: Batch, rng: Generator
) -> Iterator[Tensor]:
    """Yield a mean square error for each group of `every` DDIM steps, sampling.steps / every in all.

    The steps have the sampling's `eta` (1 for `ddpm`) whatever its sampler is.
    """
    x0 = truth(model, batch)
    eta = 1.0 if sampling.sampler == "ddpm" else sampling.eta
    schedule = model.denoiser.schedule
    stops = times(schedule, sampling.steps, begin=sampling.begin, rule=sampling.spacing).to(x0.device)
    x = _first_x(numbers, sampling, model, batch, x0, stops, rng)
    for i, (t, after) in enumerate(pairwise(stops)):
        if i % numbers.every == 0:  # the weights have changed, so the condition has, too
            x, cond = x.detach(), model.condition(batch.hints, batch.drop, None)
        guess = model.denoiser(x, t.expand(len(x)), cond)
        limited = sampling.threshold(guess) if sampling.threshold else guess
        fresh = gaussian(x, rng) if eta else None
        x = ddim_step(x, limited, t, after, schedule, eta, fresh)
        if (i + 1) % numbers.every == 0:
            yield ((guess if numbers.target == "x0" else x) - x0).square().mean()


def _first_x(
    numbers: Trajectory, sampling: Sampling, model: Colorizer, batch: Batch, x0: Tensor, stops: Tensor, rng: Generator
) -> Tensor:
    """Return x at the first stop."""
    noise = gaussian(x0, rng)
    if numbers.start == "sampling":
        return model.start(batch.hints, sampling, noise)
    if numbers.start in ("noise", "noised-reference"):
        return model.start(batch.hints, replace(sampling, start=numbers.start), noise)
    if numbers.start == "inverted-target":
        return _invert(model, batch, x0, stops)
    clean = replace(sampling, start="noised-reference", begin=ALMOST_CLEAN)
    return _invert(model, batch, model.start(batch.hints, clean, torch.zeros_like(x0)), stops)


def _invert(model: Colorizer, batch: Batch, x: Tensor, stops: Tensor) -> Tensor:
    """Bring a clean picture up to the first stop: deterministic DDIM by the present weights.

    The first call asks about x at the time ALMOST_CLEAN, not 0, where no noise is left to be found.
    """
    training = model.training
    model.eval()
    with torch.no_grad():
        cond = model.condition(batch.hints, batch.drop, None)
        up = torch.cat([stops.new_tensor([ALMOST_CLEAN]), stops.flip(0)[1:]])
        for t, after in pairwise(up):
            guess = model.denoiser(x, t.expand(len(x)), cond)
            x = ddim_step(x, guess, t, after, model.denoiser.schedule)
    model.train(training)
    return x


def adversarial_losses(
    numbers: Adversarial, perceptual: Perceptual | None, model: Colorizer, batch: Batch, _rng: Generator
) -> Iterator[Tensor]:
    """Yield the generator's loss, then, after its step, the critic's; neither has gradients for the other.

    perceptual: the frozen networks of the perceptual loss, if any. The model must have a critic, see
    `add_critic`. Isola et al. 2017 halve the critic's loss, so that it learns no faster than the generator.
    """
    critic = model.critic
    assert critic is not None
    x0 = truth(model, batch)
    page = shown(batch.hints, batch.drop)
    cond = model.condition(batch.hints, batch.drop, None)
    made = model.denoiser(torch.zeros_like(x0), torch.ones(len(x0), device=x0.device), cond)
    yield _generator_loss(numbers, perceptual, critic, page, made, x0)
    real, fake = critic(page, x0), critic(page, made.detach())
    yield (_all_towards(real, 1.0) + _all_towards(fake, 0.0)) / 2


def _generator_loss(
    numbers: Adversarial, perceptual: Perceptual | None, critic: nn.Module, page: Tensor, made: Tensor, true: Tensor
) -> Tensor:
    loss = numbers.direct * distance(made, true, numbers.robust)
    if numbers.adversarial:
        still = {name: value.detach() for name, value in critic.named_parameters()}
        loss = loss + numbers.adversarial * _all_towards(functional_call(critic, still, (page, made)), 1.0)
    if perceptual is not None and numbers.perceptual:
        loss = loss + numbers.perceptual * perceptual.to(made.device)(made, true)
    return loss


def distance(made: Tensor, true: Tensor, robust: float = 0.0) -> Tensor:
    """Return the mean of |e|, or of sqrt(e^2 + c^2) - c with c = robust > 0 (Charbonnier et al. 1997)."""
    if not robust:
        return F.l1_loss(made, true)
    return (((made - true).square() + robust**2).sqrt() - robust).mean()


def _all_towards(logits: Tensor, wanted: float) -> Tensor:
    """Binary cross-entropy of logits that should all say the same."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))


def add_critic(model: Colorizer, stage: Stage) -> None:
    """Give a model the critic that its stage needs, if it does: it is trained and resumed with the model.

    It is no part of the model's file.
    """
    if isinstance(stage.objective, Adversarial):
        model.critic = PatchCritic(color=model.space.channels, widths=stage.objective.critic)
