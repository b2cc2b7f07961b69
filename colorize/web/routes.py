"""What the page asks the server for."""

from __future__ import annotations

import asyncio
import json
import mimetypes
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from colorize import __version__
from colorize.errors import ColorizeError
from colorize.images.encode import encode
from colorize.web import asked, export, interface, models
from colorize.web import options as choices
from colorize.web.sessions import Gone, Made, Session, Sessions, Upload, plain_name
from colorize.web.studio import Studio
from colorize.web.worker import Report, Worker

STATIC = resources.files("colorize.web") / "static"
SIDE = 320  # pixels of the longer side of a small picture
T = TypeVar("T")


@dataclass
class State:
    """What all requests share."""

    sessions: Sessions
    worker: Worker
    studio: Studio
    panels: Mapping[str, Sequence[str]]
    downloads: models.Downloads = field(default_factory=models.Downloads)
    light: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    async def aside(self, call: Callable[..., T], *given: Any) -> T:
        """Do what takes a moment and needs no network, in another thread, two at a time."""
        async with self.light:
            return await asyncio.to_thread(call, *given)

    async def warm(self) -> None:
        """Load the default model; what is wrong with it is told when a picture is colored."""
        try:
            await self.worker.run(self.studio.warm)
        except ColorizeError:
            return

    def read(self, given: object) -> choices.Values:
        """Read options, see `options.read`; only where a model is named are those looked for that there are."""
        named = isinstance(given, Mapping) and (given.get("model") or given.get("lora"))
        here, adapters = models.usable() if named else ((), ())
        return choices.read(given, {*here, str(self.studio.server.get("model", "mini"))}, adapters)


def shared(request: Request) -> State:
    """Return what all requests share."""
    found: State = request.app.state.shared
    return found


def _session(request: Request) -> Session:
    return shared(request).sessions.find(request.path_params["session"])


async def body(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request holds. Raises ColorizeError for anything else."""
    try:
        found = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ColorizeError("the request is not a JSON object", "see /openapi.json", code=2)
    return found


def unexpected(error: Exception) -> str:
    """Return what the page says of an error that nobody foresaw."""
    if isinstance(error, OSError) and error.strerror:
        return f"the disk: {error.strerror}"
    return f"this should not have happened: {type(error).__name__}: {error}"


def download(data: bytes | Path, name: str, kind: str) -> Response:
    """Return a file to save under a name."""
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    if isinstance(data, Path):
        return FileResponse(data, headers=headers, media_type=kind)
    return Response(data, headers=headers, media_type=kind)


def shown(one: Upload) -> dict[str, Any]:
    """Return what the page shows of an upload."""
    return {"id": one.id, "name": one.name, "volume": one.volume}


def shown_result(made: Made, state: State) -> dict[str, Any]:
    """Return what the page shows of a result."""
    lines = export.command_line(made, state.studio.server)
    return {**made.facts, "id": made.id, "base": made.base or made.id, "variation": made.variation, "command": lines}


# The page


async def page(request: Request) -> Response:
    """The page, its style and its scripts."""
    name = request.path_params.get("name", "index.html")
    listed = {one.name: one for one in STATIC.iterdir()}
    if name not in listed:
        raise Gone(f"there is no file `{name[:60]}`")
    kind = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0]
    return Response(listed[name].read_bytes(), media_type=kind or "text/plain")


async def settings(request: Request) -> Response:
    """The options for forms, and the version."""
    state = shared(request)
    described = choices.describe(state.panels)
    known = {"version": __version__, "options": described, "pictures": choices.picture_options()}
    return JSONResponse({**known, "model": str(state.studio.server.get("model", "mini")), "room": state.worker.room})


# Sessions


async def open_session(request: Request) -> Response:
    """Begin a session."""
    return JSONResponse({"id": shared(request).sessions.open().id}, 201)


async def session(request: Request) -> Response:
    """Keep a session alive, or end it."""
    found = _session(request)
    if request.method == "DELETE":
        await shared(request).aside(shared(request).sessions.close, found.id)
    return Response(status_code=204)


async def upload(request: Request) -> Response:
    """Take in a picture or a volume: the body is the file, `name` its name."""
    found, state = _session(request), shared(request)
    name = plain_name(request.query_params.get("name", ""))
    path = await found.keep(name, request.stream())
    try:
        several = await state.aside(found.add, path, name)
    except ColorizeError:
        path.unlink(missing_ok=True)
        raise
    volume = several[0].volume
    return JSONResponse({"name": name, "volume": volume, "pictures": [shown(one) for one in several]}, 201)


async def picture(request: Request) -> Response:
    """An upload as any browser shows it; small=1 for a small one."""
    found, state = _session(request), shared(request)
    one = found.upload(request.path_params["picture"])
    small = bool(request.query_params.get("small"))

    def made() -> bytes:
        from colorize.coloring.inputs import shrink

        whole = state.studio.picture(found, one)
        return encode((shrink(whole, SIDE) if small else whole).eight_bit(), ".png")

    return Response(await state.aside(made), media_type="image/png")


async def main_colors(request: Request) -> Response:
    """The main colors of an upload, to paint with."""
    found, state = _session(request), shared(request)
    one = found.upload(request.path_params["picture"])
    return JSONResponse(await state.aside(export.main_colors, state.studio, found, one))


# Coloring


async def color(request: Request) -> Response:
    """Color a drawing, and answer line by line: place in the queue, share of the work, then results or an error."""
    found, state = _session(request), shared(request)
    given = await body(request)
    wanted = asked.read(given, state.read(given.get("options", {})))
    found.upload(wanted.drawing)

    def work(report: Report) -> list[Made]:
        return state.studio.color(found, wanted, report)

    async def at_once() -> AsyncIterator[tuple[str, Any]]:
        yield "done", await state.aside(work, lambda _: None)

    events = at_once() if state.studio.ready(found, wanted) else state.worker.events(work)

    async def lines() -> AsyncIterator[bytes]:
        try:
            async for kind, value in events:
                told = [shown_result(one, state) for one in value] if kind == "done" else value
                yield json.dumps({"results" if kind == "done" else kind: told}).encode() + b"\n"
        except ColorizeError as error:
            yield json.dumps({"error": error.message, "hint": error.hint}).encode() + b"\n"
        except Exception as error:
            yield json.dumps({"error": unexpected(error), "hint": "please report it"}).encode() + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


async def region_map(request: Request) -> Response:
    """The regions of a result: their colors, and where they are as a picture whose RGB is the number."""
    found, state = _session(request), shared(request)
    made = found.result(request.path_params["result"])
    return Response(await state.aside(export.region_picture, state.studio, found, made), media_type="image/png")


async def region_list(request: Request) -> Response:
    """The colors of the regions of a result, after its edits."""
    found, state = _session(request), shared(request)
    made = found.result(request.path_params["result"])
    return JSONResponse(await state.aside(export.region_list, state.studio, found, made))


async def result(request: Request) -> Response:
    """A result as a file: png, small, ora, psd, regions or hints."""
    found, state = _session(request), shared(request)
    made, kind = found.result(request.path_params["result"]), request.path_params["kind"]
    if kind == "png":
        return download(made.path, f"{made.stem}_color.png", "image/png")
    if kind == "small":
        return Response(await state.aside(export.small, state.studio, found, made, SIDE), media_type="image/png")
    if kind in ("ora", "psd"):

        def call(report: Report) -> Path:
            return export.write_layers(state.studio, found, made, f".{kind}", report)

        path = await state.worker.run(call)
        return download(path, f"{made.stem}.{kind}", "application/octet-stream")
    if kind in ("regions", "everything"):
        path = await state.aside(export.bundle, state.studio, found, made, kind == "everything")
        return download(path, path.name, "application/zip")
    raise Gone(f"there is no `{kind[:20]}` of a result")


async def archive(request: Request) -> Response:
    """Results of several pages in one archive: those of a volume in it, in place of their pages."""
    found, state = _session(request), shared(request)
    given = await body(request)
    pairs = [(found.upload(one), found.result(other)) for one, other in _pairs(given.get("pages"))]
    path = await state.aside(export.archive, found, pairs, str(given.get("format", "cbz")))
    return download(path, path.name, "application/zip")


def _pairs(given: object) -> list[tuple[str, str]]:
    several = given if isinstance(given, list) else []
    if several and all(isinstance(one, list) and len(one) == 2 for one in several):
        return [(str(one), str(other)) for one, other in several]
    raise ColorizeError("no page is colored yet", "color one first", code=2)


async def edits_map(request: Request) -> Response:
    """Where edits by text act on a reference, in five colors."""
    found, state = _session(request), shared(request)
    given = await body(request)
    values, one = state.read(given.get("options", {})), found.upload(given.get("reference"))

    def call(_: Report) -> bytes:
        return export.edits_map(state.studio, found, one, values)

    return Response(await state.worker.run(call), media_type="image/png")


def routes() -> list[Route]:
    """Return all paths and what answers them."""
    base = "/api/sessions/{session}"
    return [
        Route("/", page),
        Route("/static/{name}", page),
        Route("/api/settings", settings),
        Route("/api/models", models.listed),
        Route("/api/models", models.fetch, methods=["POST"]),
        Route("/api/sessions", open_session, methods=["POST"]),
        Route(base, session, methods=["POST", "DELETE"]),
        Route(base + "/pictures", upload, methods=["POST"]),
        Route(base + "/pictures/{picture}", picture),
        Route(base + "/pictures/{picture}/colors", main_colors),
        Route(base + "/color", color, methods=["POST"]),
        Route(base + "/edits", edits_map, methods=["POST"]),
        Route(base + "/archive", archive, methods=["POST"]),
        Route(base + "/results/{result}/map", region_map),
        Route(base + "/results/{result}/colors", region_list),
        Route(base + "/results/{result}/{kind}", result),
        *interface.routes(),
    ]
