"""The program killed at any moment, on a full disk, and among links that somebody planted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from conftest import TINY
from PIL import Image
from safetensors import safe_open

from colorize.cli import app
from colorize.images import files, json_lines

Found = tuple[int, int, float, int, list[str]]  # trials, those that ended with an error, seconds, 0, findings
SECRET = b"what nobody but its owner changes\n"
SETS = [word for text in [*TINY["anime-diffusion"], "batch=2"] for word in ("--set", text)]
EXTRAS = ["--layers", "out/layers/*.ora", "--save-regions", "out/regions/*.toml"]
JOBS = {  # what runs in a folder with in/, and writes into out/
    "sample": ["sample", "in/pages", "--out", "out/colored", "--device", "cpu"],
    "prepare-data": ["prepare-data", "in/pictures", "out/data", "--size", "64", "--workers", "1", "--group", "none"],
    "train": [
        *("train", "anime-diffusion", "in/pictures", "--out", "out/run", "--device", "cpu", "--steps", "6"),
        *("--save-every", "1s", "--sample-every", "3", *SETS),
    ],
}
PASSING = {"tensorboard", "samples"}  # of a run; a preview is not made up for
OWN = ("sample",)  # the folders in its results are its user's, and may be links


@dataclass
class Trial:
    """One command in a folder of its own."""

    folder: Path
    words: list[str]

    def start(self) -> int:
        """Run the command in a child of this process, which has imported everything."""
        if child := os.fork():
            return child
        os.chdir(self.folder)
        log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1), os.dup2(log, 2)
        sys.argv = ["colorize", *self.words]
        try:
            app.main()
        finally:
            os._exit(70)

    def run(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.start(), 0)[1])

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def results(self) -> dict[str, Path]:
        """The files that it has written, but for hidden ones."""
        out = self.folder / "out"
        named = {path.relative_to(out).as_posix(): path for path in sorted(out.rglob("*")) if path.is_file()}
        return {
            name: path
            for name, path in named.items()
            if not path.name.startswith(".") and not set(path.parts) & PASSING
        }


def made(place: Path, words: list[str]) -> Trial:
    """A folder with pictures, and nothing written yet."""
    for part in ("in/pages", "in/pictures", "out"):
        (place / part).mkdir(parents=True, exist_ok=True)
    for number in range(6):
        rng = np.random.default_rng(number)
        color = np.kron(rng.integers(0, 256, (4, 4, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
        Image.fromarray(color).save(place / f"in/pictures/{number}.png")
        drawing = np.full((64, 64), 255, np.uint8)
        drawing[8 + number : 50 : 40, 8:56] = drawing[8:56, 8 + number : 54 : 44] = 0
        if number < 3:
            Image.fromarray(drawing).save(place / f"in/pages/{number}.png")
    return Trial(place, words)


def half_written(trial: Trial) -> list[str]:
    """The names of result files that are not whole."""
    wrong = []
    for name, path in trial.results().items():
        try:
            if path.suffix == ".png":
                files.read(path)
            elif path.suffix == ".safetensors":
                with safe_open(path, "pt") as file:
                    list(file.keys())
            elif path.suffix == ".json":
                json.loads(path.read_bytes())
            elif path.suffix == ".jsonl":
                json_lines.read(path)
        except Exception as error:
            wrong.append(f"{name}: {error}")
    return wrong


def same(one: Trial, other: Trial) -> str:
    """How the results of two runs differ, but for when they were made; "" if they do not."""
    ours, theirs = one.results(), other.results()
    if ours.keys() != theirs.keys():
        return f"other files: {sorted(ours.keys() ^ theirs.keys())[:4]}"
    for name, path in ours.items():
        if path.suffix == ".png" and not np.array_equal(files.read(path).pixels, files.read(theirs[name]).pixels):
            return f"other pixels in {name}"
    return ""


def every(count: int, seed: int) -> Iterator[tuple[str, Found]]:
    """Do three fifths of the trials as kills, one as full disks, and one for every name that can be a link."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_CACHE_HOME": f"{folder}/cache", "XDG_CONFIG_HOME": f"{folder}/config"}
        whole, seconds = {}, {}
        for name, words in JOBS.items():
            begun = time.monotonic()
            whole[name] = made(Path(folder, name), words)
            assert whole[name].run() == 0, whole[name].log()
            seconds[name] = time.monotonic() - begun
        for what, some, one in (("kills", 3 * count // 5, killed), ("full disks", count // 5, starved)):
            begun, wrong, refused, rng = time.monotonic(), [], 0, Random(f"{seed} {what}")
            if what == "full disks" and not mounts(Path(folder)):
                wrong, some = ["skipped: nothing can be mounted here"], 0
            for number in range(some):
                name = rng.choice(list(JOBS))
                trial = made(Path(folder, f"{what} {number}"), JOBS[name])
                code, why = one(trial, whole[name], seconds[name], rng)
                refused += code != 0
                wrong += [f"{name} {number} of seed {seed}: {each}" for each in why]
                shutil.rmtree(trial.folder)
            yield what, (some, refused, time.monotonic() - begun, 0, wrong)
        yield "planted links", linked(Path(folder), whole)


def killed(trial: Trial, whole: Trial, seconds: float, rng: Random) -> tuple[int, list[str]]:
    """Kill a run, look at what it left, and run it again."""
    child = trial.start()
    time.sleep(rng.uniform(0, seconds))
    os.kill(child, rng.choice((signal.SIGKILL, signal.SIGTERM)))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    wrong = half_written(trial)
    if again := trial.run():
        return code, [*wrong, f"the next run ended with {again}: {trial.log()[-300:]}"]
    return code, wrong + ([difference] if (difference := same(trial, whole)) else [])


def starved(trial: Trial, whole: Trial, seconds: float, rng: Random) -> tuple[int, list[str]]:
    """Run on a disk that is too small, look at what it left, make room, and run again."""
    mount = str(trial.folder / "out")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={4 * rng.randint(1, 60)}k", "tmpfs", mount], check=True)
    try:
        code = trial.run()
        wrong = half_written(trial)
        if code not in (0, 1, 3) or "Traceback" in trial.log():
            wrong.append(f"ended with {code}: {trial.log()[-300:]}")
        subprocess.run(["mount", "-o", "remount,size=64m", mount], check=True)
        if again := trial.run():
            return code, [*wrong, f"the next run ended with {again}: {trial.log()[-300:]}"]
        return code, wrong + ([difference] if (difference := same(trial, whole)) else [])
    finally:
        subprocess.run(["umount", mount], check=True)


def mounts(folder: Path) -> bool:
    """Whether a small disk can be mounted."""
    (folder / "disk").mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", folder / "disk"], capture_output=True)
    return done.returncode == 0 and subprocess.run(["umount", folder / "disk"]).returncode == 0


def linked(folder: Path, whole: dict[str, Trial]) -> Found:
    """Plant a link under every name that a command writes, one at a time."""
    begun, wrong, count, refused = time.monotonic(), [], 0, 0
    for job, words in JOBS.items():
        words = words + (EXTRAS if job == "sample" else []) + ["--overwrite"] * (job != "train")
        first = made(folder / f"{job} links", words)
        assert first.run() == 0, first.log()
        out = first.folder / "out"
        names = {path.relative_to(out) for path in out.rglob("*") if path.is_file() or job not in OWN}
        names |= {path.parent / ".lock" for path in names if path.name == "log.jsonl"}
        for at, name in enumerate(sorted(one for one in names if len(one.parts) > 1)):
            trial = made(folder / f"{job} link {at}", words)
            shutil.copytree(out, trial.folder / "out", dirs_exist_ok=True)
            secret, place = trial.folder / "secret", trial.folder / "out" / name
            plant(secret, place)
            before = contents(secret)
            refused += trial.run() != 0
            if contents(secret) != before or "Traceback" in trial.log():
                wrong.append(f"{job} changes what {name} points at, or breaks: {trial.log()[-200:]}")
            count += 1
            shutil.rmtree(trial.folder)
    return count, refused, time.monotonic() - begun, 0, wrong


def plant(secret: Path, place: Path) -> None:
    """Put a link to a secret in the place of a file or a folder, whose files the secret has, too."""
    if place.is_dir():
        shutil.copytree(place, secret)
        for path in secret.rglob("*"):
            if path.is_file():
                path.write_bytes(SECRET)
        shutil.rmtree(place)
    else:
        secret.write_bytes(SECRET)
        place.unlink(missing_ok=True)
    place.symlink_to(secret)


def contents(secret: Path) -> dict[str, bytes]:
    paths = secret.rglob("*") if secret.is_dir() else [secret]
    return {str(path): path.read_bytes() for path in paths if path.is_file()}
