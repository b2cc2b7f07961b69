"""The options of `sample` that only latent models know. Knows nothing of what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Text = Annotated[
    list[str] | None,
    typer.Option(
        metavar="EDIT",
        help='Change the reference by words, such as "hair: blonde"; colorize-diffusion only; repeatable',
    ),
]
Edits = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Change the reference by the edits of a TOML, JSON or text file"
    ),
]
Visualize = Annotated[
    Path | None,
    typer.Option(metavar="PICTURE", help="Draw where on the reference the edits act, too"),
]
Background = Annotated[
    Path | None,
    typer.Option(
        metavar="PICTURE",
        help="Color what surrounds the figure like this picture; colorize-diffusion only",
    ),
]
Mask = Annotated[
    str,
    typer.Option(
        metavar="PATH",
        help="Tell figure (light) and surroundings (dark) apart by this picture, a folder with one per"
        " drawing, or auto; colorize-diffusion only",
    ),
]
ReferenceMask = Annotated[
    Path | None,
    typer.Option(metavar="PICTURE", help="The same of the reference; colorize-diffusion only"),
]
Knobs = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Turn a knob of colorize-diffusion, such as margin=1.5; repeatable",
    ),
]
Encoder = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="Take the weights of CLIP from here, or OWNER/NAME/FILE; colorize-diffusion only",
    ),
]
Predicts = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Say what a file of colorize-diffusion predicts, eps or v  [default: asked]",
    ),
]
