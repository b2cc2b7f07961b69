"""The Hub, played by a server on this machine; nothing leaves it. Knows nothing of what is claimed."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

NEW, OLD = "a" * 40, "b" * 40


@dataclass
class Hub:
    """What the server holds, answers and has been asked.

    Weights are sent by another host, as the Hub sends large files. cut: bytes that are missing at the
    end of each answer. line: bytes of weights that still come through before the line is dead.
    """

    url: str = ""
    name: str = "owner/name"
    revisions: dict[str, str] = field(default_factory=lambda: {"main": NEW, "v1": OLD})
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)  # (commit, name)
    error: tuple[int, str] = (0, "")  # status and the Hub's word for it, for every request
    cut: int = 0
    line: int | None = None
    sums: dict[str, str] = field(default_factory=dict)  # file: a sha256 that the Hub claims wrongly
    asked: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    sent: list[tuple[str, str | None, str | None]] = field(default_factory=list)  # by the other host
    made: list[dict[str, object]] = field(default_factory=list)  # repositories, as they were asked for
    taken: dict[str, bytes] = field(default_factory=dict)  # large files by their sha256
    messages: list[str] = field(default_factory=list)  # of commits
    writer: str | None = None  # the token that may write; None: all may


class Handler(http.server.BaseHTTPRequestHandler):
    """[/datasets]/OWNER/NAME/resolve/REVISION/FILE, and what lists the files of a data set or model.

    As far as hf_hub_download, snapshot_download and model_info ask for it, and create_repo and create_commit, which
    send large files as Git LFS does.
    """

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        if path.startswith("/elsewhere/"):
            self.send(*path.removeprefix("/elsewhere/").split("/", 1))
            return
        self.hub.asked.append(f"{self.command} {self.path}")
        self.hub.tokens.append(self.headers.get("authorization"))
        path = re.sub("^(/api/models|/api/datasets|/api|/datasets)", "", path)
        _, owner, name, what, revision, file = (path + "/////").split("/", 5)
        commit = self.hub.revisions.get(revision or "main", revision)
        if self.hub.error[0]:
            self.refuse(*self.hub.error)
        elif f"{owner}/{name}" != self.hub.name:
            self.refuse(404, "RepoNotFound")
        elif commit not in (NEW, OLD):
            self.refuse(404, "RevisionNotFound")
        else:
            self.give(what, commit, file.rstrip("/"))

    def do_POST(self) -> None:
        """Make a repository, say how files are to come, and commit them, as far as `create_commit` asks for it."""
        body = self.body()
        self.hub.asked.append(f"POST {self.path}")
        self.hub.tokens.append(self.headers.get("authorization"))
        path = unquote(self.path.partition("?")[0])
        if self.hub.error[0]:
            self.refuse(*self.hub.error)
        elif self.hub.writer and self.headers.get("authorization") != f"Bearer {self.hub.writer}":
            self.refuse(403, "")
        elif path == "/api/repos/create":
            self.create(json.loads(body))
        elif path == "/api/validate-yaml":
            self.tell({"warnings": [], "errors": []})
        elif "/preupload/" in path:
            self.tell({"files": [self.way(one["path"]) for one in json.loads(body)["files"]]})
        elif path.endswith(".git/info/lfs/objects/batch"):
            self.tell({"transfer": "basic", "objects": [self.place(one) for one in json.loads(body)["objects"]]})
        elif "/commit/" in path:
            self.commit([json.loads(line) for line in body.decode().splitlines()])
        else:
            self.refuse(404, "")

    def do_PUT(self) -> None:
        data = self.body()
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(data).hexdigest() == oid
        self.hub.taken[oid] = data
        self.answer(200, b"", {})

    def body(self) -> bytes:
        """What a request brings, in one piece or in chunks."""
        if "content-length" in self.headers:
            return self.rfile.read(int(self.headers["content-length"]))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def create(self, wanted: dict[str, object]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if name == self.hub.name:
            known = {"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"}
            self.answer(409, json.dumps(known).encode(), {"Content-Type": "application/json"})
            return
        self.hub.name, self.hub.files = name, {}
        self.hub.made.append(wanted)
        self.tell({"url": f"{self.hub.url}/{name}", "name": name})

    def way(self, path: str) -> dict[str, object]:
        mode = "lfs" if path.endswith(".safetensors") else "regular"
        return {"path": path, "uploadMode": mode, "shouldIgnore": False}

    def place(self, one: dict[str, object]) -> dict[str, object]:
        return {**one, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}}

    def commit(self, lines: list[dict[str, dict[str, str]]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.hub.messages.append(value["summary"])
            elif line["key"] == "file":
                self.hub.files[NEW, value["path"]] = base64.b64decode(value["content"])
            else:
                self.hub.files[NEW, value["path"]] = self.hub.taken[value["oid"]]
        self.tell({"success": True, "commitOid": NEW, "commitUrl": f"{self.hub.url}/{self.hub.name}/commit/{NEW}"})

    def give(self, what: str, commit: str, file: str) -> None:
        """Answer for what there is of a commit: its description, its list, or a file."""
        data = self.hub.files.get((commit, file))
        names = [name for held, name in self.hub.files if held == commit]
        if what in ("", "revision"):
            told = {"id": self.hub.name, "sha": commit}
            self.tell({**told, "siblings": [self.described(commit, name) for name in names]})
        elif what == "tree":
            self.tell([{"type": "file", "path": n, "size": 1, "oid": "0"} for n in names])
        elif data is None:
            self.refuse(404, "EntryNotFound", commit)
        elif file.endswith(".safetensors"):
            where = f"{self.hub.url.replace('127.0.0.1', 'localhost')}/elsewhere/{commit}/{quote(file)}"
            told = {"X-Repo-Commit": commit, "ETag": '"pointer"', "Location": where}
            linked = {"X-Linked-Etag": f'"{self.checksum(commit, file)}"', "X-Linked-Size": str(len(data))}
            self.answer(302, b"", told | linked)
        else:
            self.answer(200, data, {"X-Repo-Commit": commit, "ETag": f'"{abs(hash(data)):x}"'})

    def send(self, commit: str, file: str) -> None:
        """Send weights, or the rest of them, as far as the line allows."""
        wanted = self.headers.get("range")
        self.hub.sent.append((file, wanted, self.headers.get("authorization")))
        data = self.hub.files[commit, file]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        told = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if wanted else {}
        rest = data[start:]
        if self.hub.line is None:
            self.answer(206 if wanted else 200, rest, told)
            return
        through, self.hub.line = rest[: self.hub.line], max(0, self.hub.line - len(rest))
        self.answer(206 if wanted else 200, through, told, len(rest))
        self.close_connection = True

    def described(self, commit: str, name: str) -> dict[str, object]:
        """What the Hub lists of a file: large ones with their checksum, as if in Git LFS."""
        size = len(self.hub.files[commit, name])
        told: dict[str, object] = {"rfilename": name, "size": size}
        checksum = self.checksum(commit, name)
        if name.endswith(".safetensors") and checksum != "untold":
            told["lfs"] = {"sha256": checksum, "size": size, "pointerSize": 134}
        return told

    def checksum(self, commit: str, name: str) -> str:
        return self.hub.sums.get(name) or hashlib.sha256(self.hub.files[commit, name]).hexdigest()

    def tell(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def refuse(self, status: int, word: str, commit: str = "") -> None:
        self.answer(status, b"", {"X-Error-Code": word, "X-Repo-Commit": commit})

    def answer(self, status: int, data: bytes, headers: dict[str, str], size: int = -1) -> None:
        length = str(size if size >= 0 else len(data))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": length}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
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
    thing = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": held}))
    held.url = f"http://127.0.0.1:{thing.server_port}"
    threading.Thread(target=thing.serve_forever, args=(0.01,), daemon=True).start()
    template = held.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", held.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4)  # bytes, so that little weights can break
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "telemetry"), raising=False)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # between retries
    for name in ("HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield held
    thing.shutdown()
    thing.server_close()
