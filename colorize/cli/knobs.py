"""The knobs of latent models as `--knob NAME=VALUE`, and the pictures that only these take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.networks.latent.manner import Manner
    from colorize.networks.latent.prompts import Prompt
    from colorize.painter.options import Named
    from colorize.pictures.picture import Picture

SWITCHED = {"echo": "Echo", "window": "Window"}  # off until one of their numbers is given
AUTO = "auto"


def manner(
    texts: Sequence[str], edits: Sequence[str] = (), file: Path | None = None
) -> Manner | None:
    """Return the manner that knobs such as `margin=1.5` and `echo.start=0.2` make, None without any.

    edits, file: changes of the reference by words, the file's first. Raises ColorizeError (wrong usage) for
    misspelt names, with the nearest, and for values out of range.
    """
    from colorize.networks.latent.manner import Manner
    from colorize.recipes.values import override

    if not (texts or edits or file):
        return None
    for text in texts:
        if "=" not in text:
            raise ColorizeError(
                f"`--knob {text}` has no value",
                "write it as NAME=VALUE, such as margin=1.5",
                code=2,
            )
    on = [
        f"{name}={kind}"
        for name, kind in SWITCHED.items()
        if any(text.strip().startswith(f"{name}.") for text in texts)
    ]
    return replace(override(Manner(), *on, *texts), prompts=_prompts(edits, file))


def _prompts(edits: Sequence[str], file: Path | None) -> tuple[Prompt, ...]:
    """Read edits by words, from a file and from the command line."""
    from colorize.networks.latent.prompts import parse

    stored: tuple[Prompt, ...] = ()
    if file is not None:
        from colorize.painter import wording

        stored = wording.read(file)
    return (*stored, *(parse(text) for text in edits))


@dataclass(frozen=True)
class Aside:
    """What is given for figure and background apart: a background, and masks, a file or folder each."""

    background: Path | None = None
    mask: str = ""
    reference_mask: Path | None = None

    def read(self) -> tuple[Named | None, Picture | None]:
        """Read what all drawings share: the background, and the reference's mask."""
        from colorize import painter
        from colorize.pictures import files

        back = painter.named(self.background, "the background") if self.background else None
        return back, files.read(self.reference_mask) if self.reference_mask else None

    def mask_of(self, name: Path) -> Picture | Literal["auto"] | None:
        """Return the mask of a drawing, found in a folder by its name, or `auto`.

        Raises ColorizeError where a folder holds none for it.
        """
        from colorize.pictures import files

        if not self.mask or self.mask == AUTO:
            return "auto" if self.mask else None
        path = Path(self.mask)
        if path.is_dir():
            found = [
                one for one in sorted((path / name.parent).glob(f"{name.stem}.*")) if one.is_file()
            ]
            if not found:
                raise ColorizeError(
                    f"`{path}` holds no mask for `{name}`", "name it like the drawing, or use auto"
                )
            path = found[0]
        return files.read(path)
