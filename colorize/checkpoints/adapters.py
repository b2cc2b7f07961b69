"""Write one adapter as a file of its own, load it, and put it on a model. Knows nothing of how it is trained.

An adapter is what `networks.lora` adds to a network's attention: a few megabytes beside a model of any size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from colorize import __version__
from colorize.checkpoints import weights_io
from colorize.checkpoints.weights_io import AGAIN, refused
from colorize.errors import ColorizeError, within
from colorize.images.files import shown
from colorize.model import Colorizer
from colorize.networks import lora

if TYPE_CHECKING:
    from colorize.checkpoints.model_files import Loaded

FORMAT = "colorize adapter"
FILE = "adapter.safetensors"  # in the folder of a run
LARGEST = 1024.0  # alpha; it is the rank, or a few times that
WEIGHTS = (0, 2)  # of an adapter at use; 1 is as trained
ABOUT = ("recipe", "base", "layout", "weights")  # the words of a header that are kept as they are
RESERVED = ("format", "version", "rank", "alpha", *ABOUT)
USUAL = "name an adapter.safetensors, or the run folder of `colorize finetune --lora`"

Given = str | Path | Sequence[tuple[str | Path, float]]  # one adapter, or several and their weights


@dataclass(frozen=True)
class Adapter:
    """A trained change of one network, and what it was made for.

    recipe, base: name and source of the model. rank, alpha: see `lora.Change`. layout: fingerprint of the
    names and shapes of the model's weights; weights: of the weights themselves. facts: what else was noted,
    such as the license of the model. tensors: see `lora.tensors_of`.
    """

    recipe: str
    base: str
    rank: int
    alpha: float
    layout: str
    weights: str
    facts: Mapping[str, str] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Worn:
    """An adapter that a model has on: its name, the weight it was given, a fingerprint of its tensors."""

    name: str
    weight: float
    fingerprint: str

    @property
    def text(self) -> str:
        """The name, and the weight where it is unusual."""
        return self.name if self.weight == 1 else f"{self.name}={self.weight:g}"


def blank(base: Loaded, rank: int) -> Adapter:
    """Describe an adapter that is to be trained for a model; its tensors are yet to come."""
    source = Path(base.source).name if Path(base.source).is_absolute() else base.source
    facts = {name: text for name, text in base.facts.items() if name not in RESERVED}
    about = (base.recipe.name, source, rank, float(rank), layout(base.colorizer))
    return Adapter(*about, digest(lora.plain(base.colorizer.state_dict())), facts)


def save(adapter: Adapter, path: Path) -> None:
    """Write an adapter as one safetensors file, whole or not at all.

    Raises ColorizeError if a number is not finite, so that a good file is not replaced by a broken one,
    and if the path cannot be written.
    """
    for name, value in adapter.tensors.items():
        weights_io.check_finite(path.name, name, value)
    own = {name: getattr(adapter, name) for name in ABOUT}
    numbers = {"rank": json.dumps(adapter.rank), "alpha": json.dumps(adapter.alpha)}
    words = {**adapter.facts, "format": FORMAT, "version": __version__, **numbers, **own}
    weights_io.write(path, adapter.tensors, words)


def load(path: Path) -> Adapter:
    """Read an adapter; path: its file, or the folder of the run that trained it.

    Raises ColorizeError if there is none, or if it is damaged, is something else such as a whole model,
    or holds numbers that are not finite.
    """
    path = _place(path)
    header, found = weights_io.read(path)
    if header.get("format") != FORMAT:
        raise refused(path.name, *_otherwise(header))
    try:
        rank, alpha = json.loads(header["rank"]), float(json.loads(header["alpha"]))
        own = {name: header[name] for name in ABOUT}
        if type(rank) is not int or not 0 < alpha <= LARGEST:
            raise ValueError("no rank, or no alpha")
    except (KeyError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise refused(path.name, "has a damaged description", AGAIN) from error
    within(f"the rank of `{shown(path.name)}`", rank, *lora.RANKS)
    for name, value in found.items():
        weights_io.check_finite(path.name, name, value)
    facts = {name: text for name, text in header.items() if name not in RESERVED}
    held = {name: value.float().clone() for name, value in found.items()}
    return Adapter(**own, rank=rank, alpha=alpha, facts=facts, tensors=held)


def stacked(loaded: Loaded, given: Given) -> Loaded:
    """Put adapters on a model, beside those that it has, and return it; its own weights stay as they are.

    given: a path, or several with their weights, 0 to 2. Raises ColorizeError before anything is changed
    if one cannot be read, was made for another network, or has a weight out of range.
    """
    several = [(given, 1.0)] if isinstance(given, str | Path) else given
    ready = [_fitting(loaded, Path(path), weight) for path, weight in several]
    for adapter, worn in ready:
        scale = worn.weight * adapter.alpha / adapter.rank
        lora.stack(loaded.colorizer.network, adapter.tensors, scale)
    return replace(loaded, adapters=(*loaded.adapters, *(worn for _, worn in ready)))


def merged(loaded: Loaded, path: str | Path, weight: float = 1.0) -> Loaded:
    """Put an adapter, and those that the model has on, into its weights; `checkpoint.save` can write the result.

    What was merged is noted in the facts. Raises ColorizeError like `stacked`.
    """
    dressed = stacked(loaded, [(path, weight)])
    lora.merge(loaded.colorizer.network)
    told = ", ".join(one.text for one in dressed.adapters)
    before = loaded.facts.get("merged")
    facts = {**loaded.facts, "merged": f"{before}, {told}" if before else told}
    return replace(dressed, adapters=(), facts=facts)


def refuse_worn(colorizer: Colorizer) -> None:
    """Raise ColorizeError for a model with adapters on, whose file would not be that of a model."""
    state = colorizer.state_dict()
    if len(lora.plain(state)) < len(state):
        raise ColorizeError(
            "a model with adapters on cannot be saved", "merge them into its weights: `checkpoint.adapters.merged`"
        )


def name(path: Path) -> str:
    """Return what people call an adapter: its run or its file, without folders."""
    inside = path.parent.name if path.name == FILE else ""
    return inside or (path.stem if path.suffix == ".safetensors" else path.resolve().name)


def layout(colorizer: Colorizer) -> str:
    """Return sixteen digits that change with the name or the shape of any weight of a model."""
    named = lora.plain(colorizer.state_dict())
    text = json.dumps(sorted((name, list(value.shape)) for name, value in named.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest(found: Mapping[str, Tensor]) -> str:
    """Return sixteen digits that change with any number in any of these tensors."""
    hashed = hashlib.sha256()
    for name in sorted(found):
        plain = found[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        hashed.update(name.encode())
        hashed.update(np.ascontiguousarray(plain.numpy()).data)
    return hashed.hexdigest()[:16]


def _place(path: Path) -> Path:
    """Return the file of an adapter; raises ColorizeError if there is none."""
    try:
        if path.is_dir():
            if (path / FILE).is_file():
                return path / FILE
            whole = (path / "model.safetensors").is_file()
            hint = "it holds a whole model; give it with --model" if whole else USUAL
            raise ColorizeError(f"the folder `{shown(path)}` holds no {FILE}", hint)
        if path.is_file():
            return path
    except OSError as error:
        raise weights_io.unreadable(path, error) from error
    raise ColorizeError(f"there is no adapter `{shown(path)}`", USUAL)


def _otherwise(header: Mapping[str, str]) -> tuple[str, str]:
    """Say what a safetensors file is that is no adapter, and how to go on."""
    if header.get("kind", "").startswith("colorize training state"):
        return "is the state of a training run, not an adapter", f"name {FILE} beside it"
    if header.get("format") == "colorize" or "config" in header:
        return "is a whole model, not an adapter", "give it with --model"
    return "is not an adapter that colorize wrote", USUAL


def _fitting(loaded: Loaded, path: Path, weight: float) -> tuple[Adapter, Worn]:
    """Load an adapter for a model, and refuse one that was made for another network."""
    within(f"the weight of `{shown(path)}`", weight, *WEIGHTS, "it goes from 0 to 2; 1 is usual")
    adapter, file = load(path), _place(path).name
    if why := _unlike(adapter, loaded):
        hint = f"use it with the model it was made for: {shown(adapter.base)}"
        raise refused(file, f"is an adapter for another model than `{loaded.source}`: {why}", hint)
    known = lora.adaptable_layers(loaded.colorizer.network)
    wanted = {f"{layer}.{part}" for layer in known for part in ("down", "up")}
    if missing := sorted(wanted ^ set(adapter.tensors)):
        raise refused(file, f"is damaged: it lacks `{missing[0]}`, or should not have it", AGAIN)
    worn = Worn(name(path), float(weight), digest(adapter.tensors)[:12])
    return adapter, worn


def _unlike(adapter: Adapter, loaded: Loaded) -> str:
    """Say by which layer the network of an adapter and that of a model differ first; empty if they do not."""
    known = lora.adaptable_layers(loaded.colorizer.network)
    for key, value in adapter.tensors.items():
        layer, _, part = key.rpartition(".")
        if layer not in known:
            return f"that has no layer `{shown(layer)}` to be changed"
        wanted = lora.shapes(known[layer], adapter.rank)[part == "up"]
        if tuple(value.shape) != wanted:
            return f"there `{key}` would be {_told(wanted)}, not {_told(value.shape)}"
    if adapter.recipe != loaded.recipe.name:
        return f"it changes the recipe `{shown(adapter.recipe)}`"
    return "" if adapter.layout == layout(loaded.colorizer) else "layers that stay as they are differ"


def _told(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a single number"
