"""Measure `colorize web`: start, a click on a region, a stroke, ten sessions. Run: python benchmarks/web.py.

Times are seconds on the wall, each beside the processor time of the server for the same, which other work on the
machine does not change. Memory is the server's largest resident set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"
SIDE = 1000  # pixels
SESSIONS = 10
REPEATS = 5
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """`colorize web` in a process of its own."""

    def __init__(self) -> None:
        begin = time.perf_counter()
        words = [sys.executable, "-m", "colorize", "web", "--no-browser", "--port", "0", "--quiet"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.address = self.process.stdout.readline().strip().rstrip("/")
        for path in ("/", "/static/app.js", "/api/settings"):
            self.ask(path)
        self.start = time.perf_counter() - begin

    def ask(self, path: str, data: bytes | None = None) -> bytes:
        """Answer of a path; with data, of a POST."""
        with urllib.request.urlopen(urllib.request.Request(self.address + path, data)) as answer:
            return bytes(answer.read())

    @property
    def cpu(self) -> float:
        """Processor time so far, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def memory(self) -> int:
        """Largest resident set so far, in MB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1000


class Page:
    """A session with a drawing and a reference."""

    def __init__(self, server: Server, drawing: bytes) -> None:
        self.server = server
        self.base = f"/api/sessions/{json.loads(server.ask('/api/sessions', b''))['id']}"
        self.drawing = self.upload(drawing)
        self.reference = self.upload((EXAMPLES / "reference-1.png").read_bytes())

    def upload(self, data: bytes) -> str:
        """Id of a picture."""
        return str(json.loads(self.server.ask(f"{self.base}/pictures?name=a.png", data))["pictures"][0]["id"])

    def color(self, **more: Any) -> dict[str, Any]:
        """Color, and fetch the picture, as the page does."""
        asked = {"drawing": self.drawing, "references": [self.reference], **more}
        lines = self.server.ask(f"{self.base}/color", json.dumps(asked).encode()).splitlines()
        told = json.loads(lines[-1])
        assert "results" in told, told
        self.server.ask(f"{self.base}/results/{told['results'][0]['id']}/png")
        return dict(told["results"][0])

    def place(self, made: dict[str, Any]) -> list[int]:
        """A place in the second largest region."""
        return list(json.loads(self.server.ask(f"{self.base}/results/{made['id']}/colors"))[1]["at"])


def timed(server: Server, name: str, calls: list[Any]) -> None:
    """Print the median time of calls."""
    walls, cpus = [], []
    for call in calls:
        wall, cpu = time.perf_counter(), server.cpu
        call()
        walls.append(time.perf_counter() - wall)
        cpus.append(server.cpu - cpu)
    middle = len(calls) // 2
    print(f"{name:42} {sorted(walls)[middle]:6.2f} s  {sorted(cpus)[middle]:6.2f} s of processor time")


def drawing(turn: int = 0) -> bytes:
    """The example, as large as SIDE, each turn another one."""
    picture = Image.open(EXAMPLES / "sketch.png").convert("L").resize((SIDE, SIDE))
    stream = BytesIO()
    picture.rotate(turn, fillcolor=255).save(stream, "PNG")
    return stream.getvalue()


def main() -> None:
    server = Server()
    try:
        print(f"{'from the command to the page':42} {server.start:6.2f} s  {server.cpu:6.2f} s of processor time")
        page = Page(server, drawing())
        timed(server, "first picture, with the model's loading", [page.color])
        x, y = page.place(page.color())
        clicks = [lambda at=at: page.color(edits=[[x, y, f"#1020{at:02x}"]]) for at in range(REPEATS)]
        timed(server, "click on a region", clicks)
        strokes = [lambda at=at: page.color(strokes=[stroke(300 + 9 * at)]) for at in range(REPEATS)]
        timed(server, "stroke of the brush", strokes)
        timed(
            server,
            "click on a region after strokes",
            [lambda: page.color(strokes=[stroke(300)], edits=[[x, y, "#f0f000"]])],
        )
        sessions(server)
        print(f"{'memory at most':42} {server.memory:6} MB")
    finally:
        server.process.terminate()


def stroke(x: int) -> dict[str, Any]:
    """A stroke at a place."""
    return {"points": [[x, 500], [x + 30, 520]], "color": "#c04020", "radius": 8}


def sessions(server: Server) -> None:
    """Ten sessions at once: each uploads, colors, paints and clicks."""
    print(f"{'memory with one session':42} {server.memory:6} MB")
    failed: list[str] = []

    def work(at: int) -> None:
        try:
            page = Page(server, drawing(3 * at + 3))
            x, y = page.place(page.color())
            page.color(strokes=[stroke(300)])
            page.color(edits=[[x, y, "#10f020"]])
        except Exception as error:
            failed.append(repr(error))

    def together() -> None:
        threads = [threading.Thread(target=work, args=(at,)) for at in range(SESSIONS)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    timed(server, f"{SESSIONS} sessions at once, 3 pictures each", [together])
    print(f"{'failed':42} {len(failed):6}", *failed[:3])


if __name__ == "__main__":
    main()
