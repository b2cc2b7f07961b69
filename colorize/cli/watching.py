"""`sample --watch`: color what is in a folder, and then whatever is saved into it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from colorize.cli import outputs
from colorize.cli.outputs import Target
from colorize.coloring.options import SampleOptions
from colorize.errors import ColorizeError

POLL = 0.5  # seconds between two looks; a file that is the same in both is complete

State = tuple[tuple[int, int, int], ...]  # inode, size and time of a drawing, and of its own hints and masks


def check(inputs: Sequence[str], options: SampleOptions) -> None:
    """Refuse to watch anything but folders, or to write results that would be drawings there (wrong usage)."""
    from colorize.images.listing import PICTURE_SUFFIXES, VOLUME_SUFFIXES, real

    out = Path(options.out or outputs.FOLDER)
    if options.out == outputs.STDOUT or (
        out.suffix.lower() in (*PICTURE_SUFFIXES, *VOLUME_SUFFIXES) and not out.is_dir()
    ):
        raise ColorizeError(f"--watch needs a folder for its results, not `{out}`", "name one with --out", code=2)
    outputs.check_extras(options, 1)
    if options.dry_run:
        raise ColorizeError("--watch has no end, so --dry-run has nothing to estimate", "leave one of them out", code=2)
    for one in inputs:
        if not Path(one).is_dir():
            raise ColorizeError(f"--watch takes folders, not `{one}`", "name the folder of your drawings", code=2)
        if real(one).is_relative_to(real(out)):
            message = f"the results in `{out}` would be in the folder `{one}` that is watched"
            raise ColorizeError(message, "name another folder with --out", code=2)


def watch(inputs: Sequence[str], options: SampleOptions, color: Callable[[Sequence[Target]], None]) -> None:
    """Have drawings colored once they are complete, and again when they change, until KeyboardInterrupt."""
    before: dict[str, State] = {}
    handled: dict[str, State] = {}
    while True:
        found = {target.name: (target, _state(target, options)) for target in _targets(inputs, options)}
        now = {name: state for name, (_, state) in found.items() if state}
        ready = [name for name, state in now.items() if before.get(name) == state != handled.get(name)]
        handled = {name: state for name, state in handled.items() if name in now} | {name: now[name] for name in ready}
        before = now
        if ready:
            color([found[name][0] for name in ready])
        else:
            time.sleep(POLL)


def _targets(inputs: Sequence[str], options: SampleOptions) -> list[Target]:
    """The drawings that are there now; of folders without any, none."""
    for one in inputs:
        if not Path(one).is_dir():
            raise ColorizeError(f"the folder `{one}` that is watched is gone", "give the command again once it is back")
    found: list[Target] = []
    try:
        found = outputs.targets(inputs, options)
    except ColorizeError as error:  # no drawings yet
        if error.code == 2:
            raise
    except OSError:  # one has just gone
        pass
    return found


def _state(target: Target, options: SampleOptions) -> State:
    """What changes when a drawing, or its own hints or masks, are saved; empty if it has just gone."""
    assert target.path is not None
    paths = [target.path]
    paths += [own for own in outputs.own_files(target, options).values() if own]
    with suppress(OSError):
        return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in (path.stat() for path in paths))
    return ()
