"""Turn losses into changes of the weights: rate, clipping, mixed precision, averages, over several processes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed
from torch.nn import Parameter

from colorize.recipes.recipe import Stage
from colorize.training.options import TrainOptions

HIGHEST_SCALE = 2.0**16  # where PyTorch's own fp16 scaling starts
RISE, FROM, TO = 0.3, 25.0, 1e4  # of OneCycleLR: share of steps that rise; first rate, and last one of that, as parts
CALM, QUICK = 0.95, 0.85  # of OneCycleLR: first beta at the ends and at the peak
GROW_AFTER = 2000  # good fp16 updates before the scale is doubled; PyTorch's default


def learning_rate(stage: Stage, options: TrainOptions, step: int, elapsed: float) -> float:
    """Return the learning rate of a step (0, 1, ...), `elapsed` seconds into the run.

    After the warm-up it falls to zero along half a cosine over the steps, or as `stage.rate` says; annealed, it stays
    for 80 % of the budget and then falls along a straight line. A clock cannot be replayed, so an annealed run goes on
    where it stopped but does not repeat to the digit.
    """
    if stage.rate == "onecycle" and not options.anneal:
        share, falls = one_cycle(step, options.last_step(stage) or 1)
        low = stage.lr / FROM / (TO if falls else 1)
        return low + (stage.lr - low) * share
    warmup = min(stage.warmup, stage.steps // 10)
    warm = min(1.0, (step + 1) / warmup) if warmup else 1.0
    if options.anneal:
        assert options.budget is not None
        fall = min(1.0, max(0.0, (1 - elapsed / options.budget) / 0.2))
    elif stage.rate == "constant":
        fall = 1.0
    else:
        share = (step - warmup) / max(1, (options.last_step(stage) or 1) - warmup)
        fall = (1 + math.cos(math.pi * min(1.0, max(0.0, share)))) / 2
    return stage.lr * warm * fall


def first_beta(stage: Stage, options: TrainOptions, step: int) -> float:
    """Return the decay of the gradient's first moment at a step, which `onecycle` changes, too."""
    if stage.rate != "onecycle":
        return stage.betas[0]
    return CALM - (CALM - QUICK) * one_cycle(step, options.last_step(stage) or 1)[0]


def one_cycle(step: int, steps: int) -> tuple[float, bool]:
    """Return where a step stands between the ends (0) and the peak (1) of a cycle, and whether it is past the peak.

    Smith and Topin 2018, as PyTorch's OneCycleLR has it: up along half a cosine in 30 % of the steps, then down.
    """
    peak = max(1.0, RISE * steps - 1)
    falls = step > peak
    share = (steps - 1 - step) / max(1.0, steps - 1 - peak) if falls else step / peak
    return (1 - math.cos(math.pi * min(1.0, max(0.0, share)))) / 2, falls


class Update:
    """AdamW with clipping, averaging over processes, and a moving average of the weights.

    A gradient that is not finite is skipped: weights and moments stay as they were. That is decided on the device, so
    no step waits for it. In fp16 losses are scaled against underflow. average: keeps `stage.ema` of its old value, at
    most (1 + n) / (10 + n) at the n-th update, so that the random start is soon forgotten.
    """

    def __init__(self, parameters: Sequence[Parameter], stage: Stage, half: bool, ranks: Ranks) -> None:
        self.parameters = list(parameters)
        self.clip = stage.clip or float("inf")
        self.half = half
        self.ranks = ranks
        self.decay, self.updates = stage.ema, 0
        self.average: list[Tensor] = [p.detach().clone() for p in self.parameters]
        # fp16 scale, good updates since the scale changed, skipped in all, skipped in a row
        scale = HIGHEST_SCALE if half else 1.0
        self.guard = torch.tensor([scale, 0, 0, 0], device=self.parameters[0].device)
        self.optimizer = torch.optim.AdamW(
            self.parameters, stage.lr, stage.betas, weight_decay=stage.weight_decay, fused=True
        )

    def backward(self, loss: Tensor) -> None:
        """Add a loss's gradient."""
        (loss * self.guard[0]).backward()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def step(self, lr: float, beta: float | None = None) -> None:
        """Change the weights by the gathered gradients, clear these, and move the average. beta: the first one."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        self.ranks.average(gradients)
        norm = torch.nn.utils.get_total_norm(gradients) / self.guard[0]
        factor = (self.clip / (norm + 1e-6)).clamp(max=1.0) / self.guard[0]
        torch._foreach_mul_(gradients, factor)
        bad = (~norm.isfinite()).float()
        for group in self.optimizer.param_groups:
            group["lr"] = lr
            if beta is not None:
                group["betas"] = beta, group["betas"][1]
        # What torch.amp.GradScaler sets, too: the fused kernel then leaves everything as it was.
        self.optimizer.found_inf = bad  # type: ignore[attr-defined]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.updates += 1
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.average, [*self.parameters], 1 - keep)
        scale, good, skipped, in_a_row = self.guard.unbind()
        good = (good + 1) * (1 - bad)
        if self.half:
            grow = good >= GROW_AFTER
            scale = torch.where(grow, scale * 2, scale) * (1 - bad / 2)
            good = torch.where(grow, torch.zeros_like(good), good)
        self.guard = torch.stack([scale, good, skipped + bad, (in_a_row + 1) * bad])

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the model the averaged weights inside a `with` block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for i, parameter in enumerate(self.parameters):  # pointers only, nothing is copied
            parameter.data, self.average[i] = self.average[i], parameter.data


@dataclass(frozen=True)
class Ranks:
    """This process's place among `world` processes; without torchrun it is 0 of 1."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over all processes, in one transfer."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([t.flatten() for t in tensors])
        distributed.all_reduce(flat)
        parts = torch.split(flat / self.world, [t.numel() for t in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))

    @torch.no_grad()
    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by that of the first process."""
        if self.world > 1:
            for tensor in tensors:
                distributed.broadcast(tensor.data, src=0)

    def agree(self, numbers: list[float], on: torch.device) -> list[float]:
        """Return the first process's numbers, so that all stop at the same step."""
        if self.world == 1:
            return numbers
        shared = torch.tensor(numbers, dtype=torch.float32, device=on)
        distributed.broadcast(shared, src=0)
        agreed: list[float] = shared.tolist()
        return agreed


def join(name: str) -> tuple[Ranks, str]:
    """Join the processes torchrun started; return this one's place and the device it should use.

    name: the device asked for; `auto`, `cuda` and `gpu` become this process's own card.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Ranks(), name
    if name in ("auto", "cuda", "gpu") and torch.cuda.is_available():
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(name)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if name.startswith("cuda") else "gloo")
    return Ranks(distributed.get_rank(), world), name
