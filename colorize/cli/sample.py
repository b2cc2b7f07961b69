"""`colorize sample`: color drawings. Knows the options and the files; the coloring is `painter`'s."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from colorize.cli import messages, sample_inputs
from colorize.cli.sample_inputs import Given
from colorize.cli.sample_plan import Form, Model, Voice
from colorize.cli.sample_run import color
from colorize.diffusion import names


def sample(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURE", help="Color these files, folders, volumes (CBZ, ZIP) or patterns; - is stdin"
        ),
    ],
    ref: Annotated[
        list[str] | None,
        typer.Option("--ref", metavar="PICTURE", help="Take colors from this picture or folder; repeatable"),
    ] = None,
    palette: Annotated[
        str, typer.Option(metavar="COLORS", help='Use these colors, such as "#3b5fa0,#f2c6a0", or those of a picture')
    ] = "",
    hints: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Follow color strokes: a transparent PNG, a copy of the drawing painted over, JSON,"
            " or a folder with one per drawing",
        ),
    ] = None,
    hint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y=COLOR",
            help="Put a dot of a color there, in pixels of the drawing; 120,85,6=#ff8800 has radius 6,"
            " 10,10-80,40=orange is a stroke; repeatable",
        ),
    ] = None,
    hint_mode: messages.HintMode = "hard",
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            envvar="COLORIZE_MODEL",
            help="Use this model: a recipe, a file, a folder, or OWNER/NAME[/FILE] on the Hub",
        ),
    ] = "mini",
    lora: messages.Loras = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="Write to this file or folder, or - for stdout; a folder also gets copies of pictures in"
            " color  [default: NAME_color beside one file, else colored/]",
        ),
    ] = None,
    kind: Annotated[
        Literal["auto", "line", "gray"],
        typer.Option(metavar="KIND", help="Take drawings for line art or gray: auto, line, gray"),
    ] = "auto",
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="NUMBER", help="Take so many denoising steps; more is slower  [default: the recipe's]"
        ),
    ] = None,
    sampler: messages.Sampler = None,
    spacing: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help=f"Space the steps by one of: {', '.join(names.SPACINGS)}  [default: the recipe's]"
        ),
    ] = None,
    eta: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help=f"Add fresh noise to every step, 0 (none) to 1; for {', '.join(names.FREE)}  [default: the recipe's]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Draw this noise; same seed, same picture")] = 0,
    guidance: Annotated[
        list[str] | None, typer.Option(metavar="HINT=NUMBER", help="Exaggerate a hint's effect; 1 is none; repeatable")
    ] = None,
    strength: Annotated[
        list[str] | None,
        typer.Option(metavar="HINT=NUMBER", help="Weaken a hint, 0 to 1, or more with some models; repeatable"),
    ] = None,
    text: Text = None,
    edits: Edits = None,
    visualize: Visualize = None,
    background: Background = None,
    mask: Mask = "",
    ref_mask: ReferenceMask = None,
    knob: Knobs = None,
    encoder: Encoder = "",
    predicts: Predicts = "",
    variations: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Make so many pictures of each drawing")] = 1,
    grid: Annotated[
        bool, typer.Option("--grid", help="Write one picture of drawing, references and results side by side")
    ] = False,
    film: Annotated[
        Path | None, typer.Option(metavar="GIF", help="Write the walk from noise to picture as a film, too")
    ] = None,
    flat: Annotated[bool, typer.Option("--flat", help="Fill each region of line art with one flat color")] = False,
    panels: Annotated[
        Literal["auto", "on", "off"],
        typer.Option(metavar="MODE", help="Color manga pages panel by panel: auto (if it looks like a page), on, off"),
    ] = "auto",
    layers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write layers, too, as .ora or .psd: line, shade, flats, paper; line art only"
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Work at this longer side inside; results keep the drawing's  [default: the recipe's]",
        ),
    ] = None,
    device: messages.Device = "auto",
    precision: messages.Precision = "auto",
    batch: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Color so many at once  [default: 8 on CUDA, else 1]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Color pictures that are in color, or blank, already")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make results again that are there already")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be colored, in what time and memory; write nothing")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Use no network")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per result to stdout")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only, beside the results")] = False,
) -> None:
    """Color line art, manga pages, volumes (CBZ) and gray pictures.

    Results have the size of the drawing and keep its lines. Those that are there already are
    skipped, so that the same command goes on where it was interrupted.

    Examples:
        colorize sample sketch.png --ref ref.png
        colorize sample pages/ --ref hero.png --ref villain.png --out colored/
    """
    settings: dict[str, object] = {
        **{"kind": kind, "steps": steps, "sampler": sampler, "eta": eta, "seed": seed},
        **{"guidance": messages.weights("--guidance", guidance), "strength": messages.weights("--strength", strength)},
        **{"variations": variations, "size": size, "precision": precision, "batch": batch},
        **{"force": force, "film": film is not None, "hint_mode": hint_mode, "panels": panels},
        **{"flat": flat, "layers": layers is not None, "spacing": spacing},
        **{"settings": sample_inputs.system_settings(knob or (), text or (), edits)},
    }
    form = Form(out, variations, grid, film, layers, overwrite, visualize, dry_run)
    aside = sample_inputs.Aside(background, mask, ref_mask)
    given = Given(tuple(ref or ()), palette, hints, tuple(hint or ()), aside)
    chosen = Model(model, device, offline, encoder, predicts, messages.adapters(lora))
    color(pictures, form, given, chosen, settings, Voice(quiet, as_json))


Text = Annotated[
    list[str] | None,
    typer.Option(
        metavar="EDIT",
        help='Change the reference by words, such as "hair: blonde"; colorize-diffusion only; repeatable',
    ),
]
Edits = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Change the reference by the edits of a TOML, JSON or text file")
]
Visualize = Annotated[
    Path | None, typer.Option(metavar="PICTURE", help="Draw where on the reference the edits act, too")
]
Background = Annotated[
    Path | None,
    typer.Option(metavar="PICTURE", help="Color what surrounds the figure like this picture; colorize-diffusion only"),
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
    Path | None, typer.Option(metavar="PICTURE", help="The same of the reference; colorize-diffusion only")
]
Knobs = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Turn a knob of colorize-diffusion, such as margin=1.5; repeatable"),
]
Encoder = Annotated[
    str,
    typer.Option(
        metavar="FILE", help="Take the weights of CLIP from here, or OWNER/NAME/FILE; colorize-diffusion only"
    ),
]
Predicts = Annotated[
    str, typer.Option(metavar="NAME", help="Say what a file of colorize-diffusion predicts, eps or v  [default: asked]")
]
