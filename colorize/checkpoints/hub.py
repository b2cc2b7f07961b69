"""Fetch models and data sets from the Hugging Face Hub into its cache, check them, and resume broken downloads."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from colorize.checkpoints.access import cache, getter, sender
from colorize.errors import ColorizeError
from colorize.images.files import content, open_unlinked, sha256

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"  # PyTorchModelHubMixin's layout
SUFFIX = ".safetensors"  # of all model files that are fetched
FORM = "write it as OWNER/NAME or OWNER/NAME/FILE.safetensors"
LISTED = 8  # files in an error message

# ColorizeDiffusion, version 1, 512 px: the same two files under the names of both repositories.
_V1 = ("mult-eps-ft.safetensors", "mult-ft.safetensors")
_V1_NEW = ("mult-eps-newft.safetensors", "mult-newft.safetensors")
DEFAULT_FILES = {  # the first of these that a repository has is taken where no file is named
    "tellurion/ColorizeDiffusion": _V1,
    "tellurion/colorizer": _V1,  # its old name
}
_CHECKSUMS = {
    **dict.fromkeys(_V1, "53c09691c57164754d5ade61afeabb7e673517747436153dd831dcf38862cc21"),
    **dict.fromkeys(_V1_NEW, "3396c079c4ecb42c69cd45d8a18b0688564d919f74aa8c2b5c18a114f6ecab44"),
}

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,254}")
_FILE = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._+=-]{0,127}/){0,7}[A-Za-z0-9_][A-Za-z0-9._+=-]{0,127}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

_SPACE = "free some space, or set HF_HOME to a folder on another disk"
_AWAY = ("`{id}` cannot be fetched: the Hub does not answer", "check the connection, or name {local}")
_BROKEN = ("the connection broke while `{id}` was fetched: {why}", "repeat the command; the download resumes")
# By the name of the error's class or of a base class, since these move between modules and HTTP libraries.
_MESSAGES = {
    "GatedRepoError": (
        "`{name}` is only for users who accepted its terms",
        "accept them at https://huggingface.co/{name}, then set HF_TOKEN to a token of yours",
    ),
    "RepositoryNotFoundError": (
        "there is no {kind} `{name}` on the Hub",
        "check the spelling, or name {local}; if it is private, set HF_TOKEN to a token of yours",
    ),
    "RevisionNotFoundError": (
        "`{name}` has no such revision: `{id}`",
        "name a branch, a tag or a commit, or leave out what follows the @",
    ),
    "OfflineModeIsEnabled": (
        "`{id}` is not in the cache of this machine, and the network is switched off",
        "fetch it once without --offline and HF_HUB_OFFLINE, or name {local}",
    ),
    "HFValidationError": ("`{name}` cannot be a name on the Hub", "write it as OWNER/NAME"),
    "HfHubHTTPError": (
        "the Hub refused `{id}`: {why}",
        "try again later; if it is private, set HF_TOKEN to a token of yours",
    ),
    **dict.fromkeys(("LocalEntryNotFoundError", "FileMetadataError", "ConnectionError", "ConnectError"), _AWAY),
    **dict.fromkeys(("TransportError", "RequestException", "XetDownloadError"), _BROKEN),
    "OSError": ("`{id}` cannot be stored in the cache: {why}", _SPACE),
    "RuntimeError": ("`{id}` cannot be fetched: {why}", "try again, or set HF_HUB_DISABLE_XET=1"),
    "ValueError": ("cannot understand the Hub's answer for `{id}`: {why}", "choose another {kind}"),
}
_MODEL = {"kind": "model", "local": "a file or folder that holds the model"}
_DATASET = {"kind": "data set", "local": "a folder that holds its Parquet files"}


@dataclass(frozen=True)
class Address:
    """A repository on the Hub: OWNER/NAME, a branch, tag or commit ("": the newest), and a file ("": not named)."""

    name: str
    revision: str = ""
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.name}/{self.file}" if self.file not in ("", WEIGHTS) else self.name
        return f"{place}@{self.revision}" if self.revision else place


def parse_address(text: str) -> Address | None:
    """Read OWNER/NAME[/FILE.safetensors][@revision]; None if it is not of that form.

    Raises ColorizeError if the rest is right and the revision is not.
    """
    place, at, revision = text.partition("@")
    owner, name, *file = place.split("/", 2) if "/" in place else (place, "")
    name = f"{owner}/{name}"
    if not _NAME.fullmatch(name) or ".." in name or not all(_fetchable(each) for each in file):
        return None
    if at and (not _REVISION.fullmatch(revision) or ".." in revision or revision.endswith(SUFFIX)):
        hint = f"name a branch, a tag or a commit; {FORM}@REVISION"
        raise ColorizeError(f"`{revision}` cannot be a revision of `{name}`", hint)
    return Address(name, revision, *file)


def _fetchable(file: str) -> bool:
    return bool(_FILE.fullmatch(file)) and ".." not in file and file.endswith(SUFFIX)


@dataclass(frozen=True)
class Fetched:
    """A file of a model on the Hub, in the cache of this machine.

    address: what fetches it again, with the commit. fresh: it was downloaded only now.
    """

    path: Path
    address: Address
    fresh: bool = False

    @property
    def folder(self) -> Path:
        """The folder of the commit, which also holds the card."""
        return self.path.parents[self.address.file.count("/")]

    @property
    def sha256(self) -> str:
        """The checksum that was verified at the download; "" if the Hub gave none."""
        content = self.path.resolve().name  # the cache names contents by their checksums
        return content if _SHA256.fullmatch(content) else ""


def fetch(model: Address, offline: bool = False) -> Fetched:
    """Bring the weights of a model into the cache, with its card and config.json, all of one commit.

    The library keeps them in its cache (HF_HOME) and finds the token in the environment. offline, or HF_HUB_OFFLINE in
    the environment: look into the cache only. Raises ColorizeError for all that can go wrong.
    """
    with _readable_errors(model, _MODEL):
        return _fetch(model, offline)


def fetch_file(name: str, file: str, offline: bool = False) -> Path:
    """Bring one .safetensors file of a repository into the cache and return its path; checked as by `fetch`."""
    wanted = Address(name, file=file)
    if not file or parse_address(f"{name}/{file}") != wanted:
        raise ColorizeError(f"`{wanted}` is not a .safetensors file on the Hub", FORM, code=2)
    with _readable_errors(wanted, _MODEL):
        return _fetch(wanted, offline, alone=True).path


def look(model: Address) -> tuple[ModelInfo, dict[str, str]]:
    """Ask the Hub what files a model has, and fetch the text of its card and config.json; raises as `fetch`."""
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import OfflineModeIsEnabled

    with _readable_errors(model, _MODEL):
        if constants.HF_HUB_OFFLINE:
            raise OfflineModeIsEnabled
        info = _ask(model)
        files = {CARD, CONFIG} & {one.rfilename for one in info.siblings or ()}
        paths = {file: Path(hf_hub_download(model.name, file, revision=info.sha, **getter())) for file in files}
    return info, {file: content(path).decode("utf-8-sig", "replace") for file, path in paths.items()}


def fetch_dataset(data: Address, pattern: str) -> Path:
    """Bring the files of a data set whose names match a pattern into the cache; return the folder of their commit.

    HF_HUB_OFFLINE in the environment: look into the cache only. Raises ColorizeError for all that can go wrong.
    """
    from huggingface_hub import constants, snapshot_download

    with _readable_errors(data, _DATASET):
        folder = snapshot_download(
            data.name,
            repo_type="dataset",
            revision=data.revision or None,
            allow_patterns=[pattern],
            endpoint=constants.ENDPOINT,
            local_files_only=constants.HF_HUB_OFFLINE,
            **getter(),
        )
    return Path(folder)


def page(name: str) -> str:
    """Return the address of a model's page."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{name}"


def known_sha256(name: str, file: str) -> str:
    """Return the checksum that a file on the Hub must have, 64 hexadecimal digits; "" if it is not known."""
    return _CHECKSUMS.get(file, "") if name in DEFAULT_FILES else ""


def predicts(checksum: str) -> Literal["", "eps", "v"]:
    """Return what the network of a file with a known checksum predicts, `eps` or `v`; "" if it is not known."""
    return "eps" if checksum in _CHECKSUMS.values() else ""


def _fetch(model: Address, offline: bool, alone: bool = False) -> Fetched:
    """Find a file in the cache or fetch it; alone: without the card and config.json."""
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled, RevisionNotFoundError

    offline = offline or constants.HF_HUB_OFFLINE
    here = cached(model) if offline or _COMMIT.fullmatch(model.revision) else None
    if here and (offline or alone or any((here.folder / name).exists() for name in (CONFIG, CARD))):
        return here
    if offline:
        raise OfflineModeIsEnabled
    try:
        info = _ask(model)
    except Exception as error:
        here = None if isinstance(error, RevisionNotFoundError) else cached(model)
        if here is None:
            raise
        return here
    return _bring(model, info, alone)


def _ask(model: Address) -> ModelInfo:
    """Return the commit of a model's revision, and its files with their sizes and checksums."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi(endpoint=constants.ENDPOINT, **sender())
    try:
        info = api.model_info(
            model.name, revision=model.revision or "main", timeout=constants.HF_HUB_ETAG_TIMEOUT, files_metadata=True
        )
    except (HfHubHTTPError, HFValidationError):
        raise
    except Exception as error:  # no answer, or not the Hub's
        raise ConnectionError(str(error)) from error
    checksums = [one.lfs.sha256 for one in info.siblings or () if one.lfs]
    if not _COMMIT.fullmatch(info.sha or "") or not all(_SHA256.fullmatch(each) for each in checksums):
        raise ConnectionError("what answers is not the Hub")
    return info


def _bring(model: Address, info: ModelInfo, alone: bool) -> Fetched:
    """Bring the files of a commit into the cache.

    The library starts again after a break, so a file whose checksum the Hub names is downloaded here, to where the
    library looks for it; it then links the file and notes the commit of the branch.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    name, commit, branch = model.name, str(info.sha), model.revision or "main"
    files = {one.rfilename: one for one in info.siblings or ()}
    file = _chosen(model, sorted(files))
    for other in () if alone else (str(PurePosixPath(file).with_name(CONFIG)), CARD):
        if other in files:
            with suppress(EntryNotFoundError):  # the Hub does not give it now
                hf_hub_download(name, other, revision=commit, **getter())
    found = Fetched(_store(name) / "snapshots" / commit / file, Address(name, commit, file))
    if found.path.is_file() and _snapshot(name, branch) == found.folder:
        return found
    lfs, known = files[file].lfs, known_sha256(name, file)
    if known and (lfs is None or lfs.sha256 != known):
        what = f"its sha256 is {lfs.sha256[:12]}... and not {known[:12]}..." if lfs else "the Hub gives no sha256"
        hint = "it may have been replaced; if you trust it, fetch it yourself and name the file"
        raise ColorizeError(f"`{name}/{file}` is not the file known by this name: {what}", hint)
    fresh = not found.path.is_file()
    if fresh and lfs:
        fresh = _resume(found.address, lfs.sha256, lfs.size)
    path = Path(hf_hub_download(name, file, revision=branch, **getter()))
    if path != found.path:
        raise ColorizeError(f"`{name}` changed while it was fetched", "run the same command again")
    if lfs and not path.is_symlink():  # a disk without links, where the library makes a copy
        (_store(name) / "blobs" / lfs.sha256).unlink(missing_ok=True)
    return replace(found, fresh=fresh)


def _resume(file: Address, checksum: str, size: int) -> bool:
    """Download a file into the cache from where it broke off; return False if its content was in the cache before."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]

    store = _store(file.name)
    content, lock = store / "blobs" / checksum, store.parent / ".locks" / store.name / f"{checksum}.lock"
    for folder in (content.parent, lock.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if content.is_file():
            return False
        part = content.with_name(f"{checksum}.incomplete")
        if part.is_file() and part.stat().st_size > size:
            part.unlink()
        have, place = part.stat().st_size if part.is_file() else 0, f"{file.name}/{file.file}"
        free = shutil.disk_usage(part.parent).free
        if size - have > free:
            what = f"needs {(size - have) / 1e6:,.0f} MB more in the cache, whose disk has {free / 1e6:,.0f} MB left"
            raise ColorizeError(f"`{place}` {what}", _SPACE)
        url = hf_hub_url(file.name, file.file, revision=file.revision)
        headers = {**build_hf_headers(**sender()), "Accept-Encoding": "identity"}  # else bytes cannot be counted
        with open(part, "ab", opener=open_unlinked) as to:
            http_get(url, to, resume_size=have, headers=headers, expected_size=size, displayed_filename=file.file)
        found = sha256(part)
        if found != checksum:
            part.unlink()
            what = f"its sha256 is {found[:12]}... and not {checksum[:12]}..."
            raise ColorizeError(f"`{place}` arrived damaged: {what}", "it was removed; run the same command again")
        part.replace(content)
        return True


def cached(model: Address) -> Fetched | None:
    """Find a model's weights in the cache; the library's `local_files_only` would send telemetry all the same."""
    folder = _snapshot(model.name, model.revision or "main")
    if folder is None:
        return None
    file = model.file or WEIGHTS
    if not (folder / file).is_file():
        here = [] if model.file else sorted(path.name for path in folder.glob(f"*{SUFFIX}"))
        if model.name in DEFAULT_FILES:  # another file may have been fetched by its name
            here = [name for name in here if name in DEFAULT_FILES[model.name]]
        if not here:
            return None
        file = _chosen(model, here)
    return Fetched(folder / file, Address(model.name, folder.name, file))


def _chosen(model: Address, files: Sequence[str]) -> str:
    """Return which file of a model to take; ColorizeError if the user must say."""
    usable = [file for file in files if _fetchable(file)]
    if not usable:
        hint = "choose another model; .ckpt, .pt, .pth and .bin files are not opened"
        raise ColorizeError(f"`{model.name}` has no {SUFFIX} file", hint)
    if (model.file or WEIGHTS) in usable:
        return model.file or WEIGHTS
    more = f" and {len(usable) - LISTED} more" if len(usable) > LISTED else ""
    if model.file:
        stems = [file.removesuffix(SUFFIX) for file in usable]
        close = get_close_matches(model.file.removesuffix(SUFFIX), stems, n=1, cutoff=0.5)
        listed = f"it has {', '.join(usable[:LISTED])}{more}"
        hint = f"did you mean `{close[0]}{SUFFIX}`?" if close else listed
        raise ColorizeError(f"`{model.name}` has no file `{model.file}`", hint, code=2)
    top = [file for file in usable if "/" not in file]
    known = [file for file in DEFAULT_FILES.get(model.name, ()) if file in top]
    if len(top) == 1 or known:
        return top[0] if len(top) == 1 else known[0]
    names = ", ".join(str(replace(model, file=file)) for file in usable[:LISTED])
    raise ColorizeError(f"`{model}` holds several models", f"name one: {names}{more}", code=2)


def _store(name: str) -> Path:
    return cache() / "--".join(["models", *name.split("/")])


def _snapshot(name: str, branch: str) -> Path | None:
    """Return the cached folder of a model at a branch, tag or commit; it is named after the commit."""
    noted = _store(name) / "refs" / branch
    commit = noted.read_text().strip() if noted.is_file() else branch
    folder = _store(name) / "snapshots" / commit
    return folder if _COMMIT.fullmatch(commit) and folder.is_dir() else None


@contextmanager
def _readable_errors(address: Address, words: dict[str, str]) -> Iterator[None]:
    """Turn what the library raises into a ColorizeError; errors that it does not know pass."""
    try:
        yield
    except ColorizeError:
        raise
    except Exception as error:
        from huggingface_hub import constants

        cause: BaseException = error
        if type(error).__name__ == "LocalEntryNotFoundError" and hasattr(error.__cause__, "response"):
            cause = error.__cause__ or error  # it is not in the cache, and the Hub refuses it
        answer = getattr(cause, "response", None)
        kinds = [kind.__name__ for kind in type(cause).__mro__]
        if "LocalEntryNotFoundError" in kinds and constants.HF_HUB_OFFLINE:
            kinds = ["OfflineModeIsEnabled"]
        kind = next((kind for kind in kinds if kind in _MESSAGES), "")
        if not kind:
            raise
        early = kind == "OSError" and getattr(error, "errno", None) is None  # fewer bytes came than promised
        message, hint = _BROKEN if early else _MESSAGES[kind]
        why = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
        why = f"it answered {answer.status_code}" if answer is not None else why
        filled = {**words, "name": address.name, "id": str(address), "why": why}
        raise ColorizeError(message.format(**filled), hint.format(**filled)) from error
