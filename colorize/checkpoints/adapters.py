"""Write, load, apply and merge adapters (LoRA): a few megabytes beside a model of any size, each a file of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from colorize import __version__
from colorize.checkpoints import weights_io
from colorize.checkpoints.weights_io import AGAIN, refused, shape_text
from colorize.errors import ColorizeError, within
from colorize.images.files import sha256, shown
from colorize.model import Colorizer
from colorize.networks import lora

if TYPE_CHECKING:
    from colorize.checkpoints.model_files import Loaded

FORMAT = "colorize adapter"
FILE = "adapter.safetensors"  # in the folder of a run
MAX_ALPHA = 1024.0  # it is the rank, or a few times that
WEIGHTS = (0, 2)  # range of an adapter's weight; 1 is as trained
ABOUT = ("recipe", "base", "layout", "weights")  # texts of the header that are kept as they are
RESERVED = ("format", "version", "rank", "alpha", *ABOUT)
HINT = "name an adapter.safetensors, or the run folder of `colorize finetune --lora`"

AdapterPaths = str | Path | Sequence[tuple[str | Path, float]]  # one adapter, or several with their weights


@dataclass(frozen=True)
class Adapter:
    """A trained change of one network, and what it was made for.

    recipe, base: name and source of the model. rank, alpha: see `lora.Change`. layout: fingerprint of the names and
    shapes of the model's weights; weights: of the weights themselves. facts: what else was noted, such as the license
    of the model. tensors: see `lora.tensors_of`.
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
class AppliedAdapter:
    """An adapter on a model: its name, its weight, and a fingerprint of its tensors."""

    name: str
    weight: float
    fingerprint: str

    @property
    def text(self) -> str:
        """The name, and the weight if it is not 1."""
        return self.name if self.weight == 1 else f"{self.name}={self.weight:g}"


def describe(base: Loaded, rank: int) -> Adapter:
    """Describe an adapter that is to be trained for a model; it has no tensors yet."""
    source = Path(base.source).name if Path(base.source).is_absolute() else base.source
    facts = {name: text for name, text in base.facts.items() if name not in RESERVED}
    weights = _fingerprint(lora.plain(base.colorizer.state_dict()))
    return Adapter(base.recipe.name, source, rank, float(rank), _layout(base.colorizer), weights, facts)


def save(adapter: Adapter, path: Path) -> None:
    """Write an adapter as one safetensors file, whole or not at all.

    Raises ColorizeError if a number is not finite, so that a good file is not replaced by a broken one, and if the path
    cannot be written.
    """
    for name, value in adapter.tensors.items():
        weights_io.check_finite(path.name, name, value)
    own = {name: getattr(adapter, name) for name in ABOUT}
    numbers = {"rank": json.dumps(adapter.rank), "alpha": json.dumps(adapter.alpha)}
    header = {**adapter.facts, "format": FORMAT, "version": __version__, **numbers, **own}
    weights_io.write(path, adapter.tensors, header)


def load(path: Path) -> Adapter:
    """Read an adapter; path: its file, or the folder of the run that trained it.

    Raises ColorizeError if there is none, or if it is damaged, is something else such as a whole model, or holds
    numbers that are not finite.
    """
    path = _located(path)
    header, found = weights_io.read(path)
    if header.get("format") != FORMAT:
        what, hint = "is not an adapter that colorize wrote", HINT
        if header.get("kind", "").startswith("colorize training state"):
            what, hint = "is the state of a training run, not an adapter", f"name {FILE} beside it"
        elif header.get("format") == "colorize" or "config" in header:
            what, hint = "is a whole model, not an adapter", "give it with --model"
        raise refused(path.name, what, hint)
    try:
        rank, alpha = json.loads(header["rank"]), float(json.loads(header["alpha"]))
        own = {name: header[name] for name in ABOUT}
        if type(rank) is not int or not 0 < alpha <= MAX_ALPHA:
            raise ValueError("no rank, or no alpha")
    except (KeyError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise refused(path.name, "has a damaged description", AGAIN) from error
    within(f"the rank of `{shown(path.name)}`", rank, *lora.RANKS)
    for name, value in found.items():
        weights_io.check_finite(path.name, name, value)
    facts = {name: text for name, text in header.items() if name not in RESERVED}
    tensors = {name: value.float().clone() for name, value in found.items()}
    return Adapter(**own, rank=rank, alpha=alpha, facts=facts, tensors=tensors)


def apply(loaded: Loaded, paths: AdapterPaths) -> Loaded:
    """Put adapters on a model, after those that it has, and return it; its own weights stay as they are.

    paths: one, or several with their weights, 0 to 2. Raises ColorizeError before anything is changed if one cannot be
    read, was made for another network, or has a weight out of range.
    """
    several = _weighted(paths)
    ready = [(_fitting(loaded, Path(path), weight), Path(path), weight) for path, weight in several]
    applied = list(loaded.adapters)
    for adapter, path, weight in ready:
        lora.stack(loaded.colorizer.network, adapter.tensors, weight * adapter.alpha / adapter.rank)
        file = _located(path)
        name = file.resolve().parent.name if file.name == FILE else file.stem  # its run or its file
        applied.append(AppliedAdapter(name, float(weight), _fingerprint(adapter.tensors)[:12]))
    return replace(loaded, adapters=tuple(applied))


def identity(paths: AdapterPaths) -> tuple[object, ...]:
    """Return what tells adapters from others, or from themselves after a change; raises ColorizeError like `apply`."""
    files = [(_located(Path(path)), weight) for path, weight in _weighted(paths)]
    return tuple((str(file.resolve()), file.stat().st_mtime_ns, weight) for file, weight in files)


def _weighted(paths: AdapterPaths) -> Sequence[tuple[str | Path, float]]:
    return [(paths, 1.0)] if isinstance(paths, str | Path) else paths


def merge(loaded: Loaded, path: str | Path, weight: float = 1.0) -> Loaded:
    """Put an adapter, and those that the model has, into its weights; `model_files.save` can write the result.

    The facts note what was merged. Raises ColorizeError like `apply`.
    """
    applied = apply(loaded, [(path, weight)])
    lora.merge(loaded.colorizer.network)
    before = [loaded.facts["merged"]] if loaded.facts.get("merged") else []
    merged = ", ".join([*before, *(one.text for one in applied.adapters)])
    return replace(applied, adapters=(), facts={**loaded.facts, "merged": merged})


def refuse_applied(colorizer: Colorizer) -> None:
    """Raise ColorizeError for a model with adapters on it, whose file would not be that of a model."""
    state = colorizer.state_dict()
    if len(lora.plain(state)) < len(state):
        hint = "merge them into its weights: `colorize.checkpoints.adapters.merge`"
        raise ColorizeError("a model with adapters on it cannot be saved", hint)


def _layout(colorizer: Colorizer) -> str:
    """Return sixteen digits that change with the name or the shape of any weight of a model."""
    named = lora.plain(colorizer.state_dict())
    return sha256(json.dumps(sorted((name, list(value.shape)) for name, value in named.items())))[:16]


def _fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Return sixteen digits that change with any number in any of these tensors."""

    def content(name: str) -> memoryview:
        return tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data

    return sha256(part for name in sorted(tensors) for part in (name, content(name)))[:16]


def _located(path: Path) -> Path:
    """Return the file of an adapter; raises ColorizeError if there is none."""
    try:
        if path.is_dir():
            if (path / FILE).is_file():
                return path / FILE
            whole = (path / "model.safetensors").is_file()
            hint = "it holds a whole model; give it with --model" if whole else HINT
            raise ColorizeError(f"the folder `{shown(path)}` holds no {FILE}", hint)
        if path.is_file():
            return path
    except OSError as error:
        raise weights_io.unreadable(path, error) from error
    raise ColorizeError(f"there is no adapter `{shown(path)}`", HINT)


def _fitting(loaded: Loaded, path: Path, weight: float) -> Adapter:
    """Load an adapter for a model, and refuse one that was made for another network."""
    within(f"the weight of `{shown(path)}`", weight, *WEIGHTS, "choose 0 to 2; 1 is usual")
    adapter, file = load(path), _located(path).name
    if why := _difference(adapter, loaded):
        hint = f"use it with the model it was made for: {shown(adapter.base)}"
        raise refused(file, f"is an adapter for another model than `{loaded.source}`: {why}", hint)
    layers = lora.adaptable_layers(loaded.colorizer.network)
    wanted = {f"{layer}.{part}" for layer in layers for part in ("down", "up")}
    if missing := sorted(wanted ^ set(adapter.tensors)):
        raise refused(file, f"is damaged: it lacks `{missing[0]}`, or should not have it", AGAIN)
    return adapter


def _difference(adapter: Adapter, loaded: Loaded) -> str:
    """Return by which layer the network of an adapter and that of a model differ first; "" if they do not."""
    layers = lora.adaptable_layers(loaded.colorizer.network)
    for key, value in adapter.tensors.items():
        layer, _, part = key.rpartition(".")
        if layer not in layers:
            return f"that has no layer `{shown(layer)}`"
        wanted = lora.shapes(layers[layer], adapter.rank)[part == "up"]
        if tuple(value.shape) != wanted:
            return f"there `{key}` would be {shape_text(wanted)}, not {shape_text(value.shape)}"
    if adapter.recipe != loaded.recipe.name:
        return f"it changes the recipe `{shown(adapter.recipe)}`"
    return "" if adapter.layout == _layout(loaded.colorizer) else "layers that are not adapted differ"
