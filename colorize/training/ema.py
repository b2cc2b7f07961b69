"""Keep a running average of weights and lend it to a model. Knows nothing of losses or files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Parameter


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
