"""The lock and the log of a run folder."""

from __future__ import annotations

import errno
import importlib.util
import os
import platform
import re
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from colorize.errors import ColorizeError
from colorize.images import json_lines

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOCK = ".lock"  # in the run folder, while it is in use
TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)  # POSIX says the first, Windows the others
FAR = 2**30  # the byte Windows locks; those before it can be read by others
OLD = 86_400  # seconds after which nobody still writes a file
# What `files.atomic` leaves when it is killed, where a run writes such files; `.part` is of 0.1.
LEFT = {
    ".": re.compile(r"\.[0-9a-f]{16}\.(safetensors|json|jsonl)|state\.safetensors\.part"),
    "samples": re.compile(r"\.[0-9a-f]{16}\.png"),
}


class Lock:
    """A folder that no other `Lock` can have until `free` is called, this object is gone, or the process ends.

    sure: False on a disk without locks, as some networks have; the folder is taken all the same.
    """

    def __init__(self, folder: Path, who: str = "another training run") -> None:
        """Take a folder, which must exist. who: what another process would be.

        Raises ColorizeError if another process has it, or if nothing can be written there.
        """
        self.folder, self.sure = folder, True
        while True:
            try:
                file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                message = f"`{folder}` cannot be written: {error.strerror}"
                raise ColorizeError(message, "check its permissions, or choose another --out") from error
            try:
                _claim(file)
            except OSError as error:
                self.sure = False
                if error.errno in TAKEN:
                    holder = os.read(file, 200).decode(errors="replace")
                    os.close(file)
                    message = f"{who}{f', {holder},' if holder else ''} is writing into `{folder}`"
                    raise ColorizeError(message, "wait until it ends, stop it, or choose another --out") from None
            if _is_at(file, folder / LOCK):
                break
            os.close(file)  # its last owner removed it between our opening and our claiming it
        os.ftruncate(file, 0)
        os.write(file, f"process {os.getpid()} on {platform.node()}".encode())
        self.free = weakref.finalize(self, _release, file, folder / LOCK)

    def tidy(self) -> None:
        """Remove what killed processes left half-written; without a sure lock, only if it is old."""
        newest = time.time() + (OLD if self.sure else -OLD)
        for part, pattern in LEFT.items():
            for path in (self.folder / part).glob("*"):
                if pattern.fullmatch(path.name) and path.lstat().st_mtime < newest:
                    path.unlink(missing_ok=True)


def _claim(file: int) -> None:
    """Lock an open file, or raise OSError at once."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, FAR, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(file, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(file: int, path: Path) -> bool:
    """Tell whether an open file still has this path."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _release(file: int, path: Path) -> None:
    """Remove a lock's file, if it is still ours, and let go of it."""
    ours = _is_at(file, path)
    if sys.platform == "win32":  # there, an open file cannot be removed
        os.close(file)
    with suppress(OSError):
        if ours:
            path.unlink()
    if sys.platform != "win32":
        os.close(file)


LOG = "log.jsonl"


class Log:
    """The log of a run folder, every step of its state once, and TensorBoard if that is installed.

    step: the step the run goes on from; rows of later steps are removed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / LOG
        json_lines.replace(self.path, [row for row in json_lines.read(self.path) if row["step"] <= step])
        self.board: SummaryWriter | None = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, row: dict[str, float | None]) -> None:
        """Append a row; `step` is its key."""
        json_lines.append(self.path, row)
        if self.board is not None:
            for name, value in row.items():
                if name != "step" and value is not None:
                    self.board.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Finish writing."""
        if self.board is not None:
            self.board.close()
