"""Put color into line art, manga pages and gray pictures. Knows nothing heavy until it is asked for."""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["ColorizeError", "Colorizer", "Result", "__version__", "load", "paint", "paint_all"]

from colorize.errors import ColorizeError

TYPE_CHECKING = False  # as in `typing`, which takes longer to import than all that is here
if TYPE_CHECKING:
    from colorize.api import load, paint, paint_all
    from colorize.coloring.result import Result
    from colorize.model import Colorizer


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> object:
    """Import torch and the networks only when a caller really asks for them (PEP 562)."""
    if name in __all__:
        from colorize import api

        return getattr(api, name)
    raise AttributeError(f"module `colorize` has no attribute `{name}`")
