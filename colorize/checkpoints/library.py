"""What models there are: embedded, in the cache of the Hub, trained here, published, and recipes without weights."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from colorize import recipes
from colorize.checkpoints import access, adapters, cards, foreign, hub, model_files
from colorize.checkpoints.hub import SUFFIX, WEIGHTS, Address
from colorize.checkpoints.model_files import EMBEDDED
from colorize.errors import ColorizeError
from colorize.images.files import content
from colorize.recipes import overrides
from colorize.recipes.recipe import Recipe
from colorize.system import System

if TYPE_CHECKING:
    from huggingface_hub import CachedRepoInfo

KNOWN = {  # published models on the Hub: recipe, bytes, license
    "tellurion/ColorizeDiffusion": ("colorize-diffusion", 3_900_000_000, "cc-by-nc-sa-4.0")
}
HIDDEN = ("format", "config", "recipe", "layout", "weights", "license")  # words of a header that are for programs
Place = Literal["embedded", "cached", "trained", "published", "recipe", "file"]


@dataclass(frozen=True)
class Entry:
    """A model, an adapter, or a recipe without weights.

    takes: the hints it can be given, and `text`. license: "" if none is named. bytes: of all its files. scores: rows of
    the first table in the card's section `Scores`, by column. files: names and bytes. facts: what its file says of
    itself. card: its README.md.
    """

    name: str
    where: Place
    recipe: str = ""
    takes: tuple[str, ...] = ()
    license: str = ""
    bytes: int | None = None
    kind: Literal["model", "adapter"] = "model"
    scores: tuple[Mapping[str, str], ...] = ()
    files: Mapping[str, int | None] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None
    card: str = ""

    def fits(self, model: Entry) -> bool:
        """Whether this is an adapter that was trained on a model."""
        base = re.split("[,@]", self.facts.get("base", ""))[0]
        return self.kind == "adapter" and base in (model.name, model.path)


def every() -> Iterator[Entry]:
    """Find all models that are here, those known to be published, and the other recipes; uses no network."""
    yield find(EMBEDDED)
    fetched = [entry for entry in map(_in_cache, cache()) if entry.recipe or entry.kind == "adapter"]
    yield from fetched
    yield from trained()
    for name, (recipe, size, license_) in KNOWN.items():
        if name not in [entry.name for entry in fetched]:
            yield Entry(name, "published", recipe, _takes(recipes.find(recipe)), license_, size)
    for one in recipes.every():
        if one.name not in (EMBEDDED, *(recipe for recipe, _, _ in KNOWN.values())):
            yield _of_recipe(one.name)


def trained() -> Iterator[Entry]:
    """Find models and adapters in `runs/`."""
    for file in (WEIGHTS, adapters.FILE):
        for path in sorted(Path("runs").glob(f"*/{file}")):
            if path.is_file():
                yield of_file(str(path.parent), "trained", path)


def find(name: str, offline: bool = False) -> Entry:
    """Describe a model by what `model_files.load` takes, an adapter, or a recipe; fetches no weights.

    offline: use no network. Raises ColorizeError if there is no such model.
    """
    path = Path(name, adapters.FILE) if Path(name).is_dir() else Path(name)
    if path.name == adapters.FILE and path.is_file() and not path.with_name(WEIGHTS).is_file():
        return of_file(name, "trained", path)
    if name != EMBEDDED and name.partition(":")[0] in recipes.names():
        run = Path("runs", name.replace(":", "-"), WEIGHTS)
        return of_file(name, "trained", run) if run.is_file() else _of_recipe(name)
    model_files.check(name)
    address = hub.parse_address(name)
    if address is None or Path(name).exists():
        found = Path(str(model_files.find(name).file))
        here: Place = "embedded" if name == EMBEDDED else "trained" if found.parts[:1] == ("runs",) else "file"
        return of_file(name, here, found)
    repository = next((one for one in cache() if one.repo_id == address.name), None)
    entry = _in_cache(repository) if repository and str(address) == address.name else None
    if entry and entry.path:
        return entry
    return of_file(name, "cached", hub.fetch(address, offline=True).path) if offline else _on_hub(address)


def _of_recipe(name: str) -> Entry:
    recipe = recipes.find(name)
    facts = {"about": recipe.help, "weights": foreign.PLACES.get(name, "none were published")}
    return Entry(name, "recipe", recipe.name, _takes(recipe), facts=facts)


def _on_hub(address: Address) -> Entry:
    """Describe a model by the list of its files and its card."""
    listed, texts = hub.look(address)
    recipe = recipes.find(KNOWN[address.name][0]) if address.name in KNOWN else None
    with suppress(ColorizeError, *model_files.INVALID):  # of another program
        data = json.loads(texts[hub.CONFIG])
        recipe = overrides.from_dict(recipes.find(data["name"]), data)
    card = texts.get(hub.CARD, "")
    sizes = {one.rfilename: one.size for one in listed.siblings or ()}
    return Entry(
        str(address),
        "published",
        recipe.name if recipe else "",
        _takes(recipe) if recipe else (),
        cards.license_of(card),
        sum(size or 0 for size in sizes.values()),
        scores=_scores(card),
        files=sizes,
        facts={"commit": str(listed.sha)},
        card=card,
    )


def of_file(name: str, where: Place, path: Path, files: Mapping[str, int | None] | None = None) -> Entry:
    """Describe a file of weights by its header and the card beside it; one that cannot be read has no recipe."""
    beside, size = path.with_name(hub.CARD), path.stat().st_size
    recipe = recipes.find(KNOWN[name][0]) if name in KNOWN else None
    facts: Mapping[str, str]
    try:
        found, facts = model_files.recipe_in(path)
        recipe = found or recipe
    except ColorizeError as error:
        facts = {"damaged": error.message}
    adapter = facts.get("format") == adapters.FORMAT
    card = content(beside).decode("utf-8", "replace") if beside.is_file() else ""
    return Entry(
        name,
        where,
        recipe.name if recipe else facts.get("recipe", "") if adapter else "",
        _takes(recipe) if recipe else (),
        cards.license_in(beside) or facts.get("license", ""),
        size,
        "adapter" if adapter else "model",
        _scores(card),
        files or {path.name: size},
        {key: text for key, text in facts.items() if key not in HIDDEN},
        str(path),
        card,
    )


def _takes(recipe: Recipe) -> tuple[str, ...]:
    """Return what a model of a recipe can be given: its hints, and `text` where that moves colors of a reference."""
    return (*recipe.hints, *(() if type(recipe.system).region_map is System.region_map else ("text",)))


def _scores(card: str) -> tuple[Mapping[str, str], ...]:
    section = re.search(r"(?ims)^## scores *$(.*?)(?=^## |\Z)", card)
    lines = re.findall(r"(?m)^\|(.*)\|\s*$", section.group(1)) if section else []
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return tuple(dict(zip(rows[0], row, strict=True)) for row in rows[2:] if len(row) == len(rows[0]))


# The cache


def cache() -> list[CachedRepoInfo]:
    """Return the models in the cache of the Hub's library, of whatever program, by name."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        found = scan_cache_dir(access.cache()).repos
    except CacheNotFound:
        return []
    return sorted((one for one in found if one.repo_type == "model"), key=lambda one: one.repo_id)


def remove(repository: CachedRepoInfo) -> int:
    """Remove a model from the cache, broken downloads included; return the bytes that were freed."""
    from huggingface_hub import scan_cache_dir

    broken = sum(path.stat().st_size for path in repository.repo_path.rglob("*.incomplete"))
    revisions = [one.commit_hash for one in repository.revisions]
    strategy = scan_cache_dir(access.cache()).delete_revisions(*revisions)
    strategy.execute()
    shutil.rmtree(repository.repo_path, ignore_errors=True)
    return int(strategy.expected_freed_size) + broken


def _in_cache(repository: CachedRepoInfo) -> Entry:
    """Describe a model in the cache, of its newest commit; without a recipe it is of another program."""
    name, size = repository.repo_id, repository.size_on_disk
    newest = max(repository.revisions, key=lambda one: ("main" in one.refs, one.last_modified), default=None)
    files = {str(one.file_path.relative_to(newest.snapshot_path)): one for one in newest.files} if newest else {}
    weights = sorted((file for file in files if file.endswith(SUFFIX)), key=lambda file: (file != WEIGHTS, file))
    sizes = {file: one.size_on_disk for file, one in sorted(files.items())}
    if not weights:
        return Entry(name, "cached", bytes=size, files=sizes)
    return replace(of_file(name, "cached", files[weights[0]].file_path, sizes), bytes=size)
