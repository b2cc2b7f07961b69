"""Models for the page: those that there are, with their licenses, and downloads with their progress."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.checkpoints.library import Entry
    from colorize.web.routes import State

USABLE = ("embedded", "cached", "trained", "file")


@dataclass
class Downloads:
    """Models that are being fetched, with the bytes they will have; and why one could not be."""

    running: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def begin(self, name: str, size: int) -> None:
        """Fetch a model in a thread of its own, unless that is under way."""
        if name not in self.running:
            self.running[name] = size
            self.failed.pop(name, None)
            threading.Thread(target=self._fetch, args=(name,), daemon=True, name=f"fetch {name}").start()

    def _fetch(self, name: str) -> None:
        from colorize.checkpoints import model_files

        try:
            model_files.find(name)
        except ColorizeError as error:
            self.failed[name] = str(error)
        except Exception as error:
            self.failed[name] = f"the download failed: {error}"
        finally:
            self.running.pop(name, None)


def usable() -> tuple[set[str], set[str]]:
    """Return the names of the models that can color now, and of adapters; both are here already."""
    from colorize.checkpoints import library

    found = [one for one in library.every() if one.where in USABLE]
    return {one.name for one in found if one.kind == "model"}, {one.name for one in found if one.kind == "adapter"}


def _document(entry: Entry, state: State) -> dict[str, Any]:
    """Return what the page shows of a model."""
    downloads, total = state.downloads, state.downloads.running.get(entry.name)
    known: dict[str, Any] = {
        "name": entry.name,
        "where": entry.where,
        "kind": entry.kind,
        "takes": entry.takes,
        "bytes": entry.bytes,
    }
    known |= {"license": entry.license, "usable": entry.where in USABLE, "about": entry.facts.get("about", "")}
    known |= {"scores": [dict(one) for one in entry.scores[:1]]}
    if total is not None:
        known |= {"usable": False, "progress": min(1.0, _arrived(entry.name) / max(total, 1))}
    return known | ({"error": downloads.failed[entry.name]} if entry.name in downloads.failed else {})


def _arrived(name: str) -> int:
    """How many bytes of a model have arrived."""
    from colorize.checkpoints import access

    folder: Path = access.cache() / f"models--{name.replace('/', '--')}" / "blobs"
    return sum(one.stat().st_size for one in folder.glob("*") if one.is_file())


async def listed(request: Request) -> Response:
    """All models, and how far downloads are."""
    state: State = request.app.state.shared

    def every() -> list[dict[str, Any]]:
        from colorize.checkpoints import library

        found, own = list(library.every()), str(state.studio.server.get("model", "mini"))
        if own not in [one.name for one in found]:
            found.insert(0, library.find(own, offline=True))
        fetching = [one for one in state.downloads.running if one not in [each.name for each in found]]
        found += [library.Entry(one, "published") for one in fetching]
        return [_document(one, state) for one in found]

    return JSONResponse(await run_in_threadpool(every))


async def fetch(request: Request) -> Response:
    """Begin to fetch a published model that the program knows."""
    state: State = request.app.state.shared
    try:
        name = json.loads(await request.body())["name"]
    except (ValueError, KeyError, TypeError):
        name = ""
    from colorize.checkpoints import library

    if name not in library.KNOWN:
        raise ColorizeError(f"`{str(name)[:60]}` is not a published model that is known", "see the list", code=2)
    if state.studio.server.get("offline"):
        raise ColorizeError(f"`{name}` is not fetched, since the server was started with --offline", "", code=2)
    state.downloads.begin(name, library.KNOWN[name][1])
    return JSONResponse({"name": name}, 202)
