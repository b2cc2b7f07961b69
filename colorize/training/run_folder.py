"""The files of a run folder: its lock, its log, and the state that a run goes on from as if it had never stopped."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import platform
import re
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from colorize.checkpoints.weights_io import write
from colorize.errors import ColorizeError
from colorize.images import json_lines
from colorize.images.files import open_unlinked, refuse_links
from colorize.training.optimizer import Update

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOCK = ".lock"  # in the run folder, while it is in use
TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)  # POSIX says the first, Windows the others
FAR = 2**30  # the byte Windows locks; those before it can be read by others
OLD = 86_400  # seconds after which nobody still writes a file
# What `files.atomic` leaves when it is killed, where a run writes such files; `.part` is of 0.1.
LEFT = {
    ".": re.compile(r"\.(colorize-.*-)?[0-9a-f]{16}\.(safetensors|json|jsonl)|state\.safetensors\.part"),
    "samples": re.compile(r"\.(colorize-.*-)?[0-9a-f]{16}\.png"),
}
LOG = "log.jsonl"
FOLDERS = ("samples", "tensorboard")  # in a run folder
STATE = "state.safetensors"
KIND = "colorize training state 1"  # the number rises when older states can no longer be read
MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # AdamW's own names


class Lock:
    """A folder that no other `Lock` can have until `free` is called, this object is gone, or the process ends.

    sure: False on a disk without locks, as some networks have; the folder is taken all the same.
    """

    def __init__(self, folder: Path, who: str = "another training run") -> None:
        """Take a folder, which must exist. who: what another process would be.

        Raises ColorizeError if another process has it, if nothing can be written there, or if it, its lock, or a folder
        in it that a run writes into is a link.
        """
        self.folder, self.sure = folder, True
        refuse_links(folder, FOLDERS)
        while True:
            try:
                file = open_unlinked(folder / LOCK, os.O_RDWR | os.O_CREAT)
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


class Log:
    """The log of a run folder, every step of its state once, and TensorBoard if that is installed.

    step: the step the run goes on from; rows of later steps are removed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / LOG
        rows = [row for row in json_lines.read(self.path) if isinstance(row.get("step"), int | float)]
        json_lines.replace(self.path, [row for row in rows if row["step"] <= step])
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


def save_state(
    path: Path, model: nn.Module, update: Update, meter: Tensor, numbers: dict[str, float], keep_frozen: bool = True
) -> None:
    """Replace the state at `path` in one move, so that a crash or a power cut leaves a whole one.

    Holds the weights, their average, AdamW's moments, the guard and the meter; `numbers` go to the header.
    keep_frozen: hold the weights that are not trained, too; else only a hash of them, and they must be in
    the model when the state is loaded. Raises ColorizeError if it cannot be written, as on a full disk.
    """
    left_out = {} if keep_frozen else frozen(model)
    tensors = {f"weight/{name}": value for name, value in model.state_dict().items() if name not in left_out}
    for i, (name, parameter) in enumerate(trained(model).items()):
        tensors[f"average/{name}"] = update.average[i]
        for moment, value in update.optimizer.state[parameter].items():
            tensors[f"{moment}/{name}"] = value
    tensors |= {"guard": update.guard, "meter": meter}
    header = {"kind": KIND, "numbers": json.dumps({**numbers, "updates": update.updates})}
    if left_out:
        header["frozen"] = _hash(left_out)
    write(path, tensors, header)


def load_state(path: Path, model: nn.Module, update: Update, meter: Tensor) -> dict[str, float]:
    """Put the state at `path` into a model and its update; return the numbers given to `save`.

    Frozen weights that the file does not hold stay as they are in the model. Raises ColorizeError if the
    file is cut short, is something else, or belongs to another model or to other frozen weights.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 no mapping
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, "is cut short or damaged") from error
    if header.get("kind") != KIND:
        raise _unreadable(path, "is not a training state of this version")
    numbers: dict[str, float] = json.loads(header["numbers"])
    present = frozen(model) if "frozen" in header else {}
    if present and _hash(present) != header["frozen"]:
        raise _unreadable(path, "goes with other frozen weights than those at hand")
    held = {name: value for name, value in model.state_dict().items() if name not in present}
    expected = {f"weight/{name}": value.shape for name, value in held.items()}
    expected |= {f"average/{name}": p.shape for name, p in trained(model).items()}
    theirs = {name: value.shape for name, value in tensors.items() if name.startswith(("weight/", "average/"))}
    for name in sorted(expected.keys() | theirs.keys()):
        if expected.get(name) != theirs.get(name):
            raise _unreadable(path, f"belongs to another model (`{name}` differs)")
    with torch.no_grad():
        for name, value in held.items():
            value.copy_(tensors[f"weight/{name}"])
        for i, (name, parameter) in enumerate(trained(model).items()):
            update.average[i].copy_(tensors[f"average/{name}"])
            update.optimizer.state[parameter] = _moments(name, parameter, tensors)
        update.guard.copy_(tensors["guard"])
        meter.copy_(tensors["meter"])
    update.updates = int(numbers.pop("updates"))
    return numbers


def read_header(path: Path) -> dict[str, str]:
    """Return what a safetensors file says of itself; nothing if it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError):
        return {}


def done(folder: Path) -> tuple[int, float]:
    """Return the steps and seconds that the state in a run folder has behind it; (0, 0) without one."""
    try:
        numbers = json.loads(read_header(folder / STATE)["numbers"])
        return int(numbers["step"]), float(numbers["seconds"])
    except (KeyError, ValueError):
        return 0, 0.0  # none yet, or damaged, which `load` reports


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, each once, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def frozen(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are not trained, under each of their names."""
    named = model.named_parameters(remove_duplicate=False)
    return {name: parameter for name, parameter in named if not parameter.requires_grad}


def _hash(parameters: dict[str, nn.Parameter]) -> str:
    """Hash weights by their names, shapes and 16 numbers of each; hashing all would take seconds."""
    digest = hashlib.sha256()
    for name, parameter in sorted(parameters.items()):
        rows = parameter.detach().reshape(1) if parameter.dim() == 0 else parameter.detach()
        some = torch.cat([rows[0].flatten()[:8], rows[-1].flatten()[-8:]]).float().cpu()
        digest.update(f"{name} {tuple(parameter.shape)} {some.tolist()}".encode())
    return digest.hexdigest()


def _moments(name: str, parameter: nn.Parameter, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return AdamW's moments of one parameter; none if it never had a gradient."""
    found = {moment: tensors[f"{moment}/{name}"] for moment in MOMENTS if f"{moment}/{name}" in tensors}
    for moment, value in found.items():  # `empty_like` keeps channels_last
        like = None if moment == "step" else torch.empty_like(parameter, requires_grad=False)
        found[moment] = value.to(parameter.device) if like is None else like.copy_(value)
    return found


def _unreadable(path: Path, why: str) -> ColorizeError:
    return ColorizeError(
        f"`{path.name}` in `{path.parent}` {why}, so the run cannot go on from it",
        "delete it to train from the start again, or use another run folder",
    )
