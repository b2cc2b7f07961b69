"""Load the weights of frozen networks: VGG16 and a tagger of drawings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from colorize.checkpoints import hub, pickles, weights_io
from colorize.checkpoints.weights_io import refused
from colorize.errors import ColorizeError
from colorize.manga.networks import VGG, Frozen, Perceptual, Tagger, TaggerSpec
from colorize.manga.system import PageEncoder
from colorize.model import Colorizer
from colorize.recipes.recipe import Adversarial, Recipe

RANDOM = "random"  # in place of a file: a tagger that knows nothing, to try things with
COUNTER = "num_batches_tracked"  # of batch norms, which nothing here needs
Net = TypeVar("Net", bound=Frozen)


def perceptual(objective: Adversarial) -> Perceptual | None:
    """Return the frozen networks that an objective compares pictures with, or None without any.

    Raises ColorizeError for a file of something else.
    """
    if not (objective.vgg or objective.tagger) or not objective.perceptual:
        return None
    vgg = _filled(objective.vgg, VGG()) if objective.vgg else None
    tagger = _filled(objective.tagger, TaggerSpec().build()) if objective.tagger else None
    return Perceptual(vgg, tagger, objective.share)


def fill_tagger(model: Colorizer, recipe: Recipe) -> None:
    """Give a new model whose generator reads features of a tagger that tagger's weights.

    Raises ColorizeError (wrong usage) if the recipe does not say where they are.
    """
    condition = getattr(model, "condition", None)
    if not isinstance(condition, PageEncoder):
        return
    if condition.denoiser is not None:
        raise ColorizeError(
            f"`{recipe.name}` denoises pages with a network that has no weights yet",
            "leave condition.denoise at 0, or begin with a model that has them: --from MODEL",
            code=2,
        )
    if condition.tagger is None or condition.spec.tagger == RANDOM:
        return
    if not condition.spec.tagger:
        raise ColorizeError(
            f"`{recipe.name}` reads the features of a tagger, which has no weights yet",
            "name their file: --set condition.tagger=resnet50-13306192.pth; or try one that knows"
            f" nothing: condition.tagger={RANDOM}",
            code=2,
        )
    condition.tagger = _filled(condition.spec.tagger, condition.spec.body.build())


def _filled(place: str, net: Net) -> Net:
    """Fill a network exactly from a file, of which it needs only a part.

    Taggers have published names, or those inside a saved generator.
    """
    path = located(place)
    found = read(path)
    names = {_tagger_name(name) if isinstance(net, Tagger) else name: name for name in found}
    chosen = {}
    for name, value in net.state_dict().items():
        if name.endswith(COUNTER):
            chosen[name] = torch.zeros_like(value)
            continue
        if name not in names:
            what = "VGG16" if isinstance(net, VGG) else "the tagger of danbooru-pretrained"
            raise refused(path.name, f"does not hold {what}: it lacks `{name}`", "name another file")
        chosen[name] = found[names[name]]
    weights_io.fill(path.name, net, chosen)
    return net.freeze()


def read(path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a safetensors file, or of one that PyTorch wrote, of which no code is run."""
    return weights_io.read(path)[1] if weights_io.sniff(path) == "safetensors" else pickles.read(path)


def located(place: str) -> Path:
    """Return the file of a network's weights: a path, or OWNER/NAME/FILE on the Hub, which is fetched."""
    path = Path(place)
    if path.is_file():
        return path
    owner, _, rest = place.partition("/")
    name, _, file = rest.partition("/")
    if not file or path.is_absolute() or not file.endswith(".safetensors"):
        raise ColorizeError(
            f"there is no file `{place}` with the weights of a frozen network",
            "name a file, or OWNER/NAME/FILE.safetensors on the Hub",
            code=2,
        )
    return hub.fetch_file(f"{owner}/{name}", file)


def _tagger_name(name: str) -> str:
    """Our name of a tensor that RF5/danbooru-pretrained begins with `0.` or `1.`, or a generator with `context.`."""
    part, _, rest = name.removeprefix("context.").partition(".")
    return {"0": "body", "1": "head"}.get(part, part) + f".{rest}"
