"""What the server refuses: foreign hosts and origins, paths, floods, and what is no request; it goes on after each."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from drawings import sketch
from starlette.testclient import TestClient

from colorize.cli.help import PANELS
from colorize.images import archives
from colorize.images.encode import encode
from colorize.web import guard, server, sessions

HOME = "http://127.0.0.1:7870"
ROOT = Path(__file__).parents[2]
DRAWING = encode(sketch(), ".png")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    made = TestClient(server.app({}, PANELS["sample"]), base_url=HOME, raise_server_exceptions=False)
    with made:
        yield made


@pytest.fixture(autouse=True)
def goes_on(client: TestClient) -> Iterator[None]:
    yield
    assert client.get("/").status_code == 200


def begin(client: TestClient) -> str:
    return f"/api/sessions/{client.post('/api/sessions').json()['id']}"


def upload(client: TestClient, data: bytes, name: str, base: str = ""):
    return client.post(f"{base or begin(client)}/pictures", params={"name": name}, content=data)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:7870", 200),
        ("localhost:9", 200),
        ("[::1]:7870", 200),
        ("evil.example", 403),  # DNS rebinding: its name was made to mean this machine
        ("127.0.0.1.evil.example:7870", 403),
        ("localhost.evil.example", 403),
        ("10.0.0.7", 403),
        ("", 403),
    ],
)
def test_only_names_of_this_machine_are_answered(client, host, status):
    assert client.get("/", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": HOME}, 201),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:8000"}, 403),
        ({"origin": "https://127.0.0.1:7870"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 201),
    ],
)
def test_other_pages_may_ask_for_nothing(client, headers, status):
    assert client.post("/api/sessions", headers=headers).status_code == status


def test_a_link_from_elsewhere_may_open_the_page_but_not_load_it(client):
    navigation = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=navigation).status_code == 200
    assert (
        client.get("/openapi.json", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}).status_code
        == 403
    )


def test_every_answer_forbids_other_hosts_frames_and_guessing(client):
    for path in ("/", "/static/app.js", "/nothing", "/api/settings"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_the_page_names_no_other_host_and_has_no_script_in_it():
    for one in (ROOT / "colorize" / "web" / "static").iterdir():
        text = one.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text
    assert "<script>" not in (ROOT / "colorize" / "web" / "static" / "index.html").read_text()


def test_with_a_token_nothing_is_answered_without_it():
    with TestClient(server.app({}, PANELS["sample"], "0.0.0.0", "s3cret ü"), base_url="http://10.1.2.3") as client:
        for path in ("/", "/api/settings", "/static/app.js", "/?token=wrong", "/api/settings?token=s3cret%20%C3%BC"):
            assert client.get(path).status_code == 401
        bearer = {"authorization": "Bearer s3cret ü".encode()}
        assert client.get("/api/settings", headers=bearer).status_code == 200
        assert client.get("/?token=s3cret%20%C3%BC", follow_redirects=False).status_code == 303
        assert client.get("/api/settings").status_code == 200  # by the cookie
        assert client.get("/", headers={"host": "evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/..%2fserver.py",
        "/static/%2e%2e%2fserver.py",
        "/static/..%5cserver.py",
        "/static/%00",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/..%2f..%2fetc/passwd",
    ],
)
def test_nothing_beside_the_page_is_served(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "root:" not in answer.text
    assert "import" not in answer.text


@pytest.mark.parametrize(
    "name", ["../../evil.png", "/etc/passwd", "..\\..\\evil.png", "a\x00b.png", "x" * 5000 + ".png", ".."]
)
def test_names_of_uploads_are_only_names(client, name):
    base = begin(client)
    answer = upload(client, DRAWING, name, base)
    assert answer.status_code == 201
    shown = answer.json()["name"]
    assert not set(shown) & set("/\\\0")
    assert len(shown) <= sessions.NAME
    root = client.app.app.state.shared.sessions.root
    assert not [one for one in root.rglob("*") if one.is_file() and "evil" in one.name]
    client.delete(base)


@pytest.mark.parametrize(
    "options",
    [
        {"model": "/etc/passwd"},
        {"model": str(ROOT / "colorize/weights/mini.safetensors")},
        {"model": "../x"},
        {"lora": [["/etc/passwd", 1]]},
        {"palette": "/etc/passwd"},
        {"palette": str(ROOT / "examples/reference-1.png")},
        {"reference": "/etc/passwd"},
        {"hints": "/etc/passwd"},
        {"edits": "/etc/passwd"},
        {"out": "/tmp/x.png"},
        {"encoder": "/etc/passwd"},
        {"device": "cuda"},
        {"layers": "/tmp/x.ora"},
        {"knob": ["condition=/etc/passwd"]},
        {"seed": "x"},
        {"variations": 10**9},
        {"size": 10**9},
        {"steps": -1},
        {"guidance": {"reference": "nan"}},
        ["seed"],
        None,
    ],
)
def test_options_name_no_file_and_nothing_absurd(client, options):
    base = begin(client)
    drawing = upload(client, DRAWING, "s.png", base).json()["pictures"][0]["id"]
    answer = client.post(f"{base}/color", json={"drawing": drawing, "options": options})
    told = [json.loads(line) for line in answer.text.splitlines()][-1]
    assert told.get("error")
    assert "root:" not in answer.text
    assert answer.status_code in (200, 400)
    client.delete(base)


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"drawing": 7}',
        b'{"drawing": "p1", "references": "p1"}',
        b'{"drawing": "../p1"}',
        b'{"drawing": {"a": []}}',
    ],
)
def test_requests_that_are_none_are_refused_in_a_sentence(client, asked):
    answer = client.post(f"{begin(client)}/color", content=asked)
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "more",
    [
        {"references": ["p99"]},
        {"references": [["p1"]]},
        {"pictures": {"reference": "p1"}},
        {"pictures": {"only": "auto"}},
        {"pictures": ["mask"]},
        {"strokes": [1]},
        {"strokes": [{"points": [[1e99, 1]], "color": "#fff"}]},
        {"strokes": [{"points": [["a", 1]], "color": "#fff"}]},
        {"strokes": [{"points": [[1, 1]], "color": "url(x)"}]},
        {"strokes": [{"points": [[1, 1]] * 500_000, "color": "#fff"}]},
        {"edits": [[1, 1, "red"]]},
        {"edits": [[1, 1]]},
        {"edits": {"a": 1}},
    ],
)
def test_what_is_painted_wrongly_is_refused_in_a_sentence(client, more):
    base = begin(client)
    drawing = upload(client, DRAWING, "s.png", base).json()["pictures"][0]["id"]
    answer = client.post(f"{base}/color", json={"drawing": drawing, **more})
    assert [json.loads(line) for line in answer.text.splitlines()][-1].get("error"), answer.text
    client.delete(base)


def test_sessions_do_not_see_each_other(client):
    one, other = begin(client), begin(client)
    picture = upload(client, DRAWING, "s.png", one).json()["pictures"][0]["id"]
    assert client.get(f"{one}/pictures/{picture}").status_code == 200
    assert client.get(f"{other}/pictures/{picture}").status_code == 404
    assert client.get(f"/api/sessions/x/pictures/{picture}").status_code == 404


def huge_png() -> bytes:
    """A PNG of a few bytes that says it has 100,000 x 100,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def bomb() -> bytes:
    stream = io.BytesIO()
    with ZipFile(stream, "w", 8) as archive:
        archive.writestr("1.png", bytes(8 * 2**20))
    return stream.getvalue()


def outside() -> bytes:
    stream = io.BytesIO()
    with ZipFile(stream, "w") as archive:
        archive.writestr("../../evil.png", DRAWING)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.png", huge_png), ("a.cbz", bomb), ("a.cbz", outside), ("a.png", bytes), ("a.svg", lambda: b"<svg/>")],
)
def test_bombs_and_what_is_no_picture_are_refused_and_leave_no_file(client, name, data, monkeypatch):
    monkeypatch.setattr(archives, "HARMLESS", 2**20)
    base = begin(client)
    answer = upload(client, data(), name, base)
    assert answer.status_code == 400
    assert "a." in answer.json()["error"]
    assert "/tmp" not in answer.json()["error"]
    folder = client.app.app.state.shared.sessions.find(base.rpartition("/")[2]).folder
    assert not list(folder.iterdir())


def test_bodies_that_are_too_large_are_refused_by_their_head_and_by_their_bytes(client, monkeypatch):
    base = begin(client)
    answer = client.post(f"{base}/color", content=b"x", headers={"content-length": str(2**40)})
    assert answer.status_code == 413
    monkeypatch.setattr(guard, "SMALL", 1000)
    assert client.post(f"{base}/color", content=(bytes(600) for _ in range(4))).status_code == 413
    monkeypatch.setattr(guard, "UPLOAD", 1000)
    assert upload(client, bytes(2000), "a.png", base).status_code == 413
    monkeypatch.setattr(sessions, "QUOTA", 10)
    assert upload(client, DRAWING[:900], "a.png", base).json()["error"].startswith("more than 0 GiB")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--y\r\n\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=image\r\n\r\n1\r\n--x"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--"),
        ("multipart/form-data; boundary=" + "x" * 5000, b"--x"),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 2000 + b"\r\n1\r\n--x--"),
    ],
)
def test_bad_forms_are_refused_in_a_sentence(client, kind, body):
    answer = client.post("/api/color", content=body, headers={"content-type": kind})
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_forms_with_files_in_other_fields_or_too_many_are_refused(client):
    assert client.post("/api/color", files={"../x": ("a", DRAWING)}).status_code == 400
    assert client.post("/api/color", files=[("image", ("a", DRAWING))] * 40).status_code == 400
    assert client.post("/api/color", files={"image": ("a", DRAWING)}, data={"model": "/etc/passwd"}).status_code == 400
    for given in (
        {},
        {"init_images": []},
        {"init_images": ["%%%"]},
        {"init_images": 7},
        {"init_images": ["/etc/passwd"]},
    ):
        assert client.post("/sdapi/v1/img2img", json=given).status_code == 400


def test_there_are_only_so_many_sessions(client, monkeypatch):
    monkeypatch.setattr(sessions, "MOST", 0)
    answer = client.post("/api/sessions")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
