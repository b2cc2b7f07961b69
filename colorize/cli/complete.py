"""What the shell completes: values of options and arguments, found without importing anything heavy."""

from __future__ import annotations

import importlib.util
import json
import os
import pkgutil
from collections.abc import Callable, Iterable
from pathlib import Path

from colorize.diffusion import names

MODES = ("same", "cross", "shuffled", "palette", "hints", "stored", "flip", "none")
BASELINES = (
    *("gray", "reference-statistics", "reference-copy", "region-matcher", "nearest-hint"),
    *("all", "none", "oracle-regions", "oracle-cells"),
)
EMBEDDED = "mini"


def recipes() -> list[str]:
    """Return the names of all recipes, as `colorize.recipes.names` does, which imports torch."""
    found = importlib.util.find_spec("colorize.recipes")
    files = pkgutil.iter_modules(found.submodule_search_locations if found else None)
    return sorted({file.name.replace("_", "-") for file in files} - {"recipe", "overrides"})


def models() -> list[str]:
    """Return what --model takes and is here: the embedded model, runs, and models in the Hub's cache."""
    runs = {path.parent.name for path in Path("runs").glob("*/model.safetensors")}
    named = [name for name in recipes() if name == EMBEDDED or name in runs]
    return [*named, *(f"runs/{run}" for run in sorted(runs)), *cached()]


def cached() -> list[str]:
    """Return OWNER/NAME of the models in the Hub's cache that this program made or knows."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    folders = sorted(cache.glob("models--*--*"))
    return ["/".join(folder.name.split("--")[1:]) for folder in folders if _is_ours(folder)]


def _is_ours(folder: Path) -> bool:
    if folder.name.startswith("models--tellurion--"):  # the authors of ColorizeDiffusion, whose files name no recipe
        return True
    for config in folder.glob("snapshots/*/config.json"):
        try:
            return bool(json.loads(config.read_bytes()).get("is") == "Recipe")
        except (OSError, ValueError, AttributeError, RecursionError):
            continue
    return False


CHOICES: dict[str, Callable[[], Iterable[str]]] = {  # parameter -> its values
    "recipe": recipes,
    "model": models,
    "start": models,
    "sampler": lambda: names.SAMPLERS,
    "spacing": lambda: names.SPACINGS,
    "mode": lambda: MODES,
    "against": lambda: BASELINES,
    "device": lambda: ("auto", "cpu", "cuda", "mps"),
    "precision": lambda: ("auto", "fp32", "bf16", "fp16"),
    "predicts": lambda: ("eps", "v"),
    "mask": lambda: ("auto",),
    "styles": lambda: ("mix", "xdog", "dog", "pencil", "canny"),
}


def of(parameter: str) -> Callable[[str], list[str]] | None:
    """Return what completes the values of a parameter; None where Typer does it, or the shell with names of files."""
    if parameter not in CHOICES:
        return None

    def found(incomplete: str) -> list[str]:
        return [value for value in CHOICES[parameter]() if value.startswith(incomplete)]

    return found
