"""Find the pictures that paths, folders and patterns mean."""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from colorize.errors import ColorizeError, alike

PICTURE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif"),
    *(".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"),
    *(".psd", ".ora", ".kra", ".pcx", ".qoi", ".sgi", ".heic", ".heif"),  # HEIC only with a plugin, else refused
)
VOLUME_SUFFIXES = (".cbz", ".cbr", ".zip")  # of comics, which are folders of pages in one file
_SKIPPED = ("__MACOSX", "@eaDir")  # resource forks and thumbnails that macOS and Synology leave
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Source:
    """path: where the picture is, None for standard input. relative: where to mirror it, unique."""

    path: Path | None
    relative: Path


_Found = tuple[Path, Path]  # a file, and the folder below which its path is to be mirrored


def find(inputs: Sequence[str], *, volumes: bool = False) -> list[Source]:
    """Return the pictures meant by files, folders (with all below), patterns and "-".

    volumes: look for .cbz files in folders, too.

    Inputs keep their order; in a folder `page2` comes before `page10`. Hidden files are skipped, as are files without a
    picture's suffix unless named. Pictures of several folders that would share a relative path get the folder's name in
    front. Raises ColorizeError if an input is missing or holds no picture.
    """
    if not inputs:
        raise ColorizeError("no picture was named", "name a file, a folder, or `-` for stdin", 2)
    suffixes = (*PICTURE_SUFFIXES, *VOLUME_SUFFIXES[: int(volumes)])
    found: dict[str, _Found | None] = {}  # by absolute path: what is named twice is taken once
    for each in inputs:
        if not each:
            raise ColorizeError("the name of a picture is empty", "name a file, a folder, or `-` for stdin", 2)
        if each == "-":
            found["-"] = None
        for path, root in _expanded(each, suffixes) if each != "-" else ():
            found.setdefault(os.path.abspath(path), (path, root))  # noqa: PTH100 - links stay links
    relatives = iter(_mirrored([one for one in found.values() if one]))
    return [Source(one[0], next(relatives)) if one else Source(None, Path("stdin")) for one in found.values()]


def natural(path: Path) -> tuple[list[list[str | int]], str]:
    """Return a key that sorts paths as people do: numbers by value, letters without their case."""
    parts = [re.split(r"([0-9]+)", part.casefold()) for part in path.parts]
    keys = [[int(bit) if at % 2 else bit for at, bit in enumerate(bits)] for bits in parts]
    return keys, str(path)


def real(path: Path | str) -> Path:
    """Return where a path leads; a link to itself, at which `Path.resolve` fails, leads to itself."""
    return Path(os.path.realpath(path))


def pictured(relative: PurePath) -> bool:
    """Tell whether a path below a folder is by its name that of a picture, and not hidden."""
    return relative.suffix.lower() in PICTURE_SUFFIXES and not any(map(_hidden, relative.parts))


def _expanded(text: str, suffixes: tuple[str, ...]) -> list[_Found]:
    """What one input means: the thing of that name first, since names may hold `[1]`."""
    path = Path(text)
    try:
        if path.is_dir():
            os.scandir(path).close()  # of the folders below, each that cannot be read is named
            files = sorted(_walk(path, suffixes), key=natural)
            if not files:
                advice = f"looked for {' '.join(suffixes)}, hidden files aside"
                raise ColorizeError(f"the folder `{path}` holds no pictures", advice)
            return [(file, path) for file in files]
        if path.exists():
            return [(path, path.parent)]
        if _MAGIC.search(text):
            return _matching(text, suffixes)
    except OSError as error:
        place, reason = error.filename or text, error.strerror or str(error)
        raise ColorizeError(f"`{place}` cannot be read: {reason}", "check its permissions") from error
    except ValueError as error:  # such as `a**b`
        raise ColorizeError(f"`{text}` is not a pattern: {error}", "check the pattern") from error
    if path.is_symlink():
        raise ColorizeError(f"`{text}` is a broken link", "check where it points")
    raise ColorizeError(f"`{text}` does not exist", _advice(path))


def _advice(path: Path) -> str:
    """The nearest name in the same folder, if one is near."""
    try:
        near = alike(path.name, (each.name for each in path.parent.iterdir()))
    except (OSError, ValueError):
        return f"check the path; the folder `{path.parent}` cannot be read"
    return f"did you mean `{near[0]}`?" if near else "check the spelling of the path"


def _walk(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """All files below of these suffixes; every folder once, under its own name rather than that of a link to it.

    Folders that cannot be read, and broken links, are among them: whoever reads them says why that fails.
    """
    own, links, seen = deque([folder]), deque[Path](), set[tuple[int, int]]()
    while own or links:
        here = own.popleft() if own else links.popleft()
        try:
            status = here.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(here) as found:
                entries = [entry for entry in found if not _hidden(entry.name)]
        except OSError:
            yield here
            continue
        for entry in entries:
            path, kind = here / entry.name, _kind(entry)
            if kind == "folder":
                (links if entry.is_symlink() else own).append(path)
            elif kind and path.suffix.lower() in suffixes:
                yield path


def _kind(entry: os.DirEntry[str] | Path) -> Literal["folder", "file", "broken", ""]:
    """What a path is or, if it is a link, leads to; broken: nowhere, or to what cannot be read."""
    try:
        found = "folder" if entry.is_dir() else "file" if entry.is_file() else ""
        return found or ("" if Path(entry).exists() else "broken")  # type: ignore[return-value]
    except OSError:
        return "broken"


def _matching(pattern: str, suffixes: tuple[str, ...]) -> list[_Found]:
    """What a shell would have made of the pattern; the fixed start of it is the root to mirror."""
    parts = Path(pattern).parts
    fixed = next(at for at, part in enumerate(parts) if _MAGIC.search(part))
    root, tail = Path(*parts[:fixed]), "/".join(parts[fixed:])
    matches = [p for p in root.glob(tail) if not any(_hidden(x) for x in p.relative_to(root).parts if x != "..")]
    kinds = {path: _kind(path) for path in matches}
    files = {path for path, kind in kinds.items() if kind == "file"}
    folders = {path for path, kind in kinds.items() if kind == "folder"}
    chosen = {path for path, kind in kinds.items() if kind in ("file", "broken") and path.suffix.lower() in suffixes}
    for folder in (path for path in folders if folders.isdisjoint(path.parents)):
        chosen |= set(_walk(folder, suffixes))
    chosen = chosen or files  # `*.dat` names its suffix
    if not chosen:
        raise ColorizeError(f"no picture matches `{pattern}`", "check the pattern")
    return [(path, root) for path in sorted(chosen, key=natural)]


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in _SKIPPED


def _mirrored(found: Sequence[_Found]) -> list[Path]:
    """Relative paths; roots whose files would collide give them more of their own names."""
    # names of each root and all above it, without the drive or `/`; links keep the name that the user gave
    names = {root: Path(os.path.abspath(root)).parts[1:] for _, root in found}  # noqa: PTH100
    prefixes = dict.fromkeys(names, Path())
    while True:
        relatives = [prefixes[root] / path.relative_to(root) for path, root in found]
        times = Counter(relatives)
        roots = {root for (_, root), path in zip(found, relatives, strict=True) if times[path] > 1}
        longer = {root: names[root][-len(prefixes[root].parts) - 1 :] for root in roots}
        changed = {root: Path(*parts) for root, parts in longer.items() if parts}
        if all(prefixes[root] == prefix for root, prefix in changed.items()):
            return relatives
        prefixes |= changed
