"""Claims about batches made ahead. Bugs guarded: other batches, lost errors, threads left behind."""

from __future__ import annotations

import signal
import threading

import pytest
import tiny
import torch

from colorize.errors import ColorizeError
from colorize.training.loop import Prefetcher


class Noted(tiny.Flat):
    """Batches that note by whom they were asked for; one of them cannot be made."""

    def __init__(self, broken: int | None = None) -> None:
        super().__init__()
        self.broken, self.made, self.threads = broken, [], set()
        self.second = threading.Event()

    def batch(self, step):
        self.made.append(step)
        self.threads.add(threading.current_thread().name.partition("_")[0])
        if len(self.made) == 2:
            self.second.set()
        if step == self.broken:
            raise ColorizeError(f"batch {step} cannot be read")
        return super().batch(step)


def left() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_every_number_gives_its_own_batch():
    ahead, plain = Prefetcher(tiny.Flat()), tiny.Flat()
    for step in (0, 1, 2, 7, 8, 3):  # 7 and 3 were not expected
        assert torch.equal(ahead.batch(step).color, plain.batch(step).color)
    ahead.close()


def test_the_next_batch_is_made_before_it_is_asked_for():
    batches = Noted()
    ahead = Prefetcher(batches)
    ahead.batch(0)
    assert batches.second.wait(30)  # fails after half a minute, as slow machines may need one
    ahead.close()
    assert batches.made == [0, 1]
    assert batches.threads == {"batches"}


def test_of_several_processes_each_makes_its_own_and_none_after_the_last():
    batches = Noted()
    ahead = Prefetcher(batches, stride=3, end=7)
    ahead.batch(1)
    ahead.batch(4)
    ahead.close()
    assert batches.made == [1, 4]


def test_an_error_is_raised_when_its_batch_is_asked_for():
    ahead = Prefetcher(Noted(broken=1))
    ahead.batch(0)
    with pytest.raises(ColorizeError, match="batch 1 cannot be read"):
        ahead.batch(1)
    ahead.close()


def test_training_is_the_same_with_batches_made_ahead(tmp_path):
    plain, _ = tiny.train(tmp_path / "plain", tiny.denoising(), prefetch=False)
    ahead, _ = tiny.train(tmp_path / "ahead", tiny.denoising(), Noted(), prefetch=True)
    tiny.same(plain, ahead, 0.0)
    assert left() == []


def test_batches_not_made_ahead_are_made_where_they_are_asked_for(tmp_path):
    batches = Noted()
    tiny.train(tmp_path, tiny.denoising(), batches)
    assert batches.threads == {"MainThread"}


def test_a_resumed_run_with_batches_made_ahead_ends_as_an_uninterrupted_one(tmp_path):
    for progress in tiny.fit(tiny.model(), tiny.denoising(), tiny.Flat(), tiny.settings(prefetch=True), tmp_path):
        if progress.step == 2:
            break
    assert left() == []
    resumed, _ = tiny.train(tmp_path, tiny.denoising(), prefetch=True)
    whole, _ = tiny.train(tmp_path / "whole", tiny.denoising(), prefetch=False)
    tiny.same(resumed, whole)


def interrupting(model, batch, rng):
    signal.raise_signal(signal.SIGINT)
    yield from tiny.mean_color(model, batch, rng)


ENDS = {
    "Ctrl-C": (interrupting, None, KeyboardInterrupt),
    "a batch that cannot be made": (tiny.mean_color, 3, ColorizeError),
}


@pytest.mark.parametrize("end", ENDS)
def test_no_thread_outlives_a_run(end, tmp_path):
    objective, broken, error = ENDS[end]
    with pytest.raises(error):
        tiny.train(tmp_path, objective, Noted(broken), prefetch=True)
    assert left() == []
