"""One thread that colors, one picture after another, and the short queue before it."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from colorize.errors import ColorizeError

ROOM = 16  # requests that may wait
AGAIN = 5  # seconds after which one that found no room may ask again

Report = Callable[[float], None]


class Busy(ColorizeError):
    """There is no room in the queue."""


class Stopped(Exception):
    """Nobody waits for the work any more."""


@dataclass(eq=False)
class _Task:
    call: Callable[[Report], Any]
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[tuple[str, Any]] = field(default_factory=asyncio.Queue)
    stopped: bool = False

    def tell(self, kind: str, value: Any) -> None:
        with suppress(RuntimeError):  # the server has ended
            self.loop.call_soon_threadsafe(self.events.put_nowait, (kind, value))

    def report(self, share: float) -> None:
        """Tell how much is done, 0 to 1; raise Stopped if nobody wants the rest."""
        if self.stopped:
            raise Stopped
        self.tell("share", share)


class Worker:
    """Runs calls one by one in a thread of its own."""

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self._tasks: deque[_Task] = deque()  # the first one is under way
        self._lock = threading.Lock()
        self._some = threading.Condition(self._lock)
        threading.Thread(target=self._work, daemon=True, name="coloring").start()

    def events(self, call: Callable[[Report], Any]) -> AsyncIterator[tuple[str, Any]]:
        """Queue a call, and yield ("place", n) while it waits behind n others, ("share", 0 to 1), ("done", its value).

        Raises Busy at once if the queue is full, and later what the call raises. Whoever closes the iterator stops the
        call at its next report.
        """
        with self._lock:
            under_way, later = list(self._tasks)[:1], list(self._tasks)[1:]
            self._tasks = deque([*under_way, *(one for one in later if not one.stopped)])
            waiting = len(self._tasks)
            if waiting > self.room:  # the first one is under way
                raise Busy(f"{waiting - 1} pictures are waiting", f"try again in {AGAIN} seconds")
            task = _Task(call, asyncio.get_running_loop())
            self._tasks.append(task)
            self._some.notify()
        return self._events(task, waiting)

    async def _events(self, task: _Task, waiting: int) -> AsyncIterator[tuple[str, Any]]:
        try:
            yield "place", waiting
            while True:
                kind, value = await task.events.get()
                if kind == "error":
                    raise value
                yield kind, value
                if kind == "done":
                    return
        finally:
            task.stopped = True

    async def run(self, call: Callable[[Report], Any]) -> Any:
        """Return the value of a call when its turn has come."""
        async for kind, value in self.events(call):
            if kind == "done":
                return value
        raise Stopped

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._tasks:
                    self._some.wait()
                task = self._tasks[0]
            try:
                if not task.stopped:
                    task.tell("done", task.call(task.report))
            except Exception as error:
                task.tell("error", error)
            with self._lock:
                self._tasks.popleft()
