"""Make many training pairs at once, a thread for each core. Knows nothing of what follows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import cv2
import torch

from colorize.training.cut import Made, cut
from colorize.training.job import Job

AHEAD = 4  # jobs waiting for each worker, so that none is idle and few results wait


def cut_all(jobs: Iterable[Job], workers: int) -> Iterator[Made]:
    """Results in the order of the jobs, which are taken as they are needed."""
    with one_thread_each(), ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(cut, job))
                if len(waiting) > AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let torch and OpenCV use one thread per worker: every core has a picture of its own."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
