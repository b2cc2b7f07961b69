"""Train a model step by step, so that it can stop and go on at any of them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Generator, nn
from torch.utils.checkpoint import checkpoint

from colorize.errors import ColorizeError
from colorize.networks import devices
from colorize.recipes.recipe import Stage
from colorize.training import optimizer, run_folder
from colorize.training.objectives import Objective
from colorize.training.optimizer import Update, first_beta, learning_rate
from colorize.training.options import TrainOptions
from colorize.training.run_folder import Log

if TYPE_CHECKING:
    from colorize.hints import Batch
    from colorize.model import Colorizer

FIRST_SAVE = 60.0  # seconds until the first save of a call, at most, so that a run killed early has a state
HOPELESS = 50  # updates skipped in a row; fp16 may skip about 16 until its scale fits

Save = Callable[["Colorizer", Path], None]  # writes the averaged weights to a path, atomically
Show = Callable[["Colorizer", int], None]  # draws samples with the averaged weights


@dataclass(frozen=True)
class Progress:
    """The status of a run after a step."""

    step: int  # steps done
    steps: int | None  # steps in all, if that is known
    loss: float | None  # mean since the last row of the log; None between rows
    pictures_per_s: float
    seconds_left: float | None
    skipped: int  # updates left out because a gradient was not finite, up to the last row


@dataclass
class Loop:
    """Trains `model`, yielding after every step, until the steps or the time are spent.

    If `state.safetensors` is in the run folder, the run goes on from there, and ends with the weights of a run that was
    never stopped. `save` is called whenever the state is written, `show` every `sample_every` steps; both see the
    averaged weights. Ctrl-C finishes the step, saves, and raises KeyboardInterrupt; a second one stops at once. Leaving
    the loop saves, too. Raises ColorizeError for a damaged state, and if the gradients stop being finite.
    """

    model: Colorizer
    objective: Objective
    batches: Batches
    stage: Stage
    options: TrainOptions
    save: Save | None = None
    show: Show | None = None
    clock: Callable[[], float] = time.monotonic

    def __iter__(self) -> Iterator[Progress]:
        """Begin or go on, and take all steps."""
        self._begin()
        with deferred_interrupt() as interrupted:
            try:
                yield from self._steps(interrupted)
            except GeneratorExit:  # the caller left its loop by `break` or by an error of its own
                self._save()
                raise
            finally:
                if self.prefetcher:
                    self.prefetcher.close()
                if self.log:
                    self.log.close()

    def _begin(self) -> None:
        options = self.options
        self.ranks, name = optimizer.join(options.device)
        self.device = devices.device(name)
        self.dtype = devices.precision(options.precision, self.device)
        last = options.last_step(self.stage)
        self.prefetcher = (
            Prefetcher(self.batches, self.ranks.world, last and last * self.ranks.world) if options.prefetch else None
        )
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model.train()
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32: 10 bits of mantissa are enough here
            torch.backends.cudnn.benchmark = True  # batches have one shape, or a few
        if options.gradient_checkpointing:
            recomputing(self.model)
        if options.compile:
            self.model.network.compile()
        weights = [*run_folder.trained(self.model).values()]
        self.update = Update(weights, self.stage, self.dtype is torch.float16, self.ranks)
        self.meter = torch.zeros(2, device=self.device)  # sum and count of losses since the last row
        options.folder.mkdir(parents=True, exist_ok=True)
        self.step, before, self.reserve = 0, 0.0, 0.0  # reserve: seconds that one more step and a save take
        if (path := options.folder / run_folder.STATE).exists():
            numbers = run_folder.load_state(path, self.model, self.update, self.meter)
            self.step, before, self.reserve = int(numbers["step"]), numbers["seconds"], numbers["reserve"]
        else:
            self.ranks.copy_first([*self.model.parameters(), *self.model.buffers(), *self.update.average])
        self.first = self.saved_step = self.step  # this call's first step, and the step that is on disk
        self.saving = 0.0  # seconds the last save took
        self.skipped = 0  # as of the last row
        self.watch = Stopwatch(self.clock, before)
        self.elapsed = before  # seconds of the run, read once a step, the same on all ranks
        self.log = Log(options.folder, self.step) if self.ranks.first else None

    def _steps(self, interrupted: threading.Event) -> Iterator[Progress]:
        """Take steps until the end."""
        options, every, last = self.options, self.options.sample_every, self.options.last_step(self.stage)
        while not self._over():
            lr = learning_rate(self.stage, options, self.step, self.elapsed)
            self._train(lr)
            # The time spent, and what one more step and a save will take.
            times = [self.watch.before + self.watch.here, self.saving + 1 / self.watch.pace()[1]]
            if options.budget is not None:
                times = self.ranks.agree(times, self.device)
            self.elapsed, self.reserve = times
            loss = self._report(lr)
            wait = min(options.save_every, FIRST_SAVE) if self.saved_step == self.first else options.save_every
            late = self.watch.clock() - self.watch.saved >= wait
            if late or interrupted.is_set() or self._over():
                self._save()
            if interrupted.is_set():
                raise KeyboardInterrupt
            if self.show and every and self.step % every == 0 and self.ranks.first:
                self._show(self.show)
            pictures, pace = self.watch.pace()
            left = options.seconds_left(self.stage, self.step, self.elapsed, self.watch.here, pace)
            yield Progress(self.step, last, loss, pictures, left, self.skipped)

    def _save(self) -> None:
        """Write the state and the averaged weights, unless that was done at this step."""
        if self.saved_step == self.step:
            return
        begun = self.watch.clock()
        if self.ranks.first:
            numbers = {"step": self.step, "seconds": self.elapsed, "reserve": self.reserve}
            path, keep_frozen = self.options.folder / run_folder.STATE, not self.options.start
            run_folder.save_state(path, self.model, self.update, self.meter, numbers, keep_frozen)
            if self.save:
                with self.update.averaged():
                    self.save(self.model, self.options.folder / "model.safetensors")
        self.saved_step = self.step
        self.watch.saved = self.watch.clock()
        self.saving = self.watch.saved - begun

    def _over(self) -> bool:
        """Whether the run ends here: one more step and a save must still fit into the time."""
        end = self.elapsed + self.reserve
        here = 0.0 if self.step == self.first else end - self.watch.before
        return self.options.over(self.stage, self.step, end, here)

    def _train(self, lr: float) -> None:
        """Take one step: every loss of the objective on one batch, each followed by a change of the weights."""
        seed, rank = self.options.seed or 0, self.ranks.rank
        beta = first_beta(self.stage, self.options, self.step)
        torch.manual_seed(_seed(seed, self.step, rank, 0))  # for dropout
        batch = (self.prefetcher or self.batches).batch(self.step * self.ranks.world + rank).to(self.device)
        self.watch.count(batch.color.shape[0] * self.ranks.world)
        losses = self.objective(self.model, batch, Generator().manual_seed(_seed(seed, self.step, rank, 1)))
        while True:
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
                loss = next(losses, None)
            if loss is None:
                break
            self.update.backward(loss)
            sound = loss.detach().isfinite()  # stays on the device: reading it here would make every step wait
            self.meter += torch.stack([torch.where(sound, loss.detach().float(), 0.0), sound.float()])
            self.update.step(lr, beta)
        self.step += 1

    def _report(self, lr: float) -> float | None:
        """Write a row of the log if it is time; return its loss, the mean since the last row.

        It is time every `log_every` steps, at the last one, and at 1, 2, 4, 8 ... for short runs.
        """
        every = self.options.log_every
        early = self.step < every and self.step.bit_count() == 1
        if not (early or self.step % every == 0 or self.step == self.options.last_step(self.stage)):
            return None
        total, count = self.meter.tolist()
        loss = total / count if count else None
        self.meter.zero_()
        _, _, skipped, in_a_row = self.update.guard.tolist()
        self.skipped = int(skipped)
        if in_a_row >= HOPELESS:
            message = f"the gradients have not been finite for {int(in_a_row)} updates, at step {self.step}"
            raise ColorizeError(message, "lower the learning rate, or train in fp32; the state on disk is from before")
        self.watch.lap()
        if self.log:
            row = {"step": self.step, "loss": loss, "lr": lr, "skipped": self.skipped}
            pace, seconds = round(self.watch.pace()[0], 2), round(self.elapsed, 3)
            self.log.write(row | {"pictures_per_s": pace, "seconds": seconds})
        return loss

    def _show(self, show: Show) -> None:
        # A compiled network would be compiled again for the shapes of the samples.
        eager = torch.compiler.set_stance("force_eager") if self.options.compile else nullcontext()
        self.model.eval()
        try:
            with torch.no_grad(), self.update.averaged(), eager:
                show(self.model, self.step)
        finally:
            self.model.train()


def _seed(*place: int) -> int:
    """Mix numbers into one seed, so that neighboring steps share nothing."""
    return int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0])


class Stopwatch:
    """Seconds and pictures of a run.

    clock: gives seconds, such as time.monotonic. before: seconds the run took in earlier calls.
    """

    def __init__(self, clock: Callable[[], float], before: float) -> None:
        self.clock, self.before = clock, before
        self.begun = self.lap_begun = self.saved = clock()
        self.lap_steps = self.lap_pictures = 0
        self.last_pace: tuple[float, float] | None = None

    @property
    def here(self) -> float:
        """Seconds of this call."""
        return self.clock() - self.begun

    def count(self, pictures: int) -> None:
        """Note a step."""
        self.lap_steps += 1
        self.lap_pictures += pictures

    def lap(self) -> None:
        """Begin a new lap."""
        self.last_pace = None
        self.last_pace = self.pace()
        self.lap_begun = self.clock()
        self.lap_steps = self.lap_pictures = 0

    def pace(self) -> tuple[float, float]:
        """Return pictures and steps per second, of the last lap or, in the first one, so far."""
        seconds = max(1e-9, self.clock() - self.lap_begun)
        return self.last_pace or (self.lap_pictures / seconds, self.lap_steps / seconds)


class Batches(Protocol):
    """Training data whose k-th batch is always the same, so that a step number is a place in it."""

    def batch(self, step: int) -> Batch:
        """Make batch number 0, 1, 2, ..."""


class Prefetcher:
    """The same batches under the same numbers, the next one made on a thread before it is asked for.

    stride: how far the numbers asked for are apart. end: one that will not be asked for, if there is one.
    """

    def __init__(self, batches: Batches, stride: int = 1, end: int | None = None) -> None:
        self.batches, self.stride, self.end = batches, stride, end
        self.pool = ThreadPoolExecutor(1, "batches")
        self.waiting: tuple[int, Future[Batch]] | None = None

    def batch(self, step: int) -> Batch:
        """Return a batch by its number; raises what making it raised."""
        if self.waiting is None or self.waiting[0] != step:
            self.waiting = step, self.pool.submit(self.batches.batch, step)
        wanted, following = self.waiting[1], step + self.stride
        self.waiting = None
        if self.end is None or following < self.end:
            self.waiting = following, self.pool.submit(self.batches.batch, following)
        return wanted.result()

    def close(self) -> None:
        """End the thread; waits for the batch it is making."""
        self.pool.shutdown(cancel_futures=True)


@contextmanager
def deferred_interrupt() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event the loop looks at between steps; the second acts at once.

    Outside the main thread, where Python delivers no signals, nothing is changed.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def recomputing(model: nn.Module) -> int:
    """Let modules that are marked `recomputed` compute their inner values again for the gradient; return their number.

    Gradients stay the same, dropout included, and so do the names of the weights; a step takes about a third
    longer. Without gradients nothing changes. Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
    """
    if getattr(model, "recomputed", False):
        if "forward" not in vars(model):  # not twice: that would compute a block three times
            model.forward = partial(_checkpointed, model.forward)
        return 1
    return sum(recomputing(part) for part in model.children())


def _checkpointed(forward: Any, *inputs: Any) -> Any:
    return checkpoint(forward, *inputs, use_reentrant=False) if torch.is_grad_enabled() else forward(*inputs)
