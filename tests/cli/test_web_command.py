"""`colorize web` before it serves: what it needs, what it refuses, which port it takes, and that it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from colorize.cli import web
from colorize.cli.app import app

ROOT = Path(__file__).parents[2]


def test_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(web.NEEDED, "no_such_module", "no-such-package")
    result = CliRunner().invoke(app, ["web"])
    assert result.exit_code == 1
    assert "the page needs no-such-package" in result.stderr
    assert 'pip install "colorize-lineart[web]"' in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--host", "0.0.0.0"), "add --token"),
        (("--host", "::"), "add --token"),
        (("--host", "192.168.0.7"), "add --token"),
        (("--host", "no.such.host.invalid"), "add --token"),
        (("--port", "70000"), "70000"),
        (("--host", "203.0.113.1", "--token", "x", "--port", "0"), "203.0.113.1:0 cannot be listened at"),
    ],
)
def test_it_refuses_to_be_open_to_all_and_addresses_that_are_none(words, told):
    result = CliRunner().invoke(app, ["web", "--no-browser", *words])
    assert result.exit_code in (1, 2)
    assert told in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_it_takes_the_next_free_port_and_ends_at_once_with_nothing_left(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = [sys.executable, "-m", "colorize", "web", "--no-browser", "--port", str(port)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
        server = subprocess.Popen(words, stdout=-1, stderr=-1, text=True, env=environment, cwd=tmp_path)
        try:
            address = server.stdout.readline().strip()
            assert port < int(address.rpartition(":")[2].rstrip("/")) < port + 50
            session = urllib.request.Request(f"{address}api/sessions", b"", method="POST")
            assert urllib.request.urlopen(session).status == 201
            assert list(tmp_path.iterdir())
            begin = time.monotonic()
        finally:
            server.send_signal(signal.SIGINT)
            _, told = server.communicate(timeout=30)
    assert server.returncode == 0
    assert time.monotonic() - begin < 3  # one second, on a busy machine
    assert f"note: port {port} is taken" in told
    assert not list(tmp_path.iterdir())
