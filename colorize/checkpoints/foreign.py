"""Open files that do not describe themselves: published ones, recognized by their tensors, whatever they are called."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from colorize import recipes
from colorize.checkpoints import hub, pickles, weights_io
from colorize.checkpoints.weights_io import sniff
from colorize.errors import ColorizeError
from colorize.model import Colorizer
from colorize.recipes.recipe import Recipe
from colorize.system import LoadOptions, ModelFile

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")  # of checkpoints as PyTorch writes them
PLACES = {  # where the authors of recipes and variants published weights; of the others there are none
    "colorize-diffusion": "name tellurion/ColorizeDiffusion on the Hub",
    "diffusart:community": "fetch the .safetensors file in the Space pawlo2013/anime_diffusion on the Hub, and name it",
    "diffusart:official": "fetch diffusart_v1.pth, linked in the README of hernan0930/Diffusart-CVPRW, and name it",
    "manga-gan:v2": "fetch generator.zip, linked in the README of qweasdd/manga-colorization-v2, and name it",
}


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


def begun(path: Path, recipe: Recipe) -> Colorizer | None:
    """Return a model to be trained that begins with a file of another kind of model, see `System.begin`, or None."""
    found = weights_io.read(path)[1] if sniff(path) == "safetensors" else tensors(path)
    return recipe.system.begin(ModelFile(path, found, LoadOptions(), hub.fetch_file), recipe)
