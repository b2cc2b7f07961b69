"""`colorize eval`: its options. Knows nothing of scores and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from colorize import interrupts
from colorize.cli import messages
from colorize.errors import ColorizeError


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            envvar="COLORIZE_MODEL",
            help="Score this model: a recipe's name, a file, a folder, or OWNER/NAME[/FILE]",
        ),
    ] = "mini",
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Color the validation/ of this folder, or all of it")
    ] = Path("data"),
    lora: messages.Loras = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODE",
            help="Give beside the drawing: same (the warped truth), cross (another picture), shuffled"
            " (an unrelated one), palette (the true colors), hints (dots), stored (the folder's own"
            " hints), flip (it mirrored, bent and cropped) or none; repeatable  [default: all]",
        ),
    ] = None,
    hint_share: Annotated[
        list[float] | None,
        typer.Option(
            metavar="PERCENT", help="Tell so many of the pixels in the mode hints; repeatable  [default: 0.5]"
        ),
    ] = None,
    hint_mode: messages.HintMode = "hard",
    curve: Annotated[
        bool, typer.Option("--curve", help="Score hints of 0.05, 0.1, 0.2, 0.5, 1, 2 and 5 percent")
    ] = False,
    alike: Annotated[
        float,
        typer.Option(
            min=0,
            max=100,
            metavar="PERCENT",
            help="In the mode cross, use only references with so many of the picture's colors",
        ),
    ] = 0.0,
    kind: Annotated[
        Literal["line", "gray"] | None,
        typer.Option(metavar="KIND", help="Draw as: line, gray  [default: what the model is made for]"),
    ] = None,
    size: Annotated[int, typer.Option(min=32, metavar="PIXELS", help="Fit pictures into squares of this side")] = 256,
    limit: Annotated[
        int, typer.Option(min=0, metavar="NUMBER", help="Use so many pictures, spread evenly; 0 is all")
    ] = 0,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BASELINE",
            help="Compare with: gray, reference-statistics, reference-copy, nearest-hint, all, none;"
            " repeatable  [default: all]",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Take so many denoising steps  [default: the recipe's]")
    ] = None,
    sampler: messages.Sampler = None,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Draw noise, warps, dots and partners by it")] = 0,
    device: messages.Device = "auto",
    precision: messages.Precision = "auto",
    perceptual: Annotated[
        bool, typer.Option("--perceptual", help="Add LPIPS and FID; needs the extra `metrics`")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option(metavar="PICTURE", help="Write drawings, results and truths side by side")
    ] = None,
    shown: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="Show so many pictures of each mode there, spread evenly")
    ] = 6,
    html: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="Write tables, charts, best and worst pictures as one HTML file")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, one object per mode, to stdout")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown")] = False,
) -> None:
    """Score a model over a folder, beside baselines that learnt nothing.

    Pictures are colored exactly as `sample` would color them. Values have 95 % intervals.

    Examples:
        colorize eval mini data/ --html report.html
        colorize eval runs/anime-diffusion/model.safetensors data/ --mode cross --limit 50 --json
    """
    if as_json and as_markdown:
        raise ColorizeError("--json and --markdown are both given", "choose one", code=2)
    from colorize.checkpoints import model_files
    from colorize.cli import evaluate_run
    from colorize.coloring.options import SampleOptions
    from colorize.images.encode import FORMATS
    from colorize.networks import devices

    interrupts.begin()
    evaluate_run.check_place("--sheet", sheet, tuple(FORMATS))
    evaluate_run.check_place("--html", html, evaluate_run.PAGES)
    modes = mode or []
    shares = evaluate_run.shares(hint_share or [], curve, modes)
    worn = messages.adapters(lora)
    loaded = model_files.load(model, device=devices.device(device), lora=worn)
    messages.fetched(loaded.notice)
    drawn = evaluate_run.drawn(loaded.recipe, kind)
    walk = {"kind": drawn, "steps": steps, "sampler": sampler, "seed": seed}
    settings: dict[str, Any] = {**walk, "precision": precision, "hint_mode": hint_mode}
    options = SampleOptions(**settings, force=True)
    how = evaluate_run.How(size, seed, drawn, limit, shares, alike / 100)
    tasks = evaluate_run.tasks(loaded.recipe, data, modes, how)
    chosen = evaluate_run.baselines(against or ["all"], [task.protocol.mode for task in tasks])
    scorer = evaluate_run.Scorer(loaded, evaluate_run.name(model, loaded), options, chosen, perceptual)
    chapters = scorer.run(tasks, evaluate_run.Keep(shown if sheet else 0, html is not None))
    if sheet is not None:
        evaluate_run.write_sheet(scorer.shown, scorer.name, sheet)
    if html is not None:
        facts = evaluate_run.facts(loaded.recipe, options, tasks[0].protocol)
        evaluate_run.write_page(scorer.name, facts, chapters, scorer.scores, html)
    tables = [chapter.entries for chapter in chapters]
    evaluate_run.tell(tables, scorer.scores, as_json, as_markdown)
