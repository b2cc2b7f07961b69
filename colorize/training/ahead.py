"""Make batches on a thread of their own while the network works. Knows nothing of what is in them."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from colorize.hints import Batch


class Batches(Protocol):
    """Training data whose k-th batch is always the same, so that a step number is a place in it."""

    def batch(self, step: int) -> Batch:
        """Make batch number 0, 1, 2, ..."""


class Ahead:
    """The same batches under the same numbers, up to `count` of them made before they are asked for.

    stride: how far the numbers asked for lie apart. end: one that will not be asked for, None if
    there is none. count: 0 makes every batch when it is asked for, on the caller's thread.
    """

    def __init__(
        self, batches: Batches, count: int, stride: int = 1, end: int | None = None
    ) -> None:
        self.batches, self.count, self.stride, self.end = batches, count, stride, end
        self.waiting: deque[tuple[int, Future[Batch]]] = deque()
        self.pool = ThreadPoolExecutor(1, "batches") if count else None

    def batch(self, step: int) -> Batch:
        """Return a batch by its number; raises what making it raised."""
        if self.pool is None:
            return self.batches.batch(step)
        if not self.waiting or self.waiting[0][0] != step:
            self._forget()
            self.waiting.append((step, self.pool.submit(self.batches.batch, step)))
        _, wanted = self.waiting.popleft()
        place = step + self.stride * (1 + len(self.waiting))
        while len(self.waiting) < self.count and (self.end is None or place < self.end):
            self.waiting.append((place, self.pool.submit(self.batches.batch, place)))
            place += self.stride
        return wanted.result()

    def close(self) -> None:
        """End the thread; waits for the batch it is at."""
        self._forget()
        if self.pool is not None:
            self.pool.shutdown()

    def _forget(self) -> None:
        while self.waiting:
            self.waiting.popleft()[1].cancel()
