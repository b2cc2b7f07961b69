"""One file per system, found by name."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from colorize.errors import ColorizeError, nearest
from colorize.recipes.recipe import Difference, Recipe

__all__ = ["Recipe", "differences", "every", "find", "names", "variants"]


def names() -> tuple[str, ...]:
    """Return the names of all systems: the files of this folder, with dashes."""
    files = {module.name for module in pkgutil.iter_modules(__path__)} - {"recipe", "overrides"}
    return tuple(sorted(name.replace("_", "-") for name in files))


def find(name: str) -> Recipe:
    """Return a recipe by name, or one of its variants by `name:variant`.

    Raises ColorizeError with the nearest name when there is none.
    """
    system, _, variant = name.partition(":")
    if system not in names():
        raise ColorizeError(f"unknown recipe `{system}`", nearest(system, names()), code=2)
    known: dict[str, Recipe] = {"": _module(system).RECIPE, **variants(system)}
    if variant not in known:
        hint = nearest(variant, list(known)[1:]) if len(known) > 1 else f"it has none; write `{system}`"
        raise ColorizeError(f"`{system}` has no variant `{variant}`", hint, code=2)
    return known[variant]


def variants(name: str) -> dict[str, Recipe]:
    """Return the named variants of a system."""
    found: dict[str, Recipe] = getattr(_module(name), "VARIANTS", {})
    return found


def differences(name: str) -> dict[str, tuple[Difference, ...]]:
    """Return what the variants of a system do otherwise than what they are named after."""
    found: dict[str, tuple[Difference, ...]] = getattr(_module(name), "DIFFERENCES", {})
    return found


def every() -> tuple[Recipe, ...]:
    """Return the plain recipe of every system."""
    return tuple(find(name) for name in names())


def _module(name: str) -> Any:
    return importlib.import_module(f"colorize.recipes.{name.replace('-', '_')}")
