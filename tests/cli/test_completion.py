"""What the shell completes. Bugs guarded: lists that differ from the program's, and completion that imports torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from colorize import recipes
from colorize.cli import complete
from colorize.cli.app import app
from colorize.evaluation.baselines import BASELINES
from colorize.evaluation.samples import MODES
from colorize.networks import devices


def completed(line: str) -> list[str]:
    count = str(len(line.split(" ")))
    words = {"COMP_WORDS": f"colorize {line}", "COMP_CWORD": count, "_COLORIZE_COMPLETE": "complete_bash"}
    return CliRunner().invoke(app, env=words, prog_name="colorize").output.split()


def test_lists_are_those_of_the_program():
    assert tuple(complete.recipes()) == recipes.names()
    assert {*complete.MODES} == {*MODES}
    assert complete.CHOICES["precision"]() == devices.PRECISIONS
    assert {*complete.BASELINES} == {*BASELINES, "all", "none"}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("sample a.png --sampler dpmpp-2", ["dpmpp-2s"]),
        ("sample --spacing k", ["karras"]),
        ("sample --kind ", ["auto", "line", "gray", "extract"]),
        ("sample --hint-mode s", ["soft"]),
        ("sample --device c", ["cpu", "cuda"]),
        ("sample --model mi", ["mini"]),
        ("train mang", ["manga-gan"]),
        ("train mini --phase f", ["finetune"]),
        ("train mini --precision b", ["bf16"]),
        ("eval mini data --mode sh", ["shuffled"]),
        ("eval --against oracle-r", ["oracle-regions"]),
        ("prepare-data --crop s", ["square", "subject"]),
        ("prepare-data --styles p", ["pencil"]),
        ("sample --fla", ["--flat"]),
        ("models p", ["pull", "push"]),
        ("models info mi", ["mini"]),
    ],
)
def test_values_of_options_are_completed(line, found):
    assert completed(line) == found


def test_models_are_those_trained_here_and_our_own_of_the_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for run in ("diffusart", "mine"):
        (tmp_path / "runs" / run).mkdir(parents=True)
        (tmp_path / "runs" / run / "model.safetensors").touch()
    for name, config in (("ann--lines", '{"is": "Recipe"}'), ("bob--bert", '{"is": "Bert"}'), ("broken--one", "[")):
        path = tmp_path / f"hub/models--{name}/snapshots/1/config.json"
        path.parent.mkdir(parents=True)
        path.write_text(config)
    assert complete.models() == ["diffusart", "mini", "runs/diffusart", "runs/mine", "ann/lines"]


def test_completion_imports_nothing_heavy():
    code = (
        "import sys, json\nfrom colorize.cli import app, complete\n"
        "for choices in complete.CHOICES.values(): list(choices())\n"
        "print(json.dumps([name for name in ('torch', 'numpy', 'cv2', 'PIL', 'rich') if name in sys.modules]))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, cwd=root, check=True)
    assert json.loads(done.stdout) == []
