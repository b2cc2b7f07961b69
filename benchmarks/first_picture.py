"""Measure what a user waits for: help, the first picture, memory, calls. Run: python benchmarks/first_picture.py.

Every row is a ratio against something measured in the same run, so that machines compare. Run it on a quiet machine.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
REPEATS = 5


def wall(*command: str, **environment: str) -> float:
    """Median seconds of a command from start to exit."""
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def peak(*command: str) -> float:
    """Largest resident memory of a command and its children so far, in MB."""
    subprocess.run(command, check=True, capture_output=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Print one JSON object per row."""
    python = sys.executable
    bare, torch = wall(python, "-c", "pass"), wall(python, "-c", "import torch")
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "out.png")
        sketch, reference = str(EXAMPLES / "sketch.png"), str(EXAMPLES / "reference-1.png")
        tool = (python, "-m", "colorize")
        sample = (*tool, "sample", sketch, "--ref", reference, "-o", out, "--overwrite")
        rows = {
            "--help": (wall(*tool, "--help"), bare, "python -c pass"),
            "512 px drawing with a reference": (wall(*sample), torch, "import torch"),
            "same, fp32": (wall(*sample, "--precision", "fp32"), torch, "import torch"),
            "same, 20 calls": (wall(*sample, "--steps", "20"), wall(*sample), "the default calls"),
        }
        for name, (seconds, unit, against) in rows.items():
            row = {"what": name, "seconds": round(seconds, 2), "ratio": round(seconds / unit, 2)}
            print(json.dumps({**row, "against": against}))
        print(json.dumps({"what": "peak memory", "MB": round(peak(*sample))}))


if __name__ == "__main__":
    main()
