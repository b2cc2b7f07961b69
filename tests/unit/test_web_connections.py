"""Connections that are slow, linger, or speak no HTTP: closed, and the next one is answered."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from colorize.cli.help import PANELS
from colorize.web import guard, server


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server that listens, and waits for slow ones a shorter time."""
    monkeypatch.setattr(server, "HEADERS", 1.0)
    monkeypatch.setattr(guard, "PATIENCE", 1.0)
    listening = server.listen("127.0.0.1", 0)
    started, stopping = threading.Event(), []
    real = server._Server.__init__

    def kept(self: server._Server, config: object) -> None:
        real(self, config)
        stopping.append(self)

    monkeypatch.setattr(server._Server, "__init__", kept)
    application = server.app({}, PANELS["sample"])
    thread = threading.Thread(target=server.serve, args=(application, listening, started.set), daemon=True)
    thread.start()
    assert started.wait(30)
    yield listening.getsockname()[1]
    stopping[0].stop()
    thread.join(10)
    assert not thread.is_alive()


def talk(port: int, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
        one.sendall(text)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while part := one.recv(2**16):
                found += part
        return found


GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def test_a_thousand_slow_connections_keep_nobody_out_and_are_closed(port):
    slow = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(1000)]
    try:
        for one in slow[::2]:
            one.send(b"GET / HT")
        begin = time.monotonic()
        assert talk(port, GET).startswith(b"HTTP/1.1 200")
        assert time.monotonic() - begin < 5
        assert all(one.recv(1000) == b"" for one in slow)  # after HEADERS seconds
    finally:
        for one in slow:
            one.close()


def test_a_connection_that_was_answered_once_may_not_linger_over_its_next_request(port, monkeypatch):
    monkeypatch.setattr(server, "KEPT", 0)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
        one.sendall(GET.replace(b"Connection: close\r\n", b""))
        assert one.recv(2**16).startswith(b"HTTP/1.1 200")
        one.sendall(b"GET / HTTP/1.1\r\n")
        begin = time.monotonic()
        while one.recv(2**16):
            pass
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", b"HTTP/1.1 400"),  # TLS
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),  # no host
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", b"HTTP/1.1 403"),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"HTTP/1.1 400"),
        (b"POST /api/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 400"),
        (b"POST /api/color HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nslow", b"HTTP/1.1 408"),
        (
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==\r\n\r\n",
            b"HTTP/1.1 200",  # no WebSocket is spoken: it is a request like others
        ),
    ],
)
def test_what_is_no_proper_http_is_refused_and_the_next_one_answered(port, text, answer):
    if b"websocket" in text:
        text = text.replace(b"Connection: Upgrade", b"Connection: Upgrade, close")
    assert talk(port, text).startswith(answer)
    assert talk(port, GET).startswith(b"HTTP/1.1 200")
