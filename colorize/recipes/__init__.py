"""One file per system, found by name. Knows nothing of how they are trained or used."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from colorize.errors import ColorizeError, nearest
from colorize.recipes.recipe import Recipe

__all__ = ["Recipe", "every", "find", "names", "variants"]

PARTS = ("objective", "recipe", "overrides")  # the files here that are not systems


def names() -> tuple[str, ...]:
    """Return the names of all systems: the files of this folder, with dashes."""
    files = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name.replace("_", "-") for name in files if name not in PARTS))


def find(name: str) -> Recipe:
    """Return a recipe by name, or one of its variants by `name:variant`.

    Raises ColorizeError with the nearest name when there is none.
    """
    system, _, variant = name.partition(":")
    if system not in names():
        raise ColorizeError(f"there is no recipe `{system}`", nearest(system, names()), code=2)
    recipe: Recipe = _module(system).RECIPE
    if not variant:
        return recipe
    known = variants(system)
    if variant not in known:
        hint = nearest(variant, known) if known else f"it has none; write `{system}`"
        raise ColorizeError(f"`{system}` has no variant `{variant}`", hint, code=2)
    return known[variant]


def variants(name: str) -> dict[str, Recipe]:
    """Return the named variants of a system."""
    found: dict[str, Recipe] = getattr(_module(name), "VARIANTS", {})
    return found


def every() -> tuple[Recipe, ...]:
    """Return the plain recipe of every system."""
    return tuple(find(name) for name in names())


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"colorize.recipes.{name.replace('-', '_')}")
