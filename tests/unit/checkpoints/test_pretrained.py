"""`from_pretrained`, `save_pretrained` and `push_to_hub`: models come and go in the Hub's usual form."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import MINI, colored, sketch
from hub_server import NEW, OLD, serving
from saved import TINY, randomized

import colorize
from colorize import Colorizer
from colorize.checkpoints.model_files import save_folder
from colorize.errors import ColorizeError

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")  # the library's own


@pytest.fixture
def server(monkeypatch, tmp_path):
    with serving(monkeypatch, tmp_path) as held:
        yield held


def same(one, two):
    weights = two.state_dict()
    return all((value == weights[name]).all() for name, value in one.state_dict().items())


def test_what_was_pushed_comes_back(server, tmp_path, system):
    address = system.push_to_hub(
        "me/tiny", private=True, token="hf_mine", commit_message="First try", license="cc0-1.0"
    )
    assert address == f"{server.url}/me/tiny/commit/{NEW}"
    assert server.messages == ["First try"]
    again = Colorizer.from_pretrained("me/tiny", cache_dir=tmp_path / "elsewhere")
    assert same(again, system)
    assert again.recipe == TINY
    assert again.source == f"me/tiny@{NEW[:12]}"


def test_what_was_saved_comes_back(tmp_path, system):
    folder = system.save_pretrained(tmp_path / "mine")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert same(Colorizer.from_pretrained(folder), system)
    assert same(colorize.load(str(folder)), system)


def test_half_the_bits_half_the_size(tmp_path, system):
    whole, half = (system.save_pretrained(tmp_path / str(half), half=half) for half in (False, True))
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (whole, half)]
    assert sizes[1] < 0.6 * sizes[0]


def test_a_card_on_the_hub_stays(server, system):
    server.name, server.files = "me/tiny", {(NEW, "README.md"): b"written there"}
    system.push_to_hub("me/tiny", license="cc0-1.0")
    assert server.files[NEW, "README.md"] == b"written there"


def test_a_model_needs_a_license_and_not_another_one_than_the_card_there(server, system):
    with pytest.raises(ColorizeError, match="the model has no license"):
        system.push_to_hub("me/tiny")
    server.name, server.files = "me/tiny", {(NEW, "README.md"): b"---\nlicense: mit\n---\n"}
    with pytest.raises(ColorizeError, match=r"has the license `mit`, and this model `cc0-1\.0`"):
        system.push_to_hub("me/tiny", license="cc0-1.0")


def test_the_license_travels(server, tmp_path, system):
    save_folder(system, TINY, tmp_path / "theirs", {"license": "CC-BY-NC-4.0"})
    Colorizer.from_pretrained(tmp_path / "theirs").push_to_hub("me/tiny")
    assert b'license: "cc-by-nc-4.0"' in server.files[NEW, "README.md"]
    assert Colorizer.from_pretrained("me/tiny").facts["license"] == "CC-BY-NC-4.0"


def test_revision_token_and_cache_are_used(server, tmp_path, file, system):
    server.files[OLD, "model.safetensors"] = file.read_bytes()
    cache = tmp_path / "elsewhere"
    model = Colorizer.from_pretrained("owner/name", revision="v1", token="hf_mine", cache_dir=cache)
    assert model.source == f"owner/name@{OLD[:12]}"
    assert set(server.tokens) == {"Bearer hf_mine"}
    assert [path.name for path in cache.iterdir() if path.is_dir() and path.name[0] != "."] == ["models--owner--name"]
    server.asked.clear()
    assert same(Colorizer.from_pretrained("owner/name", revision="v1", cache_dir=cache, offline=True), model)
    assert server.asked == []
    with pytest.raises(ColorizeError, match="not in the cache"):
        Colorizer.from_pretrained("owner/name", revision="v1", offline=True)


def test_a_token_is_forgotten_after_its_call(server, file):
    server.files[NEW, "model.safetensors"] = file.read_bytes()
    colorize.load("owner/name", token="hf_mine", device="cpu")
    server.tokens.clear()
    server.files[NEW, "config.json"] = b"{} "
    colorize.load("owner/name", revision="main", device="cpu")
    assert set(server.tokens) == {None}


@pytest.mark.parametrize("model", ["mini", "owner/name@v1"])
def test_only_models_on_the_hub_have_revisions(model):
    with pytest.raises(ColorizeError, match="has no revision `v2`"):
        Colorizer.from_pretrained(model, revision="v2")


def test_a_model_that_no_recipe_built_cannot_be_saved(tmp_path):
    model = randomized()
    model.recipe = None
    with pytest.raises(ColorizeError, match="does not know its recipe"):
        model.save_pretrained(tmp_path)


def test_a_saved_model_paints_as_before(tmp_path):
    folder = MINI.own().save_pretrained(tmp_path / "mine")
    before, after = (colorize.paint(sketch(), reference=colored(), model=one) for one in (MINI, folder))
    assert np.array_equal(before.array, after.array)
