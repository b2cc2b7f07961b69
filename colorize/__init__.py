"""Put color into line art, manga pages and gray pictures. Knows nothing heavy until it is asked for."""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["ColorizeError", "__version__", "load", "paint"]

from colorize.errors import ColorizeError

TYPE_CHECKING = False  # as in `typing`, which takes longer to import than all that is here
if TYPE_CHECKING:
    from colorize.checkpoints.model_files import load
    from colorize.coloring.paint import paint


def __getattr__(name: str) -> object:
    """Import torch and the networks only when a caller really asks for them (PEP 562)."""
    if name == "load":
        from colorize.checkpoints.model_files import load

        return load
    if name == "paint":
        from colorize.coloring.paint import paint

        return paint
    raise AttributeError(f"module `colorize` has no attribute `{name}`")
