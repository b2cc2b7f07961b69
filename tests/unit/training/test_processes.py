"""Several processes, and several batches per step. Bugs guarded: parts left out, counted twice, or seen by all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from colorize import recipes
from colorize.cli.app import app
from colorize.errors import ColorizeError
from colorize.training import run as training
from colorize.training.options import TrainOptions

HERE = Path(__file__).parents[2]
# Two runs one after the other; in the second one the last process is killed once, as it begins its fourth step.
SCRIPT = f"""
import os, signal, sys
sys.path[:0] = [{str(HERE / "support")!r}, {str(HERE.parent)!r}]
from pathlib import Path
import tiny, torch

class Deadly(tiny.Flat):
    def batch(self, step):
        if step == 7 and sys.argv[2] == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().batch(step)

whole = tiny.fit(tiny.model(dropout=0), tiny.mean_color, tiny.Flat(), tiny.settings(), Path(sys.argv[1], "whole"))
killed = tiny.fit(tiny.model(), tiny.denoising(), Deadly(), tiny.settings(save_every=0), Path(sys.argv[1], "killed"))
assert [progress.step for progress in whole] in ([1, 2, 3, 4, 5, 6], [])
print(*[progress.step for progress in killed])
torch.distributed.destroy_process_group()
"""


def ends(folder: Path) -> tuple[list[float], dict[str, torch.Tensor]]:
    """The losses that a run logged, and its last state but for fp16's numbers."""
    losses = [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]
    return losses, load_file(folder / "state.safetensors")


def same_run(one: Path, other: Path) -> None:
    (losses, state), (theirs, their_state) = ends(one), ends(other)
    assert len(losses) == 6
    assert losses == pytest.approx(theirs, abs=1e-5)
    assert state.keys() == their_state.keys()
    for name, value in state.items():
        torch.testing.assert_close(value, their_state[name], atol=1e-5, rtol=1e-4)


def fit(run: Path, objective: object, batches: object, dropout: float = 0.1, **changes: object) -> None:
    list(tiny.fit(tiny.model(dropout=dropout), objective, batches, tiny.settings(**changes), run))


def test_batches_added_up_are_one_batch_of_their_size(tmp_path: Path) -> None:
    fit(tmp_path / "one", tiny.mean_color, tiny.Flat(12), dropout=0)
    fit(tmp_path / "three", tiny.mean_color, tiny.Flat(4), dropout=0, accumulate=3)
    fit(tmp_path / "ahead", tiny.mean_color, tiny.Flat(4), dropout=0, accumulate=3, prefetch=True)
    assert len(set(ends(tmp_path / "one")[0])) == 6
    same_run(tmp_path / "one", tmp_path / "three")
    same_run(tmp_path / "one", tmp_path / "ahead")


def test_objectives_of_several_losses_take_all_their_steps(tmp_path: Path) -> None:
    def twice(model, batch, rng):
        for _ in range(2):
            yield from tiny.mean_color(model, batch, rng)

    fit(tmp_path / "one", twice, tiny.Flat(8), dropout=0)
    fit(tmp_path / "two", twice, tiny.Flat(4), dropout=0, accumulate=2)
    one, two = (ends(tmp_path / name)[1] for name in ("one", "two"))
    torch.testing.assert_close(one["weight/denoiser.net.last.bias"], two["weight/denoiser.net.last.bias"])
    assert one["step/denoiser.net.last.bias"] == two["step/denoiser.net.last.bias"] == 12


@pytest.mark.skipif(sys.platform == "win32", reason="gloo's rendezvous needs libuv there")
def test_two_processes_are_one_with_twice_the_batch_and_survive_a_killed_one(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(SCRIPT)
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script, tmp_path]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    first, again = (
        subprocess.run([*start, what], env=environment, capture_output=True, text=True, timeout=120)
        for what in ("die", "live")
    )
    assert first.returncode != 0
    assert "exitcode  : -9" in first.stderr
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stdout.splitlines() in (["4 5 6"] * 2, ["3 4 5 6"] * 2)  # it may die while the third step is saved
    fit(tmp_path / "double", tiny.mean_color, tiny.Flat(8), dropout=0)
    same_run(tmp_path / "whole", tmp_path / "double")
    fit(tmp_path / "added", tiny.denoising(), tiny.Flat(), accumulate=2)
    same_run(tmp_path / "killed", tmp_path / "added")


def test_a_run_goes_on_with_the_batches_per_step_that_it_began_with(tmp_path: Path) -> None:
    recipe, options = recipes.find("anime-diffusion"), TrainOptions(out=tmp_path, accumulate=2, seed=0)
    (tmp_path / "recipe.json").write_text(json.dumps(training.identity(recipe, options)))
    (tmp_path / "state.safetensors").write_bytes(b"")
    training.check(recipe, options)
    with pytest.raises(ColorizeError, match="accumulate = 2, not 1"):
        training.check(recipe, TrainOptions(out=tmp_path))


def test_a_command_that_torchrun_repeats_after_a_crash_does_not_start_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE.parent)
    told = ["train", "mini", "examples", "--restart", "--dry-run"]
    assert json.loads(CliRunner().invoke(app, told).stdout)["options"]["restart"]
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert not json.loads(CliRunner().invoke(app, told).stdout)["options"]["restart"]
