"""The Hub, played by a server on this machine; nothing leaves it. Knows nothing of what is claimed."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import pytest

NEW, OLD = "a" * 40, "b" * 40


@dataclass
class Hub:
    """What the server holds, answers and has been asked."""

    url: str = ""
    revisions: dict[str, str] = field(default_factory=lambda: {"main": NEW, "v1": OLD})
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)  # (commit, name)
    error: tuple[int, str] = (0, "")  # status and the Hub's word for it, for every request
    cut: int = 0  # bytes that are missing at the end of an answer
    asked: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)


class Handler(http.server.BaseHTTPRequestHandler):
    """[/datasets]/OWNER/NAME/resolve/REVISION/FILE, and what lists the files of a data set.

    As far as hf_hub_download and snapshot_download ask for it.
    """

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.asked.append(f"{self.command} {self.path}")
        self.hub.tokens.append(self.headers.get("authorization"))
        path = self.path.partition("?")[0].removeprefix("/api").removeprefix("/datasets")
        _, owner, name, what, revision, file = (path + "/////").split("/", 5)
        file, revision = unquote(file.rstrip("/")), unquote(revision)
        commit = self.hub.revisions.get(revision, revision)
        data = self.hub.files.get((commit, file))
        if self.hub.error[0]:
            self.refuse(*self.hub.error)
        elif f"{owner}/{name}" != "owner/name":
            self.refuse(404, "RepoNotFound")
        elif commit not in (NEW, OLD):
            self.refuse(404, "RevisionNotFound")
        elif what == "revision":
            self.tell({"id": "owner/name", "sha": commit, "siblings": []})
        elif what == "tree":
            names = [name for held, name in self.hub.files if held == commit]
            self.tell([{"type": "file", "path": n, "size": 1, "oid": "0"} for n in names])
        elif data is None:
            self.refuse(404, "EntryNotFound", commit)
        else:
            self.answer(200, data, {"X-Repo-Commit": commit, "ETag": f'"{abs(hash(data)):x}"'})

    def tell(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def refuse(self, status: int, word: str, commit: str = "") -> None:
        self.answer(status, b"", {"X-Error-Code": word, "X-Repo-Commit": commit})

    def answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[: len(data) - self.hub.cut])
        self.close_connection = bool(self.hub.cut)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub of one model in two revisions, and an empty cache.

    The library reads its variables when it is imported, so its constants are changed instead.
    """
    from huggingface_hub import constants

    held = Hub()
    held.files = {
        (NEW, "model.safetensors"): b"new weights",
        (NEW, "config.json"): b"{}",
        (OLD, "model.safetensors"): b"old weights",
    }
    thing = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Bound", (Handler,), {"hub": held})
    )
    held.url = f"http://127.0.0.1:{thing.server_port}"
    threading.Thread(target=thing.serve_forever, args=(0.01,), daemon=True).start()
    template = held.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", held.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "telemetry"))
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # between retries
    for name in ("HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield held
    thing.shutdown()
    thing.server_close()
