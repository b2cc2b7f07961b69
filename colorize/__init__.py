"""Put color into line art, manga pages and gray pictures. Knows nothing heavy until it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["ColorizeError", "__version__", "load", "paint"]

from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.checkpoint import load
    from colorize.painter import paint


def __getattr__(name: str) -> Any:
    """Import torch and the networks only when a caller really asks for them (PEP 562)."""
    if name == "load":
        from colorize.checkpoint import load

        return load
    if name == "paint":
        from colorize.painter import paint

        return paint
    raise AttributeError(f"module `colorize` has no attribute `{name}`")
