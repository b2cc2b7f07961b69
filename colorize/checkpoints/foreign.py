"""Open files that do not describe themselves: published ones, recognized by their tensors, whatever they are called."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from colorize import recipes
from colorize.checkpoints import pickles
from colorize.checkpoints.weights_io import sniff
from colorize.errors import ColorizeError
from colorize.model import Colorizer
from colorize.recipes.recipe import Recipe
from colorize.system import ModelFile

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")  # of checkpoints as PyTorch writes them


def tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a PyTorch file, see `pickles.read`; none of a file that only looks a little like one.

    Raises ColorizeError like `pickles.read` for one that is called like a checkpoint.
    """
    try:
        return pickles.read(path)
    except ColorizeError:
        if sniff(path) in ("zip", "pickle") and path.suffix.lower() in (*SUFFIXES, ".zip"):
            raise
        return {}


def adopted(file: ModelFile) -> tuple[Recipe, Colorizer, dict[str, str]] | None:
    """Return recipe, filled model and facts of a file, by the first system that knows its tensors; None if none does.

    Raises ColorizeError for a file that one knows but that is damaged.
    """
    for plain in recipes.every():
        variants = {"": plain, **recipes.variants(plain.name)}
        for system in {type(one.system): one.system for one in variants.values()}.values():
            if found := system.adopt(file, variants):
                return found
    return None
