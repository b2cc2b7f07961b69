"""Damage inputs of every reader, kill and starve the program, and plant links: what it must survive, in large numbers.

python tests/campaign.py --inputs 300000 --trials 200 --seed 0; a finding prints the line that repeats it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE), str(HERE / "support")]
os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "NO_COLOR": "1"}

from readers import Reader, damaged, everything  # noqa: E402 - after the settings of threads

from colorize.errors import ColorizeError  # noqa: E402

SLOW = 2.0  # seconds of CPU time that one input may take
STUCK = 30.0  # seconds that one input may take at all
MOST = 2 * 2**30  # bytes of memory of a process
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Tally:
    """What became of the inputs of one reader, or of the trials of one kind."""

    count: int = 0
    refused: int = 0
    seconds: float = 0.0
    memory: int = 0
    found: list[str] = field(default_factory=list)

    def plus(self, more: Tally) -> Tally:
        """Return both together."""
        sums = self.count + more.count, self.refused + more.refused, self.seconds + more.seconds
        return Tally(*sums, max(self.memory, more.memory), self.found + more.found)


# Damaged inputs: a worker reads them, and says in a mapped file which it is at; its parent watches time and memory.


def work(name: str, reader: Reader, numbers: range, seed: int, place: Path) -> None:
    """Read inputs of one reader, in a process of its own."""
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    folder = place / "inputs"
    folder.mkdir(exist_ok=True)
    with (place / "at").open("r+b") as file, (place / "log").open("a") as log:
        shared = mmap.mmap(file.fileno(), 16)
        for number in numbers:
            shared[:8] = number.to_bytes(8, "little")
            try:
                reader.call(damaged(reader.seeds, Random(f"{seed} {name} {number}")), folder)
            except (ColorizeError, *reader.allowed):
                shared[8:] = (int.from_bytes(shared[8:], "little") + 1).to_bytes(8, "little")
            except Exception as error:
                last = [one for one in traceback.extract_tb(error.__traceback__) if "/colorize/" in one.filename][-1:]
                where = f"{Path(last[0].filename).name}:{last[0].lineno}" if last else "?"
                log.write(json.dumps([number, f"{type(error).__name__} at {where}: {str(error)[:120]}"]) + "\n")
                log.flush()


def watch(name: str, reader: Reader, numbers: range, seed: int, place: Path, until: float) -> Tally:
    """Have inputs read by one worker after another until all are read or the time is over."""
    tally, start, count, begun = Tally(), numbers.start, numbers.stop, time.monotonic()
    place.mkdir(exist_ok=True)
    (place / "log").write_text("")
    (place / "at").write_bytes(bytes(16))
    while start < count and time.monotonic() < until:
        if not (worker := os.fork()):
            code = 1
            with contextlib.suppress(BaseException):
                work(name, reader, range(start, count), seed, place)
                code = 0
            os._exit(code)
        why, status, memory = _watched(worker, place, until)
        tally.memory = max(tally.memory, memory)
        start = count if status == 0 else int.from_bytes((place / "at").read_bytes()[:8], "little")
        if status and why != "time is over":
            tally.found.append(f"{why or f'ended with {status}'}: {name} {start}")
            start += 1
    lines = [json.loads(line) for line in (place / "log").read_text().splitlines()]
    kinds, first = Counter(text for _, text in lines), {text: number for number, text in reversed(lines)}
    tally.found += [f"{text} ({times} x): {name} {first[text]}" for text, times in kinds.most_common()]
    tally.refused = int.from_bytes((place / "at").read_bytes()[8:], "little")
    tally.count, tally.seconds = start - numbers.start, time.monotonic() - begun
    return tally


def _watched(worker: int, place: Path, until: float) -> tuple[str, int, int]:
    """Wait for a worker, or kill it; returns why, its exit status, and the memory it took at most beyond its parent."""
    known, since, used, most, why = b"", time.monotonic(), 0.0, 0, ""
    before = _memory(os.getpid())
    while True:
        done, status = os.waitpid(worker, os.WNOHANG)
        if done:
            return why, status, most
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
            memory, at = _memory(worker), (place / "at").read_bytes()[:8]
            spent, most = (int(stat[11]) + int(stat[12])) / TICKS, max(most, memory - before)
            if at != known:
                known, since, used = at, time.monotonic(), spent
            slow = spent - used > SLOW or time.monotonic() - since > STUCK
            why = why or ("hang" if slow else "memory" if memory > MOST else "")
            if why := why or ("time is over" if time.monotonic() > until else ""):
                os.kill(worker, signal.SIGKILL)
        time.sleep(0.05)


def _memory(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


def fuzz(inputs: int, seconds: float, seed: int, only: str) -> dict[str, Tally]:
    """Share the inputs out among the readers: a tenth of them evenly, the others by speed."""
    until, tallies = time.monotonic() + seconds, {}
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        readers = {name: one for name, one in everything(Path(folder)).items() if only in ("", name)}
        even = max(1, inputs // 10 // len(readers))
        for name, reader in readers.items():
            place = Path(folder, name.replace(" ", "-"))
            tallies[name] = watch(name, reader, range(even * (5 if name == "pictures" else 1)), seed, place, until)
        left = inputs - sum(one.count for one in tallies.values())
        speed = {name: one.count / max(one.seconds, 0.01) for name, one in tallies.items()}
        for name, reader in readers.items():
            place, first = Path(folder, name.replace(" ", "-")), tallies[name]
            stop = first.count + max(0, round(left * speed[name] / sum(speed.values())))
            tallies[name] = first.plus(watch(name, reader, range(first.count, stop), seed, place, until))
    show(tallies)
    return tallies


def repeat(name: str, number: int, seed: int) -> None:
    """Read one input again, with its traceback."""
    with tempfile.TemporaryDirectory() as folder:
        reader = everything(Path(folder))[name]
        data = damaged(reader.seeds, Random(f"{seed} {name} {number}"))
        print(len(data), data[:300])
        print("read:", reader.call(data, Path(folder)))


def show(tallies: dict[str, Tally], head: bool = True) -> None:
    """Print a table in Markdown, and what was found."""
    if head:
        print(
            "| What | Inputs or trials | Refused | Seconds | Most memory, MB | Found |\n|---|---:|---:|---:|---:|---:|"
        )
    for name, one in tallies.items():
        memory = f"{one.memory / 1e6:.0f}" if one.memory else ""
        print(f"| {name} | {one.count} | {one.refused or ''} | {one.seconds:.0f} | {memory} | {len(one.found)} |")
    for one in tallies.values():
        for text in one.found:
            print(f"  {text}", flush=True)
    sys.stdout.flush()


def main() -> None:
    """Read the options and run what they ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000, help="damaged inputs, shared out among all readers")
    parser.add_argument("--seconds", type=float, default=1e9, help="time for these")
    parser.add_argument("--trials", type=int, default=0, help="kills, full disks and planted links")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="one reader")
    parser.add_argument("--repeat", nargs=2, metavar=("READER", "NUMBER"), help="read one input again")
    given = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if given.repeat:
        repeat(given.repeat[0], int(given.repeat[1]), given.seed)
    else:
        found = fuzz(given.inputs, given.seconds, given.seed, given.only) if given.inputs else {}
        if given.trials:
            import trials

            for name, one in trials.every(given.trials, given.seed):
                found[name] = Tally(*one)
                show({name: found[name]}, head=len(found) == 1)
        total = sum(one.count for one in found.values())
        print(f"{total} in all, {sum(len(one.found) for one in found.values())} findings")


if __name__ == "__main__":
    main()
