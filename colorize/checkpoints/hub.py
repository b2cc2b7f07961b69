"""Fetch a model from the Hugging Face Hub. Knows nothing of what is in the files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Literal

from colorize.checkpoints import cards, download
from colorize.checkpoints.download import Spot
from colorize.errors import ColorizeError

# PyTorchModelHubMixin's layout
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
NEWEST = "main"  # the branch that is meant where none is named
SHOWN = 8  # files in a sentence

# By the name of the error's class or of one it derives from, since these moved between modules and
# HTTP libraries from version to version. `name`, `id` (with its revision) and `why` are filled in.
SENTENCES = {
    "GatedRepoError": (
        "`{name}` is only for users who accepted its terms",
        "accept them at https://huggingface.co/{name}, then set HF_TOKEN to a token of yours",
    ),
    "DisabledRepoError": ("`{name}` was switched off by the Hub", "choose another model"),
    "RepositoryNotFoundError": (
        "there is no model `{name}` on the Hub, nor a file or folder of that name here",
        "check the spelling; if it is private, set HF_TOKEN to a token of yours",
    ),
    "RevisionNotFoundError": (
        "`{name}` has no such revision: `{id}`",
        "name a branch, a tag or a commit, or leave out what follows the @",
    ),
    "RemoteEntryNotFoundError": (
        "`{id}` has no such file any more",
        "give the same command again, or name a revision that has it",
    ),
    "Away": (
        "`{id}` cannot be fetched: the Hub does not answer",
        "check the connection, or name a file or folder that holds the model",
    ),
    "Broken": (
        "the connection broke while `{id}` was fetched: {why}",
        "give the same command again; it goes on where it broke off",
    ),
    "OfflineModeIsEnabled": (
        "`{id}` is not in the cache of this machine, and the network is switched off",
        "fetch it once without --offline and HF_HUB_OFFLINE, or name a folder that holds the model",
    ),
    "HFValidationError": ("`{name}` cannot be a name on the Hub", "write it as OWNER/NAME"),
    "HfHubHTTPError": (
        "the Hub refused `{id}`: {why}",
        "try again later; if it is private, set HF_TOKEN to a token of yours",
    ),
    "TransportError": ("the connection broke while `{id}` was fetched: {why}", "try again"),
    "RequestException": ("the connection broke while `{id}` was fetched: {why}", "try again"),
    "XetDownloadError": ("the connection broke while `{id}` was fetched: {why}", "try again"),
    "OSError": ("`{id}` cannot be stored in the cache: {why}", download.SPACE),
    "RuntimeError": ("`{id}` cannot be fetched: {why}", "try again, or set HF_HUB_DISABLE_XET=1"),
}


@dataclass(frozen=True)
class Fetched:
    """The weights of a model on the Hub, in the cache of this machine.

    path: the file. folder: of its commit; files that came along are there, too. address: what gives it
    again, with the commit. fresh: it was downloaded only now. license: what the model's card says, ""
    if nothing. sha256: of the file, "" if the Hub told none. page: where the card is.
    """

    path: Path
    folder: Path
    address: Address
    fresh: bool
    license: str
    sha256: str
    page: str

    @property
    def source(self) -> str:
        """What to call it, for people: the address with twelve digits of the commit."""
        return str(replace(self.address, revision=self.address.revision[:12]))

    @property
    def facts(self) -> dict[str, str]:
        """What to note of it: `base`, its address, and `license`, if there is one."""
        return {"base": str(self.address), **({"license": self.license} if self.license else {})}

    @property
    def notice(self) -> str:
        """What to tell who fetched it, in one line; "" if it was here before."""
        return cards.notice(self.address.name, self.license, self.page) if self.fresh else ""


def fetch(model: Address, offline: bool = False) -> Fetched:
    """Bring the weights of a model into the cache, with its card and config.json, all of one commit.

    The library keeps them in its cache (HF_HOME) and finds the token in the environment. offline, or
    HF_HUB_OFFLINE in the environment: look into the cache only.

    Raises ColorizeError for all that can go wrong on the way.
    """
    from huggingface_hub import constants

    with _telling(model):
        spot, away = _spot(model, offline)
        download.beside(spot, str(PurePosixPath(spot.file).with_name(CONFIG)), away)
        card = download.beside(spot, CARD, away)
        path, fresh = download.bring(spot, known_sha256(spot.name, spot.file))
    sha256 = spot.content if download.SHA256.fullmatch(spot.content) else download.checksum(path)
    file = "" if spot.file == WEIGHTS else spot.file
    return Fetched(
        path,
        path.parents[spot.file.count("/")],
        Address(spot.name, spot.commit, file),
        fresh,
        cards.license_in(card),
        sha256,
        f"{constants.ENDPOINT}/{spot.name}",
    )


def part(name: str, file: str, offline: bool = False) -> Path:
    """Bring one file of a model into the cache, such as a frozen network that helps another; return its path.

    name: OWNER/NAME. file: its whole name there, a .safetensors. Checked and refused as by `fetch`.
    """
    wanted = Address(name, file=file)
    if parse_address(str(wanted)) != wanted or not file:
        raise ColorizeError(f"`{wanted}` is no .safetensors file on the Hub", FORM, code=2)
    with _telling(wanted):
        spot, _ = _spot(wanted, offline)
        return download.bring(spot, known_sha256(name, file))[0]


def _spot(model: Address, offline: bool) -> tuple[Spot, bool]:
    """Find a model's weights on the Hub, or in the cache; return whether the Hub is not to be asked further."""
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    if offline or constants.HF_HUB_OFFLINE:
        if spot := _cached(model):
            return spot, True
        raise OfflineModeIsEnabled
    try:
        return _located(model), False
    except download.Away:
        if spot := _cached(model):
            return spot, True
        raise


def _located(model: Address) -> Spot:
    from huggingface_hub.errors import EntryNotFoundError

    branch = model.revision or NEWEST
    try:
        return download.locate(model.name, model.file or WEIGHTS, branch)
    except EntryNotFoundError:
        commit, files = download.listing(model.name, branch)
    spot = download.locate(model.name, _chosen(model, files), commit)
    return replace(spot, branch=branch)


def _cached(model: Address) -> Spot | None:
    branch = model.revision or NEWEST
    if found := download.find(model.name, model.file or WEIGHTS, branch):
        return found
    folder = None if model.file else download.snapshot(model.name, branch)
    here = sorted(path.name for path in folder.glob(f"*{SUFFIX}")) if folder else []
    if model.name in USUAL:  # another file may be here since it was named
        here = [file for file in here if file in USUAL[model.name]]
    return download.find(model.name, _chosen(model, here), branch) if here else None


def _chosen(model: Address, files: Sequence[str]) -> str:
    """Return which file of a model to take, of those that there are; ColorizeError if the user must say."""
    usable = [file for file in files if fetchable(file)]
    if not usable:
        hint = "choose another model; .ckpt, .pt, .pth and .bin files are not opened"
        raise ColorizeError(f"`{model.name}` has no {SUFFIX} file", hint)
    if model.file in usable:  # it came while we looked
        return model.file
    more = f" and {len(usable) - SHOWN} more" if len(usable) > SHOWN else ""
    if model.file:
        stems = [file.removesuffix(SUFFIX) for file in usable]
        close = get_close_matches(model.file.removesuffix(SUFFIX), stems, n=1, cutoff=0.5)
        listed = f"it has {', '.join(usable[:SHOWN])}{more}"
        hint = f"did you mean `{close[0]}{SUFFIX}`?" if close else listed
        raise ColorizeError(f"`{model.name}` has no file `{model.file}`", hint, code=2)
    if found := usual(model.name, usable):
        return found
    names = ", ".join(str(replace(model, file=file)) for file in usable[:SHOWN])
    raise ColorizeError(f"`{model}` holds several models", f"name one: {names}{more}", code=2)


@contextmanager
def _telling(model: Address) -> Iterator[None]:
    """Turn what goes wrong into a sentence; mistakes of ours stay what they are."""
    try:
        yield
    except ColorizeError:
        raise
    except Exception as error:
        told = sentence(model, error)
        if told is None:
            raise
        raise told from error


def sentence(
    model: Address, error: Exception, sentences: Mapping[str, tuple[str, str]] = SENTENCES
) -> ColorizeError | None:
    """Turn what the library raised into a sentence; None for what is not in the table."""
    cause = error.__cause__
    missing = type(error).__name__ in ("LocalEntryNotFoundError", "Away")
    if missing and isinstance(cause, Exception) and hasattr(cause, "response"):
        error = cause  # it is not in the cache, and the Hub refuses it
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__name__ in sentences]
    if not kinds:
        return None
    message, hint = sentences[kinds[0]]
    status = getattr(getattr(error, "response", None), "status_code", None)
    why = f"it answered {status}" if status else getattr(error, "strerror", None) or str(error)
    words = {"name": model.name, "id": str(model), "why": why.strip().partition("\n")[0]}
    return ColorizeError(message.format(**words), hint.format(**words))


# The same two files under the names of both repositories; ColorizeDiffusion, version 1, 512 px.
_V1 = ("mult-eps-ft.safetensors", "mult-ft.safetensors")
_V1_NEW = ("mult-eps-newft.safetensors", "mult-newft.safetensors")
USUAL = {  # which file is meant where none is named: the first of these that a repository lists
    "tellurion/ColorizeDiffusion": _V1,
    "tellurion/colorizer": _V1,  # its old name
}
_SUMS = {
    **dict.fromkeys(_V1, "53c09691c57164754d5ade61afeabb7e673517747436153dd831dcf38862cc21"),
    **dict.fromkeys(_V1_NEW, "3396c079c4ecb42c69cd45d8a18b0688564d919f74aa8c2b5c18a114f6ecab44"),
}


def usual(name: str, files: Sequence[str]) -> str | None:
    """Return the file that is meant where none is named: the only one at the top, or else a known one."""
    top = [file for file in files if "/" not in file]
    if len(top) == 1:
        return top[0]
    return next((file for file in USUAL.get(name, ()) if file in top), None)


def known_sha256(name: str, file: str) -> str:
    """Return the checksum that a file on the Hub must have, 64 hexadecimal digits; "" if it is not known."""
    return _SUMS.get(file, "") if name in USUAL else ""


def predicts(sha256: str) -> Literal["", "eps", "v"]:
    """Return what the network of a known file predicts, `eps` or `v`; "" if the file is not known."""
    return "eps" if sha256 in _SUMS.values() else ""


SUFFIX = ".safetensors"  # of all files that are fetched
FORM = "write it as OWNER/NAME or OWNER/NAME/FILE.safetensors"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,254}")
_STEP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]{0,127}")
_DEPTH = 8  # of folders in a model


@dataclass(frozen=True)
class Address:
    """A model on the Hub: its OWNER/NAME, a branch, tag or commit, and a file in it.

    revision: "" is the newest. file: "" is the usual one, see `known`.
    """

    name: str
    revision: str = ""
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.name}/{self.file}" if self.file else self.name
        return f"{place}@{self.revision}" if self.revision else place


def parse_address(text: str) -> Address | None:
    """Read OWNER/NAME[/FILE.safetensors][@revision]; None if it is not of that form.

    Raises ColorizeError if the rest is right and the revision is not.
    """
    place, at, revision = text.partition("@")
    owner, name, *file = place.split("/", 2) if "/" in place else (place, "")
    name = f"{owner}/{name}"
    if not _NAME.fullmatch(name) or ".." in name or not all(fetchable(each) for each in file):
        return None
    if at and (not _REVISION.fullmatch(revision) or ".." in revision or revision.endswith(SUFFIX)):
        hint = f"name a branch, a tag or a commit; {FORM}@REVISION"
        raise ColorizeError(f"`{revision}` cannot be a revision of `{name}`", hint)
    return Address(name, revision, *file)


def fetchable(file: str) -> bool:
    """Whether a file of a model may be fetched, by its whole name there."""
    steps = file.split("/")
    fit = all(_STEP.fullmatch(step) and ".." not in step for step in steps)
    return fit and len(steps) <= _DEPTH and file.endswith(SUFFIX)
