"""What a result says of the command that made it, and whether another command may replace it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorize.cli import messages
from colorize.coloring.options import SampleOptions
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.images.image import Picture

EXTRAS = ("film", "layers", "save_regions")  # options that write files beside the result
APART = ("overwrite", "variations", *EXTRAS)  # they do not change the pixels of a result
WHOLE = 64 * 2**20  # bytes; of a larger file, such as a model, both ends stand for all of it
SHOWN = 3  # options in a message

Values = dict[str, Any]  # by option, as JSON has them; a file is {"file": its name, "digest": of its content}


@dataclass(frozen=True)
class Source:
    """What a result is made of: a digest of the drawing and one of its path, and all options that change the result."""

    drawing: str
    place: str
    options: Values


@dataclass(frozen=True)
class Existing:
    """A result that exists.

    record: what it says of its making, None if this program did not make it. unedited: no byte of it has changed.
    digest: of its bytes.
    """

    record: dict[str, Any] | None
    unedited: bool
    digest: str

    def is_of(self, source: Source, extras: Mapping[str, Path]) -> bool:
        """Whether it was made with the same options from the same drawing, and the files beside it exist."""
        made = self.record or {}
        same = made.get("drawing") == source.drawing and "options" in made
        if not same or differences(made["options"], source.options):
            return False
        beside = made.get("extras", {})
        return all(name in beside and _is_there(path, beside[name][0]) for name, path in extras.items())

    def why_kept(self, source: Source) -> str:
        """Why it must not be replaced; empty if it may."""
        if self.record is None:
            return "was edited, or made by another program,"
        if "options" not in self.record:
            return "does not say which options it was made with"
        if not self.unedited:
            return "was edited since it was made"
        moved = not source.place or source.place != self.record.get("place")
        if moved and source.drawing != self.record.get("drawing"):
            return "was made from another drawing"
        return ""

    def why_again(self, source: Source) -> str:
        """Why it is to be made again."""
        made = self.record or {}
        if source.drawing != made.get("drawing"):
            return "before the drawing changed"
        told = differences(made.get("options", {}), source.options)
        return f"with other options ({told})" if told else "without some of the files you now ask for"


@dataclass(frozen=True)
class Settled:
    """Where a result goes.

    done: it exists. copied: it is a copy of a picture that stays as it is. again: how the one was made that it
    replaces. kept, stays: why a file of the wanted name stays, and which. beside: digests of files that earlier results
    had beside them, by name; as long as these are the same, they may be replaced.
    """

    path: Path
    done: bool = False
    copied: bool = False
    again: str = ""
    kept: str = ""
    stays: Path | None = None
    beside: Mapping[str, str] = field(default_factory=dict)


def settle(
    path: Path,
    source: Source,
    extras: Mapping[str, Path] | None = None,
    taken: Container[Path] = (),
    given: Collection[Path] = (),
    volume: bool = False,
    copies: bool = False,
) -> Settled:
    """Find the result of a source, or where it may be written: at `path`, or at name-2.png, name-3.png ...

    extras: files that are to be beside it, by option. taken: names of other results. given: what `given_in` returns.
    copies: whether a drawing that stays as it is is copied there.
    """
    from colorize.images.listing import real

    free: Settled | None = None
    stays: Path | None = None
    kept, beside = "", dict[str, str]()
    for name in names(path):
        if name != path and name in taken:
            continue
        if not name.exists():
            return replace(free or Settled(name), kept=kept, stays=stays, beside=beside)
        found = read(name, volume)
        copied = copies and bool(source.drawing) and found.digest == source.drawing
        if found.is_of(source, extras or {}) or (copied and not source.options.get("force")):
            return Settled(name, done=True, copied=copied)
        beside |= dict((found.record or {}).get("extras", {}).values())
        why = "" if copied else found.why_kept(source)
        if real(name) in given:
            why = "is used for this picture"
        if not why and free is None:
            free = Settled(name, again="" if copied else found.why_again(source))
        if free is None and stays is None:
            kept, stays = why, name
    raise AssertionError("names never end")


def names(path: Path) -> Iterator[Path]:
    """Yield the names that a result may have: name.png, name-2.png, name-3.png ..."""
    yield path
    number = 2
    while True:
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1


def read(path: Path, volume: bool = False) -> Existing:
    """Read what a result says of its making."""
    from colorize.images import archives, files
    from colorize.images.decode import read_texts
    from colorize.images.metadata import is_sealed, record

    if volume:
        made = archives.read_record(path)
        with suppress(ColorizeError):
            return Existing(_checked(made), made.get("unedited") is True, archives.open_volume(path).fingerprint)
        return Existing(None, False, "")
    with suppress(OSError, ColorizeError):
        data = files.content(path, files.BYTES)
        return Existing(_checked(record(read_texts(data))), is_sealed(data), files.sha256(data)[:12])
    return Existing(None, False, "")


def _checked(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """A record without options and extras that are not as this program writes them; None if it is empty."""
    if not record:
        return None
    found: dict[str, Any] = {**record, "extras": {}}
    if not isinstance(found.get("options"), dict):
        found.pop("options", None)
    for name, value in record["extras"].items() if isinstance(record.get("extras"), dict) else ():
        if isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value):
            found["extras"][name] = value
    return found


def settle_extra(path: Path, beside: Mapping[str, str], made: Collection[str] = ()) -> Path:
    """Return where a file beside a result may be written: at `path`, or at name-2.ora, name-3.ora ...

    beside: digests, by name, of files that may be replaced. made: digests of such files of any name.
    """
    free = (name for name in names(path) if digest(name) in ("", beside.get(name.name), *made))
    return next(free)


def digest(extra: Path) -> str:
    """Return a digest of a file beside a result, of regions with their map; empty if there is none."""
    from colorize.images import files, region_files

    both = [extra, region_files.map_of(extra)] if extra.suffix.lower() == ".toml" else [extra]
    both = [path for path in both if path.exists()]
    return files.sha256(both)[:12] if both else ""


def with_record(picture: Picture, meta: Mapping[str, object], source: Source, extras: Mapping[str, Path]) -> Picture:
    """Return a result that says how it was made: meta, the source, and the files beside it, by option."""
    from colorize.images.metadata import MARK, SEAL

    beside = {name: (path.name, digest(path)) for name, path in extras.items()}
    text = json.dumps({**meta, **vars(source), "extras": beside, "unedited": SEAL}, ensure_ascii=False)
    return replace(picture, text={**picture.text, MARK: text})


def write(
    path: Path, source: Source, options: SampleOptions, make: Callable[[], Picture], report: messages.Reporter
) -> Path | None:
    """Make and write a further picture of a run; return where it is, None if it is there already."""
    from colorize.images import files

    settled = Settled(path) if options.overwrite else settle(path, source)
    if settled.done:
        return None
    picture = make()
    notes = files.write(with_record(picture, {}, source, {}), settled.path)
    if settled.stays:
        report.note(f"`{settled.stays}` {settled.kept} and stays; the new picture is `{settled.path}`")
    for note in (*picture.notes, *notes):
        report.note(note)
    return settled.path


def place(path: Path) -> str:
    """Return a digest of where a drawing is."""
    from colorize.images import files

    return files.sha256(os.path.abspath(path))[:12]  # noqa: PTH100 - a link is a place of its own


def options_of(options: SampleOptions) -> Values:
    """Return the options that change a result and have not their default, with a digest of every file they name."""
    known: Values = {}
    for one in fields(options):
        value = getattr(options, one.name)
        if one.metadata.get("affects") and one.name not in APART and value != _default(one):
            names_files = "Path" in str(one.type) or "FILE" in (one.metadata["typer"]["metavar"] or "")
            known[one.name] = _noted(value, names_files)
    if not options.divides:
        known.pop("gaps", None)
    known["model"] = _model(options)
    if options.divides and not options.flat:
        known["layers"] = True  # its colors are those of the layers
    if options.grid:
        known["grid"] = options.variations
    found: Values = json.loads(json.dumps(known))
    return found


def given_in(options: SampleOptions) -> set[Path]:
    """Return the real paths of the files to color with: no result may replace them."""
    from colorize.images.listing import real

    reference: Any = options.reference
    given: list[Any] = [*([reference] if isinstance(reference, str | Path) else reference)]
    given += [options.palette, options.hints, options.background, options.mask, options.only, options.ref_mask]
    with suppress(OSError, ValueError):  # a palette may be longer than any path
        return {real(one) for one in given if isinstance(one, str | Path) and one}
    return set()


def with_file(values: Values, name: str, path: Path | None) -> Values:
    """Return options with one drawing's own file where a folder holds one for each; None if it has none."""
    others = {key: value for key, value in values.items() if key != name}
    return {**others, name: _file(path)} if path else others


def differences(old: Values, new: Values) -> str:
    """Return in words how options differ, such as `seed 0, now 2`; empty if they are the same."""
    from colorize.images.files import shown

    told = []
    defaults = {one.name: _default(one) for one in fields(SampleOptions)} | {"layers": False, "grid": False}
    for name in dict.fromkeys([*defaults, *old, *new]):
        before, after = (each.get(name, defaults.get(name)) for each in (old, new))
        if _plain(before, "digest") != _plain(after, "digest"):
            first, second = _shown(before), _shown(after)
            second = "another of that name" if first == second else second
            told.append(f"{messages.flag(name)[2:]} {first}, now {second}")
    more = f"; and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return shown("; ".join(told[:SHOWN]) + more)


def _is_there(path: Path, name: str) -> bool:
    """Whether a file that is to be at a path is there, or under one of its other names."""
    numbered = f"{re.escape(path.stem)}(-[0-9]+)?{re.escape(path.suffix)}"
    return re.fullmatch(numbered, name) is not None and path.with_name(name).exists()


def _default(one: Any) -> object:
    return one.default if one.default_factory is MISSING else one.default_factory()


def _noted(value: Any, names_files: bool) -> object:
    if isinstance(value, Mapping):
        return {str(key): _noted(each, names_files) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_noted(each, names_files) for each in value]
    if names_files and isinstance(value, str | Path) and value:
        from colorize.colorize_diffusion.text_edits import numbered

        with suppress(OSError, ValueError):  # ValueError: a NUL
            path, group = numbered(Path(value))
            if path.exists():
                found = _file(path)
                return found if group is None else {key: f"{each}#{group}" for key, each in found.items()}
    return value if value is None or isinstance(value, int | float) else str(value)


def _file(path: Path) -> dict[str, str]:
    """The name of a file and a digest of its content, or of all files in a folder."""
    from colorize.images import files

    if path.is_dir():
        inside = sorted(one for one in path.rglob("*") if one.is_file() and not one.name.startswith("."))
        digest = files.sha256(f"{one.relative_to(path)} {_file(one)['digest']}" for one in inside)[:12]
    elif path.stat().st_size <= WHOLE:
        digest = files.fingerprint(path)
    else:
        with path.open("rb") as stream:
            start = stream.read(WHOLE // 2)
            stream.seek(-WHOLE // 2, os.SEEK_END)
            digest = files.sha256((start, stream.read()))[:12]
    return {"file": path.name, "digest": digest}


def _model(options: SampleOptions) -> object:
    """A model by its name, and the digest of its file if that is here."""
    from colorize.checkpoints import model_files

    path = model_files.local_file(str(options.model))
    given = str(options.model)
    return given if path is None else {**_file(path), "file": path.name if Path(given).is_absolute() else given}


def _plain(value: Any, key: str) -> Any:
    """A value with only the name or only the digest of each file in it; nothing given is None."""
    if isinstance(value, Mapping):
        return value[key] if key in value else {name: _plain(each, key) for name, each in value.items()} or None
    if isinstance(value, list | tuple):
        return [_plain(each, key) for each in value] or None
    return None if value == "" else value


def _shown(value: Any) -> str:
    plain = _plain(value, "file")
    if plain is None or isinstance(plain, bool):
        return {None: "none", True: "on", False: "off"}[plain]
    if isinstance(plain, dict):
        return ", ".join(f"{name}={each}" for name, each in plain.items())
    return ", ".join(map(str, plain)) if isinstance(plain, list) else str(plain)
