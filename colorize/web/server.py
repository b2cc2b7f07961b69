"""Put the page together, and serve it until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from colorize.errors import ColorizeError
from colorize.web import routes
from colorize.web.guard import Guard, Refused, problem
from colorize.web.sessions import Full, Gone, Sessions
from colorize.web.studio import Studio
from colorize.web.worker import AGAIN, Busy, Worker

TRIES = 50  # ports after the wanted one
HEADERS = 10.0  # seconds until the head of a request must be there
CONNECTIONS = 4096  # files that may be open, if the system allows it
KEPT = 15  # seconds that a connection is kept without a request
LAST = 0.2  # seconds that answers under way are given at the end
SWEEP = 60.0  # seconds between looks for sessions that are over


def app(
    server: Mapping[str, Any], panels: Mapping[str, Sequence[str]], host: str = "127.0.0.1", token: str = ""
) -> Any:
    """Return the page as an ASGI application.

    server: options that all requests share, see `Studio`. panels: options by title, as forms show them. host: where it
    listens. token: without it nothing is answered, if it is set.
    """
    state = routes.State(Sessions(), Worker(), Studio(server), panels)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(state.sessions))
        warming = asyncio.create_task(state.warm())
        try:
            yield
        finally:
            sweeping.cancel()
            warming.cancel()
            state.sessions.end()

    handlers: dict[Any, Any] = {Refused: lambda _, error: error.answer, ColorizeError: _told}
    handlers |= {HTTPException: _failed, Exception: _unexpected}
    made = Starlette(routes=routes.routes(), exception_handlers=handlers, lifespan=lifespan)
    made.state.shared = state
    return Guard(made, host, token)


async def _sweep(sessions: Sessions) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        sessions.sweep()


def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, ColorizeError)
    busy = isinstance(error, Busy | Full)
    status = 503 if busy else 404 if isinstance(error, Gone) else 400
    return problem(status, error.message, error.hint, {"retry-after": str(AGAIN)} if busy else None)


def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code in (404, 405):
        path = request.scope["path"][:100]
        return problem(error.status_code, f"there is no `{request.method} {path}`", "see /openapi.json")
    return problem(error.status_code, f"the request cannot be read: {error.detail}", "see /openapi.json")


def _unexpected(_: Request, error: Exception) -> Response:
    return problem(500, routes.unexpected(error), "please report it with what you did")


class Impatient(H11Protocol):
    """HTTP, but for connections that do not say what they want."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the head of a request."""
        super().connection_made(transport)
        self.loop.call_later(HEADERS, self._give_up, transport, None)

    def on_response_complete(self) -> None:
        """Begin to wait for the head of the next one."""
        super().on_response_complete()
        self.loop.call_later(KEPT + HEADERS, self._give_up, self.transport, self.cycle)

    def _give_up(self, transport: asyncio.Transport, last: object) -> None:
        if self.cycle is last and not transport.is_closing():
            transport.close()


class _Server(uvicorn.Server):
    """uvicorn, which ends at once."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for one in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(one, self.stop)
            except NotImplementedError:  # Windows
                signal.signal(one, lambda *_: self.stop())
        yield

    def stop(self) -> None:
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a host and a port, or the next free one. Raises ColorizeError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last: OSError | None = None
    for number in range(port, min(port + TRIES, 65_536)) if port else [0]:
        one = socket.socket(family, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((host, number))
            one.listen(1024)
            return one
        except OSError as error:
            one.close()
            last = error
            if error.errno not in (98, 48, 10048):  # the port is taken
                break
    reason = last.strerror if last else "no port is free"
    raise ColorizeError(f"{host}:{port} cannot be listened at: {reason}", "choose another --host or --port")


def serve(application: Any, listening: socket.socket, started: Callable[[], None]) -> None:
    """Serve the page until Ctrl-C. started: called when it answers."""
    _allow_connections()
    if os.environ.get("COLORIZE_DEBUG") != "1":
        logging.getLogger("uvicorn.error").disabled = True  # errors are answered; the terminal is for the address
    config = uvicorn.Config(
        application, log_config=None, access_log=False, server_header=False, proxy_headers=False,
        http=Impatient, ws="none", lifespan="on", timeout_keep_alive=KEPT,
        timeout_graceful_shutdown=LAST,  # type: ignore[arg-type]
        h11_max_incomplete_event_size=64 * 2**10,
    )  # fmt: skip
    server = _Server(config)

    async def main() -> None:
        serving = asyncio.create_task(server.serve([listening]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if server.started:
            started()
        await serving

    asyncio.run(main())


def _allow_connections() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, CONNECTIONS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
