"""The training loop. Bugs guarded: bad weights, time overrun, samples of the wrong weights."""

import itertools
import json

import pytest
import tiny
import torch
from safetensors.torch import load_file

from colorize.errors import ColorizeError
from colorize.training import loop
from colorize.training.run_folder import done


def poisoned(at):
    """The tiny.same, not a number in the batches `at`."""
    count = itertools.count()

    def objective(model, batch, rng):
        yield next(tiny.mean_color(model, batch, rng)) * (torch.nan if next(count) in at else 1.0)

    return objective


def test_training_lowers_the_loss(tmp_path):
    _, said = tiny.train(tmp_path, tiny.mean_color, steps=20)
    assert said[-1].loss < 0.5 * said[0].loss


def timed(run, **changes):
    """Train by a clock on which a step takes 7 seconds and a save 4; return what it said, and when."""
    seconds = [0.0]

    def slow(model, batch, rng):
        seconds[0] += 7
        yield from tiny.mean_color(model, batch, rng)

    def save(model, path):
        seconds[0] += 4

    settings = tiny.settings(**{"steps": None, "anneal": True, "save_every": 30.0, **changes})
    said = tiny.fit(tiny.model(), slow, tiny.Flat(), settings, run, save, clock=lambda: seconds[0])
    return [(progress, seconds[0]) for progress in said]


@pytest.mark.parametrize(("every", "saved"), [(600.0, [63, 669]), (20.0, [21, 46, 71])])
def test_the_first_save_comes_within_a_minute_and_others_at_their_interval(tmp_path, every, saved):
    # Guards against runs that are killed early and leave nothing; a step takes 7 seconds.
    said, states, before = timed(tmp_path, steps=96, anneal=False, save_every=every), [], 0
    for _, second in said:
        states += [second - 4] if second - before > 7 else []
        before = second
    assert states[: len(saved)] == saved


def test_a_resumed_call_saves_within_a_minute_too(tmp_path):
    timed(tmp_path, steps=10, anneal=False, save_every=600.0)
    said = timed(tmp_path, steps=30, anneal=False, save_every=600.0)
    assert 67 in [second for _, second in said]


def test_a_budget_ends_the_run_in_time(tmp_path):
    assert 80 < timed(tmp_path, budget=100.0)[-1][1] <= 100


def test_a_spent_budget_stays_spent(tmp_path):
    timed(tmp_path, budget=100.0)
    assert timed(tmp_path, budget=100.0) == []


def test_a_run_ended_by_its_budget_is_saved(tmp_path):
    last, _ = timed(tmp_path, budget=100.0)[-1]
    assert done(tmp_path)[0] == last.step


def test_a_limited_call_goes_on_at_the_next(tmp_path):
    first, second = (timed(tmp_path, steps=1000, anneal=False, budget=50.0) for _ in range(2))
    assert second[0][0].step == first[-1][0].step + 1


def test_a_limit_shorter_than_a_step_still_takes_one(tmp_path):
    # or else a run called again and again would stand still for ever
    assert [len(timed(tmp_path, steps=1000, anneal=False, budget=1.0)) for _ in range(2)] == [1, 1]


def test_time_left_shrinks_to_nothing(tmp_path):
    left = [progress.seconds_left for progress, _ in timed(tmp_path, budget=100.0)]
    assert left == sorted(left, reverse=True)


def test_a_loss_that_is_no_number_changes_nothing(tmp_path):
    one, _ = tiny.train(tmp_path / "one", poisoned({1}), steps=2, lr=1e-3)
    two, _ = tiny.train(tmp_path / "two", tiny.mean_color, steps=1, lr=1e-3)
    tiny.same(one, two, 0.0)


def test_a_loss_that_is_no_number_leaves_the_moments_alone(tmp_path):
    tiny.train(tmp_path / "one", poisoned({1}), steps=2)
    tiny.train(tmp_path / "two", tiny.mean_color, steps=1)
    ends = [load_file(tmp_path / run / "state.safetensors") for run in ("one", "two")]
    moments = [name for name in ends[0] if name.startswith(("exp_avg", "step"))]
    assert moments
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in moments)


def test_skipped_updates_are_counted(tmp_path):
    assert tiny.train(tmp_path, poisoned({1, 3}))[1][-1].skipped == 2


def test_skipped_losses_are_left_out_of_the_log(tmp_path):
    tiny.train(tmp_path, poisoned({1}), steps=2)
    last = (tmp_path / "log.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["loss"] is None


def test_a_hopeless_run_ends_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "HOPELESS", 3)
    with pytest.raises(ColorizeError, match="gradients have not been finite for 3 updates, at step 4"):
        tiny.train(tmp_path, poisoned(range(1, 100)), steps=100)


class Averages:
    """Take down what the two callbacks of a run see."""

    def __init__(self):
        self.saved, self.shown, self.training = None, None, None

    def save(self, model, path):
        self.saved = [p.detach().clone() for p in model.parameters()]

    def show(self, model, step):
        self.shown, self.training = [p.detach().clone() for p in model.parameters()], model.training


@pytest.fixture
def averages(tmp_path):
    seen, model = Averages(), tiny.model()
    settings = tiny.settings(sample_every=6, ema=0.5)
    list(tiny.fit(model, tiny.mean_color, tiny.Flat(), settings, tmp_path, seen.save, seen.show))
    held = load_file(tmp_path / "state.safetensors")
    seen.average = [held[f"average/{name}"] for name, _ in model.named_parameters()]
    seen.weights = [held[f"weight/{name}"] for name, _ in model.named_parameters()]
    seen.left = [p.detach() for p in model.parameters()]
    return seen


def equal(some, others):
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


def test_the_average_differs_from_the_weights(averages):
    assert not equal(averages.average, averages.weights)


def test_the_average_is_what_is_saved(averages):
    assert equal(averages.saved, averages.average)


def test_the_average_is_what_is_shown(averages):
    assert equal(averages.shown, averages.average)


def test_samples_are_drawn_without_dropout(averages):
    assert averages.training is False


def test_the_weights_are_the_model_s_own_again_after_saving(averages):
    assert equal(averages.left, averages.weights)
