"""Drawings, references and tiny systems with random weights to paint them. Knows nothing of what is claimed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from conftest import figure, tiny
from typer.testing import CliRunner, Result

from colorize.checkpoints import model_files
from colorize.checkpoints.model_files import Loaded
from colorize.cli.app import app
from colorize.coloring.options import Job, Named, SampleOptions
from colorize.coloring.paint import Outcome, paint_all
from colorize.errors import ColorizeError
from colorize.images import files
from colorize.images.image import Picture, from_tensor
from colorize.recipes.overrides import override

DOT = '{"points": [{"x": 60, "y": 90, "color": "#ff0000", "radius": 8}]}'


def model(name: str = "walker", *changes: str) -> Loaded:
    """A tiny system with random weights everywhere, also where training starts at zero."""
    torch.manual_seed(0)
    recipe = override(tiny(name), *changes)
    colorizer = recipe.build()
    for weight in colorizer.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return Loaded(recipe, colorizer, f"/home/someone/{recipe.name}.safetensors", {})


MINI = model()


def sketch(height: int = 96, width: int = 64, step: int = 20) -> Picture:
    """Line art: black strokes on white."""
    pixels = np.full((height, width, 1), 255, np.uint8)
    for at in range(step, min(height, width) - 4, step):
        pixels[at : at + 2, 6:-6] = 0
        pixels[6:-6, at : at + 2] = 0
    return Picture(pixels)


def gray(height: int = 96, width: int = 64) -> Picture:
    """A gray picture of wide tones."""
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    return Picture(np.tile(ramp, (height, 1))[..., None])


def colored(seed: int = 1, side: int = 96) -> Picture:
    """A picture in color, other seeds in other colors."""
    pixels = np.full((side, side, 3), (230, 60, 40), np.uint8)
    pixels[side // 4 :, side // 3 :] = (40, 70, 220) if seed % 2 else (30, 200, 60)
    return Picture(pixels)


def ref(seed: int = 1, name: str = "ref.png") -> tuple[Named, ...]:
    return (Named(name, colored(seed)),)


def one(job: Job, loaded: Loaded = MINI, **changes: object) -> Outcome:
    """The outcome of a single job."""
    (outcome,) = paint_all(loaded, [job], SampleOptions(**changes))
    return outcome


def pixels(outcome: Outcome, at: int = 0) -> np.ndarray:
    assert outcome.error is None
    return outcome.painted[at].picture.pixels


def refused(job: Job, loaded: Loaded = MINI, **changes: object) -> ColorizeError:
    error = one(job, loaded, **changes).error
    assert error is not None
    return error


def furnish() -> None:
    """Put into the working folder: a tiny model, a drawing, a reference, and a folder of two drawings."""
    model_files.save(MINI.colorizer, MINI.recipe, Path("tiny.safetensors"))
    files.write(sketch(), Path("sketch.png"))
    files.write(colored(), Path("ref.png"))
    files.write(sketch(step=22), Path("pages/1/p1.png"))
    files.write(gray(), Path("pages/p2.jpg"))


def series(folder: Path, count: int = 10) -> None:
    """Put some color pictures into a new folder."""
    for index in range(count):
        files.write(from_tensor(2 * figure(index)[None] - 1), folder / f"{index}.png")


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["sample", *arguments], input=stdin)
