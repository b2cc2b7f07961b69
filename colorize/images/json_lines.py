"""Append-only files of JSON objects, one a line, that survive a process killed while it writes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from colorize.images.files import atomic, lines, open_unlinked


def read(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file, without lines that were cut short; none if there is no file."""
    rows = []
    for line in lines(path) if path.exists() else []:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def append(path: Path, row: Mapping[str, Any], sync: bool = False) -> None:
    """Add an object on a line of its own, also after one that was cut short; sync: wait for the disk.

    Raises ColorizeError for a link; its target is not changed.
    """
    with open(path, "a+b", opener=open_unlinked) as stream:
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
        stream.write(json.dumps(row).encode() + b"\n")
        if sync:
            stream.flush()
            os.fsync(stream.fileno())


def replace(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a file of these objects, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
