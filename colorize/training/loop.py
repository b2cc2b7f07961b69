"""Train a model step by step, so that it can stop and resume at any of them.

Knows nothing of recipes or pictures.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Generator, Tensor

from colorize.errors import ColorizeError
from colorize.networks import devices
from colorize.training import distributed, state
from colorize.training.batches import Ahead, Batches
from colorize.training.gradient_checkpointing import recomputing
from colorize.training.log import Log
from colorize.training.objectives import Objective
from colorize.training.optimizer import Update
from colorize.training.settings import Fit, Progress

if TYPE_CHECKING:
    from colorize.model import Colorizer

HOPELESS = 50  # updates skipped in a row; fp16 may skip about 16 until its scale fits

Save = Callable[["Colorizer", Path], None]  # writes the averaged weights to a path, atomically
Show = Callable[["Colorizer", int], None]  # draws samples with the averaged weights


def fit(
    model: Colorizer,
    objective: Objective,
    batches: Batches,
    settings: Fit,
    run: Path,
    save: Save | None = None,
    show: Show | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Progress]:
    """Train `model`, yielding after every step, until the steps or the time are spent.

    run: a folder. If `state.safetensors` is in it, the run goes on from there, and ends with the
    weights of a run that was never stopped. A step takes `accumulate` batches and gives each to the
    objective; their losses are averaged. `save` gets `run/model.safetensors` whenever the state is
    written, `show` is called every `sample_every` steps; both see the averaged weights. Ctrl-C
    finishes the step, saves, and raises KeyboardInterrupt; a second one stops at once. Leaving the
    loop saves, too.

    Raises ColorizeError for a damaged state, and if the gradients stop being finite.
    """
    loop = _Loop(model, objective, batches, settings, run, clock)
    with deferred_interrupt() as interrupted:
        try:
            yield from loop.run(save, show, interrupted)
        except GeneratorExit:  # the caller left its loop by `break` or by an error of its own
            loop.keep(save)
            raise
        finally:
            loop.close()


class _Loop:
    """The parts of one run, and where it stands."""

    def __init__(
        self,
        model: Colorizer,
        objective: Objective,
        batches: Batches,
        settings: Fit,
        run: Path,
        clock: Callable[[], float],
    ) -> None:
        self.model, self.objective = model, objective
        self.settings, self.folder = settings, run
        self.ranks, name = distributed.join(settings.device)
        parts = settings.accumulate * self.ranks.world
        end = None if settings.steps is None else settings.steps * parts
        self.batches = Ahead(batches, settings.prefetch, self.ranks.world, end)
        self.device = devices.device(name)
        self.dtype = devices.precision(settings.precision, self.device)
        _prepare(model, self.device, settings)
        half = self.dtype is torch.float16
        self.update = Update([*state.trained(model).values()], settings, half, self.ranks)
        self.meter = torch.zeros(2, device=self.device)  # sum and count of losses since a report
        run.mkdir(parents=True, exist_ok=True)
        self.step, before, self.reserve = self._restore(run / "state.safetensors")
        self.begun = self.kept = self.step  # this call's first step, and the step that is on disk
        self.saving = 0.0  # seconds the last save took
        self.skipped = 0  # as of the last report
        self.watch = Stopwatch(clock, before)
        self.elapsed = before  # seconds of the run, read once a step, the same on all ranks
        self.log = Log(run, self.step) if self.ranks.first else None

    def close(self) -> None:
        """End what runs beside the loop."""
        self.batches.close()
        if self.log:
            self.log.close()

    def _restore(self, path: Path) -> tuple[int, float, float]:
        """Go on from a state, if there is one; return the steps done, seconds spent and reserve."""
        if not path.exists():
            shared = [*self.model.parameters(), *self.model.buffers(), *self.update.ema.average]
            self.ranks.copy_first(shared)
            return 0, 0.0, 0.0
        numbers = state.load(path, self.model, self.update, self.meter)
        return int(numbers["step"]), numbers["seconds"], numbers["reserve"]

    def run(self, save: Save | None, show: Show | None, interrupted: threading.Event) -> Iterator[Progress]:
        """Take steps until the end."""
        while not self._over():
            lr = self._step()
            self._look()
            loss = self._report(lr)
            late = self.watch.clock() - self.watch.saved >= self.settings.save_every
            if late or interrupted.is_set() or self._over():
                self.keep(save)
            if interrupted.is_set():
                raise KeyboardInterrupt
            every = self.settings.sample_every
            if show and every and self.step % every == 0 and self.ranks.first:
                self._show(show)
            yield self._progress(lr, loss)

    def keep(self, save: Save | None) -> None:
        """Write the state and the averaged weights, unless that has been done at this step."""
        if self.kept == self.step:
            return
        begun = self.watch.clock()
        if self.ranks.first:
            numbers = {"step": self.step, "seconds": self.elapsed, "reserve": self.reserve}
            parts = self.model, self.update, self.meter, numbers, self.settings.keep_frozen
            state.save(self.folder / "state.safetensors", *parts)
            if save:
                with self.update.ema.applied():
                    save(self.model, self.folder / "model.safetensors")
        self.kept = self.step
        self.watch.saved = self.watch.clock()
        self.saving = self.watch.saved - begun

    def _look(self) -> None:
        """Look at the clock; one more step and a save must still fit into the time."""
        times = [self.watch.elapsed, self.saving + 1 / self.watch.running()[1]]
        if self.settings.budget is not None or self.settings.limit is not None:
            times = self.ranks.agree(times, self.device)
        self.elapsed, self.reserve = times

    def _over(self) -> bool:
        end = self.elapsed + self.reserve
        here = 0.0 if self.step == self.begun else end - self.watch.before
        return self.settings.over(self.step, end, here)

    def _step(self) -> float:
        """Go through the objective once, on `accumulate` batches; return the learning rate."""
        lr = self.settings.rate(self.step, self.elapsed)
        torch.manual_seed(_seed(self.settings.seed, self.step, self.ranks.rank, 0))  # for dropout
        walks = [self._walk(part) for part in range(self.settings.accumulate)]
        share = 1 / len(walks)
        while walks:
            for walk in list(walks):
                with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
                    loss = next(walk, None)
                if loss is None:
                    walks.remove(walk)
                    continue
                self.update.backward(loss, share)
                self._note(loss.detach())
            if walks:
                self.update.step(lr)
        self.step += 1
        return lr

    def _walk(self, part: int) -> Iterator[Tensor]:
        """Start the objective on one of this step's batches, with randomness of its place only."""
        place = (self.step * self.settings.accumulate + part) * self.ranks.world + self.ranks.rank
        seed = _seed(self.settings.seed, self.step, self.ranks.rank, 1 + part)
        batch = self.batches.batch(place).to(self.device)
        self.watch.count(batch.color.shape[0] * self.ranks.world, steps=int(part == 0))
        return self.objective(self.model, batch, Generator().manual_seed(seed))

    def _note(self, loss: Tensor) -> None:
        sound = loss.isfinite()  # stays on the device: reading it here would make every step wait
        self.meter += torch.stack([torch.where(sound, loss.float(), 0.0), sound.float()])

    def _report(self, lr: float) -> float | None:
        """Write a row of the log if it is time; return its loss, the mean since the last row."""
        if not self.settings.logs(self.step):
            return None
        total, count = self.meter.tolist()
        loss = total / count if count else None
        self.meter.zero_()
        _, _, skipped, running = self.update.guard.tolist()
        self.skipped = int(skipped)
        if running >= HOPELESS:
            raise ColorizeError(
                f"the gradients are not finite since {int(running)} updates, at step {self.step}",
                "lower the learning rate, or train in fp32; the state on disk is from before",
            )
        self.watch.lap()
        if self.log:
            row = {"step": self.step, "loss": loss, "lr": lr, "skipped": self.skipped}
            pace, seconds = round(self.watch.running()[0], 2), round(self.elapsed, 3)
            self.log.write(row | {"pictures_per_s": pace, "seconds": seconds})
        return loss

    def _show(self, show: Show) -> None:
        # A compiled network would be compiled again for the shapes of the samples.
        eager = torch.compiler.set_stance("force_eager") if self.settings.compile else nullcontext()
        self.model.eval()
        try:
            with torch.no_grad(), self.update.ema.applied(), eager:
                show(self.model, self.step)
        finally:
            self.model.train()

    def _progress(self, lr: float, loss: float | None) -> Progress:
        pictures, steps = self.watch.running()
        left = self.settings.left(self.step, self.elapsed, self.watch.here, steps)
        done, of, saved = self.step, self.settings.steps, self.kept == self.step
        return Progress(done, of, loss, lr, pictures, left, saved, self.skipped)


def _prepare(model: Colorizer, device: torch.device, settings: Fit) -> None:
    """Move a model to its device, in the layout convolutions like, and switch on what is asked for."""
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.train()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32: 10 bits of mantissa are enough here
        torch.backends.cudnn.benchmark = True  # batches have one shape, or a few
    if settings.gradient_checkpointing:
        recomputing(model)
    if settings.compile:
        model.network.compile()


def _seed(*place: int) -> int:
    """Mix numbers into one seed, so that neighboring steps share nothing."""
    return int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0])


class Stopwatch:
    """Seconds and pictures of a run.

    clock: gives seconds, such as time.monotonic. before: seconds the run took in earlier calls.
    """

    def __init__(self, clock: Callable[[], float], before: float) -> None:
        self.clock = clock
        self.before = before
        self.begun = self.lap_begun = self.saved = clock()
        self.lap_steps = self.lap_pictures = 0
        self.pace: tuple[float, float] | None = None  # pictures and steps per second, last whole lap

    @property
    def here(self) -> float:
        """Seconds of this call."""
        return self.clock() - self.begun

    @property
    def elapsed(self) -> float:
        """Seconds of the whole run."""
        return self.before + self.here

    def count(self, pictures: int, steps: int) -> None:
        """Note work that was done."""
        self.lap_steps += steps
        self.lap_pictures += pictures

    def lap(self) -> None:
        """Take the pace of the steps since the last lap."""
        self.pace = self._now()
        self.lap_begun = self.clock()
        self.lap_steps = self.lap_pictures = 0

    def running(self) -> tuple[float, float]:
        """Give pictures and steps per second, of the last lap or, in the first one, so far."""
        return self.pace or self._now()

    def _now(self) -> tuple[float, float]:
        seconds = max(1e-9, self.clock() - self.lap_begun)
        return self.lap_pictures / seconds, self.lap_steps / seconds


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
