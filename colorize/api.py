"""What `import colorize` offers: paint pictures, and load models."""

from __future__ import annotations

import json
import numbers
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypedDict, Unpack, get_args, get_origin, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from colorize.checkpoints import access, adapters, model_files
from colorize.checkpoints.adapters import AdapterPaths
from colorize.checkpoints.model_files import Loaded
from colorize.coloring import inputs
from colorize.coloring import paint as painting
from colorize.coloring.options import Job, SampleOptions
from colorize.coloring.result import Result
from colorize.errors import ColorizeError, nearest
from colorize.images import decode, files, listing
from colorize.images.image import Picture, from_array
from colorize.model import Colorizer

USAGE = 2  # the code of errors that are the same for every drawing
ELSEWHERE = {  # options of the command line, and what Python has instead
    "out": "save the result: `result.save(path)`",
    "film": "see examples/film.py",
    "grid": "join the pictures of the results: `result.image`",
    "save_regions": "take `result.layers`, one per color",
}
_FLAG = re.compile(r"--([a-z][a-z-]+)")
_LOCK = threading.RLock()  # models keep what they have encoded last, so one drawing is colored at a time


ImageLike = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | npt.NDArray[Any] | Picture | Result

SINGLE = (bytes, Image.Image, np.ndarray, Picture, Result)


class PaintOptions(TypedDict, total=False):
    """Options of `paint`; see docs/reference/python.md."""

    reference: ImageLike | Sequence[ImageLike]
    palette: ImageLike | Sequence[str]
    colors: int | None
    hints: ImageLike | Mapping[str, Any] | None
    hint: str | Sequence[str]
    hint_mode: Literal["hard", "soft"]
    auto_hints: float | None
    model: str | Path | Colorizer | Loaded
    lora: AdapterPaths
    kind: Literal["auto", "line", "gray"]
    steps: int | None
    sampler: str | None
    spacing: str | None
    eta: float | None
    seed: int
    guidance: Mapping[str, float]
    strength: Mapping[str, float]
    text: str | Sequence[str]
    edits: str | os.PathLike[str] | None
    background: ImageLike | None
    mask: ImageLike
    only: ImageLike
    ref_mask: ImageLike | None
    knob: str | Sequence[str]
    encoder: str
    predicts: str
    flat: bool
    gaps: float | None
    panels: Literal["auto", "on", "off"]
    layers: bool
    size: int | None
    device: str
    precision: str
    batch: int | None
    force: bool
    offline: bool


class LoadOptions(TypedDict, total=False):
    """Options of `load`, which `paint` has, too."""

    device: str
    precision: str
    lora: AdapterPaths
    encoder: str
    predicts: str
    offline: bool


class UnknownOption(ColorizeError, TypeError):
    """A keyword that `paint` or `load` does not know."""


@overload
def paint(image: ImageLike, *, variations: None = None, **options: Unpack[PaintOptions]) -> Result: ...
@overload
def paint(image: ImageLike, *, variations: int, **options: Unpack[PaintOptions]) -> list[Result]: ...
def paint(image: ImageLike, *, variations: int | None = None, **options: Unpack[PaintOptions]) -> Result | list[Result]:
    """Color a drawing: `paint("sketch.png", reference="ref.png", seed=2).save("out.png")`.

    image, and all pictures given with it: a path, the bytes of a file or an open one, a Pillow image, an array (H, W),
    (H, W, 3) or (H, W, 4) of uint8, uint16 or floats in [0, 1], or a result. reference: one or several pictures to take
    colors from. palette: colors such as "#3b5fa0,#f2c6a0", a list of them, or a picture. hints: a picture that is
    transparent except for them, a copy of the drawing painted over, or a dictionary like a hint file. hint: texts such
    as "120,85=#ff8800". flat: one color for each region. layers: keep them for `result.layers`. seed: another one gives
    other colors. variations: return this many results, in a list. model: a name, a path, or what `load` returned.
    docs/reference/python.md has all options.

    The model of the last call is kept. Calls in threads wait for one another. Raises ColorizeError.
    """
    several = list(_results([image], {**options, "variations": 1 if variations is None else variations}))
    for one in several:
        if isinstance(one, ColorizeError):
            raise one
    results = [one for one in several if isinstance(one, Result)]
    return results[0] if variations is None else results


def paint_all(
    images: ImageLike | Iterable[ImageLike], *, variations: int = 1, **options: Unpack[PaintOptions]
) -> Iterator[Result | ColorizeError]:
    """Color many drawings, one after another, with the options of `paint`; yield results in order.

    images: a folder, a pattern, or pictures as `paint` takes them. Each gives as many results as there are variations
    or, if it fails, its ColorizeError. Raises ColorizeError for what is wrong with all.
    """
    if isinstance(images, str | os.PathLike):
        images = [source for source in listing.find([os.fspath(images)]) if source.path]  # type: ignore[misc]
    elif isinstance(images, SINGLE) or hasattr(images, "read"):
        images = [images]  # type: ignore[list-item]
    return _results(images, {**options, "variations": variations})


def load(
    model: str | Path = "mini",
    *,
    revision: str = "",
    token: str | None = None,
    words: bool = False,
    **options: Unpack[LoadOptions],
) -> Colorizer:
    """Load a model for `paint(model=...)`: a recipe's name, a file, a folder, or OWNER/NAME[/FILE] on the Hub.

    revision: a branch, a tag or a commit. token: by default HF_TOKEN or that of `hf auth login`. words: also load what
    edits by `text` need. options: those of `paint` that concern models: device, precision, lora, encoder, predicts and
    offline. Raises ColorizeError if there is no such model, or it is damaged.
    """
    given, _ = _options(options, LoadOptions.__annotations__)
    given = replace(given, model=model_files.at_revision(model, revision))
    with _LOCK, access.access(token):
        return painting.load_model(given, words, whole=True).own()


def _results(images: Iterable[ImageLike], given: Mapping[str, Any]) -> Iterator[Result | ColorizeError]:
    """Check the options and load the model at once; color the drawings when they are asked for."""
    try:
        options, hints = _options(given, {*PaintOptions.__annotations__, "variations"})
        template = inputs.job_template(options)
        if isinstance(hints, Mapping):
            template = replace(template, hints=_as_json(hints))
        with _LOCK:
            loaded = _model(options)
            outcomes = painting.paint_all(loaded, _jobs(images, template), options)
    except ColorizeError as error:
        _reworded(error)
        raise
    return _unpacked(outcomes)


def _unpacked(outcomes: Iterator[painting.Outcome]) -> Iterator[Result | ColorizeError]:
    while True:
        with _LOCK:
            outcome = next(outcomes, None)
        if outcome is None:
            return
        if outcome.error and outcome.error.code == USAGE:
            raise _reworded(outcome.error)
        if outcome.error:
            yield _reworded(outcome.error)
        for one in outcome.painted:
            yield Result(outcome.job.name, one, tuple(_in_python(note) for note in one.notes))


def _jobs(images: Iterable[ImageLike], template: Job) -> Iterator[Job]:
    """A job for each drawing, which is read when the job begins."""
    alone = isinstance(images, list) and len(images) == 1
    for number, one in enumerate(images, 1):
        if isinstance(one, listing.Source) and one.path:  # below a folder, where another one may have the same name
            yield replace(template, name=files.shown(one.relative.as_posix()), drawing=one.path)
            continue
        if isinstance(one, str | os.PathLike):
            yield replace(template, name=files.shown(Path(one).name), drawing=Path(one))
            continue
        path = getattr(one, "filename", "") or getattr(one, "name", "")  # of Pillow images, open files and results
        name = (
            files.shown(Path(path).name)
            if isinstance(path, str) and path
            else "drawing"
            if alone
            else f"drawing {number}"
        )
        yield replace(template, name=name, drawing=partial(_picture, one, name))


def _options(given: Mapping[str, Any], known: Iterable[str]) -> tuple[SampleOptions, object]:
    """The options of `sample` that keywords mean, and the hints, if they are a dictionary."""
    for name in given:
        if name not in known:
            raise _unknown(name, known)
    wanted = {one.name: one.type for one in fields(SampleOptions)}
    changes = {}
    for name, value in given.items():
        if value is not None:
            changes[name] = CONVERTED.get(name, lambda same: same)(_plain(name, value, wanted[name]))
    hints = changes.get("hints")
    if isinstance(hints, Mapping):
        del changes["hints"]
    return SampleOptions(**changes), hints


def _plain(name: str, value: Any, wanted: Any) -> Any:
    """A value without numpy's scalars; ColorizeError if the option has a plain type and this is another."""
    value = {key: _item(one) for key, one in value.items()} if isinstance(value, Mapping) else _item(value)
    plain = {int: numbers.Integral, float: numbers.Real, bool: bool, str: str, dict: Mapping}
    if get_origin(wanted) is Literal:
        wanted = str
    elif isinstance(wanted, str):  # of several types, but for mappings
        wanted = dict if wanted.startswith("Mapping") else None
    kinds = [one for one in get_args(wanted) or (wanted,) if one in plain]
    if kinds and not isinstance(value, tuple(plain[one] for one in kinds)):
        names = " or ".join(one.__name__ for one in kinds)
        raise ColorizeError(f"`{name}` is {value!r}", f"it takes a value of the type {names}", code=USAGE)
    return value


def _item(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _as_json(hints: Mapping[str, Any]) -> str:
    """Hints as the text of a file of hints."""
    try:
        return json.dumps(hints, default=_listed)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, and what holds itself
        raise ColorizeError("the hints have a number that is too long, or are nested too deeply") from error


def _listed(value: Any) -> Any:
    """What JSON holds of numpy's values, and the text of all others."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


def _references(value: Any) -> list[str | Path | Picture]:
    several = value if isinstance(value, list | tuple) else [value]
    return [_file(one, f"reference {number}") for number, one in enumerate(several, 1)]


def _palette(value: Any) -> str | Path | Picture:
    return ",".join(value) if isinstance(value, list | tuple) else _file(value, "palette")


def _with_layers(value: object) -> Path | None:
    if not isinstance(value, bool):
        raise ColorizeError(f"`layers` is {value!r}", "give True, and then `result.save_layers(path)`", code=USAGE)
    return Path("layers.ora") if value else None  # a name that nothing is written to


CONVERTED: dict[str, Callable[[Any], Any]] = {
    "reference": _references,
    "palette": _palette,
    "hints": lambda value: value if isinstance(value, Mapping) else _file(value, "hints"),
    "background": lambda value: _file(value, "background"),
    "mask": lambda value: _file(value, "mask"),
    "only": lambda value: _file(value, "only"),
    "ref_mask": lambda value: _file(value, "ref_mask"),
    "text": lambda value: (value,) if isinstance(value, str) else value,
    "knob": lambda value: (value,) if isinstance(value, str) else value,
    "edits": Path,
    "model": lambda value: model_files.loaded(value) if isinstance(value, Colorizer) else value,
    "layers": _with_layers,
}


def _file_of(model: str | Path) -> tuple[object, ...]:
    """What tells a model from another, or from itself after a change; of one on the Hub, its address."""
    path = model_files.local_file(model)
    return (str(path.resolve()), path.stat().st_mtime_ns, path.stat().st_size) if path else (str(model),)


def _unknown(name: str, known: Iterable[str]) -> ColorizeError:
    """The error for a keyword that is not an option, with the right word."""
    flags = {flag.lstrip("-"): one.name for one in fields(SampleOptions) for flag in one.metadata.get("flags", ())}
    if name in PaintOptions.__annotations__:
        return UnknownOption(f"`{name}` is not an option of `load`", "give it to `paint`", USAGE)
    if name in ELSEWHERE or name in {one.name for one in fields(SampleOptions)}:
        return UnknownOption(f"`{name}` is an option of the command line", ELSEWHERE.get(name, "leave it out"), USAGE)
    hint = f"did you mean `{flags[name]}`?" if name in flags else nearest(name, known)
    return UnknownOption(f"`{name}` is not an option", hint, USAGE)


def _file(value: Any, what: str) -> str | Path | Picture:
    """A path as it is, and any other picture read."""
    if not isinstance(value, str | os.PathLike):
        return _picture(value, what)
    if not what.startswith("reference") and Path(value).is_dir():
        raise ColorizeError(f"`{what}` is the folder `{files.shown(os.fspath(value))}`", "give a file", code=USAGE)
    return value if isinstance(value, str) else Path(value)


def _picture(value: Any, name: str) -> Picture:
    """A picture that is no path. Raises ColorizeError if it cannot be one."""
    if isinstance(value, Picture):
        return value
    if isinstance(value, Result):
        return value.picture
    if isinstance(value, Image.Image):
        return decode.decode(value, name)
    if isinstance(value, np.ndarray):
        return from_array(value, name)
    if isinstance(value, bytes | bytearray | memoryview) or hasattr(value, "read"):
        return files.read(value if hasattr(value, "read") else bytes(value), name)
    hint = "give a path, bytes, a Pillow image, or a numpy array"
    raise ColorizeError(f"`{name}` is a {type(value).__name__}, not a picture", hint)


@dataclass
class _Kept:
    """The model of the last call by its name."""

    key: object = None
    loaded: Loaded | None = None


_kept = _Kept()


def _model(options: SampleOptions) -> Loaded:
    """Load the model that options name, or take the one that was loaded last if it is the same."""
    if isinstance(options.model, Loaded):
        return painting.load_model(options)
    words = bool(options.settings and options.settings.reads_text)
    key = (_file_of(options.model), adapters.identity(options.lora), words)
    key += tuple(getattr(options, name) for name in ("device", "precision", "predicts", "encoder"))
    if _kept.loaded is None or _kept.key != key:
        _kept.key, _kept.loaded = None, None  # its memory is free before another is loaded
        _kept.key, _kept.loaded = key, painting.load_model(options)
    return _kept.loaded


def _reworded(error: ColorizeError) -> ColorizeError:
    """An error in the words of Python, of the same class."""
    error.message, error.hint = _in_python(error.message), _in_python(error.hint)
    error.args = (error.message,)
    return error


def _in_python(text: str) -> str:
    """A sentence with the names of keywords in place of the command line's options: `reference` for --ref."""
    flags = {flag.lstrip("-"): one.name for one in fields(SampleOptions) for flag in one.metadata.get("flags", ())}
    return _FLAG.sub(lambda found: f"`{flags.get(found[1], found[1].replace('-', '_'))}`", text)
