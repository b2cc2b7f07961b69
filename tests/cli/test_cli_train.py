"""`train` and `finetune`. Bugs guarded: runs that do not go on, or go on with other settings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import TINY
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from colorize.checkpoints import model_files
from colorize.cli import train as cli_train
from colorize.cli.app import app
from colorize.images import json_lines
from colorize.recipes import find
from colorize.training import preview, run
from colorize.training.loop import Progress
from colorize.training.options import TrainOptions
from colorize.training.run import override
from colorize.training.run_folder import done

RUN = Path("runs/anime-diffusion")
TUNED = Path("runs/anime-diffusion-finetune")
SMALL = [text for text in TINY["anime-diffusion"] if not text.startswith("size")] + ["size=32"]
SETS = [word for text in [*SMALL, "batch=2"] for word in ("--set", text)]


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch, folder):
    """Every test has a working folder with `data` in it."""
    monkeypatch.chdir(tmp_path)


def colorize(*arguments: str):
    return CliRunner().invoke(app, [*arguments])


def train(*more: str, steps: int = 4, sets=SETS):
    arguments = ("train", "--steps", str(steps), "--sample-every", "0", "--device", "cpu")
    return colorize(*arguments, *sets, *more)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_dry_run_prints_the_values_and_writes_nothing():
    result = train("--dry-run", "--set", "mix.reference=0.25")
    values = json.loads(result.stdout)
    assert values["recipe"]["pretrain"]["mix"]["reference"] == 0.25
    assert values["recipe"]["pretrain"]["steps"] == values["options"]["steps"] == 4
    assert "6 pictures" in result.stderr
    assert not Path("runs").exists()


def test_short_names_mean_the_phase_and_long_ones_the_recipe():
    recipe = override(find("mini"), "finetune", ["size=64", "recipe.size=96", "pretrain.lr=0.5"])
    assert (recipe.finetune.size, recipe.size, recipe.pretrain.lr) == (64, 96, 0.5)
    assert recipe.pretrain.size == find("mini").pretrain.size


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("lrr=1", "did you mean `lr`?"),
        ("name=x", "not a setting"),
        ("learning_rate=3", "did you mean `lr`?"),
        ("batch-size=3", "did you mean `batch`?"),
        ("heads=3", "did you mean `denoiser.net.heads`?"),
        ("pretrain.learning_rate=3", "did you mean `pretrain.lr`?"),
        ("foo=1", "`foo` is not a setting\nhint: `colorize train RECIPE --dry-run` prints all settings\n"),
        ("lr=fast", "a number"),
        ("lr=nan", "`pretrain.lr=nan` is not a number"),
        ("lr=1e999", "is not a number"),
        (f"batch={'9' * 5000}", "is not a whole number"),
        ("size=3", "size is 3\nhint: a training picture has 32 to 4096 pixels a side"),
        ("recipe.size=3", "recipe.size is 3\nhint: a picture inside the model has 32 to 4096"),
        ("batch=99999999", "batch is 99999999\nhint: choose 1 to 10000"),
        ("ema=2", "ema is 2"),
        ("warmup=-1", "warmup is -1\nhint: choose 0 or more"),
        ("denoiser.net.heads=0", "net.heads is 0\nhint: choose 1 or more"),
        ("denoiser.net.dropout=7", "cannot build a network from these values: dropout"),
        ("schedule.steps=999999999999", "schedule.steps is 999999999999"),
    ],
)
def test_a_wrong_change_is_refused_with_the_way_out(change, said):
    result = train("--set", change)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_run_leaves_model_state_log_values_and_samples():
    result = colorize("train", "--steps", "4", "--sample-every", "2", *SETS)
    assert result.exit_code == 0, result.output
    assert {path.name for path in RUN.iterdir()} == {
        *("model.safetensors", "state.safetensors", "log.jsonl", "recipe.json", "samples")
    }
    assert [path.name for path in sorted(RUN.glob("samples/*"))] == ["step-00000002.png", "step-00000004.png"]
    with Image.open(RUN / "samples/step-00000004.png") as grid:
        assert grid.size == (5 * (32 + preview.GAP), 2 * (32 + preview.GAP))
    assert "colorize sample DRAWING --ref PICTURE --model runs/" in result.stderr
    assert model_files.load(RUN / "model.safetensors").facts["training"].startswith("pretrain, 4 ste")


def test_a_finished_run_says_so():
    train()
    again = train()
    assert again.exit_code == 0
    assert "this run is finished: 4 steps" in again.stderr


def test_a_stopped_run_goes_on_to_the_same_weights():
    recipe = override(find("anime-diffusion"), "pretrain", [*SMALL, "batch=2", "steps=6"])
    whole, parted = (TrainOptions(out=Path(name), sample_every=0) for name in "ab")
    assert len(list(run.Training(recipe, whole).steps())) == 6
    for progress in run.Training(recipe, parted).steps():
        if progress.step == 3:
            break
    assert [progress.step for progress in run.Training(recipe, parted).steps()] == [4, 5, 6]
    assert same(whole.out, parted.out)


def test_time_spent_stops_the_run_and_the_same_command_goes_on():
    stopped = train("--budget", "1s", steps=9999)
    step = done(RUN)[0]
    assert f"out of time at step {step} of 9999; the same command continues" in stopped.stderr
    assert f"continuing at step {step}" in train("--budget", "1s", steps=9999).stderr


def test_other_settings_are_refused_until_restarted():
    train()
    other = train("--set", "lr=0.01")
    assert other.exit_code == 2
    assert "recipe.pretrain.lr = 0.0002, not 0.01" in other.stderr
    assert "--restart" in other.stderr
    assert train("--set", "lr=0.01", "--restart").exit_code == 0


def test_a_run_that_ended_before_its_first_state_may_begin_otherwise():
    train()
    for file in (RUN / "state.safetensors", RUN / "model.safetensors"):
        file.unlink()
    assert train("--set", "lr=0.01").exit_code == 0


def test_a_folder_with_a_foreign_model_is_left_alone():
    RUN.mkdir(parents=True)
    (RUN / "model.safetensors").write_bytes(b"precious")
    assert "but no run" in train().stderr
    assert (RUN / "model.safetensors").read_bytes() == b"precious"


def test_finetuning_begins_with_the_weights_of_the_pretrained_run():
    train("--set", "lr=0.1")
    result = train("--phase", "finetune", "--set", "lr=1e-12", "--set", "weight_decay=0")
    assert result.exit_code == 0, result.output
    before, after = weights(RUN), weights(TUNED)
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    assert model_files.load(TUNED).facts["training"].startswith("finetune")


def test_finetune_takes_the_recipe_of_the_model():
    train("--set", "schedule.steps=77")
    more = ("--steps", "1", "--sample-every", "0", "--set", "size=32", "--set", "batch=2")
    result = colorize("finetune", str(RUN / "model.safetensors"), *more)
    assert result.exit_code == 0, result.output
    assert model_files.load(TUNED).recipe.schedule.steps == 77


def test_runs_that_go_on_from_model_to_model_see_other_batches_each_time():
    # Guards against training on the first pictures over and over.
    seeds, start = [], []
    for name in ("one", "two", "three"):
        assert train("--out", name, *start, steps=1).exit_code == 0
        seeds.append(json.loads(Path(name, "recipe.json").read_text())["seed"])
        start = ["--from", name]
    assert seeds[0] == 0
    assert len(set(seeds)) == 3


def test_the_seed_of_a_model_is_always_the_same_and_can_be_given():
    train(steps=1)
    start = ["--from", str(RUN), "--dry-run", "--out"]
    plans = [json.loads(train(*start, "new", *more).stdout) for more in ([], [], ["--seed", "5"])]
    assert plans[0] == plans[1]
    assert plans[0]["seed"] != 0
    assert plans[2]["seed"] == 5


def test_a_run_keeps_its_seed_when_the_model_it_began_with_changes():
    train(steps=1)
    more = ["--from", str(RUN), "--out", "new"]
    train(*more, "--budget", "1s", steps=9999)
    before = json.loads(Path("new/recipe.json").read_text())["seed"]
    train("--restart", "--set", "lr=0.01", steps=1)
    result = train(*more, "--budget", "1s", steps=9999)
    assert result.exit_code == 0, result.output
    assert json.loads(Path("new/recipe.json").read_text())["seed"] == before


def watched(capsys, left: float, device: str = "cpu", **options) -> str:
    """What is said of a step of `mini` with so many seconds left."""
    progress = Progress(9, 100_000, 0.5, 1.0, left, 0)
    told = TrainOptions(out=Path("runs/mini"), **options)
    training = SimpleNamespace(options=told, recipe=find("mini"), device=torch.device(device), steps=lambda: [progress])
    assert cli_train._follow(training) is progress
    return capsys.readouterr().err


def test_a_run_of_days_says_how_long_it_takes_and_how_to_have_a_model_sooner(capsys, monkeypatch):
    monkeypatch.setattr(cli_train, "SETTLED", 0.0)
    said = watched(capsys, 90_000.0)
    assert "takes 25 h 0 min more on this CPU" in said
    assert said.endswith("add --from mini --budget 30m --anneal --out runs/mini-30m\n")
    assert "add --budget" in watched(capsys, 90_000.0, start="own.safetensors")


@pytest.mark.parametrize(("left", "more"), [(600.0, {}), (9e4, {"device": "cuda"}), (9e4, {"budget": 9e4})])
def test_a_run_that_ends_soon_or_trains_on_a_card_is_not_warned_of(capsys, monkeypatch, left, more):
    monkeypatch.setattr(cli_train, "SETTLED", 0.0)
    assert watched(capsys, left, **more) == ""


def test_finetuning_without_a_pretrained_run_says_what_comes_first():
    result = train("--phase", "finetune")
    assert result.exit_code == 1
    assert "pretrain first: `colorize train anime-diffusion`" in result.stderr


def test_finetuning_the_usual_model_before_there_is_one_says_what_comes_first():
    assert "pretrain first: `colorize train`" in colorize("finetune").stderr


def test_weights_of_another_network_are_refused_by_the_value_that_differs():
    train()
    result = train("--from", str(RUN), "--out", "other", "--set", "denoiser.net.heads=1")
    assert result.exit_code == 2
    assert "denoiser.net.heads = 2, not 1" in result.stderr
    assert not Path("other").exists()


def test_annealing_needs_a_budget_and_decays_over_it():
    assert "--anneal needs a --budget" in train("--anneal").stderr
    values = json.loads(train("--anneal", "--budget", "9m", "--dry-run").stdout)
    assert values["anneal"] == values["options"]["budget"] == 540


def test_pictures_that_cannot_be_read_are_told():
    Path("data/train/broken.png").write_bytes(b"no picture")
    result = train(steps=1)
    assert result.exit_code == 0
    assert "left out 1 picture:\n  broken.png" in result.stderr


def test_samples_do_without_pictures_that_cannot_be_read():
    Path("data/validation/picture0.png").write_bytes(b"no picture")
    assert colorize("train", "--steps", "1", *SETS).exit_code == 0
    with Image.open(RUN / "samples/step-00000001.png") as grid:
        assert grid.height == 32 + preview.GAP


def test_missing_data_is_told_before_a_folder_is_made():
    result = colorize("train", "mini", "nowhere", "--out", "new")
    assert result.exit_code == 1
    assert "there is no folder `nowhere`" in result.stderr
    assert not Path("new").exists()


def test_an_unknown_precision_is_told_before_a_folder_is_made():
    assert train("--precision", "fp12").exit_code == 2
    assert not RUN.exists()


def test_an_interrupt_saves_and_ends_with_130(monkeypatch):
    interrupt = lambda *_: signal.raise_signal(signal.SIGINT)
    monkeypatch.setattr(preview.Preview, "__call__", interrupt)
    result = colorize("train", "--steps", "9", "--sample-every", "2", *SETS)
    assert result.exit_code == 130
    assert "interrupted at step 3, which is saved" in result.stderr
    assert done(RUN)[0] == 3


def test_only_the_first_of_several_processes_talks(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert train(steps=1).stderr == ""


def test_a_killed_run_goes_on_from_its_last_save():
    more = ["--save-every", "0.1s", "--sample-every", "0", "--device", "cpu"]
    arguments = [sys.executable, "-m", "colorize", "train", "--steps", "30", *more, *SETS]
    there = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(arguments, env=there, stderr=subprocess.DEVNULL)
    while not (RUN / "state.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    step = done(RUN)[0]
    assert 0 < step < 30
    assert f"continuing at step {step}" in train(steps=30).stderr
    assert [row["step"] for row in json_lines.read(RUN / "log.jsonl")] == [1, 2, 4, 8, 16, 20, 30]
