"""A run that is to take more steps than at first. Bug guarded: a refusal that does not say how to go on."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from conftest import TINY
from typer.testing import CliRunner, Result

from colorize.cli.app import app
from colorize.training.state import done

SETS = [w for text in [*TINY["mini"][:-1], "size=32", "batch=2"] for w in ("--set", text)]
USUAL = ("--sample-every", "0", "--device", "cpu")
PRETRAIN = ("train", "mini", "data", *USUAL, *SETS)
FINETUNE = ("finetune", "runs/mini", "data", *USUAL, "--set", "size=32", "--set", "batch=2")


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(tmp_path)


def colorize(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def test_more_steps_are_refused_with_a_command_that_goes_on() -> None:
    colorize(*PRETRAIN, "--steps", "2")
    more = colorize(*PRETRAIN, "--steps", "4")
    assert more.exit_code == 2
    assert "`runs/mini` is a run of 2 steps, not 4" in more.stderr
    assert "falls to zero at step 2: the same command with --from runs/mini" in more.stderr
    again = colorize(*PRETRAIN, "--steps", "2").stderr
    assert "this run is finished: 2 steps\nto train longer: the same command" in again
    way_out = more.stderr.partition("the same command with ")[2].partition(" continues")[0]
    followed = colorize(*PRETRAIN, "--steps", "4", *way_out.split())
    assert followed.exit_code == 0, followed.stderr
    assert done(Path("runs/mini-2"))[0] == 4


def test_after_finetuning_the_command_that_is_named_goes_on_too() -> None:
    colorize(*PRETRAIN, "--steps", "1")
    colorize(*FINETUNE, "--steps", "1")
    more = colorize(*FINETUNE, "--steps", "2").stderr
    assert "`runs/mini-finetune` is a run of 1 step, not 2" in more
    command = more.partition("`colorize ")[2].partition("`")[0].replace("NUMBER", "2")
    followed = colorize(*shlex.split(command), *USUAL)
    assert followed.exit_code == 0, followed.stderr
    assert done(Path("runs/mini-finetune-2"))[0] == 2


def test_a_run_under_way_names_its_own_number() -> None:
    colorize(*PRETRAIN, "--steps", "9999", "--budget", "0.2s")
    step = done(Path("runs/mini"))[0]
    more = colorize(*PRETRAIN, "--steps", "5").stderr
    assert f"--steps 9999 goes on with it at step {step}" in more


def test_an_adapter_can_only_begin_again() -> None:
    colorize(*PRETRAIN, "--steps", "1")
    colorize(*FINETUNE, "--steps", "1", "--lora", "2")
    more = colorize(*FINETUNE, "--steps", "2", "--lora", "2")
    assert "add --restart to train an adapter of more steps" in more.stderr
    assert colorize(*FINETUNE, "--steps", "2", "--lora", "2", "--restart").exit_code == 0
