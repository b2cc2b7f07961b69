"""Find the file of a model: inside the package, in a run, on the disk, on the Hub."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from colorize import recipes
from colorize.checkpoints import adapters, cards, hub
from colorize.checkpoints.hub import FORM, SUFFIX
from colorize.checkpoints.weights_io import unreadable
from colorize.errors import ColorizeError, nearest
from colorize.images.files import shown

EMBEDDED = "mini"  # the recipe whose weights are inside the package
PICKLES = (".pt", ".pth", ".ckpt", ".bin")


@dataclass(frozen=True)
class Found:
    """The file of a model.

    source: its name for people. facts: what is known of it beside what it says itself: of a model on the
    Hub its `license` and its `base`, the address that gives it again. notice: its license, in a line
    for people, if it was downloaded only now. sha256: of a file on the Hub.
    """

    file: Traversable
    source: str
    facts: dict[str, str] = field(default_factory=dict)
    notice: str = ""
    sha256: str = ""


def find(model: str | Path, offline: bool = False) -> Found:
    """Find the file of a model, and fetch it if it lies on the Hub; see `model_files.load`.

    Raises ColorizeError if there is no such model, or it cannot be fetched.
    """
    found = _located(model)
    if isinstance(found, Found):
        return found
    fetched = hub.fetch(found, offline)
    license_, address = cards.license_in(fetched.folder / hub.CARD), fetched.address
    source = str(replace(address, revision=address.revision[:12]))
    facts = {"base": str(address), **({"license": license_} if license_ else {})}
    return Found(fetched.path, source, facts, fetched.notice, fetched.sha256)


def check(model: str | Path) -> None:
    """Refuse a model that is not here and cannot be on the Hub either (ColorizeError); opens and fetches nothing."""
    _located(model)


def ambiguous(model: str) -> str:
    """Return a note for a recipe's name if a run of that name is in the working folder, too; else ""."""
    run = _run(model)
    if model.partition(":")[0] not in recipes.names() or not run.is_file():
        return ""
    if model == EMBEDDED:
        return f"`{model}` is the embedded model; the one trained here is --model {run.parent}"
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
        if Path(str(model).partition("@")[0]).suffix in PICKLES:
            hint += f"; of models on the Hub, {SUFFIX} files only: {FORM}"
        raise ColorizeError(f"there is no file or folder `{name}`", hint)
    hint = f"name a recipe, a file, a folder, or OWNER/NAME on the Hub; {nearest(model, recipes.names())}"
    raise ColorizeError(f"there is no model `{name}`", hint, code=2)


def _must_be_local(model: str) -> bool:
    """Whether this can only be a path: a run, a file next to others that are here, or a file that is not fetched."""
    path = Path(model.partition("@")[0])
    on_hub = path.suffix == SUFFIX and len(path.parts) > 2 and not path.parent.is_dir()
    return path.parts[:1] == ("runs",) or (path.suffix in (SUFFIX, *PICKLES) and not on_hub)


def _weights_of_recipe(name: str) -> Found:
    """Find the weights of a recipe: the embedded ones, or those of a run in the working folder."""
    recipes.find(name)  # refuses a misspelt variant
    if name == EMBEDDED:
        file = resources.files("colorize.weights").joinpath(f"{name}.safetensors")
        if file.is_file():
            return Found(file, f"{name}, embedded")
        raise ColorizeError(
            f"the embedded model `{name}` is missing from this installation of colorize",
            "install colorize again, or name a file, a folder or OWNER/NAME on the Hub",
        )
    run = _run(name)
    if run.is_file():
        return Found(run, f"{name}, trained here: {run}")
    raise ColorizeError(
        f"there are no published weights for `{name}`",
        f"train them: `colorize train {name}`; or name a file, a folder or OWNER/NAME on the Hub",
    )


def _run(name: str) -> Path:
    """Where `train` keeps the weights of a recipe."""
    return Path("runs", name.replace(":", "-"), hub.WEIGHTS)


def _weights_in(folder: Path) -> Path:
    if (folder / hub.WEIGHTS).is_file():
        return folder / hub.WEIGHTS
    others = ", ".join(sorted(path.name for path in folder.glob(f"*{SUFFIX}")))
    hint = f"it holds {others}; name the file" if others else "name the folder of a run or a model"
    if (folder / adapters.FILE).is_file():
        hint = "it holds an adapter; give it with --lora, and its model with --model"
    raise ColorizeError(f"the folder `{shown(folder)}` holds no {hub.WEIGHTS}", hint)
