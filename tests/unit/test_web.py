"""The server of the page: what comes out equals `colorize.paint`, what a person chose stays, and nothing is left."""

from __future__ import annotations

import base64
import io
import json
import time
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from comics import pack
from drawings import sketch
from PIL import Image
from starlette.testclient import TestClient

import colorize
from colorize.cli.help import PANELS
from colorize.coloring.options import SampleOptions
from colorize.images import files
from colorize.images.encode import encode
from colorize.web import options as choices
from colorize.web import server, sessions, worker

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "examples" / "reference-1.png"
STROKE = {"points": [[30, 20], [40, 24]], "color": "#20a040", "radius": 3}


@pytest.fixture(scope="module")
def client():
    with TestClient(server.app({}, PANELS["sample"]), base_url="http://127.0.0.1:7870") as made:
        yield made


class Page:
    """What a page does: uploads, and requests for results."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.base = f"/api/sessions/{client.post('/api/sessions').json()['id']}"

    def upload(self, data: bytes, name: str) -> list[str]:
        answer = self.client.post(f"{self.base}/pictures", params={"name": name}, content=data)
        assert answer.status_code == 201, answer.text
        return [one["id"] for one in answer.json()["pictures"]]

    def lines(self, **asked: object) -> list[dict[str, object]]:
        answer = self.client.post(f"{self.base}/color", json=asked)
        return [json.loads(line) for line in answer.text.splitlines()]

    def color(self, **asked: object) -> list[dict[str, object]]:
        return self.lines(**asked)[-1]["results"]

    def get(self, result: object, kind: str = "png") -> bytes:
        answer = self.client.get(f"{self.base}/results/{result}/{kind}")
        assert answer.status_code == 200, answer.text
        return answer.content


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.fixture
def page(client: TestClient) -> Page:
    return Page(client)


@pytest.fixture
def drawing(page: Page) -> str:
    return page.upload(encode(sketch(), ".png"), "sketch.png")[0]


def test_a_picture_equals_what_paint_makes_at_first_and_after_a_change(page, drawing):
    (reference,) = page.upload(REFERENCE.read_bytes(), "ref.png")
    for strokes in ([], [STROKE], [STROKE, {**STROKE, "points": [[50, 60]]}]):  # the later ones skip what is known
        (made,) = page.color(drawing=drawing, references=[reference], strokes=strokes)
        hints = {"hints": {"strokes": strokes}} if strokes else {}
        wanted = colorize.paint(sketch(), reference=REFERENCE, **hints)
        assert (pixels(page.get(made["id"])) == wanted.array).all()


def test_options_reach_the_model_and_variations_come_in_order(page, drawing):
    several = page.color(drawing=drawing, options={"seed": 3, "palette": "#c02020,navy", "variations": 2})
    wanted = colorize.paint(sketch(), seed=3, palette="#c02020,navy", variations=2)
    assert [one["variation"] for one in several] == [0, 1]
    for made, one in zip(several, wanted, strict=True):
        assert (pixels(page.get(made["id"])) == one.array).all()


def test_a_region_gets_its_color_without_the_network_and_keeps_it_when_options_change(page, drawing):
    (base,) = page.color(drawing=drawing)
    regions = page.client.get(f"{page.base}/results/{base['id']}/colors").json()
    x, y = regions[1]["at"]
    lines = page.lines(drawing=drawing, edits=[[x, y, "#123456"]])
    assert [list(line) for line in lines] == [["results"]]  # no place in the queue, no steps
    (made,) = lines[-1]["results"]
    assert np.abs(pixels(page.get(made["id"]))[y, x] - np.array([0x12, 0x34, 0x56])).max() < 3  # shade stays
    (other,) = page.color(drawing=drawing, edits=[[x, y, "#123456"]], options={"seed": 5})
    colors = page.client.get(f"{page.base}/results/{other['id']}/colors").json()
    assert "#123456" in [one["color"] for one in colors]
    (again,) = page.color(drawing=drawing)
    assert again["id"] == base["id"]


def test_the_regions_taken_away_make_the_same_picture_on_the_command_line(page, drawing, tmp_path, monkeypatch):
    from drawings import run

    (base,) = page.color(drawing=drawing)
    x, y = page.client.get(f"{page.base}/results/{base['id']}/colors").json()[1]["at"]
    (made,) = page.color(drawing=drawing, edits=[[x, y, "#123456"]])
    monkeypatch.chdir(tmp_path)
    with ZipFile(io.BytesIO(page.get(made["id"], "everything"))) as packed:
        packed.extractall()
    first, second = Path("command.txt").read_text().splitlines()
    assert first == "colorize sample sketch.png"
    for line, shown in ((first + " --out plain.png", base), (second + " --out again.png", made)):
        assert run(*line.split()[2:]).exit_code == 0
        assert (files.read(Path(line.split()[-1])).array == pixels(page.get(shown["id"]))).all()


def test_layers_compose_to_the_picture_in_both_formats(page, drawing):
    (base,) = page.color(drawing=drawing)
    (made,) = page.color(drawing=drawing, edits=[[30, 20, "#00ff00"]])
    for one in (base, made):
        with ZipFile(io.BytesIO(page.get(one["id"], "ora"))) as archive:
            merged = pixels(archive.read("mergedimage.png"))
        assert np.abs(merged.astype(int) - pixels(page.get(one["id"]))).mean() < 4
        assert page.get(one["id"], "psd")[:4] == b"8BPS"


def test_a_volume_becomes_its_pages_and_goes_back_into_its_archive(page, tmp_path):
    book = pack(str(tmp_path / "book.cbz"))
    ids = page.upload(book.read_bytes(), "book.cbz")
    assert len(ids) == 3
    made = [page.color(drawing=one)[0]["id"] for one in ids[:2]]
    asked = {"format": "cbz", "pages": [[ids[0], made[0]], [ids[1], made[1]]]}
    answer = page.client.post(f"{page.base}/archive", json=asked)
    assert "book_color.cbz" in answer.headers["content-disposition"]
    with ZipFile(book) as old, ZipFile(io.BytesIO(answer.content)) as new:
        assert new.namelist() == old.namelist()
        assert new.read("ch/3.png") == old.read("ch/3.png")
        for name, one in zip(("ch/1.png", "ch/2.png"), made, strict=True):
            assert (pixels(new.read(name)) == pixels(page.get(one))).all()


def test_pictures_that_no_browser_shows_are_shown(page):
    deep = Image.fromarray(np.asarray(sketch().pixels[..., 0], np.uint16) * 257)
    stream = io.BytesIO()
    deep.save(stream, "TIFF")
    (one,) = page.upload(stream.getvalue(), "deep.tif")
    assert (pixels(page.client.get(f"{page.base}/pictures/{one}").content) == sketch().pixels[..., 0]).all()


def test_errors_are_the_sentences_of_the_command_line(page, drawing):
    blank = page.upload(encode(colorize_white(), ".png"), "blank.png")[0]
    assert page.lines(drawing=blank)[-1]["error"] == "`blank.png` is blank: it has nearly one color"
    last = page.lines(drawing=drawing, options={"sampler": "ddim"})[-1]
    assert last["error"] == "`mini` chooses colors and does not denoise, so it has no sampler"
    answer = page.client.post(f"{page.base}/pictures", params={"name": "a.png"}, content=b"no picture")
    assert answer.status_code == 400
    assert "`a.png`" in answer.json()["error"]


def colorize_white():
    from colorize.images.image import Picture

    return Picture(np.full((80, 80, 3), 255, np.uint8))


def test_the_files_of_a_session_end_with_it_and_idle_sessions_end(client, monkeypatch):
    page = Page(client)
    root = client.app.app.state.shared.sessions.root
    (one,) = page.upload(encode(sketch(), ".png"), "sketch.png")
    page.color(drawing=one)
    before = len(list(root.iterdir()))
    assert client.delete(page.base).status_code == 204
    assert len(list(root.iterdir())) == before - 1
    assert client.get(f"{page.base}/pictures/{one}").status_code == 404
    idle = Page(client)
    monkeypatch.setattr(sessions, "IDLE", -1.0)
    client.app.app.state.shared.sessions.sweep()
    assert client.post(idle.base).status_code == 404
    assert not list(root.iterdir())


def test_every_option_of_sample_is_offered_or_left_out_on_purpose():
    offered = {one["name"] for one in choices.describe(PANELS["sample"])}
    apart = {*choices.PICTURES, *choices.SERVER, *choices.FILES}
    known = {one.name for one in SampleOptions.__dataclass_fields__.values() if one.metadata}
    assert offered | apart == known
    assert not offered & apart


def test_uploads_of_one_name_are_told_apart(page):
    names = [
        page.client.post(f"{page.base}/pictures?name=image.png", content=encode(sketch(), ".png")) for _ in range(3)
    ]
    assert [one.json()["pictures"][0]["name"] for one in names] == ["image.png", "image-2.png", "image-3.png"]


def test_the_page_stays_small():
    lengths = {one.name: len(one.read_text().splitlines()) for one in (ROOT / "colorize/web/static").iterdir()}
    assert max(lengths.values()) <= 300
    assert sum(lengths.values()) < 1800


def test_help_of_options_is_whole_but_for_words_of_the_command_line():
    described = {one["name"]: one for one in choices.describe(PANELS["sample"])}
    assert described["text"]["help"] == 'Edit of the reference, "hair: blonde"'
    assert described["sampler"]["help"] == "Sampler to use"
    assert described["sampler"]["choices"][0] == "ddim"
    assert not [one for one in described.values() if "repeatable" in one["help"] or "[default" in one["help"]]


def test_what_two_ask_for_at_once_is_made_once_and_the_oldest_goes():
    from concurrent.futures import ThreadPoolExecutor

    kept, made = sessions.Recent(2), []

    def make() -> int:
        time.sleep(0.05)
        made.append(1)
        return 7

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(lambda _: kept.get("a", make, lambda _: 1), range(4))) == [7] * 4
    assert len(made) == 1
    for key in "bcd":
        kept.get(key, make, lambda _: 1)
    assert kept.total == 2
    kept.get("a", make, lambda _: 1)
    assert len(made) == 5


def test_a_full_queue_says_when_to_ask_again(client, page, drawing):
    busy = client.app.app.state.shared.worker
    busy.room = -1
    try:
        answer = page.client.post(f"{page.base}/color", json={"drawing": drawing, "options": {"seed": 77}})
    finally:
        busy.room = worker.ROOM
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == str(worker.AGAIN)


def test_other_programs_color_by_form_and_by_json_and_get_the_same(client):
    data, wanted = encode(sketch(), ".png"), colorize.paint(sketch(), reference=REFERENCE, seed=2).array
    form = {"image": ("s.png", data), "reference": ("r.png", REFERENCE.read_bytes())}
    answer = client.post("/api/color", files=form, data={"seed": "2"}, headers={"accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"
    assert (pixels(answer.content) == wanted).all()
    both = [base64.b64encode(one).decode() for one in (data, REFERENCE.read_bytes())]
    answer = client.post("/api/color", json={"image": both[0], "reference": [both[1]], "options": {"seed": 2}})
    assert (pixels(base64.b64decode(answer.json()["images"][0])) == wanted).all()
    answer = client.post("/api/color", json={"image": both[0], "reference": both[1], "seed": 2})  # as in a form
    assert (pixels(base64.b64decode(answer.json()["images"][0])) == wanted).all()
    unit = {"controlnet": {"args": [{"input_image": f"data:image/png;base64,{both[1]}"}]}}
    old = {
        "init_images": [both[0]],
        "seed": 2,
        "prompt": "1girl",
        "cfg_scale": 7,
        "steps": 20,
        "sampler_name": "Euler a",
    }
    answer = client.post("/sdapi/v1/img2img", json={**old, "alwayson_scripts": unit})
    assert (pixels(base64.b64decode(answer.json()["images"][0])) == wanted).all()
    assert json.loads(answer.json()["info"])["seed"] == 2


def test_the_interface_is_described_with_every_option(client):
    described = client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    body = described["paths"]["/api/color"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    names = {one["name"] for one in choices.describe(PANELS["sample"])}
    assert set(body["properties"]["options"]["properties"]) == names
    assert {"image", "reference", "hints", "strokes", "edits"} <= set(body["properties"])
    assert client.get("/sdapi/v1/sd-models").json()[0]["title"] == "mini"


def test_models_are_listed_with_their_licenses(client):
    found = {one["name"]: one for one in client.get("/api/models").json()}
    assert found["mini"]["usable"]
    assert found["mini"]["license"] == "cc-by-sa-4.0"
    assert found["tellurion/ColorizeDiffusion"]["license"] == "cc-by-nc-sa-4.0"
    answer = client.post("/api/models", json={"name": "someone/else"})
    assert answer.status_code == 400
