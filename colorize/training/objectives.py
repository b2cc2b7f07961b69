"""The losses of each objective, and the frozen networks that some compare pictures with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.func import functional_call

from colorize.checkpoints import hub, pickles, weights_io
from colorize.checkpoints.weights_io import refused
from colorize.diffusion.samplers import ddim_step
from colorize.diffusion.schedules import Schedule, draw, expand, times
from colorize.errors import ColorizeError
from colorize.hints import COLORED
from colorize.manga.networks import VGG, Frozen, PatchCritic, Perceptual, Tagger, TaggerSpec
from colorize.manga.system import PageEncoder
from colorize.model import Colorizer, Sampling
from colorize.networks.conditions import shown
from colorize.networks.unet import Cond
from colorize.recipes.recipe import Adversarial, Choosing, Denoising, Recipe, Stage, Trajectory
from colorize.training.region_objective import ChoosingLoss

if TYPE_CHECKING:
    from colorize.hints import Batch

CLEAR = 0.9  # time from which on tokens become clean again, as published
RANDOM = "random"  # in place of a file: a tagger that knows nothing, to try things with
COUNTER = "num_batches_tracked"  # of batch norms, which nothing here needs
Net = TypeVar("Net", bound=Frozen)


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
        message = f"`{recipe.name}` cannot be trained with the objective {name}"
        raise ColorizeError(message, "leave `objective` as the recipe has it", code=2)
    if isinstance(objective, Choosing):
        return ChoosingLoss(objective)
    if isinstance(objective, Adversarial):
        _check_adversarial(objective, stage, recipe)
        return partial(adversarial_losses, objective, perceptual(objective))
    if isinstance(objective, Trajectory):
        if recipe.sampling.steps % objective.every:
            message = f"{recipe.sampling.steps} steps cannot be divided into groups of {objective.every}"
            raise ColorizeError(message, "choose `every` so that it divides the steps", code=2)
        return partial(trajectory_losses, objective, recipe.sampling)
    if objective.noisy and not recipe.condition.tokens:
        message = f"objective.noisy is {objective.noisy:g}, but `{recipe.name}` has no tokens to make noisy"
        raise ColorizeError(message, "leave it at 0, or choose a recipe whose references are tokens", 2)
    return partial(denoising_losses, objective)


def _check_adversarial(objective: Adversarial, stage: Stage, recipe: Recipe) -> None:
    if not recipe.once:
        message = f"`{recipe.name}` samples in steps, but a critic judges what one call makes"
        raise ColorizeError(message, "choose objective=Denoising, or a recipe such as manga-gan", 2)
    if stage.batch < 2 and not (objective.critic_groups and getattr(recipe.denoiser.net, "groups", 1)):
        raise ColorizeError("batch is 1, too few for batch norms", "choose batch=2 or more", code=2)


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
    if numbers.whole:
        t = (t * model.denoiser.schedule.steps).ceil() / model.denoiser.schedule.steps
    t = torch.where(torch.rand(t.shape, generator=rng) < numbers.pure, 1.0, t).to(x0.device)
    noise = gaussian(x0, rng)
    if numbers.offset:
        noise = noise + numbers.offset * gaussian(x0[..., :1, :1], rng)
    cond = model.condition(batch.hints, batch.drop, None)
    if numbers.noisy:
        rows = (torch.rand(t.shape, generator=rng) < numbers.noisy).to(x0.device)
        left_out = [batch.drop[name] for name in COLORED if name in batch.drop]
        if left_out:  # noise in what says "no hint" would say something
            rows = rows & ~torch.stack(left_out).all(0)
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
    clean = replace(sampling, start="noised-reference", begin=1 / model.denoiser.schedule.steps)
    return _invert(model, batch, model.start(batch.hints, clean, torch.zeros_like(x0)), stops)


def _invert(model: Colorizer, batch: Batch, x: Tensor, stops: Tensor) -> Tensor:
    """Bring a clean picture up to the first stop: deterministic DDIM by the present weights.

    The first call asks about x at the first entry of the table, not at 0, where no noise is left to be found.
    """
    training = model.training
    model.eval()
    with torch.no_grad():
        cond = model.condition(batch.hints, batch.drop, None)
        first = stops.new_tensor([1 / model.denoiser.schedule.steps])
        up = torch.cat([first, stops.flip(0)[1:][stops.flip(0)[1:] > first]])
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
    loss = numbers.direct * distance(made, x0, numbers.robust)
    if numbers.adversarial:
        still = {name: value.detach() for name, value in critic.named_parameters()}
        loss = loss + numbers.adversarial * _all_towards(functional_call(critic, still, (page, made)), 1.0)
    if perceptual is not None and numbers.perceptual:
        loss = loss + numbers.perceptual * perceptual.to(made.device)(made, x0)
    yield loss
    real, fake = critic(page, x0), critic(page, made.detach())
    yield (_all_towards(real, 1.0) + _all_towards(fake, 0.0)) / 2


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
        wanted = stage.objective
        model.critic = PatchCritic(color=model.space.channels, widths=wanted.critic, groups=wanted.critic_groups)


def perceptual(objective: Adversarial) -> Perceptual | None:
    """Return the frozen networks that an objective compares pictures with, or None without any.

    Raises ColorizeError for a file of something else.
    """
    if not (objective.vgg or objective.tagger) or not objective.perceptual:
        return None
    vgg = _filled(objective.vgg, VGG()) if objective.vgg else None
    tagger = _filled(objective.tagger, TaggerSpec().build()) if objective.tagger else None
    return Perceptual(vgg, tagger, objective.share)


def fill_tagger(model: Colorizer, recipe: Recipe) -> None:
    """Give a new model whose generator reads features of a tagger that tagger's weights.

    Raises ColorizeError (wrong usage) if the recipe does not say where they are.
    """
    condition = getattr(model, "condition", None)
    if not isinstance(condition, PageEncoder):
        return
    if condition.denoiser is not None:
        hint = "leave condition.denoise at 0, or start from a model that has them: --from MODEL"
        raise ColorizeError(f"`{recipe.name}` denoises pages with a network that has no weights yet", hint, code=2)
    if condition.tagger is None or condition.spec.tagger == RANDOM:
        return
    if not condition.spec.tagger:
        raise ColorizeError(
            f"`{recipe.name}` reads the features of a tagger, which has no weights yet",
            "name their file: --set condition.tagger=resnet50-13306192.pth; or try one that knows"
            f" nothing: condition.tagger={RANDOM}",
            code=2,
        )
    condition.tagger = _filled(condition.spec.tagger, condition.spec.body.build())


def _filled(place: str, net: Net) -> Net:
    """Fill a network exactly from a file, of which it needs only a part.

    Taggers have published names, or those inside a saved generator.
    """
    path = located(place)
    found = read(path)
    names = {name: name for name in found}
    if isinstance(net, Tagger):  # RF5/danbooru-pretrained begins with `0.` or `1.`, a generator with `context.`
        for name in found:
            part, _, rest = name.removeprefix("context.").partition(".")
            names[{"0": "body", "1": "head"}.get(part, part) + f".{rest}"] = name
    chosen = {}
    for name, value in net.state_dict().items():
        if name.endswith(COUNTER):
            chosen[name] = torch.zeros_like(value)
            continue
        if name not in names:
            what = "VGG16" if isinstance(net, VGG) else "the tagger of danbooru-pretrained"
            raise refused(path.name, f"does not hold {what}: it lacks `{name}`", "name another file")
        chosen[name] = found[names[name]]
    weights_io.fill(path.name, net, chosen)
    return net.freeze()


def read(path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a safetensors file, or of one that PyTorch wrote, of which no code is run."""
    return weights_io.read(path)[1] if weights_io.sniff(path) == "safetensors" else pickles.read(path)


def located(place: str) -> Path:
    """Return the file of a network's weights: a path, or OWNER/NAME/FILE on the Hub, which is fetched."""
    path = Path(place)
    if path.is_file():
        return path
    owner, _, rest = place.partition("/")
    name, _, file = rest.partition("/")
    if not file or path.is_absolute() or not file.endswith(".safetensors"):
        hint = "name a file, or OWNER/NAME/FILE.safetensors on the Hub"
        raise ColorizeError(f"there is no file `{place}` with the weights of a frozen network", hint, code=2)
    return hub.fetch_file(f"{owner}/{name}", file)
