"""Stopping and going on. Bugs guarded: runs that resume elsewhere, logs that stutter."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from tiny import denoising, fit
from torch import nn

from colorize.errors import ColorizeError
from colorize.training.run_folder import done


def rows(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def cut_off(run, step, **changes):
    """Leave a run folder as a crash after `step` would, the state being that of the step."""
    copy = run.with_name("cut")
    for progress in fit(tiny.model(), denoising(), tiny.Flat(), tiny.settings(**changes), run):
        if progress.step == step:
            assert done(run)[0] == step
            shutil.copytree(run, copy)
    return copy


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    cut = cut_off(tmp_path / "whole", 3, save_every=0)
    resumed, _ = tiny.train(cut, denoising())
    whole, _ = tiny.train(tmp_path / "again", denoising())
    tiny.same(resumed, whole)


def test_a_resumed_run_ends_with_the_average_of_an_uninterrupted_one(tmp_path):
    cut = cut_off(tmp_path / "whole", 3, save_every=0)
    tiny.train(cut, denoising())
    ends = [load_file(run / "state.safetensors") for run in (cut, tmp_path / "whole")]
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], atol=1e-6, rtol=0)


def test_a_resumed_run_logs_the_losses_of_an_uninterrupted_one(tmp_path):
    # reports every 4 steps, cut at 3: what was summed up to then is part of the state
    cut = cut_off(tmp_path / "whole", 3, save_every=0, steps=8, log_every=4)
    tiny.train(cut, denoising(), steps=8, log_every=4)
    curves = [[row["loss"] for row in rows(run)] for run in (cut, tmp_path / "whole")]
    assert curves[0] == pytest.approx(curves[1], abs=1e-6)


def test_a_killed_process_resumes_to_the_same_weights(tmp_path):
    here = Path(__file__).parents[2]
    support = here / "support"
    code = (
        f"import sys; sys.path[:0] = [{str(support)!r}, {str(here)!r}, {str(here.parent)!r}]\n"
        "import tiny; from pathlib import Path\n"
        "changes = dict(steps=100_000, save_every=0, anneal=True, budget=1e6)\n"
        "run = tiny.fit(tiny.model(), tiny.denoising(), tiny.Flat(), tiny.settings(**changes), "
        "Path(sys.argv[1]))\n"
        "for progress in run: print(progress.step, flush=True)\n"
    )
    run = tmp_path / "killed"
    with subprocess.Popen([sys.executable, "-c", code, str(run)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)] == ["1\n", "2\n", "3\n"]
        process.kill()
    model, clock = tiny.model(), {"anneal": True, "budget": 1e6}
    progress = next(fit(model, denoising(), tiny.Flat(), tiny.settings(steps=10_000, **clock), run))
    whole, _ = tiny.train(tmp_path / "whole", denoising(), steps=progress.step, **clock)
    tiny.same(model, whole)


def test_a_resumed_log_holds_every_step_once(tmp_path):
    tiny.train(tmp_path, denoising(), steps=3)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 4, "loss": 9.0}\n{"step": 5, "lo')  # after the state, and cut short
    tiny.train(tmp_path, denoising(), steps=6)
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_takes_no_further_step(tmp_path):
    tiny.train(tmp_path, denoising())
    assert tiny.train(tmp_path, denoising())[1] == []


def test_leaving_the_loop_saves(tmp_path):
    for progress in fit(tiny.model(), denoising(), tiny.Flat(), tiny.settings(), tmp_path):
        if progress.step == 2:
            break
    assert tiny.train(tmp_path, denoising())[1][0].step == 3


def test_ctrl_c_finishes_the_step_and_saves(tmp_path):
    def interrupted(model, batch, rng):
        signal.raise_signal(signal.SIGINT)
        yield from tiny.mean_color(model, batch, rng)

    with pytest.raises(KeyboardInterrupt):
        tiny.train(tmp_path, interrupted)
    assert tiny.train(tmp_path, tiny.mean_color)[1][0].step == 2


def test_damaged_lines_of_the_log_are_dropped(tmp_path):
    tiny.train(tmp_path, tiny.mean_color, steps=1)
    with (tmp_path / "log.jsonl").open("ab") as stream:
        stream.writelines([b"{}\n", b"[]\n", b'{"step": "x"}\n', b"[" * 5000 + b"\n", b"\xff\n"])
    tiny.train(tmp_path, tiny.mean_color)
    assert [set(row) >= {"step", "loss"} for row in rows(tmp_path)] == [True] * len(rows(tmp_path))


def test_ctrl_c_is_python_s_own_again_after_the_run(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    tiny.train(tmp_path, tiny.mean_color, steps=1)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("size", [0, 1, 100, 2000])
def test_a_cut_state_is_refused_with_a_sentence(tmp_path, size):
    tiny.train(tmp_path, tiny.mean_color, steps=1)
    path = tmp_path / "state.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ColorizeError, match=r"`state.safetensors`.* is cut short or damaged"):
        tiny.train(tmp_path, tiny.mean_color)


def test_a_file_that_is_no_state_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "state.safetensors")
    with pytest.raises(ColorizeError, match="is not a training state"):
        tiny.train(tmp_path, tiny.mean_color)


def test_a_state_of_another_model_is_refused(tmp_path):
    tiny.train(tmp_path, tiny.mean_color, steps=1)
    other = tiny.model(nn.Conv2d(5, 3, 1))
    with pytest.raises(ColorizeError, match="belongs to another model"):
        next(fit(other, tiny.mean_color, tiny.Flat(), tiny.settings(), tmp_path))
