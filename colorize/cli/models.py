"""`colorize models`: list, describe, fetch, publish and remove models."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from colorize.cli import messages
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.checkpoints.hub import Address
    from colorize.recipes.recipe import Recipe

EXAMPLES = """\b
Examples:
  colorize models
  colorize models info mini
  colorize models pull tellurion/ColorizeDiffusion
  colorize models push runs/mini-finetune me/my-series --license cc-by-4.0"""
KNOWN = {  # published models on the Hub: recipe, bytes, license
    "tellurion/ColorizeDiffusion": ("colorize-diffusion", 3_900_000_000, "cc-by-nc-sa-4.0"),
}
HEADINGS = {  # where a model is -> what the list calls it
    "embedded": "Embedded",
    "cached": "In the cache of the Hub",
    "trained": "Trained in this folder",
    "published": "Published; fetch with `colorize models pull NAME`",
    "recipe": "Recipes without weights; train with `colorize train NAME`",
}
ROWS = 8  # of a training log, in a card
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout")]
Offline = Annotated[bool, typer.Option("--offline", help="Use no network, only the cache of models")]
OnHub = Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A model on the Hub")]


@dataclass(frozen=True)
class Entry:
    """A model, or a recipe without weights.

    where: one of HEADINGS. takes: the hints it can be given. scores: rows of the first table in the card's section
    "Scores", by column. files: names and bytes. facts: what its file says of itself, such as its license.
    """

    name: str
    where: str
    recipe: str = ""
    takes: tuple[str, ...] = ()
    license: str = ""
    bytes: int | None = None
    kind: str = "model"  # or adapter
    scores: tuple[Mapping[str, str], ...] = ()
    files: Mapping[str, int | None] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None
    card: str = ""


class Listing(TyperGroup):
    """Subcommands; without one, `list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` before options that are not of the group."""
        if not any(not word.startswith("-") or word in ctx.help_option_names for word in args):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=Listing, epilog=EXAMPLES, context_settings={"help_option_names": ["--help", "-h"]})


@app.callback()
def models() -> None:
    """List, describe, fetch, publish and remove models.

    Without a subcommand: list them.
    """


@app.command("list")
def list_models(as_json: AsJson = False, offline: Offline = False) -> None:
    """List models: embedded, fetched, trained here, and known.

    Uses no network in any case.
    """
    found = list(_entries())
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
            takes = ", ".join(entry.takes) or entry.kind
            typer.echo(f"  {entry.name:{width}}  {_size(entry.bytes):>7}  {license_:15}  {takes}")
    typer.echo("Card, scores and files of one: `colorize models info NAME`")


@app.command()
def info(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A recipe's name, OWNER/NAME[/FILE] on the Hub, a file, or a folder")
    ],
    as_json: AsJson = False,
    offline: Offline = False,
) -> None:
    """Describe a model: what it takes, its license, files, adapters and card.

    Weights are not fetched for this.
    """
    entry = _described(name, offline)
    adapters = [one.name for one in _trained() if one.kind == "adapter" and _fits(one, entry)]
    if as_json:
        shown = {**_document(entry), "facts": dict(entry.facts), "files": dict(entry.files), "adapters": adapters}
        typer.echo(json.dumps({**shown, "card": entry.card}, indent=2))
        return
    lines = {
        "recipe": entry.recipe or "unknown",
        "takes": ", ".join(entry.takes) or entry.kind,
        "license": entry.license or "none named",
        "size": _size(entry.bytes),
        "files": ", ".join(f"{file} ({_size(size)})" for file, size in entry.files.items()),
        **{key: text for key, text in entry.facts.items() if key not in ("license", "config", "recipe")},
        "adapters": ", ".join(adapters),
        "path": entry.path or "",
    }
    typer.echo(f"{entry.name}: {HEADINGS[entry.where].partition(';')[0].lower()}")
    for key, text in lines.items():
        if text:
            typer.echo(f"{key + ':':10} {text if len(text) <= 300 else text[:297] + '...'}")
    if entry.card:
        typer.echo(f"\n{entry.card.strip()}")


@app.command()
def pull(name: OnHub, offline: Offline = False) -> None:
    """Fetch a model from the Hub into the cache, or resume a download.

    Prints the path of its weights. `sample --model OWNER/NAME` also fetches what is missing.
    """
    from colorize.checkpoints import hub, model_files

    _address(name, files=True)
    found = model_files.find(name, offline)
    path = Path(str(found.file))
    typer.echo(path)
    messages.say(f"fetched {found.source}, {_size(path.stat().st_size)}" if found.notice else f"in the cache: {name}")
    messages.fetched(found.notice)
    if not (path.with_name(hub.CONFIG).is_file() or name.partition("@")[0] in KNOWN) and not _recipe(path)[1]:
        messages.say("note: it does not say that it is a model of colorize")


@app.command()
def push(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model to publish: a file, or a folder such as a run")],
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

    Without a README.md beside the weights a card is made, with data, license, scores and training log.
    Log in with `hf auth login` first, or set HF_TOKEN.
    """
    from colorize.checkpoints import hub, model_files

    _address(name)
    path = Path(str(model_files.find(model, offline=True).file))
    recipe, header = _recipe(path)
    if recipe is None:
        what = "is an adapter, and only whole models are published" if header else "is not a model of colorize"
        raise ColorizeError(f"`{model}` {what}", "name a model.safetensors that colorize wrote, or its folder", code=2)
    card = path.with_name(hub.CARD)
    if card.is_file() and (license_ or data or scores):
        message = f"`{card}` exists, so --license, --data and --scores have no effect"
        raise ColorizeError(message, "write them into it, or move it away to have one made", code=2)
    named = _license(card) if card.is_file() else license_ or header.get("license", "")
    if not named:
        way_out = f"add `license: cc-by-4.0` to the fields of `{card}`" if card.is_file() else "add --license cc-by-4.0"
        raise ColorizeError(f"`{model}` has no license", f"{way_out}, or the one you choose", code=2)
    about = {"license": named, "data": data, "scores": _text(scores), "training log": _log(path.with_name("log.jsonl"))}
    address = model_files.push(path, name, private=not public, about={key: text for key, text in about.items() if text})
    typer.echo(address)
    seen = "everybody sees it" if public else f"a new repository is private until you change that at {hub.page(name)}"
    messages.say(f"pushed `{model}` to `{name}`, {_size(path.stat().st_size)}, {named}; {seen}")
    messages.say(f"next: colorize sample DRAWING --model {name}")


@app.command()
def remove(
    name: OnHub, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False
) -> None:
    """Remove a model from the cache of this machine; the Hub keeps it."""
    _address(name)
    repository = next((one for one in _cache() if one.repo_id == name), None)
    if repository is None:
        raise ColorizeError(f"`{name}` is not in the cache", "see `colorize models` for what is")
    if not yes:
        size = _size(repository.size_on_disk)
        if sys.stdin is None or not sys.stdin.isatty():
            raise ColorizeError(f"removing `{name}` would free {size}", "add --yes to do it", code=2)
        if not typer.confirm(f"Remove `{name}` from the cache and free {size}?", err=True):
            return
    messages.say(f"removed `{name}` from the cache: {_size(_delete(repository))} freed")


def _address(text: str, files: bool = False) -> Address:
    """Read OWNER/NAME, with files also OWNER/NAME/FILE@REVISION (ColorizeError, wrong usage, for anything else)."""
    from colorize.checkpoints import hub
    from colorize.images.files import shown

    address = hub.parse_address(text)
    if address is None or not (files or str(address) == address.name):
        hint = hub.FORM if files else "write it as OWNER/NAME"
        raise ColorizeError(f"`{shown(text)}` is not the name of a model on the Hub", hint, code=2)
    return address


def _cache() -> list[CachedRepoInfo]:
    """Return the models in the cache of the Hub's library, of whatever program."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        found = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return []
    return sorted((one for one in found if one.repo_type == "model"), key=lambda one: one.repo_id)


def _delete(repository: CachedRepoInfo) -> int:
    """Remove a model from the cache, broken downloads included; return the bytes that were freed."""
    from huggingface_hub import constants, scan_cache_dir

    revisions = [one.commit_hash for one in repository.revisions]
    strategy = scan_cache_dir(constants.HF_HUB_CACHE).delete_revisions(*revisions)
    strategy.execute()
    rest = [path for path in repository.repo_path.rglob("*") if path.is_file() and not path.is_symlink()]
    freed = strategy.expected_freed_size + sum(path.stat().st_size for path in rest)
    shutil.rmtree(repository.repo_path, ignore_errors=True)
    return freed


def _entries() -> Iterator[Entry]:
    """Find all models, in the order of HEADINGS."""
    from colorize import recipes
    from colorize.checkpoints import hub
    from colorize.checkpoints.model_files import EMBEDDED

    yield _described(EMBEDDED, offline=True)
    cached = [one.repo_id for one in _cache()]
    for name in cached:
        address = hub.parse_address(name)
        fetched = address and hub.cached(address, any_file=True)
        entry = fetched and _of_file(name, "cached", fetched.path, fetched.folder)
        if entry and entry.recipe:  # else of another program
            yield entry
    yield from _trained()
    for name, (recipe, size, license_) in KNOWN.items():
        if name not in cached:
            yield Entry(name, "published", recipe, _takes(recipes.find(recipe)), license_, size)
    for one in recipes.every():
        if one.name != EMBEDDED and one.name not in [recipe for recipe, _, _ in KNOWN.values()]:
            yield _of_recipe(one)


def _trained() -> Iterator[Entry]:
    """Find models and adapters in `runs/`."""
    from colorize.checkpoints import adapters, hub

    for file in (hub.WEIGHTS, adapters.FILE):
        for path in sorted(Path("runs").glob(f"*/{file}")):
            yield _of_file(str(path.parent), "trained", path, path.parent)


def _described(name: str, offline: bool) -> Entry:
    """Find one model, without its weights if it is only on the Hub."""
    from colorize import recipes
    from colorize.checkpoints import adapters, hub, model_files

    model_files.check(name) if not Path(name, adapters.FILE).is_file() else None
