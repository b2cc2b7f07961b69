"""Measure how fast a run goes, and let Ctrl-C wait for a good moment.

Knows nothing of models or files.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stopwatch:
    """Seconds and pictures of a run.

    clock: gives seconds, such as time.monotonic. before: seconds the run took in earlier calls.
    """

    def __init__(self, clock: Callable[[], float], before: float) -> None:
        self.clock = clock
        self.before = before
        self.begun = self.lap_begun = self.saved = clock()
        self.lap_steps = self.lap_pictures = 0
        self.pace: tuple[float, float] | None = (
            None  # pictures and steps per second, last whole lap
        )

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
