"""`colorize eval`: score a model over a folder, next to baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from colorize import __version__, interrupts
from colorize.cli import complete, messages
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from torch import Tensor

    from colorize.checkpoints.model_files import Loaded
    from colorize.coloring.options import SampleOptions
    from colorize.evaluation.baselines import Baseline
    from colorize.evaluation.metrics import FrechetDistance
    from colorize.evaluation.report import Table
    from colorize.evaluation.samples import Protocol, Sample, Samples
    from colorize.recipes.recipe import Recipe

PAGES = (".html", ".htm")
QUALITY = 88  # of a sheet in JPEG or WebP, which is for looking at and not for measuring


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            envvar="COLORIZE_MODEL",
            autocompletion=complete.of("model"),
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
            autocompletion=complete.of("mode"),
            help="Hints to give: same (the warped truth), cross (another picture), shuffled"
            " (an unrelated one), palette (the true colors), hints (dots), stored (the folder's own"
            " hints), flip (the truth mirrored, bent and cropped) or none; repeatable  [default: all]",
        ),
    ] = None,
    hint_share: Annotated[
        list[float] | None,
        typer.Option(
            metavar="PERCENT", help="Share of pixels that get hints in the mode hints; repeatable  [default: 0.5]"
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
            help="Least share of the picture's colors in references of the mode cross",
        ),
    ] = 0.0,
    kind: Annotated[
        Literal["line", "gray"] | None,
        typer.Option(metavar="KIND", help="Show drawings as: line, gray  [default: what the model takes]"),
    ] = None,
    size: Annotated[int, typer.Option(min=32, metavar="PIXELS", help="Fit pictures into squares of this side")] = 256,
    limit: Annotated[
        int, typer.Option(min=0, metavar="NUMBER", help="Number of pictures, spread evenly; 0 is all")
    ] = 0,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BASELINE",
            autocompletion=complete.of("against"),
            help="Compare with: gray, reference-statistics, reference-copy, region-matcher, nearest-hint, all (of"
            " these), none, or with oracle-regions or oracle-cells, which know the truth; repeatable  [default: all]",
        ),
    ] = None,
    oracle: Annotated[
        bool,
        typer.Option(
            "--oracle", help="Divide the colored area by cause of error: color not given, cutting, shade, tone, part"
        ),
    ] = False,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Number of denoising steps  [default: the recipe's]")
    ] = None,
    sampler: messages.Sampler = None,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Random seed of noise, warps, dots and partners")] = 0,
    device: messages.Device = "auto",
    precision: messages.Precision = "auto",
    perceptual: Annotated[bool, typer.Option("--perceptual", help="Add LPIPS and FID; needs torchmetrics")] = False,
    sheet: Annotated[
        Path | None, typer.Option(metavar="PICTURE", help="Also write drawings, hints, results and truths side by side")
    ] = None,
    sheet_rows: Annotated[
        int,
        typer.Option(
            "--sheet-rows",
            "--shown",
            min=1,
            metavar="NUMBER",
            help="Number of pictures per mode on the sheet, spread evenly; more than 12 in all are small",
        ),
    ] = 6,
    html: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="Also write tables, charts, best and worst pictures as HTML")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, one object per mode, to stdout")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown")] = False,
) -> None:
    """Score a model over a folder, next to simple baselines.

    Pictures are colored exactly as `sample` would color them. Values have 95 % intervals.

    Examples:
        colorize eval mini data/ --html report.html
        colorize eval runs/anime-diffusion/model.safetensors data/ --mode cross --limit 50 --json
    """
    if as_json and as_markdown:
        raise ColorizeError("--json and --markdown cannot be combined", "choose one", code=2)
    from colorize.checkpoints import model_files
    from colorize.coloring.options import SampleOptions
    from colorize.evaluation import baselines, report, sheets
    from colorize.images import files
    from colorize.images.encode import FORMATS
    from colorize.networks import devices

    interrupts.begin()
    _check_file("--sheet", sheet, tuple(FORMATS))
    _check_file("--html", html, PAGES)
    if html is not None:
        report.page_template()  # fails now, not after scoring
    shares = _hint_shares(hint_share or [], curve, mode or [])
    loaded = model_files.load(model, device=devices.device(device), lora=messages.adapters(lora))
    messages.fetched(loaded.notice)
    kind = kind or ("line" if "line" in loaded.recipe.hints else "gray")
    settings: dict[str, Any] = {"kind": kind, "steps": steps, "sampler": sampler, "seed": seed}
    options = SampleOptions(**settings, precision=precision, hint_mode=hint_mode, force=True)
    protocol = {"size": size, "seed": seed, "kind": kind, "limit": limit, "alike": alike / 100}
    runs = _samples(loaded.recipe, data, mode or [], shares, protocol)
    chosen = baselines.find(against or ["all"], [run.protocol.mode for run in runs])
    scorer = _Scorer(loaded, _name(model, loaded), options, chosen, perceptual, oracle)
    tables = scorer.tables(runs, sheet_rows if sheet else 0, html is not None)
    if sheet is not None and scorer.sheet:  # none, if all its pictures were left out
        titles = ("drawing", "given", scorer.name, "truth")
        files.write(sheets.contact_sheet(scorer.sheet, titles), sheet, quality=QUALITY)
        messages.say(f"the sheet is `{sheet}`")
    if html is not None:
        _write_page(html, scorer.name, _facts(loaded.recipe, options, runs[0].protocol), tables)
    _print(tables, as_json, as_markdown)
    messages.listed("could not read", "picture", [f"{file}: {why}" for file, why in scorer.unread.items()])
    if scorer.unread:
        raise typer.Exit(3)


def _check_file(option: str, path: Path | None, suffixes: Sequence[str]) -> None:
    """Raise ColorizeError (wrong usage) for a file that cannot be written, before hours are spent on its content."""
    from colorize.images import files

    if path is None:
        return
    shown, wrong = files.shown(path), ("", "")
    if path.suffix.lower() not in suffixes:
        wrong = f"{option} cannot be written as `{shown}`", "use one of " + ", ".join(suffixes)
    elif not path.parent.is_dir():
        folder = files.shown(path.parent)
        wrong = f"{option} `{shown}`: there is no folder `{folder}`", "create the folder first, or choose another place"
    elif path.is_dir():
        wrong = f"{option} `{shown}` is a folder", "name a file in it"
    if any(wrong):
        raise ColorizeError(*wrong, code=2)


def _hint_shares(percents: Sequence[float], curve: bool, modes: Sequence[str]) -> list[float]:
    """Return the shares of hinted pixels, rising, each once; raises ColorizeError (wrong usage) if options conflict."""
    from colorize.evaluation.report import SHARES
    from colorize.evaluation.samples import HINT_SHARE

    if percents and curve:
        raise ColorizeError("--curve and --hint-share cannot be combined", "choose one", code=2)
    if (percents or curve) and modes and "hints" not in modes:
        option = "--curve" if curve else "--hint-share"
        raise ColorizeError(f"{option} works only with --mode hints", "add --mode hints", code=2)
    return list(SHARES) if curve else sorted({percent / 100 for percent in percents}) or [HINT_SHARE]


def _name(model: str, loaded: Loaded) -> str:
    """Return what a table calls a model: its run or file instead of its whole path, and its adapters."""
    from colorize.evaluation.baselines import BASELINES

    path, name = Path(model), model
    if path.suffix == ".safetensors":
        name = path.parent.name if path.stem == "model" and path.parent.name else path.stem
    name = f"{name} (model)" if name in BASELINES else name
    return " + ".join([name, *(one.text for one in loaded.adapters)])


def _samples(
    recipe: Recipe, data: Path, modes: Sequence[str], shares: Sequence[float], protocol: dict[str, Any]
) -> list[Samples]:
    """Return the samples of every mode and share of hints; without `modes`, of all that model and folder allow.

    Raises ColorizeError if a mode that was asked for is impossible, or the folder.
    """
    from colorize.evaluation.samples import HINT_SHARE, MODES, Dataset, samples

    dataset = Dataset(data)
    found: list[Samples] = []
    notes = []  # said at the end: they are no news if there is no mode at all
    for mode in dict.fromkeys(modes or MODES):
        try:
            needs = MODES[mode].needs if mode in MODES else ""
            if needs and needs not in recipe.hints:
                message = f"the mode {mode} needs {needs}, which `{recipe.name}` does not take"
                raise ColorizeError(message, "choose another --mode", code=2)
            of_mode = shares if mode == "hints" else [HINT_SHARE]
            some = [samples(dataset, mode, share=share, **protocol) for share in of_mode]
        except ColorizeError as error:
            asked = modes or (mode == "hints" and shares != [HINT_SHARE])
            if asked or (mode == list(MODES)[-1] and not found):
                raise
            if mode != "stored":  # few folders store hints, and nobody misses them
                notes.append(f"note: without the mode {mode}: {error.message}")
            continue
        if some[0].left_out:
            messages.say(f"note: {mode}: {some[0].left_out}")
        found += some
    for note in notes:
        messages.say(note)
    return found


class _Scorer:
    """Colors pictures with a model and baselines, scores them, and keeps some for the sheet and the page."""

    def __init__(
        self,
        loaded: Loaded,
        name: str,
        options: SampleOptions,
        baselines: Sequence[Baseline],
        perceptual: bool,
        oracle: bool,
    ) -> None:
        from colorize.evaluation import metrics

        self.loaded, self.name, self.options, self.baselines = loaded, name, options, baselines
        self.perceptual = self.fid = perceptual
        self.oracle = oracle
        if perceptual:
            metrics.lpips()  # fails now, not after the first picture
        self.sheet: list[list[Tensor]] = []
        self.unread: dict[str, str] = {}  # pictures that could not be read, and why

    def tables(self, runs: Sequence[Samples], rows: int, page: bool) -> list[Table]:
        """Return the scores of every run, with examples for a page; rows: of the sheet, per run."""
        from colorize.evaluation.samples import HINT_SHARE
        from colorize.evaluation.sheets import cell

        # Of several shares of hints the one nearest to the default has pictures on the page.
        order = sorted(runs, key=lambda run: -abs(run.protocol.hint_share - HINT_SHARE))
        pictured = {run.protocol.mode: run for run in order} if page else {}
        places = [{at * len(run) // rows for at in range(rows)} for run in runs]
        self.side = cell(sum(map(len, places)), max(run.protocol.size for run in runs))
        with messages.bar() as bar:
            task = bar.add_task("scoring", total=sum(len(run) * len(self._ways(run)) for run in runs))
            return [
                self._table(run, shown, run is pictured.get(run.protocol.mode), lambda: bar.advance(task))
                for run, shown in zip(runs, places, strict=True)
            ]

    def _paint(self, sample: Sample) -> Tensor:
        """Color a sample as `sample` would color its files, (1, 3, S, S)."""
        from colorize.coloring.options import Job, Named
        from colorize.coloring.paint import paint_all
        from colorize.images.image import from_tensor

        given = sample.reference
        references = () if given is None else (Named("the reference", from_tensor(given)),)
        job = Job(sample.file, from_tensor(sample.drawing), references, sample.hints)
        (outcome,) = paint_all(self.loaded, [job], self.options)
        if outcome.error:
            raise outcome.error
        return outcome.painted[0].picture.tensor()

    def _ways(self, run: Samples) -> dict[str, Callable[[Sample], Tensor]]:
        allowed = {one.name: one.paint for one in self.baselines if run.protocol.mode in one.modes}
        return {self.name: self._paint, **allowed}

    def _table(self, run: Samples, shown: set[int], pictured: bool, advance: Callable[[], None]) -> Table:
        """Score one run, the model first. shown: which pictures are on the sheet. pictured: keep examples."""
        from colorize.evaluation import budget, sheets
        from colorize.evaluation.report import Table
        from colorize.evaluation.score import Entry, Row, score

        ways, failed, thumbnails = self._ways(run), [], {}
        rows: dict[str, list[Row]] = {name: [] for name in ways}
        distances, counted = self._distances(ways), []
        for at, sample in run.readable(self.unread):
            interrupts.check()
            try:
                scored = {name: score(paint, sample, self.perceptual) for name, paint in ways.items()}
            except ColorizeError as error:  # of the picture, such as a reference without color
                failed.append(f"{sample.file}: {error.message}")
                continue
            for name, (row, result) in scored.items():
                rows[name].append(row)
                advance()
                if name in distances:
                    distances[name].add(result, sample.truth)
            result = scored[self.name][1]
            if self.oracle and sample.reference is not None:
                counted.append(budget.causes(result, sample))
            if at in shown:
                self.sheet.append(sheets.sheet_row(sample, result, self.side))
            if pictured:
                thumbnails[sample.file] = sheets.thumbnail(result)
        self._say_missing(run, len(rows[self.name]), failed)
        values = {name: distance.value() for name, distance in distances.items()}
        extra = {name: {"fid": value} for name, value in values.items() if value is not None}
        entries = tuple(Entry(name, run.protocol, tuple(rows[name]), extra.get(name, {})) for name in ways)
        pictures = sheets.examples(run, entries, thumbnails) if pictured else ()
        return Table(entries, pictures, tuple(budget.table(counted)))

    def _say_missing(self, run: Samples, scored: int, failed: Sequence[str]) -> None:
        """Say which pictures could not be colored, and how many were scored; raises ColorizeError if none was."""
        messages.listed(f"{run.protocol}: left out", "picture", failed)
        if not scored:
            raise ColorizeError("no picture could be colored", next(iter([*failed, *self.unread.values()]), ""))
        if scored < len(run):
            messages.say(f"{run.protocol}: scored {scored} of {messages.counted(len(run), 'picture')}")

    def _distances(self, ways: Mapping[str, object]) -> dict[str, FrechetDistance]:
        """Return an empty FID for each model, if it is wanted and can be had."""
        from colorize.evaluation.metrics import FrechetDistance

        if not self.fid:
            return {}
        try:
            return {name: FrechetDistance() for name in ways}
        except ColorizeError as error:  # it needs one package more than LPIPS
            messages.say(f"note: without FID: {error}")
            self.fid = False
            return {}


def _facts(recipe: Recipe, options: SampleOptions, protocol: Protocol) -> dict[str, str]:
    """Return what a page says of a model and its protocol, besides the scores."""
    from colorize.coloring.options import sampling

    walk = sampling(recipe, options)
    hinted = {"hints": f"taken in the mode {options.hint_mode}"} if protocol.hint_share else {}
    return {
        "recipe": recipe.name,
        "drawings": "line art" if protocol.kind == "line" else "gray pictures",
        "pictures": f"fitted into {protocol.size} x {protocol.size} pixels",
        "sampling": f"{walk.sampler}, {messages.counted(walk.steps, 'step')}",
        **hinted,
        "seed": str(protocol.seed),
        "program": f"colorize {__version__}",
    }


def _write_page(path: Path, name: str, facts: Mapping[str, str], tables: Sequence[Table]) -> None:
    """Write the page of `report.page`, whole or not at all."""
    from colorize.evaluation.report import page
    from colorize.images import files

    text = page(name, facts, tables)
    with files.atomic(path) as temporary:  # names may hold bytes that are no Unicode
        temporary.write_bytes(text.encode("utf-8", "replace"))
    messages.say(f"the page is `{path}`")


def _print(tables: Sequence[Table], as_json: bool, as_markdown: bool) -> None:
    """Print the scores to stdout: as JSON, as Markdown, or as tables for the terminal."""
    from rich.console import Console

    from colorize.evaluation import report

    if as_json:
        typer.echo(report.to_json(tables))
    elif as_markdown:
        typer.echo("\n".join(table.markdown() for table in tables), nl=False)
    else:
        Console().print(*report.to_terminal(tables), sep="\n")
