"""The numbers of a training run and what it reports. Knows nothing of models, files or devices."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Literal

from colorize.errors import SEEDS, ColorizeError, within

AHEAD = 8  # batches kept ready, at most; more would only fill the memory


@dataclass(frozen=True)
class Fit:
    """How to train; one step is one pass of the objective over `accumulate` batches."""

    steps: int | None = None  # length of the run; None: until the budget is spent
    budget: float | None = None  # seconds of the whole run, over all calls; None: no limit
    limit: float | None = None  # seconds of this call; the next call goes on from there
    batch: int = 64  # pictures per batch; informative, the data decides
    accumulate: int = 1  # batches per optimizer step
    lr: float = 2e-4  # highest learning rate
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)  # 0.99: the second moment follows within 100 steps
    warmup: int = 500  # steps of linear growth of the learning rate
    decay: Literal["steps", "budget"] = "steps"  # cosine over the steps, or trapezoid over the budget
    final: float = 0.0  # share of lr that is left at the end
    clip: float = 1.0  # longest gradient; 0 switches clipping off
    ema: float = 0.999  # decay of the averaged weights, which are the ones saved and sampled
    precision: str = "auto"  # auto, fp32, bf16 or fp16
    device: str = "auto"  # auto, cpu, cuda, cuda:1 or mps
    seed: int = 0
    save_every: float = 120.0  # seconds
    sample_every: int = 0  # steps; 0: never
    log_every: int = 50  # steps
    keep_frozen: bool = True  # in the state; False if going on can take them from where it began
    prefetch: int = 1  # batches made ahead, on a thread of their own; 0: none
    compile: bool = False  # compile the denoising network; 1 to 2 minutes, pays on GPUs only
    gradient_checkpointing: bool = False  # compute blocks twice to keep less of them in memory

    def __post_init__(self) -> None:
        if self.steps is None and self.budget is None:
            raise ColorizeError("training has no end", "give a number of steps or a time budget", 2)
        if getattr(self, self.decay) is None:
            raise ColorizeError(
                f"the learning rate is to decay over the {self.decay}, which were not given",
                f"give `{self.decay}`, or choose the other `decay`: steps, budget",
                code=2,
            )
        if self.accumulate < 1 or self.log_every < 1:
            raise ColorizeError("`accumulate` and `log_every` must be at least 1", code=2)
        within("seed", self.seed, *SEEDS)
        within("ema", self.ema, 0, 1)
        for name in ("lr", "weight_decay", "warmup", "clip", "save_every", "sample_every"):
            within(name, getattr(self, name), 0, sys.float_info.max, "take 0 or more")
        within("prefetch", self.prefetch, 0, AHEAD)

    def rate(self, step: int, elapsed: float) -> float:
        """Give the learning rate of a step (0, 1, ...), `elapsed` seconds into the run.

        decay="steps": after the warm-up half a cosine, from `lr` to `final * lr`. decay="budget":
        `lr` for 80 % of the time, then a straight line to `final * lr`; a clock cannot be replayed,
        so such a run goes on where it stopped but does not repeat to the digit.
        """
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        if self.decay == "steps":
            assert self.steps is not None
            share = (step - self.warmup) / max(1, self.steps - self.warmup)
            fall = (1 + math.cos(math.pi * min(1.0, max(0.0, share)))) / 2
        else:
            assert self.budget is not None
            fall = min(1.0, max(0.0, (1 - elapsed / self.budget) / 0.2))
        return self.lr * warm * (self.final + (1 - self.final) * fall)

    def logs(self, step: int) -> bool:
        """Whether a step gets a row in the log: every so many, the last, and 1, 2, 4, 8 ... for short runs."""
        early = step < self.log_every and step.bit_count() == 1
        return early or step % self.log_every == 0 or step == self.steps

    def over(self, step: int, elapsed: float, here: float) -> bool:
        """Tell whether the run ends after `step` steps, `elapsed` seconds, `here` in this call."""
        return (
            (self.steps is not None and step >= self.steps)
            or (self.budget is not None and elapsed >= self.budget)
            or (self.limit is not None and here >= self.limit)
        )

    def left(self, step: int, elapsed: float, here: float, pace: float) -> float | None:
        """Estimate the seconds until the end at `pace` steps per second; None if nobody can."""
        ends = []
        if self.steps is not None and pace:
            ends.append((self.steps - step) / pace)
        if self.budget is not None:
            ends.append(self.budget - elapsed)
        if self.limit is not None:
            ends.append(self.limit - here)
        return max(0.0, min(ends)) if ends else None


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step."""

    step: int  # steps done
    steps: int | None  # steps in all, if that was said
    loss: float | None  # mean since the last report; None between reports
    lr: float
    pictures_per_s: float
    seconds_left: float | None
    saved: bool  # the run could be resumed from exactly here
    skipped: int  # updates left out because a gradient was not finite, up to the last report
