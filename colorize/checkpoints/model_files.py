"""Find a model's file (in the package, a run, on the disk, on the Hub), load the system in it, and save one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import torch

from colorize import __version__, recipes
from colorize.checkpoints import adapters, cards, foreign, hub, upload, weights_io
from colorize.checkpoints.adapters import AdapterPaths, AppliedAdapter
from colorize.checkpoints.hub import FORM, SUFFIX
from colorize.checkpoints.weights_io import AGAIN, refused, unreadable
from colorize.errors import ColorizeError, nearest, within
from colorize.images.files import atomic, content, shown
from colorize.model import Colorizer
from colorize.recipes import overrides
from colorize.recipes.recipe import Recipe
from colorize.system import LoadOptions, ModelFile

EMBEDDED = "mini"  # the recipe whose weights are inside the package
RESERVED = ("format", "version", "recipe", "config")  # our own names in a file's header
CRITIC = "critic."  # before the names of weights that only training needs
MAX_STEPS = 100_000  # of a schedule's table; 1000 is usual
MAX_BLOCKS = 1000  # of a network; 20 are usual
# What an invalid description raises; RecursionError is a RuntimeError.
INVALID = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError)


@dataclass(frozen=True)
class Found:
    """The file of a model.

    source: its name for people. facts: what is known of it beside what it says itself: of a model on the Hub its
    `license` and its `base`, the address that gives it again. notice: its license, in a line for people, if it was
    downloaded only now. sha256: of a file on the Hub.
    """

    file: Traversable
    source: str
    facts: dict[str, str] = field(default_factory=dict)
    notice: str = ""
    sha256: str = ""


def find(model: str | Path, offline: bool = False) -> Found:
    """Find the file of a model, and fetch it if it lies on the Hub; see `load`.

    Raises ColorizeError if there is no such model, or it cannot be fetched.
    """
    found = _located(model)
    if isinstance(found, Found):
        return found
    fetched = hub.fetch(found, offline)
    license_, address = cards.license_in(fetched.folder / hub.CARD), fetched.address
    source = str(replace(address, revision=address.revision[:12]))
    facts = {"base": str(address), **({"license": license_} if license_ else {})}
    news = cards.notice(address.name, license_, hub.page(address.name)) if fetched.fresh else ""
    return Found(fetched.path, source, facts, news, fetched.sha256)


def check(model: str | Path) -> Recipe | None:
    """Refuse a model that is not here and cannot be on the Hub either (ColorizeError); fetches nothing.

    Returns its recipe if that is known without its weights: by its name, or by the header of its file.
    """
    found = _located(model)
    if isinstance(model, str) and model.partition(":")[0] in recipes.names():
        return recipes.find(model)
    path = found.file if isinstance(found, Found) else None
    if isinstance(path, Path) and path.suffix == SUFFIX:
        with suppress(ColorizeError):  # `load` raises it
            header, _ = weights_io.read(path)
            return _recipe(path, header) if _describes(path, header) else None
    return None


def local_file(model: str | Path) -> Path | None:
    """Return the file of a model, None if it is on the Hub; opens and fetches nothing.

    Raises ColorizeError as `check` does.
    """
    found = _located(model)
    return found.file if isinstance(found, Found) and isinstance(found.file, Path) else None


def ambiguous(model: str) -> str:
    """Return a note for a recipe's name if a run of that name is in the working folder, too; else ""."""
    run = _run(model)
    if model.partition(":")[0] not in recipes.names() or not run.is_file():
        return ""
    if model == EMBEDDED:
        return f"this is the embedded `{model}`; for the one trained here add --model {run.parent}"
    return f"`{model}` is the model trained here: {run}"


def _located(model: str | Path) -> Found | hub.Address:
    """The file of a model, or its address on the Hub."""
    if isinstance(model, str) and model.partition(":")[0] in recipes.names():
        return _weights_of_recipe(model)
    path = Path(model)
    try:
        if model and path.is_dir():
            return Found(_weights_in(path), str(path))
        if path.is_file():
            return Found(path, str(path))
        local = isinstance(model, Path) or _must_be_local(model)
    except OSError as error:
        raise unreadable(path, error) from error
    if not local and (address := hub.parse_address(str(model))):
        return address
    name = shown(str(model))
    if local or path.name != model:
        hint = f"a model on the Hub: {FORM}" if "://" in str(model) else "check the path"
        if Path(str(model).partition("@")[0]).suffix in foreign.SUFFIXES:
            hint += f"; of models on the Hub, {SUFFIX} files only: {FORM}"
        raise ColorizeError(f"there is no file or folder `{name}`", hint)
    hint = f"name a recipe, a file, a folder, or OWNER/NAME on the Hub; {nearest(model, recipes.names())}"
    raise ColorizeError(f"unknown model `{name}`", hint, code=2)


def _must_be_local(model: str) -> bool:
    """Whether this can only be a path: a run, a file next to others that are here, or a file that is not fetched."""
    path = Path(model.partition("@")[0])
    on_hub = path.suffix == SUFFIX and len(path.parts) > 2 and not path.parent.is_dir()
    return path.parts[:1] == ("runs",) or (path.suffix in (SUFFIX, *foreign.SUFFIXES) and not on_hub)


def _weights_of_recipe(name: str) -> Found:
    """Find the weights of a recipe: the embedded ones, or those of a run in the working folder."""
    recipes.find(name)  # refuses a misspelt variant
    if name == EMBEDDED:
        file = resources.files("colorize.weights").joinpath(f"{name}.safetensors")
        if file.is_file():
            return Found(file, f"{name}, embedded")
        message = f"the embedded model `{name}` is missing from this installation of colorize"
        raise ColorizeError(message, "install colorize again, or name a file, a folder or OWNER/NAME on the Hub")
    run = _run(name)
    if run.is_file():
        return Found(run, f"{name}, trained here: {run}")
    where = foreign.PLACES.get(name, "name a file, a folder or OWNER/NAME on the Hub")
    raise ColorizeError(f"there are no weights of `{name}` here", f"train them: `colorize train {name}`; or {where}")


def _run(name: str) -> Path:
    return Path("runs", name.replace(":", "-"), hub.WEIGHTS)


def _weights_in(folder: Path) -> Path:
    if (folder / hub.WEIGHTS).is_file():
        return folder / hub.WEIGHTS
    others = ", ".join(sorted(path.name for path in folder.glob(f"*{SUFFIX}")))
    hint = f"it holds {others}; name the file" if others else "name the folder of a run or a model"
    if (folder / adapters.FILE).is_file():
        hint = "it holds an adapter; give it with --lora, and its model with --model"
    raise ColorizeError(f"the folder `{shown(folder)}` holds no {hub.WEIGHTS}", hint)


@dataclass(frozen=True)
class Loaded:
    """A system ready to color: evaluation mode, float32, channels-last.

    source: where it came from, for people. facts: what was noted when it was saved, such as a license; of a model on
    the Hub also `base`, its address there. adapters: those on the model, see `adapters.apply`. notice: the license of
    weights that were fetched only now, in a line for people.
    """

    recipe: Recipe
    colorizer: Colorizer
    source: str
    facts: dict[str, str]
    adapters: tuple[AppliedAdapter, ...] = ()
    notice: str = ""

    def own(self) -> Colorizer:
        """Return the system alone, which then has its recipe, source, facts and adapters itself; see `loaded`."""
        for name in ("recipe", "source", "facts", "adapters"):
            setattr(self.colorizer, name, getattr(self, name))
        return self.colorizer


def loaded(colorizer: Colorizer) -> Loaded:
    """Return a system with what it knows of itself. Raises ColorizeError if no recipe has built it."""
    if colorizer.recipe is None:
        raise ColorizeError("this model does not know its recipe", "build it with `Recipe.build`, or load it")
    return Loaded(colorizer.recipe, colorizer, colorizer.source, dict(colorizer.facts), colorizer.adapters)


def at_revision(model: str | Path, revision: str) -> str | Path:
    """Return the name of a model at a branch, tag or commit; raises ColorizeError if it is not OWNER/NAME[/FILE]."""
    if not revision:
        return model
    if isinstance(model, Path) or Path(model).exists() or "@" in model or hub.parse_address(model) is None:
        hint = "give one with OWNER/NAME on the Hub only"
        raise ColorizeError(f"the model `{shown(model)}` has no revision `{shown(revision)}`", hint, code=2)
    return f"{model}@{revision}"


def save(
    colorizer: Colorizer, recipe: Recipe, path: Path, facts: Mapping[str, str] | None = None, half: bool = False
) -> None:
    """Write weights, recipe and its values, and facts as one safetensors file, whole or not at all.

    half: store float16, half the size; weights then have 11 bits. Raises ColorizeError if a weight is not finite (or
    too large for float16), so that a good file is not replaced by a broken one, if the path cannot be written, and for
    a model with adapters on it: `adapters.merge` first.
    """
    facts = facts or {}
    assert not set(facts) & set(RESERVED), f"facts may not be named {RESERVED}"
    adapters.refuse_applied(colorizer)
    weights = {}
    for name, value in recipe.system.tensors(colorizer, recipe).items():
        if name.startswith(CRITIC):
            continue
        stored = value.half() if half and value.is_floating_point() else value
        weights[name] = stored.detach().cpu().contiguous()
        weights_io.check_finite(path.name, name, weights[name])
    config = json.dumps(overrides.to_dict(recipe))
    own = {"format": "colorize", "version": __version__, "recipe": recipe.name, "config": config}
    weights_io.write(path, weights, {**own, **facts})


def save_folder(
    colorizer: Colorizer, recipe: Recipe, folder: Path, facts: Mapping[str, str] | None = None, half: bool = False
) -> None:
    """Write a folder as the Hub shows it: model.safetensors, config.json and README.md, its card.

    A card that is there already stays, since people write into it. Raises ColorizeError like `save`.
    """
    save(colorizer, recipe, folder / hub.WEIGHTS, facts, half)
    with atomic(folder / hub.CONFIG) as temporary:
        temporary.write_text(_config(recipe), "utf-8")
    if not (folder / hub.CARD).exists():
        with atomic(folder / hub.CARD) as temporary:
            temporary.write_text(cards.card(recipe.name, recipe.help, facts or {}), "utf-8")


def _config(recipe: Recipe) -> str:
    return json.dumps(overrides.to_dict(recipe), indent=2) + "\n"


def push(
    model: str | Path,
    name: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    message: str = "",
    about: Mapping[str, str] | None = None,
    renew: bool = False,
) -> str:
    """Upload a model that colorize saved to OWNER/NAME on the Hub, where `load` finds it; return the commit's address.

    model: as `load` takes it. The repository is made if there is none, and then private if asked. It gets what
    `save_folder` writes; a card beside the weights is the card, and a new one replaces one on the Hub only with
    renew. token: one that may write, by default HF_TOKEN or that of `hf auth login`. message: of the commit. about:
    facts for a new card beside those of the file, such as a license. Raises ColorizeError if there is no such model, it
    is of another program, or the Hub does not take it.
    """
    found = find(model)
    with resources.as_file(found.file) as path:
        header, _ = weights_io.read(path)
        recipe, card = _recipe(path, header), path.with_name(hub.CARD)
        facts = {**found.facts, **{key: text for key, text in header.items() if key not in RESERVED}, **(about or {})}
        files: dict[str, Path | bytes] = {hub.WEIGHTS: path, hub.CONFIG: _config(recipe).encode()}
        if card.is_file():
            files[hub.CARD] = card
        new = cards.card(recipe.name, recipe.help, facts).replace("OWNER/NAME", name).encode()
        if renew:
            files.setdefault(hub.CARD, new)
        return upload.upload(name, files, private, token, message or f"Upload {recipe.name}", new)


def load(
    model: str | Path = EMBEDDED,
    *,
    offline: bool = False,
    device: torch.device | None = None,
    options: LoadOptions | None = None,
    lora: AdapterPaths = (),
) -> Loaded:
    """Find a model, build the system it describes and fill it.

    model: a recipe's name (`mini` is embedded, others are looked for in `runs/`), a .safetensors file, a
    checkpoint of a published system such as `ep_300.model.pth`, a folder with a model.safetensors, or
    OWNER/NAME[/FILE.safetensors][@revision] on the Hub; a Path is always local. offline: use no network. device: where
    to put it; None is the CPU. options: for published files. lora: the path of an adapter, or pairs of path and weight,
    see `adapters.apply`.

    Raises ColorizeError if there is no such model, or if it is damaged, is a pickle of something else, does not fit its
    recipe, or holds weights that are not finite.
    """
    found = find(model, offline)
    with resources.as_file(found.file) as path:
        recipe, colorizer, usual, header = _opened(path, found, options or LoadOptions(), offline)
    own = {name: text for name, text in header.items() if name not in RESERVED}
    placed = colorizer.to(device) if device else colorizer
    made = Loaded(recipe, placed, found.source, {**usual, **found.facts, **own}, notice=found.notice)
    return adapters.apply(made, lora) if lora else made


def _opened(
    path: Path, found: Found, options: LoadOptions, offline: bool
) -> tuple[Recipe, Colorizer, dict[str, str], Mapping[str, str]]:
    """The recipe of a file, its model filled, what is usual of its kind, and the words of its header."""
    fetch = partial(hub.fetch_file, offline=offline)
    try:
        pickled = weights_io.sniff(path) != "safetensors"
    except OSError:
        pickled = False  # `read` says why
    header, weights = ({}, foreign.tensors(path)) if pickled else weights_io.read(path)
    if pickled or not _describes(path, header):
        known = options if options.predicts else replace(options, predicts=hub.predicts(found.sha256))
        if adopted := foreign.adopted(ModelFile(path, weights, known, fetch)):
            return *adopted, header
    if weights and pickled:
        raise refused(path.name, "is a PyTorch file of no model that colorize knows", weights_io.PICKLE_HINT)
    if pickled:
        weights_io.read(path)  # raises the error that says what the file is
    recipe = _recipe(path, header)
    try:
        colorizer = build_on_meta(recipe, len(weights))
    except ColorizeError as error:
        raise refused(path.name, "describes an impossible network", AGAIN) from error
    recipe = recipe.system.fill(ModelFile(path, weights, options, fetch), recipe, colorizer)
    return recipe, colorizer.eval(), {}, header


def build_on_meta(recipe: Recipe, most: int = MAX_BLOCKS) -> Colorizer:
    """Build a system on the meta device: its weights have names and shapes, but take no memory.

    most: limit of its network's blocks. Raises ColorizeError (wrong usage) if no system can be built.
    """
    blocks, steps = sum(recipe.denoiser.net.blocks), recipe.schedule.steps
    within("the number of blocks", blocks, 1, most)
    within("schedule.steps", steps, 1, MAX_STEPS)
    try:
        with weights_io.meta_device():
            return recipe.build()
    except INVALID as error:
        hint = "start from the recipe's own values and change one at a time"
        raise ColorizeError(f"cannot build a network from these values: {error}", hint, code=2) from error


def recipe_in(path: Path) -> tuple[Recipe | None, dict[str, str]]:
    """Return the recipe that a .safetensors file names, None for one of another program, and the words of its header.

    Reads no weights but those of PyTorch files. Raises ColorizeError if it is damaged, or its recipe not understood.
    """
    if weights_io.sniff(path) in ("zip", "pickle"):
        return load(path).recipe, {}
    header, _ = weights_io.read(path)
    adapter = header.get("format") == adapters.FORMAT
    return (_recipe(path, header) if not adapter and _describes(path, header) else None), header


def _recipe(path: Path, header: Mapping[str, str]) -> Recipe:
    """Build the recipe that a file names, with the values that it names."""
    data, version = _description(path, header), header.get("version", "unknown")
    try:
        return overrides.from_dict(recipes.find(data["name"]), data)
    except ColorizeError as error:
        why = f"was saved by colorize {version}, and {__version__} does not understand it: {error.message}"
        raise refused(path.name, why, "install the version that saved it, or a newer one") from error
    except INVALID as error:
        raise refused(path.name, "has a damaged description", AGAIN) from error


def _describes(path: Path, header: Mapping[str, str]) -> bool:
    """Whether a file of the published layout comes with a description that is ours."""
    try:
        return "config" in header or json.loads(content(path.with_name(hub.CONFIG)))["is"] == "Recipe"
    except (OSError, *INVALID):
        return False


def _description(path: Path, header: Mapping[str, str]) -> dict[str, Any]:
    """Take the recipe's values from the header, or from config.json if another tool saved the weights."""
    beside = path.with_name(hub.CONFIG)
    if header.get("kind", "").startswith("colorize training state"):
        raise refused(path.name, "is the state of a training run", f"name {hub.WEIGHTS} beside it")
    if header.get("format") == adapters.FORMAT:
        base = f"its model is {shown(header.get('base', 'unknown'))}"
        raise refused(path.name, "is an adapter, not a whole model", f"give it with --lora; {base}")
    if "config" not in header and not beside.is_file():
        raise refused(path.name, "does not say what it is", f"put its {hub.CONFIG} beside it")
    try:
        data = json.loads(header["config"] if "config" in header else content(beside))
    except (OSError, *INVALID) as error:
        raise refused(path.name, "has a damaged description", AGAIN) from error
    return dict(data) if isinstance(data, dict) else {}
