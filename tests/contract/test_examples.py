"""Every example runs, at a size that takes a moment."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    """An example as a module, its main part not run."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str, *arguments: object) -> None:
    """An example as a program."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, cwd=EXAMPLES.parent)


def test_one_picture_writes_a_picture_of_the_drawings_size(tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    run("one_picture", EXAMPLES / "sketch.png", EXAMPLES / "reference-1.png", out)
    with Image.open(out) as result, Image.open(EXAMPLES / "sketch.png") as sketch:
        assert result.size == sketch.size


def test_film_shows_every_step(tmp_path: Path) -> None:
    out = tmp_path / "out.gif"
    load("film").main(EXAMPLES / "sketch.png", EXAMPLES / "reference-1.png", out, steps=3)
    with Image.open(out) as film:
        assert film.n_frames == 3


def test_own_recipe_trains_and_its_checkpoint_loads(folder: Path, tmp_path: Path) -> None:
    from colorize.checkpoints import model_files

    load("own_recipe").main(str(folder), str(tmp_path / "run"), steps=2)
    loaded = model_files.load(tmp_path / "run" / "dots.safetensors")
    assert loaded.recipe.hints == ("line", "hints")


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES.glob("*.py")])
def test_examples_stay_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 60


@pytest.mark.parametrize("name", ["one_picture", "film", "own_recipe"])
def test_an_example_without_arguments_says_how_it_is_called(name: str) -> None:
    done = subprocess.run([sys.executable, str(EXAMPLES / f"{name}.py")], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"usage: python {name}.py")
