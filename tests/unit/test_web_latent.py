"""ColorizeDiffusion on the page's server: its options and edits by text give what the command line gives."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from drawings import colored, furnish, run, sketch
from latents import letters, published_folder
from PIL import Image
from starlette.testclient import TestClient

from colorize.cli.help import PANELS
from colorize.colorize_diffusion import conditioner
from colorize.images import files
from colorize.images.encode import encode
from colorize.web import server

EDIT = "target=blonde hair; anchor=brown hair; control=hair; scale=9; enhance=yes"
OPTIONS = {
    "text": [EDIT],
    "knob": ["margin=1.5"],
    "steps": 2,
    "sampler": "dpmpp",
    "guidance": {"reference": 3},
    "seed": 4,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(published_folder(tmp_path_factory.mktemp("model"), "v2"))


@pytest.fixture
def page(model: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conditioner, "tokenized", letters)
    application = server.app({"model": model, "device": "cpu"}, PANELS["sample"])
    with TestClient(application, base_url="http://127.0.0.1:7870") as client:
        base = f"/api/sessions/{client.post('/api/sessions').json()['id']}"
        ids = []
        for name, picture in (("sketch.png", sketch()), ("ref.png", colored())):
            answer = client.post(f"{base}/pictures", params={"name": name}, content=encode(picture, ".png"))
            ids.append(answer.json()["pictures"][0]["id"])
        yield client, base, *ids


def test_all_its_options_reach_it_and_the_command_line_told_makes_the_same(page, model, tmp_path, monkeypatch):
    client, base, drawing, reference = page
    asked = {"drawing": drawing, "references": [reference], "options": OPTIONS, "pictures": {"mask": "auto"}}
    (made,) = json.loads(client.post(f"{base}/color", json=asked).text.splitlines()[-1])["results"]
    shown = np.asarray(Image.open(io.BytesIO(client.get(f"{base}/results/{made['id']}/png").content)))
    monkeypatch.chdir(tmp_path)
    furnish()
    files.write(sketch(), Path("sketch.png"))
    files.write(colored(), Path("ref.png"))
    import shlex

    words = shlex.split(made["command"])[2:]
    assert words[:1] == ["sketch.png"]
    assert words[words.index("--text") + 1] == EDIT
    assert words[words.index("--mask") + 1] == "auto"
    assert words[words.index("--model") + 1] == model
    result = run(*words, "--out", "again.png")
    assert result.exit_code == 0, result.stderr
    assert (files.read(Path("again.png")).array == shown).all()


def test_the_map_shows_where_edits_act_and_without_edits_says_so(page):
    client, base, _, reference = page
    answer = client.post(f"{base}/edits", json={"reference": reference, "options": {"text": [EDIT]}})
    assert Image.open(io.BytesIO(answer.content)).size[0] > 256
    answer = client.post(f"{base}/edits", json={"reference": reference})
    assert answer.json()["error"] == "there are no edits by text"


def test_the_list_of_models_has_the_server_s_own_and_says_that_it_reads_text(page, model):
    client, *_ = page
    found = {one["name"]: one for one in client.get("/api/models").json()}
    assert "text" in found[model]["takes"]
    assert found[model]["usable"]


def test_a_download_shows_its_progress_and_what_went_wrong(page, monkeypatch):
    import threading

    from colorize.checkpoints import model_files
    from colorize.errors import ColorizeError
    from colorize.web import models

    client, *_ = page
    name, going, real = "tellurion/ColorizeDiffusion", threading.Event(), model_files.find

    def find(wanted: str, *more: object) -> object:
        if wanted != name:
            return real(wanted, *more)
        going.wait(20)
        raise ColorizeError("the Hub cannot be reached", "check the network")

    monkeypatch.setattr(model_files, "find", find)
    monkeypatch.setattr(models, "_arrived", lambda _: 975_000_000)
    assert client.post("/api/models", json={"name": name}).status_code == 202

    def listed() -> dict[str, object]:
        return next(one for one in client.get("/api/models").json() if one["name"] == name)

    assert listed()["progress"] == 0.25
    going.set()
    for thread in threading.enumerate():
        if thread.name == f"fetch {name}":
            thread.join(20)
    assert listed()["error"] == "the Hub cannot be reached (check the network)"
