"""Let several processes train as one, as `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


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

    name: the device asked for; `auto` and `cuda` become this process's own card.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Ranks(), name
    if name in ("auto", "cuda") and torch.cuda.is_available():
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(name)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if name.startswith("cuda") else "gloo")
    return Ranks(distributed.get_rank(), world), name
