"""Look into the cache of the Hub's library, and put a file there. Knows no network, nor what is in the files.

The layout is that of the library's guide to its cache: `blobs` holds contents, `snapshots` links to them
under the names they have in a commit, and `refs` notes the commits of branches.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

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
