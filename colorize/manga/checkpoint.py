"""Open the published files of manga-colorization-v2: its generator, its denoiser. Knows nothing of pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from colorize.checkpoints import pickles, weights_io
from colorize.checkpoints.weights_io import AGAIN, refused
from colorize.errors import ColorizeError
from colorize.manga.colorization_v2 import SecondSpec
from colorize.manga.condition import Page, PageDoor
from colorize.model import Colorizer
from colorize.system import ModelFile, System

if TYPE_CHECKING:
    from colorize.recipes.recipe import Recipe

SIGNS = ("encoder.conv1.weight", "tunnel4.0.weight", "exit.2.weight")  # which other files lack
LARGEST = 2**28  # bytes; the published file has 129 million
SUFFIX = ".zip"  # that the published file has
DENOISER = "net_rgb.pth"  # FFDNet's file; where it lies beside the generator, it is used, too
SIGMA = 25.0  # of the noise it takes out, in levels of 255; the authors' default
WRAPPED = "module."  # before the names in its file


class MangaSystem(System):
    """Generators that color in one call."""

    once = True

    def adopt(self, file: ModelFile, variants: Mapping[str, Recipe]) -> tuple[Recipe, Colorizer, dict[str, str]] | None:
        """Load the published file of manga-colorization-v2, of which no code is run."""
        found = None if file.tensors else published(file.path)
        return None if found is None else (*opened(file.path, found, variants["v2"]), {})


def published(path: Path) -> dict[str, Tensor] | None:
    """Return the tensors of a file that PyTorch wrote if they are those of manga-colorization-v2, else None.

    No code of it is run. Raises ColorizeError for a damaged file that is called .zip, as the published one.
    """
    try:
        if weights_io.sniff(path) != "zip" or path.stat().st_size > LARGEST:
            return None
        found = pickles.read(path)
    except OSError:
        return None  # which whoever reads it next will tell
    except ColorizeError:
        if path.suffix.lower() == SUFFIX:
            raise
        return None
    return found if all(sign in found for sign in SIGNS) else None


def opened(path: Path, found: Mapping[str, Tensor], recipe: Recipe) -> tuple[Recipe, Colorizer]:
    """Build the system of its tensors, which must be exactly its own, in evaluation mode; also its recipe.

    A file net_rgb.pth beside it takes noise out of pages first. Raises ColorizeError for tensors that are
    missing, superfluous, misshapen or not finite.
    """
    try:
        net = _spec(found)
    except (ColorizeError, ValueError) as error:
        raise refused(path.name, "is no whole file of manga-colorization-v2", AGAIN) from error
    recipe = replace(recipe, denoiser=replace(recipe.denoiser, net=net))
    beside = path.with_name(DENOISER)
    if beside.is_file():
        recipe = replace(recipe, condition=Page(hints=True, denoise=SIGMA))
    with torch.device("meta"), weights_io.Hollow():
        colorizer = recipe.build()
    weights_io.fill(path.name, colorizer.network, found)
    if beside.is_file():
        names = {name.removeprefix(WRAPPED): value for name, value in pickles.read(beside).items()}
        door = colorizer.condition
        assert isinstance(door, PageDoor)
        assert door.denoiser is not None
        weights_io.fill(beside.name, door.denoiser, names)
    return recipe, colorizer.eval()


def _spec(found: Mapping[str, Tensor]) -> SecondSpec:
    """The numbers of the network, as its tensors tell them."""
    stages = tuple(_count(found, rf"encoder\.layer{n}\.(\d+)\.") for n in (1, 2, 3))
    tunnels = tuple(_count(found, rf"tunnel{n}\.2\.(\d+)\.") for n in (4, 3, 2, 1))
    first, second, third = stages
    a, b, c, d = tunnels
    return SecondSpec(len(found[SIGNS[0]]), (first, second, third), (a, b, c, d))


def _count(names: Iterable[str], pattern: str) -> int:
    """How many blocks the names of tensors tell of."""
    found = {match.group(1) for name in names if (match := re.match(pattern, name))}
    return len(found)
