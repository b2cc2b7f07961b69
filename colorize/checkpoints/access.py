"""The token that the Hub is asked with, and the folder for what it sends, for the calls within a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from colorize import __version__

_GIVEN: ContextVar[tuple[str | None, Path | None]] = ContextVar("given", default=(None, None))


@contextmanager
def access(token: str | None = None, cache: str | Path | None = None) -> Iterator[None]:
    """Use a token and a cache folder; None is HF_TOKEN or `hf auth login`, and HF_HUB_CACHE."""
    before = _GIVEN.set((token, None if cache is None else Path(cache).expanduser()))
    try:
        yield
    finally:
        _GIVEN.reset(before)


def sender() -> dict[str, Any]:
    """Return who asks, as the library's functions take it."""
    return {"library_name": "colorize", "library_version": __version__, "token": _GIVEN.get()[0]}


def getter() -> dict[str, Any]:
    """Return who asks and where to keep the answer, as the library's downloads take it."""
    return {**sender(), "cache_dir": cache()}


def cache() -> Path:
    """Return the folder of the cache."""
    from huggingface_hub import constants

    return _GIVEN.get()[1] or Path(constants.HF_HUB_CACHE)
