"""The programming interface as OpenAPI 3.1, made of the options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from colorize import __version__

KINDS = {"switch": "boolean", "whole": "integer", "number": "number", "weights": "object"}
TEXT = {"type": "string"}
BASE64 = {**TEXT, "contentEncoding": "base64"}
STROKE = {"points": {"type": "array", "items": {"type": "array"}}, "color": TEXT, "radius": {"type": "number"}}
MARKS = {
    "strokes": {"type": "array", "items": {"type": "object", "properties": STROKE}, "description": "Color hints"},
    "edits": {"type": "array", "description": 'Colors of regions at places: [[120, 85, "#ff8800"]]'},
}


def _object(properties: Mapping[str, Any], *needed: str) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(needed)}


def _content(kind: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: {"schema": dict(schema)}}


def _option(one: Mapping[str, Any]) -> dict[str, Any]:
    """An option as JSON Schema."""
    kind = KINDS.get(one["kind"], "array" if isinstance(one["default"], list) else "string")
    found = {"type": [kind, "null"] if one["optional"] else kind, "description": one["help"], "default": one["default"]}
    if "min" in one:
        found["minimum"] = one["min"]
    if "choices" in one:
        found["enum"] = [*one["choices"], *([None] if one["optional"] else [])]
    return found


def document(options: Iterable[Mapping[str, Any]], pictures: Mapping[str, str]) -> dict[str, Any]:
    """Return the description. options, pictures: see `options.describe` and `options.picture_options`."""
    described = {**_object({one["name"]: _option(one) for one in options}), "additionalProperties": False}
    helps = {"image": "The drawing", **pictures}
    coded: dict[str, Any] = {name: {**BASE64, "description": help} for name, help in helps.items()}
    coded["reference"] = {"type": "array", "items": BASE64, "description": helps["reference"]}
    files = {name: {**TEXT, "format": "binary", "description": help} for name, help in helps.items()}
    as_json = _object({**described["properties"], **coded, **MARKS, "options": described}, "image")
    as_form = _object({**described["properties"], **files, "options": {**TEXT, "description": "JSON"}}, "image")
    old = {"init_images": {"type": "array", "items": BASE64}, "mask": BASE64, "seed": {"type": "integer"}}
    as_img2img = _object({**old, **MARKS, "colorize": described}, "init_images")
    answer = _object({"images": {"type": "array", "items": BASE64}, "results": {"type": "array"}})
    wrong = {
        "description": "What is wrong",
        "content": _content("application/json", _object({"error": TEXT, "hint": TEXT})),
    }
    answers: dict[str, Any] = {
        "200": {"description": "PNG", "content": {**_content("application/json", answer), "image/png": {}}},
        **dict.fromkeys(("400", "413"), wrong),
        "503": {**wrong, "headers": {"Retry-After": {"schema": {"type": "integer"}}}},
    }

    def path(summary: str, bodies: Mapping[str, Any]) -> dict[str, Any]:
        return {"post": {"summary": summary, "requestBody": {"content": bodies}, "responses": answers}}

    both = {**_content("application/json", as_json), **_content("multipart/form-data", as_form)}
    paths = {
        "/api/color": path("Color a drawing", both),
        "/sdapi/v1/img2img": path(
            "Color a drawing, for clients of Stable-Diffusion-WebUI", _content("application/json", as_img2img)
        ),
    }
    return {"openapi": "3.1.0", "info": {"title": "colorize", "version": __version__}, "paths": paths}
