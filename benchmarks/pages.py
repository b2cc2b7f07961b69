"""Color a made-up volume of whole manga pages as a user would. Run: python benchmarks/pages.py [PAGES [OPTION...]].

Pages have 1400 x 2000 pixels, of every layout, and two are in color already. Options go to `colorize sample`, such as
`--panels off`. Prints one JSON object: pages per minute, from the start of the program to the finished archive, and
the most memory that it held. Linux and macOS only.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))


def pack(path: Path, pages: int) -> None:
    """Write the volume."""
    from volumes import volume

    with ZipFile(path, "w") as archive:
        for number, made in enumerate(volume(pages), 1):
            data = BytesIO()
            pixels = made.gray if made.color is None else made.color
            Image.fromarray(pixels).save(data, "PNG", compress_level=1)
            archive.writestr(f"{number:03}.png", data.getvalue())


def main(pages: str = "40", *options: str) -> None:
    """Pack, color and count."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume.cbz"
        pack(path, int(pages))
        command = [sys.executable, "-m", "colorize", "sample", str(path), *options, "--json"]
        begin = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    result = {
        "pages": len(lines),
        "colored": sum(line["output"] is not None for line in lines),
        "options": options,
        "seconds": round(seconds, 1),
        "pages_per_minute": round(60 * len(lines) / seconds, 1),
        "peak_GB": round(peak * (1 if sys.platform == "darwin" else 1024) / 10**9, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
