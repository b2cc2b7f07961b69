"""Bring a file of the Hub into its library's cache, checked; a broken download goes on. Knows not what is in it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from colorize import __version__
from colorize.errors import ColorizeError

SPACE = "free some space, or set HF_HOME to a folder on another disk"

_CONTENT = re.compile(r"[A-Za-z0-9_-]{1,128}")  # fit for the name of a file
# By name, since these moved between modules and HTTP libraries from version to version.
_MISSING = {"EntryNotFoundError", "RevisionNotFoundError"}
_TROUBLE = {"HTTPError", "RequestException", "FileMetadataError"}


class _Sender(TypedDict):
    library_name: str
    library_version: str


_SENDER = _Sender(library_name="colorize", library_version=__version__)


class Away(Exception):
    """The Hub does not answer, or refuses; the cause tells."""


class Broken(Exception):
    """The connection broke in the middle of a file."""


def locate(name: str, file: str, branch: str) -> Spot:
    """Ask the Hub for the commit and content of a file; a cached file of a given commit is not asked for.

    Raises Away if there is no answer, and the library's errors for what the Hub does not have.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    if COMMIT.fullmatch(branch) and (spot := find(name, file, branch)):
        return spot
    url = hf_hub_url(name, file, revision=branch)
    with _asking():
        told = get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT, **_SENDER)
    commit, content = told.commit_hash or "", told.etag or ""
    if not COMMIT.fullmatch(commit) or not _CONTENT.fullmatch(content):
        raise Away("what answers is not the Hub")
    found = find(name, file, commit)
    return Spot(name, file, branch, commit, found.path if found else None, content, told.size)


def listing(name: str, branch: str) -> tuple[str, list[str]]:
    """Return the commit of a branch and the names of all its files; raises like `locate`."""
    from huggingface_hub import HfApi, constants

    api = HfApi(endpoint=constants.ENDPOINT, **_SENDER)
    with _asking():
        told = api.model_info(name, revision=branch, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    if not COMMIT.fullmatch(told.sha or ""):
        raise Away("what answers is not the Hub")
    return str(told.sha), sorted(one.rfilename for one in told.siblings or ())


def beside(spot: Spot, file: str, offline: bool) -> Path | None:
    """Return a small file of the same commit; None if there is none, or the Hub does not give it now."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError

    found = try_to_load_from_cache(spot.name, file, revision=spot.commit)
    if isinstance(found, str):
        return Path(found)
    if found is None and not offline:  # else the cache knows that the commit lacks it
        with suppress(EntryNotFoundError):
            return Path(hf_hub_download(spot.name, file, revision=spot.commit, **_SENDER))
    return None


def bring(spot: Spot, known: str = "") -> tuple[Path, bool]:
    """Return the path of a file, and whether it was downloaded only now.

    known: the sha256 that it must have, if there is one. What was downloaded is checked once, before it
    gets its name; what breaks off is kept, and goes on when it is asked for again.

    Raises ColorizeError for a file of another checksum, which is removed, and for a full disk; Broken;
    OSError; and the library's errors.
    """
    path, fresh = spot.path, False
    if path is None:
        told = spot.content if SHA256.fullmatch(spot.content) else ""
        if told:
            _compare(spot, told, known)
        with storing(spot) as content:
            if not content.is_file():
                # The library itself begins anew since its 1.17; before, it used this name, too.
                part = content.with_name(f"{content.name}.incomplete")
                _download(spot, part)
                _check(spot, part, told, known)
                part.replace(content)
                fresh = True
            path = link(spot, content)
    note(spot)
    return path, fresh


@contextmanager
def _asking() -> Iterator[None]:
    """Raise Away for trouble on the way to the Hub, but what the Hub does not have as it is."""
    try:
        yield
    except Exception as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        strange = isinstance(error, (ValueError, TypeError, LookupError, AttributeError))
        if kinds & _MISSING or not (strange or kinds & _TROUBLE):
            raise
        raise Away(str(error)) from error


def _download(spot: Spot, part: Path) -> None:
    """Append to a file what it lacks."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    size = spot.size or 0
    have = part.stat().st_size if part.is_file() else 0
    if have > size:
        part.unlink()
        have = 0
    free = shutil.disk_usage(part.parent).free
    if size - have > free:
        what = f"needs {_shown(size - have)} more in the cache, whose disk has {_shown(free)} left"
        raise ColorizeError(f"`{spot}` {what}", SPACE)
    # Packed, its bytes could not be counted. The token stays with the Hub: its libraries for HTTP
    # drop it where the Hub sends them elsewhere.
    headers = {**build_hf_headers(**_SENDER), "Accept-Encoding": "identity"}
    url = hf_hub_url(spot.name, spot.file, revision=spot.commit)
    try:
        with part.open("ab") as to:
            http_get(url, to, resume_size=have, headers=headers, expected_size=spot.size, displayed_filename=spot.file)
    except Exception as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        cut = isinstance(error, OSError) and error.errno is None  # it ended too early
        if getattr(error, "response", None) is None and (cut or kinds & _TROUBLE):
            raise Broken(str(error)) from error
        raise


def _check(spot: Spot, part: Path, told: str, known: str) -> None:
    """Remove and refuse a file whose checksum is not what the Hub told, or what is known."""
    if not told and not known:
        return
    with part.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    try:
        if told and found != told:
            what = f"its sha256 is {found[:12]}... and not {told[:12]}..."
            hint = "it was removed; give the same command again"
            raise ColorizeError(f"`{spot}` arrived damaged: {what}", hint)
        _compare(spot, found, known)
    except ColorizeError:
        part.unlink()
        raise


def _compare(spot: Spot, found: str, known: str) -> None:
    """Refuse a file that is not the one known by its name."""
    if known and found != known:
        what = f"its sha256 is {found[:12]}... and not {known[:12]}..."
        hint = "it may have been replaced; if you trust it, fetch it yourself and name the file"
        raise ColorizeError(f"`{spot}` is not the file known by this name: {what}", hint)


def _shown(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Spot:
    """A file of one commit of a model on the Hub.

    branch: what was asked for, a branch, tag or commit. path: where the cache has it, or None.
    content: the Hub's name for what it holds, for large files its sha256. size: bytes, if the Hub tells.
    """

    name: str
    file: str
    branch: str
    commit: str
    path: Path | None
    content: str = ""
    size: int | None = None

    def __str__(self) -> str:
        return f"{self.name}/{self.file}"


def snapshot(name: str, branch: str) -> Path | None:
    """Return the folder of a model at a branch, tag or commit; it is named after the commit."""
    note = _store(name) / "refs" / branch
    commit = note.read_text().strip() if note.is_file() else branch
    folder = _store(name) / "snapshots" / commit
    return folder if COMMIT.fullmatch(commit) and folder.is_dir() else None


def find(name: str, file: str, branch: str) -> Spot | None:
    """Return the spot of a file, if it is here.

    The library's `hf_hub_download(local_files_only=True)` would send telemetry all the same.
    """
    folder = snapshot(name, branch)
    if folder is None or not (folder / file).is_file():
        return None
    return Spot(name, file, branch, folder.name, folder / file)


def note(spot: Spot) -> None:
    """Remember the commit of a branch, for when the Hub is away."""
    place = _store(spot.name) / "refs" / spot.branch
    if spot.branch == spot.commit or (place.is_file() and place.read_text() == spot.commit):
        return
    with suppress(OSError):  # a cache that may only be read
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(spot.commit)


@contextmanager
def storing(spot: Spot) -> Iterator[Path]:
    """Keep other processes out meanwhile; yield where the content of a file belongs.

    The same content may be there already, as that of another commit.
    """
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    store = _store(spot.name)
    content = store / "blobs" / spot.content
    lock = store.parent / ".locks" / store.name / f"{spot.content}.lock"  # where the library has it
    for folder in (content.parent, lock.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        yield content


def link(spot: Spot, content: Path) -> Path:
    """Give a content the name it has in its commit; return that path. On a disk without links it is moved there."""
    from huggingface_hub import constants

    path = _store(spot.name) / "snapshots" / spot.commit / spot.file
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        return path
    path.unlink(missing_ok=True)  # a link to what was deleted
    try:
        if getattr(constants, "HF_HUB_DISABLE_SYMLINKS", False):
            raise OSError
        path.symlink_to(os.path.relpath(content, path.parent))
    except OSError:
        content.replace(path)
    return path


def checksum(path: Path) -> str:
    """Return the sha256 of a file, which is the name of what it links to; "" if that tells none."""
    name = path.resolve().name
    return name if SHA256.fullmatch(name) else ""


def _store(name: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE, "--".join(["models", *name.split("/")]))
