"""Read how people write a model on the Hub: OWNER/NAME[/FILE.safetensors][@revision]. Knows no network."""

from __future__ import annotations

import re
from dataclasses import dataclass

from colorize.errors import ColorizeError

SUFFIX = ".safetensors"  # of all files that are fetched
FORM = "write it as OWNER/NAME or OWNER/NAME/FILE.safetensors"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,254}")
_STEP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]{0,127}")
_DEPTH = 8  # of folders in a model


@dataclass(frozen=True)
class Address:
    """A model on the Hub: its OWNER/NAME, a branch, tag or commit, and a file in it.

    revision: "" is the newest. file: "" is the usual one, see `known`.
    """

    name: str
    revision: str = ""
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.name}/{self.file}" if self.file else self.name
        return f"{place}@{self.revision}" if self.revision else place


def address(text: str) -> Address | None:
    """Read OWNER/NAME[/FILE.safetensors][@revision]; None if it is not of that form.

    Raises ColorizeError if the rest is right and the revision is not.
    """
    place, at, revision = text.partition("@")
    owner, name, *file = place.split("/", 2) if "/" in place else (place, "")
    name = f"{owner}/{name}"
    if not _NAME.fullmatch(name) or ".." in name or not all(fetchable(each) for each in file):
        return None
    if at and (not _REVISION.fullmatch(revision) or ".." in revision or revision.endswith(SUFFIX)):
        hint = f"name a branch, a tag or a commit; {FORM}@REVISION"
        raise ColorizeError(f"`{revision}` cannot be a revision of `{name}`", hint)
    return Address(name, revision, *file)


def fetchable(file: str) -> bool:
    """Whether a file of a model may be fetched, by its whole name there."""
    steps = file.split("/")
    fit = all(_STEP.fullmatch(step) and ".." not in step for step in steps)
    return fit and len(steps) <= _DEPTH and file.endswith(SUFFIX)
