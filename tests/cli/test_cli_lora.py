"""Adapters from the command line. Bugs guarded: pictures that do not say with what they were made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from drawings import furnish, series
from typer.testing import CliRunner

from colorize.checkpoints import adapters
from colorize.cli.app import app
from colorize.images import files

RUN = Path("runs/mini-lora")
CHANGES = ("size=32", "batch=2", "lr=0.05", "warmup=0", "ema=0.5")
SETS = [word for text in CHANGES for word in ("--set", text)]
TINY = ("--model", "tiny.safetensors", "--device", "cpu")


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    """Every test has a tiny model, drawings, and a folder of pictures."""
    monkeypatch.chdir(tmp_path)
    furnish()
    series(Path("series"), 4)


def colorize(*arguments: str):
    return CliRunner().invoke(app, [*arguments])


def finetune(*more: str, rank: int = 2):
    given = ("--lora", str(rank), "--steps", "2", "--sample-every", "0", "--device", "cpu", *SETS)
    return colorize("finetune", "tiny.safetensors", "series", *given, *more)


def painted(name: str, *more: str):
    """A picture that `sample` writes, and the adapters that it names."""
    result = colorize("sample", "sketch.png", "--ref", "ref.png", *TINY, "-o", name, *more)
    assert result.exit_code == 0, result.output
    picture = files.read(Path(name))
    told = json.loads(picture.text["colorize"])["adapters"]
    return picture.pixels, [(one["name"], one["weight"]) for one in told]


def test_an_adapter_is_trained_and_used_from_the_command_line():
    result = finetune("--sample-every", "2")
    assert result.exit_code == 0, result.output
    assert "adapter of rank 2 for mini: 0.0" in result.stderr
    assert "the adapter is `runs/mini-lora/adapter.safetensors`" in result.stderr
    assert "--model tiny.safetensors --lora runs/mini-lora" in result.stderr
    made = {"adapter.safetensors", "state.safetensors", "log.jsonl", "recipe.json", "samples"}
    assert {path.name for path in RUN.iterdir()} == made
    assert len(list(RUN.glob("samples/*.png"))) == 1
    without, names = painted("without.png")
    assert names == []
    whole, names = painted("whole.png", "--lora", str(RUN))
    assert names == [("mini-lora", 1.0)]
    both, names = painted("both.png", "--lora", f"{RUN}=0.5", "--lora", f"{RUN}/adapter.safetensors")
    assert names == [("mini-lora", 0.5), ("mini-lora", 1.0)]
    assert (without != whole).any()
    assert (whole != both).any()


def test_eval_scores_a_model_with_an_adapter():
    finetune()
    given = ("--lora", str(RUN), "--mode", "none", "--against", "none", "--size", "32")
    result = colorize("eval", "tiny.safetensors", "series", *given, "--device", "cpu", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[0]["results"][0]["name"] == "tiny + mini-lora"


def test_a_dry_run_tells_the_rank_and_writes_nothing():
    result = finetune("--dry-run")
    assert json.loads(result.stdout)["lora"] == 2
    assert "adapter of rank 2 for mini" in result.stderr
    assert not RUN.exists()


def test_another_rank_is_refused_until_restarted():
    finetune()
    assert "this run is finished: 2 steps" in finetune().stderr
    result = finetune(rank=3)
    assert result.exit_code == 2
    assert "is a run with lora = 2, not 3" in result.stderr
    assert finetune("--restart", rank=3).exit_code == 0
    assert adapters.load(RUN).rank == 3


def test_an_adapter_of_no_run_is_left_alone():
    finetune()
    Path("mine").mkdir()
    shutil.copy(RUN / "adapter.safetensors", "mine")
    result = finetune("-o", "mine")
    assert "holds `adapter.safetensors`, but no run" in result.stderr


@pytest.mark.parametrize("rank", ["0", "257", "x"])
def test_a_rank_out_of_range_is_refused(rank):
    result = colorize("finetune", "tiny.safetensors", "series", "--lora", rank)
    assert result.exit_code == 2
    assert "--lora" in result.stderr
    assert rank in result.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("none", "there is no adapter `none`"),
        ("tiny.safetensors", "is a whole model, not an adapter"),
        ("runs=3", "the weight of `runs` is 3"),
        ("runs=much", "`--lora runs=much` has a weight that is not a number"),
        ("", "--lora is empty"),
        ("=1", "there is no adapter `=1`"),
    ],
)
def test_a_wrong_adapter_is_refused_before_anything_is_made(given, said):
    result = colorize("sample", "sketch.png", *TINY, "--lora", given)
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert not Path("sketch_color.png").exists()


def test_a_path_with_an_equals_sign_is_a_path():
    finetune()
    RUN.rename("lr=1")
    assert painted("whole.png", "--lora", "lr=1")[1] == [("lr=1", 1.0)]
    assert painted("half.png", "--lora", "lr=1=0.5")[1] == [("lr=1", 0.5)]
