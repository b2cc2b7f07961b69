"""Temporary files beside results: their names, and the removal of those that killed runs have left."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

OLD = 86_400  # seconds after which nobody still writes a file
_NAME = re.compile(r"\.colorize-([0-9a-f]{8})-([0-9]{1,10})-[0-9a-f]{16}(\..{1,15})?")
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_BEGUN = time.time()
_tidied: set[str] = set()


def name(suffix: str) -> str:
    """Return a new name for a temporary file, which says what process on what machine writes it."""
    return f".colorize-{_HOST}-{os.getpid()}-{secrets.token_hex(8)}{suffix}"


def tidy(folder: Path) -> None:
    """Remove this user's temporary files of processes that were killed from a folder, once per process.

    Those of another machine count as left after a day.
    """
    if str(folder) in _tidied:
        return
    _tidied.add(str(folder))
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if (found := _NAME.fullmatch(entry.name)) and _is_left(entry, found[1], int(found[2])):
                with suppress(OSError):
                    Path(entry).unlink()


def _is_left(entry: os.DirEntry[str], host: str, process: int) -> bool:
    status = entry.stat(follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode) or (hasattr(os, "getuid") and status.st_uid != os.getuid()):
        return False
    if host != _HOST or os.name != "posix":  # on Windows `os.kill` would end the process
        return time.time() - status.st_mtime > OLD
    if process == os.getpid():  # of a container that was started anew
        return status.st_mtime < _BEGUN
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return False
