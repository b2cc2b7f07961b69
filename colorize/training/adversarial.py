"""Learn from a critic that learns, too. Knows nothing of optimizers, files or loops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.func import functional_call

from colorize.networks.manga.critic import PatchCritic
from colorize.networks.manga.frozen import Perceptual
from colorize.networks.references import shown
from colorize.recipes import recipe
from colorize.training.objectives import truth

if TYPE_CHECKING:
    from colorize.colorizer import Colorizer
    from colorize.hints import Batch


@dataclass(frozen=True)
class Adversarial:
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


def build(objective: recipe.Adversarial, eyes: Perceptual | None) -> Adversarial:
    """Make the objective a recipe's stage asks for. eyes: what `vgg` and `tagger` of it name."""
    weights = objective.adversarial, objective.direct, objective.perceptual
    return Adversarial(*weights, eyes, objective.robust)


def equip(model: Colorizer, stage: recipe.Stage) -> None:
    """Give a model the critic that its stage needs, if it does: it is trained and resumed with the model.

    It is no part of the model's file, see `checkpoint.save`.
    """
    if isinstance(stage.objective, recipe.Adversarial):
        model.critic = PatchCritic(color=model.space.channels, widths=stage.objective.critic)
