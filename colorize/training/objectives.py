"""Say what a network should get better at: one loss after another.

Knows nothing of optimizers, files or loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.func import functional_call

from colorize.diffusion.samplers import ddim_step
from colorize.diffusion.schedules import Schedule, draw, expand, times
from colorize.errors import ColorizeError, nearest
from colorize.hints import COLORED
from colorize.manga.frozen import Perceptual
from colorize.manga.generators import PatchCritic
from colorize.model import Sampling
from colorize.networks.conditions import shown
from colorize.networks.unet import Cond
from colorize.recipes import recipe
from colorize.recipes.objective import Adversarial, Denoising, Trajectory

if TYPE_CHECKING:
    from colorize.hints import Batch
    from colorize.model import Colorizer

Start = Literal["sampling", "noise", "noised-reference", "inverted-reference", "inverted-target"]
ALMOST_CLEAN = 1e-3  # the first entry of a table of 1000; where inversion asks about a clean picture
CLEAR = 0.9  # time from which on tokens become clean again, as published


class Objective(Protocol):
    """A way of learning: every yielded scalar is one change of the weights.

    That change is made before the next loss is asked for.
    """

    def __call__(self, model: Colorizer, batch: Batch, rng: Generator) -> Iterator[Tensor]:
        """Yield losses; rng: a CPU generator, the only source of chance."""


def build(objective: Denoising | Trajectory, sampling: Sampling) -> Objective:
    """Make the objective a recipe's stage asks for; sampling: how its result will be used."""
    if isinstance(objective, Denoising):
        return DenoisingLoss(objective.offset, objective.pure, objective.robust, objective.noisy)
    return TrajectoryLoss(sampling, objective.start, objective.every, objective.target)


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


@dataclass(frozen=True)
class DenoisingLoss:
    """Learn to clean pictures of all noise levels: one loss per batch (Ho et al. 2020).

    offset: standard deviation of noise that is constant over a channel of a picture, added to the
    usual noise so that very dark and bright pictures are learnt (Guttenberg 2023 uses 0.1).
    pure: the share of pictures moved to the end of the schedule, where a walk begins.
    robust: see `Denoiser.loss`. noisy: the share of rows whose tokens get noise, see `noised`.
    """

    offset: float = 0.0
    pure: float = 0.0
    robust: float = 0.0
    noisy: float = 0.0

    def __call__(self, model: Colorizer, batch: Batch, rng: Generator) -> Iterator[Tensor]:
        """Yield the mean over the batch of the denoiser's loss, a scalar."""
        x0 = truth(model, batch)
        t = draw(x0.shape[0], rng)
        t = torch.where(torch.rand(t.shape, generator=rng) < self.pure, 1.0, t).to(x0.device)
        noise = gaussian(x0, rng)
        if self.offset:
            noise = noise + self.offset * gaussian(x0[..., :1, :1], rng)
        cond = model.condition(batch.hints, batch.drop, None)
        if self.noisy:
            rows = (torch.rand(t.shape, generator=rng) < self.noisy).to(x0.device) & told(batch)
            cond = noised(cond, t, rows, model.denoiser.schedule, rng)
        weigh = getattr(model.space, "weight", None)  # spaces without unseen places have none
        weight = weigh(batch.hints) if weigh else None
        loss = model.denoiser.loss(x0, noise, t, cond, weight=weight, robust=self.robust)
        yield loss.mean()


def noised(cond: Cond, t: Tensor, rows: Tensor, schedule: Schedule, rng: Generator) -> Cond:
    """Make the tokens of some rows as noisy as their pictures, c -> alpha(t) c + sigma(t) noise.

    t: (B,), the pictures' times. rows: (B,) bool. In training a reference fits its drawing place by
    place; what a token says of a place drowns first, so that colors are learnt rather than places
    (Yan et al. 2025, "noisy training"). In the noisiest tenth 1 - t stands for t: there x tells
    nothing, and noisy tokens, too, would teach the calls that a walk begins with, whose tokens are
    clean, to ignore the reference. The authors' first version lacked this, their later ones have it.
    """
    assert cond.tokens is not None
    alpha, sigma = schedule(torch.where(t > CLEAR, 1 - t, t))
    alpha, sigma = (expand(part, cond.tokens) for part in (alpha, sigma))
    noisy = alpha * cond.tokens + sigma * gaussian(cond.tokens, rng)
    return replace(cond, tokens=torch.where(rows[:, None, None], noisy, cond.tokens))


def told(batch: Batch) -> Tensor:
    """Return which rows keep a hint of color, (B,) bool: noise in what says "no hint" would say something."""
    left_out = [batch.drop[name] for name in COLORED if name in batch.drop]
    if not left_out:
        return torch.ones(len(batch.color), dtype=torch.bool, device=batch.color.device)
    return ~torch.stack(left_out).all(0)


@dataclass(frozen=True)
class TrajectoryLoss:
    """Learn along the walk itself: phase 2 of the Coloring Assistant and of AnimeDiffusion.

    sampling: the walk, made of DDIM steps with its `eta` (1 for `ddpm`) whatever its sampler.
    start: as sampling starts, which is what a user will do; pure noise; the noised reference; or a
    picture walked upwards without noise by the present weights: the reference, as in the Coloring
    Assistant, or the true picture, as published by AnimeDiffusion, which gives the answer away.
    every: network calls per loss. x is detached after each group of them, so 1 needs the memory of
    one call, and `sampling.steps` is back-propagation through the whole walk.
    target: what is compared with the true picture by mean square, at the last call of a group:
    "x0", the clean picture predicted there (DiffusionCLIP, AnimeDiffusion); "next", the still noisy
    x after it, as in the Coloring Assistant, which makes the network forget how noisy x is.

    Raises ColorizeError if `sampling.steps` is no multiple of `every`, or a name is unknown.
    """

    sampling: Sampling = field(default_factory=Sampling)
    start: Start = "sampling"
    every: int = 1
    target: Literal["x0", "next"] = "x0"

    def __post_init__(self) -> None:
        if self.every < 1 or self.sampling.steps % self.every:
            raise ColorizeError(
                f"{self.sampling.steps} steps cannot be divided into groups of {self.every}",
                "choose `every` so that it divides the steps",
                code=2,
            )
        for name, known in ((self.start, get_args(Start)), (self.target, ("x0", "next"))):
            if name not in known:
                raise ColorizeError(f"`{name}` is not known", nearest(name, known), code=2)

    def __call__(self, model: Colorizer, batch: Batch, rng: Generator) -> Iterator[Tensor]:
        """Yield a scalar for each group of `every` steps, sampling.steps / every in all."""
        x0 = truth(model, batch)
        walk = self.sampling
        eta = 1.0 if walk.sampler == "ddpm" else walk.eta
        schedule = model.denoiser.schedule
        stops = times(schedule, walk.steps, begin=walk.begin, rule=walk.spacing).to(x0.device)
        x = self._begin(model, batch, x0, stops, rng)
        for i, (t, after) in enumerate(pairwise(stops)):
            if i % self.every == 0:  # the weights have changed, so the condition has, too
                x, cond = x.detach(), model.condition(batch.hints, batch.drop, None)
            guess = model.denoiser(x, t.expand(len(x)), cond)
            limited = walk.threshold(guess) if walk.threshold else guess
            fresh = gaussian(x, rng) if eta else None
            x = ddim_step(x, limited, t, after, schedule, eta, fresh)
            if (i + 1) % self.every == 0:
                yield ((guess if self.target == "x0" else x) - x0).square().mean()

    def _begin(self, model: Colorizer, batch: Batch, x0: Tensor, stops: Tensor, rng: Generator) -> Tensor:
        """Give x at the first stop."""
        noise = gaussian(x0, rng)
        if self.start == "sampling":
            return model.start(batch.hints, self.sampling, noise)
        if self.start in ("noise", "noised-reference"):
            return model.start(batch.hints, replace(self.sampling, start=self.start), noise)
        if self.start == "inverted-target":
            return _invert(model, batch, x0, stops)
        clean = replace(self.sampling, start="noised-reference", begin=ALMOST_CLEAN)
        reference = model.start(batch.hints, clean, torch.zeros_like(x0))
        return _invert(model, batch, reference, stops)


def _invert(model: Colorizer, batch: Batch, x: Tensor, stops: Tensor) -> Tensor:
    """Walk a clean picture upwards to the first stop: deterministic DDIM by the present weights.

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


@dataclass(frozen=True)
class AdversarialLoss:
    """Learn to color in one call: a loss of the generator, then, after its step, one of the critic.

    adversarial, direct, perceptual: weights of the critic's opinion, of the mean absolute error, and of
    what `eyes` see; without eyes that part is left out. robust: see `distance`. The model must have a
    critic, see `equip`. Isola et al. 2017 halve its loss, so that it learns no faster than the generator.
    """

    adversarial: float = 0.01
    direct: float = 1.0
    perceptual: float = 0.1
    eyes: Perceptual | None = None
    robust: float = 0.0

    def __call__(self, model: Colorizer, batch: Batch, rng: Generator) -> Iterator[Tensor]:
        """Yield two scalars; the generator's says nothing to the critic, nor the critic's to the generator."""
        critic = model.critic
        assert critic is not None
        x0 = truth(model, batch)
        page = shown(batch.hints, batch.drop)
        cond = model.condition(batch.hints, batch.drop, None)
        once = torch.ones(len(x0), device=x0.device)
        made = model.denoiser(torch.zeros_like(x0), once, cond)
        yield self._made(critic, page, made, x0)
        judged = [critic(page, x0), critic(page, made.detach())]
        yield (_towards(judged[0], 1.0) + _towards(judged[1], 0.0)) / 2

    def _made(self, critic: nn.Module, page: Tensor, made: Tensor, true: Tensor) -> Tensor:
        loss = self.direct * distance(made, true, self.robust)
        if self.adversarial:
            still = {name: value.detach() for name, value in critic.named_parameters()}
            opinion = functional_call(critic, still, (page, made))
            loss = loss + self.adversarial * _towards(opinion, 1.0)
        if self.eyes is not None and self.perceptual:
            loss = loss + self.perceptual * self.eyes.to(made.device)(made, true)
        return loss


def distance(made: Tensor, true: Tensor, robust: float = 0.0) -> Tensor:
    """Return the mean of |e|, or of sqrt(e^2 + c^2) - c with c = robust > 0 (Charbonnier et al. 1997)."""
    if not robust:
        return F.l1_loss(made, true)
    return (((made - true).square() + robust**2).sqrt() - robust).mean()


def _towards(logits: Tensor, wanted: float) -> Tensor:
    """Binary cross-entropy of logits that should all say the same."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))


def build_adversarial(objective: Adversarial, eyes: Perceptual | None) -> AdversarialLoss:
    """Make the objective a recipe's stage asks for. eyes: what `vgg` and `tagger` of it name."""
    weights = objective.adversarial, objective.direct, objective.perceptual
    return AdversarialLoss(*weights, eyes, objective.robust)


def equip(model: Colorizer, stage: recipe.Stage) -> None:
    """Give a model the critic that its stage needs, if it does: it is trained and resumed with the model.

    It is no part of the model's file, see `checkpoint.save`.
    """
    if isinstance(stage.objective, Adversarial):
        model.critic = PatchCritic(color=model.space.channels, widths=stage.objective.critic)
