"""Turn losses into changes of the weights, safely.

Knows nothing of data, files or what a loss means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Parameter

from colorize.training.distributed import Ranks
from colorize.training.settings import Fit

HIGHEST_SCALE = 2.0**16  # where PyTorch's own fp16 scaling starts
GROW_AFTER = 2000  # good fp16 updates before the scale is doubled; PyTorch's default


class Update:
    """AdamW with clipping, averaging over processes, an EMA, and no poisoned weights.

    An update whose gradient is not finite is left out: weights and moments stay as they were. That
    is decided on the device, so no step waits for it. In fp16 losses are scaled against underflow.
    """

    def __init__(self, parameters: Sequence[Parameter], settings: Fit, half: bool, ranks: Ranks) -> None:
        self.parameters = list(parameters)
        self.clip = settings.clip or float("inf")
        self.half = half
        self.ranks = ranks
        self.ema = Ema(self.parameters, settings.ema)
        on = self.parameters[0].device
        # fp16 scale, good updates since the scale changed, skipped in all, skipped in a row
        self.guard = torch.tensor([HIGHEST_SCALE if half else 1.0, 0, 0, 0], device=on)
        self.optimizer = torch.optim.AdamW(
            self.parameters, settings.lr, settings.betas, weight_decay=settings.weight_decay, fused=True
        )

    def backward(self, loss: Tensor, share: float) -> None:
        """Add a loss's gradient; share: its weight, 1 / number of losses per update."""
        (loss * (self.guard[0] * share)).backward()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Change the weights by the gradients gathered, forget these, and move the average."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        self.ranks.average(gradients)
        norm = torch.nn.utils.get_total_norm(gradients) / self.guard[0]
        factor = (self.clip / (norm + 1e-6)).clamp(max=1.0) / self.guard[0]
        torch._foreach_mul_(gradients, factor)
        bad = (~norm.isfinite()).float()
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        # What torch.amp.GradScaler sets, too: the fused kernel then leaves everything as it was.
        self.optimizer.found_inf = bad  # type: ignore[attr-defined]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.ema.update()
        self._note(bad)

    def _note(self, bad: Tensor) -> None:
        scale, good, skipped, row = self.guard.unbind()
        good = (good + 1) * (1 - bad)
        if self.half:
            grow = good >= GROW_AFTER
            scale = torch.where(grow, scale * 2, scale) * (1 - bad / 2)
            good = torch.where(grow, torch.zeros_like(good), good)
        self.guard = torch.stack([scale, good, skipped + bad, (row + 1) * bad])


class Ema:
    """The exponential moving average of some parameters, of the same shapes and order.

    decay: how much of the old average stays; smaller at first, (1 + n) / (10 + n) at the n-th
    update, so that the random start is soon forgotten. 0 makes it the weights themselves.
    """

    def __init__(self, parameters: Sequence[Parameter], decay: float) -> None:
        self.parameters = list(parameters)
        self.decay = decay
        self.updates = 0
        self.average: list[Tensor] = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the present weights."""
        self.updates += 1
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.average, [*self.parameters], 1 - keep)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model have the averaged weights inside a `with` block, its own ones after it."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for i, parameter in enumerate(self.parameters):  # pointers only, nothing is copied
            parameter.data, self.average[i] = self.average[i], parameter.data
