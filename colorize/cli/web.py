"""`colorize web`: a page in the browser, served from this machine."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from colorize.cli import messages
from colorize.cli.help import PANELS
from colorize.coloring.options import SampleOptions
from colorize.errors import ColorizeError

NEEDED = {"starlette": "starlette", "uvicorn": "uvicorn", "python_multipart": "python-multipart"}
PORT = 7870


def web(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen at")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="NUMBER", help="Port, or the next free one; 0 takes any", min=0, max=65535)
    ] = PORT,
    token: Annotated[
        str,
        typer.Option(
            metavar="TEXT", help="Secret to ask for; needed if others can reach the address", envvar="COLORIZE_TOKEN"
        ),
    ] = "",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser")] = True,
    model: Annotated[str, messages.sample_option("model")] = "mini",
    encoder: Annotated[str, messages.sample_option("encoder")] = "",
    predicts: Annotated[str, messages.sample_option("predicts")] = "",
    device: messages.Device = "auto",
    precision: messages.Precision = "auto",
    offline: Annotated[bool, typer.Option("--offline", help="Do not use the network")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the address and errors")] = False,
) -> None:
    """Open a page to color pictures in the browser.

    Everything stays on this machine. Ctrl-C ends it, and removes what was uploaded.

    Examples:
        colorize web
        colorize web --port 8000 --no-browser --model runs/mini
    """
    if missing := [name for module, name in NEEDED.items() if find_spec(module) is None]:
        what = f"the page needs {' and '.join(missing)}"
        raise ColorizeError(what, 'install what belongs to it: pip install "colorize-lineart[web]"')
    from colorize.web import guard, server

    if not guard.is_loopback(host) and not token:
        message = f"others could use the page at `{host}` without a secret"
        raise ColorizeError(message, "add --token TEXT, or leave --host out", code=2)
    given: dict[str, object] = {"model": model, "encoder": encoder, "predicts": predicts}
    given |= {"device": device, "precision": precision, "offline": offline}
    plain = SampleOptions()
    shared = {name: value for name, value in given.items() if value != getattr(plain, name)}
    listening = server.listen(host, port)
    taken = listening.getsockname()[1]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{taken}/" + (f"?token={token}" if token else "")

    def started() -> None:
        if port not in (0, taken) and not quiet:
            messages.say(f"note: port {port} is taken, so it is {taken}")
        typer.echo(address)
        if not quiet:
            messages.say("Ctrl-C ends it")
        if browser:
            _open(address)

    server.serve(server.app(shared, PANELS["sample"], host, token), listening, started)


def _open(address: str) -> None:
    """Open a page in the browser, without waiting for that."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
