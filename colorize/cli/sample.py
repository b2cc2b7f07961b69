"""`colorize sample`: color drawings. Knows the options and the files; the coloring is `painter`'s."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from colorize.cli import common, knobs, latently
from colorize.cli.coloring import Form, Given, Model, Voice, color
from colorize.diffusion import names


def sample(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURE",
            help="Color these files, folders, volumes (CBZ, ZIP) or patterns; - is stdin",
        ),
    ],
    ref: Annotated[
        list[str] | None,
        typer.Option(
            "--ref", metavar="PICTURE", help="Take colors from this picture or folder; repeatable"
        ),
    ] = None,
    palette: Annotated[
        str,
        typer.Option(
            metavar="COLORS",
            help='Use these colors, such as "#3b5fa0,#f2c6a0", or those of a picture',
        ),
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
    hint_mode: common.HintMode = "hard",
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            envvar="COLORIZE_MODEL",
            help="Use this model: a recipe, a file, a folder, or OWNER/NAME[/FILE] on the Hub",
        ),
    ] = "mini",
    lora: common.Loras = None,
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
            min=1,
            metavar="NUMBER",
            help="Take so many denoising steps; more is slower  [default: the recipe's]",
        ),
    ] = None,
    sampler: common.Sampler = None,
    spacing: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Space the steps by trailing, linspace, leading, inner, karras, exponential, uniform or"
            " sgm  [default: the recipe's]",
        ),
    ] = None,
    eta: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help=f"Add fresh noise to every step, 0 (none) to 1; for {names.listed(names.FREE)}"
            "  [default: the recipe's]",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="Draw this noise; same seed, same picture")
    ] = 0,
    guidance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HINT=NUMBER", help="Exaggerate a hint's effect; 1 is none; repeatable"
        ),
    ] = None,
    strength: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HINT=NUMBER",
            help="Weaken a hint, 0 to 1, or more with some models; repeatable",
        ),
    ] = None,
    text: latently.Text = None,
    edits: latently.Edits = None,
    visualize: latently.Visualize = None,
    background: latently.Background = None,
    mask: latently.Mask = "",
    ref_mask: latently.ReferenceMask = None,
    knob: latently.Knobs = None,
    encoder: latently.Encoder = "",
    predicts: latently.Predicts = "",
    variations: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="Make so many pictures of each drawing")
    ] = 1,
    grid: Annotated[
        bool,
        typer.Option(
            "--grid", help="Write one picture of drawing, references and results side by side"
        ),
    ] = False,
    film: Annotated[
        Path | None,
        typer.Option(metavar="GIF", help="Write the walk from noise to picture as a film, too"),
    ] = None,
    flat: Annotated[
        bool, typer.Option("--flat", help="Fill each region of line art with one flat color")
    ] = False,
    panels: Annotated[
        Literal["auto", "on", "off"],
        typer.Option(
            metavar="MODE",
            help="Color manga pages panel by panel: auto (if it looks like a page), on, off",
        ),
    ] = "auto",
    layers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write layers, too, as .ora or .psd: line, shade, flats, paper; line art only",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Work at this longer side inside; results keep the drawing's  [default: the recipe's]",
        ),
    ] = None,
    device: common.Device = "auto",
    precision: common.Precision = "auto",
    batch: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="NUMBER", help="Color so many at once  [default: 8 on CUDA, else 1]"
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Color pictures that are in color, or blank, already")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make results again that are there already")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Tell what would be colored, in what time and memory; write nothing"
        ),
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Use no network")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per result to stdout")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors only, beside the results")
    ] = False,
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
        **{
            "guidance": common.weights("--guidance", guidance),
            "strength": common.weights("--strength", strength),
        },
        **{"variations": variations, "size": size, "precision": precision, "batch": batch},
        **{"force": force, "film": film is not None, "hint_mode": hint_mode, "panels": panels},
        **{"flat": flat, "layers": layers is not None, "spacing": spacing},
        **{"manner": knobs.manner(knob or (), text or (), edits)},
    }
    form = Form(out, variations, grid, film, layers, overwrite, visualize, dry_run)
    aside = knobs.Aside(background, mask, ref_mask)
    given = Given(tuple(ref or ()), palette, hints, tuple(hint or ()), aside)
    chosen = Model(model, device, offline, encoder, predicts, common.adapters(lora))
    color(pictures, form, given, chosen, settings, Voice(quiet, as_json))
