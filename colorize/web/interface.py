"""The programming interface, for other programs: POST /api/color, and the paths of Stable Diffusion's web interface.

Programs made for Stable-Diffusion-WebUI send drawings as base64 in JSON to /sdapi/v1/img2img, after they have asked for
models, samplers and options; what they say of noise and prompts means nothing to a model that takes none.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from colorize.diffusion import names
from colorize.errors import ColorizeError, nearest
from colorize.images import files
from colorize.web import asked, models, openapi
from colorize.web import options as choices
from colorize.web.sessions import Made, Session, Upload, plain_name
from colorize.web.worker import Report

if TYPE_CHECKING:
    from colorize.web.routes import State

MOST = 16  # pictures in one request
FIELDS = {"image", "options", *choices.PICTURES}
RANDOM = -1  # Stable Diffusion's seed that stands for any
Pictures = dict[str, list[tuple[str, bytes]]]  # names and bytes by field
USAGE = 2


@contextmanager
def _passing(state: State) -> Iterator[Session]:
    """A session for one request."""
    session = state.sessions.open()
    try:
        yield session
    finally:
        state.sessions.close(session.id)


async def _colored(state: State, pictures: Pictures, options: Any, more: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Color the picture in `image`, and return the results with their PNG. more: strokes and edits."""
    values = state.read(options)
    if len(pictures.get("image", ())) != 1:
        message = f"there are {len(pictures.get('image', ()))} drawings in `image`"
        raise ColorizeError(message, "send one, as a file or in base64", USAGE)

    def work(report: Report) -> list[dict[str, Any]]:
        with _passing(state) as session:
            ids: dict[str, list[str]] = {}
            for field, several in pictures.items():
                for name, data in several:
                    files.read(data, name)
                    one = Upload(session.new("p"), name, _bytes(data))
                    session.uploads[one.id] = one
                    ids.setdefault(field, []).append(one.id)
            (drawing,), references = ids.pop("image"), ids.pop("reference", [])
            given = {"drawing": drawing, "references": references, "pictures": {k: v[0] for k, v in ids.items()}}
            made = state.studio.color(session, asked.read({**given, **more}, values), report)
            return [{"png": one.path.read_bytes(), **_facts(one)} for one in made]

    found: list[dict[str, Any]] = await state.worker.run(work)
    return found


def _bytes(data: bytes) -> Any:
    return lambda: data


def _facts(made: Made) -> dict[str, Any]:
    return {**made.facts, "variation": made.variation}


def decoded(text: object, name: str) -> tuple[str, bytes]:
    """Return the bytes of a picture in base64, which may be a data URL. Raises ColorizeError (wrong usage)."""
    if isinstance(text, str):
        try:
            plain = text.rpartition("base64,")[2] if text.startswith("data:") else text
            return name, base64.b64decode(plain, validate=True)
        except (ValueError, binascii.Error):
            pass
    raise ColorizeError(f"`{name}` is not a picture in base64", "encode the bytes of its file", USAGE)


async def _json(request: Request) -> dict[str, Any]:
    from colorize.web.routes import body

    return await body(request)


async def _read(request: Request) -> tuple[Pictures, Any, dict[str, Any]]:
    """The pictures, the options, and strokes and edits of a request, multipart or JSON."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await _multipart(request)
    given = await _json(request)
    offered = {one.name for one in choices.offered()}
    known = {*FIELDS, "strokes", "edits", *offered}
    for name in given:
        if name not in known:
            raise ColorizeError(f"`{name[:60]}` is not a field", nearest(name[:60], known), USAGE)
    pictures: Pictures = {}
    for name in FIELDS - {"options"}:
        several = given.get(name) or []
        several = several if isinstance(several, list) else [several]
        if several:
            pictures[name] = [decoded(one, name) for one in several[:MOST]]
    values = given.get("options", {})
    if isinstance(values, dict):  # what is no object is refused with the rest
        values = {**values, **{name: given[name] for name in offered if name in given}}
    return pictures, values, {name: given[name] for name in ("strokes", "edits") if name in given}


async def _multipart(request: Request) -> tuple[Pictures, Any, dict[str, Any]]:
    """The same of a form: files by field, options as JSON in `options` or each in a field of its name."""
    pictures: Pictures = {}
    values: dict[str, Any] = {}
    more: dict[str, Any] = {}
    async with request.form(max_files=MOST + 8, max_fields=100, max_part_size=4 * 2**20) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile) and name in FIELDS:
                pictures.setdefault(name, []).append((plain_name(value.filename or name), await value.read()))
            elif isinstance(value, UploadFile):
                raise ColorizeError(f"`{name[:60]}` is not a field", nearest(name[:60], FIELDS), USAGE)
            elif name == "options":
                values |= _object(value)
            elif name in ("strokes", "edits"):
                more[name] = _value(value)
            else:
                values[name] = _value(value)
    return pictures, values, more


def _value(text: str) -> Any:
    """What a field holds: JSON, or else a text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _object(text: str) -> dict[str, Any]:
    found = _value(text)
    if not isinstance(found, dict):
        raise ColorizeError("the options are not a JSON object", 'write them as {"seed": 2}', USAGE)
    return found


async def color(request: Request) -> Response:
    """Color one drawing: PNG for those who accept image/png, else JSON."""
    state: State = request.app.state.shared
    results = await _colored(state, *await _read(request))
    if request.headers.get("accept", "").startswith("image/"):
        notes = "; ".join(results[0]["notes"]).encode("latin-1", "replace").decode("latin-1")
        return Response(results[0]["png"], media_type="image/png", headers={"x-notes": notes.replace("\n", " ")})
    images = [base64.b64encode(one.pop("png")).decode() for one in results]
    return JSONResponse({"images": images, "results": results})


# Stable Diffusion's web interface


async def img2img(request: Request) -> Response:
    """Color the first picture of init_images, as Stable-Diffusion-WebUI's clients ask for it."""
    state: State = request.app.state.shared
    given = await _json(request)
    several = given.get("init_images")
    first = several[0] if isinstance(several, list) and several else None
    pictures: Pictures = {"image": [decoded(first, "init_images")]}
    if given.get("mask"):
        pictures["only"] = [decoded(given["mask"], "mask")]
    pictures |= _references(given)
    own = given.get("colorize", {})
    values = {**_values(given), **(own if isinstance(own, dict) else {})}
    more: dict[str, Any] = {name: given[name] for name in ("strokes", "edits") if name in given}
    results = await _colored(state, pictures, values, more)
    images = [base64.b64encode(one.pop("png")).decode() for one in results]
    info = {"seed": results[0]["seed"], "all_seeds": [one["seed"] for one in results], "results": results}
    kept = {name: value for name, value in given.items() if name not in ("init_images", "mask", "alwayson_scripts")}
    return JSONResponse({"images": images, "parameters": kept, "info": json.dumps(info)})


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that Stable Diffusion's words mean; a picture that is in color already is meant to be colored."""
    values: dict[str, Any] = {"force": True}
    seed, count = given.get("seed", RANDOM), 1
    if isinstance(seed, int) and seed > 0:
        values["seed"] = seed
    for name in ("batch_size", "n_iter"):
        number = given.get(name, 1)
        count *= number if isinstance(number, int) and number > 0 else 1
    values["variations"] = min(count, choices.MOST)
    settings = given.get("override_settings")
    model = settings.get("sd_model_checkpoint") if isinstance(settings, dict) else None
    return values | ({"model": model} if model else {})


def _references(given: Mapping[str, Any]) -> Pictures:
    """The pictures that units of ControlNet hold, as references."""
    scripts = given.get("alwayson_scripts")
    unit = (
        next((v for k, v in scripts.items() if str(k).lower() == "controlnet"), None)
        if isinstance(scripts, dict)
        else None
    )
    units = unit.get("args", []) if isinstance(unit, dict) else []
    found = [one.get("input_image") or one.get("image") for one in units if isinstance(one, dict)]
    pictures = [decoded(one, "alwayson_scripts") for one in found[:MOST] if one]
    return {"reference": pictures} if pictures else {}


async def sd_models(_: Request) -> Response:
    """The models that can color now, as a list of checkpoints."""
    from starlette.concurrency import run_in_threadpool

    here, _adapters = await run_in_threadpool(models.usable)
    return JSONResponse([{"title": one, "model_name": one, "hash": None, "filename": ""} for one in sorted(here)])


async def sd_options(request: Request) -> Response:
    """The model that is used unless a request names another; changes are taken and have no effect."""
    state: State = request.app.state.shared
    return JSONResponse({"sd_model_checkpoint": str(state.studio.server.get("model", "mini"))})


async def sd_samplers(_: Request) -> Response:
    """The samplers."""
    return JSONResponse([{"name": one, "aliases": [], "options": {}} for one in names.SAMPLERS])


async def sd_progress(_: Request) -> Response:
    """No progress: what is under way belongs to others."""
    return JSONResponse({"progress": 0.0, "eta_relative": 0.0, "state": {}, "current_image": None})


async def describe(request: Request) -> Response:
    """The interface as OpenAPI."""
    state: State = request.app.state.shared
    return JSONResponse(openapi.document(choices.describe(state.panels), choices.picture_options()))


def routes() -> list[Route]:
    """Return its paths."""
    sd = "/sdapi/v1"
    return [
        Route("/openapi.json", describe),
        Route("/api/color", color, methods=["POST"]),
        Route(f"{sd}/img2img", img2img, methods=["POST"]),
        Route(f"{sd}/sd-models", sd_models),
        Route(f"{sd}/options", sd_options, methods=["GET", "POST"]),
        Route(f"{sd}/samplers", sd_samplers),
        Route(f"{sd}/progress", sd_progress),
    ]
