"""`colorize models`: list, describe, fetch, publish and remove models."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from colorize.cli import complete, messages
from colorize.cli.help import Command, Group
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.checkpoints.hub import Address
    from colorize.checkpoints.library import Entry

EXAMPLES = """\b
Examples:
  colorize models
  colorize models info mini
  colorize models pull tellurion/ColorizeDiffusion
  colorize models push runs/mini-finetune me/my-series --license cc-by-4.0"""
HEADINGS = {  # where a model is -> what the list calls it
    "embedded": "Embedded",
    "cached": "In the cache of the Hub",
    "trained": "Trained in this folder",
    "published": "Published; fetch with `colorize models pull NAME`",
    "recipe": "Recipes without weights; train with `colorize train NAME`",
    "file": "A file here",
}
LONG = 300  # characters of a fact
ROWS = 8  # of a training log, in a card
UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "bytes"))
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout")]
Offline = Annotated[bool, typer.Option("--offline", help="Use no network, only the cache of models")]
Known = complete.of("model")
OnHub = Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A model on the Hub", autocompletion=Known)]


class Listing(Group):
    """Subcommands; without one, `list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` before options that are not of the group."""
        if not ctx.resilient_parsing and not any(
            not word.startswith("-") or word in ctx.help_option_names for word in args
        ):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the subcommand; one that is not known gets the name of a near one only."""
        messages.check_command(self, args)
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=Listing, epilog=EXAMPLES, context_settings={"help_option_names": ["--help", "-h"]})


@app.callback()
def models() -> None:
    """List, describe, fetch, publish and remove models.

    Without a subcommand: list them.
    """


@app.command("list", cls=Command)
def list_models(as_json: AsJson = False, offline: Offline = False) -> None:
    """List models: embedded, fetched, trained here, and known.

    Uses no network in any case.
    """
    from colorize.checkpoints import library

    del offline  # accepted, since people give it
    found = list(library.every())
    if as_json:
        typer.echo(json.dumps([_document(entry) for entry in found], indent=2))
        return
    width = min(32, max(len(entry.name) for entry in found))
    for where, heading in HEADINGS.items():
        rows = [entry for entry in found if entry.where == where]
        if rows:
            typer.echo(heading)
        for entry in rows:
            license_ = entry.license or ("-" if where == "recipe" else "no license")
            takes = _takes(entry)
            messages.tell(f"  {entry.name:{width}}  {_size(entry.bytes):>7}  {license_:15}  {takes}")
            if entry.scores:
                (_, what), *scores = entry.scores[0].items()
                messages.tell("    " + ", ".join(f"{name.lower()} {score}" for name, score in scores[:2]) + f": {what}")
    typer.echo("Card, scores and files of one: `colorize models info NAME`")


@app.command(cls=Command)
def info(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A recipe's name, OWNER/NAME[/FILE] on the Hub, a file, or a folder",
            autocompletion=Known,
        ),
    ],
    as_json: AsJson = False,
    offline: Offline = False,
) -> None:
    """Describe a model: what it takes, its license, files, adapters and card.

    Weights are not fetched for this.
    """
    from colorize.checkpoints import library

    entry = library.find(name, offline)
    adapters = [one.name for one in library.trained() if one.fits(entry)]
    if as_json:
        shown = {**_document(entry), "facts": dict(entry.facts), "files": dict(entry.files), "adapters": adapters}
        typer.echo(json.dumps({**shown, "card": entry.card}, indent=2))
        return
    lines = {
        "recipe": entry.recipe or "unknown",
        "takes": _takes(entry),
        "license": entry.license or "none named",
        "size": _size(entry.bytes),
        "files": ", ".join(f"{file} ({_size(size)})" for file, size in entry.files.items()),
        **entry.facts,
        "adapters": ", ".join(adapters),
        "path": entry.path or "",
    }
    place = HEADINGS[entry.where].partition(";")[0].lower()
    messages.tell(f"{entry.name}: {place.replace('recipes', 'a recipe')}")
    for key, text in lines.items():
        if text:
            text = " ".join(text.split())
            messages.tell(f"{key + ':':10} {text if len(text) <= LONG else text[:LONG] + '...'}")
    for line in ("", *entry.card.strip().splitlines()) if entry.card else ():
        messages.tell(line.expandtabs())


@app.command(cls=Command)
def pull(name: OnHub, offline: Offline = False) -> None:
    """Fetch a model from the Hub into the cache, or resume a download.

    Prints the path of its weights. `sample --model OWNER/NAME` also fetches what is missing.
    """
    from colorize.checkpoints import library, model_files

    address = _address(name, files=True)
    _quiet()
    found = model_files.find(name, offline)
    path = Path(str(found.file))
    messages.name_result(path)
    messages.say(f"fetched {found.source}, {_size(path.stat().st_size)}" if found.notice else f"in the cache: {name}")
    messages.fetched(found.notice)
    if not library.of_file(address.name, "cached", path).recipe:
        messages.say(f"note: `{name}` does not say that it is a model of colorize")


@app.command(cls=Command)
def push(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="The model to publish: a file, or a folder such as a run", autocompletion=Known
        ),
    ],
    name: OnHub,
    license_: Annotated[
        str | None,
        typer.Option(
            "--license", metavar="LICENSE", help="License of the weights, such as cc-by-4.0  [default: the model's]"
        ),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Let everybody see a new repository; without it only you see it")
    ] = False,
    data: Annotated[
        str, typer.Option(metavar="TEXT", help="For the card: what pictures it was trained on, and their licenses")
    ] = "",
    scores: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For the card: the output of `colorize eval --markdown`")
    ] = None,
) -> None:
    """Publish a model on the Hub, with its recipe and its card.

    Without a README.md beside the weights, a card is made with data, license, scores and training log.
    It replaces one on the Hub only with --license, --data or --scores.
    Log in with `hf auth login` first, or set HF_TOKEN.
    """
    from colorize.checkpoints import cards, hub, model_files

    _address(name)
    path = Path(str(model_files.find(model, offline=True).file))
    recipe, header = model_files.recipe_in(path)
    if recipe is None:
        what = "is an adapter, and only whole models are published" if header else "is not a model of colorize"
        raise ColorizeError(f"`{model}` {what}", "name a model.safetensors that colorize wrote, or its folder", code=2)
    card = path.with_name(hub.CARD)
    if card.is_file() and (license_ or data or scores):
        message = f"`{card}` exists, so --license, --data and --scores have no effect"
        raise ColorizeError(message, "write them into it, or move it away to have one made", code=2)
    named = cards.license_in(card) if card.is_file() else license_ or header.get("license", "")
    if not named:
        way_out = f"add `license: cc-by-4.0` to the fields of `{card}`" if card.is_file() else "add --license cc-by-4.0"
        raise ColorizeError(f"`{model}` has no license", f"{way_out}, or the one you choose", code=2)
    about = {
        "license": named,
        "data": data,
        "scores": _read_scores(scores) if scores else "",
        "training log": _log(path.with_name("log.jsonl")),
    }
    _quiet()
    about = {key: text for key, text in about.items() if text}
    renew = bool(license_ or data or scores)
    typer.echo(model_files.push(path, name, private=not public, about=about, renew=renew))
    seen = "everybody sees it" if public else f"a new repository is private until you change that at {hub.page(name)}"
    messages.say(f"pushed `{model}` to `{name}`, {_size(path.stat().st_size)}; {seen}")
    messages.say(f"next: colorize sample DRAWING --model {name}")
    if not (card.is_file() or data):
        messages.say("note: a new card says nothing about the pictures it was trained on; --data adds that")
    begun = header.get("license", "")
    if begun and begun.lower() != named.lower():
        messages.say(f"note: the weights it began with are under {begun}; make sure that {named} is allowed")


@app.command(cls=Command)
def remove(name: OnHub, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False) -> None:
    """Remove a model from the cache of this machine; the Hub keeps it."""
    from colorize.checkpoints import library

    _address(name)
    repository = next((one for one in library.cache() if one.repo_id == name), None)
    if repository is None:
        raise ColorizeError(f"`{name}` is not in the cache", "see `colorize models` for what is")
    if not yes:
        size = _size(repository.size_on_disk)
        if sys.stdin is None or not sys.stdin.isatty():
            raise ColorizeError(f"removing `{name}` would free {size}", "add --yes to do it", code=2)
        if not typer.confirm(f"Remove `{name}` from the cache and free {size}?", err=True):
            return
    messages.say(f"removed `{name}` from the cache: {_size(library.remove(repository))} freed")


def _address(text: str, files: bool = False) -> Address:
    """Read OWNER/NAME, with files also OWNER/NAME/FILE@REVISION (ColorizeError, wrong usage, for anything else)."""
    from colorize.checkpoints import hub
    from colorize.images.files import shown

    address = hub.parse_address(text)
    if address is None or not (files or str(address) == address.name):
        hint = hub.FORM if files else "write it as OWNER/NAME"
        raise ColorizeError(f"`{shown(text)}` is not the name of a model on the Hub", hint, code=2)
    return address


def _read_scores(path: Path) -> str:
    """Return a table in Markdown (ColorizeError if it is none)."""
    from colorize.images.files import content

    try:
        text = content(path).decode()
    except (OSError, UnicodeError) as error:
        raise ColorizeError(f"--scores `{path}` cannot be read: {error}", "check the path", code=2) from error
    if "|" not in text:
        hint = f"make it with `colorize eval MODEL DATA --markdown > {path}`"
        raise ColorizeError(f"--scores `{path}` holds no table in Markdown", hint, code=2)
    return text.strip()


def _log(path: Path) -> str:
    """Return a few rows of a run's log as a table in Markdown; "" without a log."""
    from colorize.images import json_lines

    names = ("step", "loss", "lr", "seconds")
    rows = [row for row in json_lines.read(path) if all(isinstance(row.get(name), int | float) for name in names)]
    shown = [rows[round(at * (len(rows) - 1) / (ROWS - 1))] for at in range(ROWS)] if len(rows) > ROWS else rows
    if not shown:
        return ""
    lines = [f"| {row['step']} | {row['loss']:.4f} | {row['lr']:.2g} | {row['seconds'] / 60:.1f} |" for row in shown]
    return "\n".join(["| Step | Loss | Learning rate | Minutes |", "| ---: | ---: | ---: | ---: |", *lines])


def _takes(entry: Entry) -> str:
    return ", ".join(entry.takes) or ("adapter" if entry.kind == "adapter" else "unknown")


def _quiet() -> None:
    """Leave out the bars of the Hub's library where nobody watches."""
    if not messages.on_terminal():
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

        disable_progress_bars()


def _size(count: int | None) -> str:
    """Write a number of bytes: 3.9 GB, 16 MB, 12 kB."""
    if count is None:
        return "-"
    unit, name = next((each for each in UNITS if count >= each[0]), UNITS[-1])
    number = count / unit
    return f"{number:.1f} {name}" if number < 9.95 and unit > 1 else f"{number:.0f} {name}"


def _document(entry: Entry) -> dict[str, Any]:
    """Return what the list says of a model, JSON-able."""
    names = ("name", "where", "kind", "path", "bytes", "license", "recipe", "takes", "scores")
    return {name: getattr(entry, name) for name in names}
