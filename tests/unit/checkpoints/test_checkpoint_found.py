"""Claims about where models are found: in the package, in runs, in folders, on the Hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hub_server import NEW, serving
from safetensors.torch import load_file, save_file
from saved import TINY, changed, refusal

from colorize import recipes
from colorize.checkpoints import foreign, hub, library, model_files
from colorize.checkpoints.model_files import load, save, save_folder
from colorize.recipes import overrides

# Folders


def test_a_folder_for_the_hub_holds_three_files(system, tmp_path):
    save_folder(system, TINY, tmp_path / "new")
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"model.safetensors", "config.json", "README.md"}


def test_config_json_is_the_recipe_s_values(system, tmp_path):
    save_folder(system, TINY, tmp_path)
    data = json.loads((tmp_path / "config.json").read_text())
    assert overrides.from_dict(recipes.find("mini"), data) == TINY


def test_the_card_s_license_is_the_model_s(system, tmp_path):
    save_folder(system, TINY, tmp_path, {"license": "CC-BY-SA-4.0"})
    assert 'license: "cc-by-sa-4.0"' in (tmp_path / "README.md").read_text().splitlines()


def test_a_card_that_people_wrote_stays(system, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    save_folder(system, TINY, tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_folder_is_loaded(system, tmp_path):
    save_folder(system, TINY, tmp_path)
    assert load(tmp_path).recipe == TINY


def test_weights_of_another_tool_are_understood_by_their_config_json(system, tmp_path):
    save_folder(system, TINY, tmp_path)
    save_file(load_file(tmp_path / "model.safetensors"), tmp_path / "model.safetensors", {"format": "pt"})
    assert load(tmp_path).recipe == TINY


def test_a_folder_without_weights_names_what_it_has(file):
    file.rename(file.with_name("best.safetensors"))
    assert "best.safetensors" in refusal(file.parent).hint


# Where models are found


@pytest.fixture
def package(monkeypatch, tmp_path):
    """An empty folder in place of the package's weights."""
    folder = tmp_path / "package"
    folder.mkdir()
    monkeypatch.setattr(model_files.resources, "files", lambda _: folder)
    return folder


def test_mini_is_the_embedded_file(package, system):
    save(system, TINY, package / "mini.safetensors")
    assert load().source == "mini, embedded"


def test_an_installation_without_weights_says_so(package):
    assert refusal("mini").message.startswith("the embedded model `mini` is missing")


def test_a_folder_called_mini_does_not_hide_the_embedded_model(package, system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_folder(system, TINY, tmp_path / "mini")
    assert refusal("mini").message.startswith("the embedded model")


def test_a_recipe_without_weights_tells_how_to_train_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "`colorize train anime-diffusion`" in refusal("anime-diffusion").hint


def test_a_recipe_whose_weights_were_published_tells_where_they_lie(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, place in foreign.PLACES.items():
        assert place in refusal(name).hint
        assert place == library.find(name).facts["weights"]
    assert "tellurion/ColorizeDiffusion" in refusal("colorize-diffusion").hint


def test_a_recipe_trained_here_is_found(system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(system, TINY, Path("runs/anime-diffusion/model.safetensors"))
    assert "trained here: runs" in load("anime-diffusion").source


def test_a_misspelt_recipe_gets_the_nearest_name():
    assert "did you mean `mini`?" in refusal("mnii").hint


@pytest.mark.parametrize(
    "model", ["mini:no-such", "a.safetensors", "x/model.pt", "./a/b", "/a/b/c", "", "runs/a", "a/..", "é/b"]
)
def test_what_is_no_hub_id_never_reaches_the_hub(model, monkeypatch):
    monkeypatch.setattr(hub, "fetch", lambda *_: pytest.fail("the Hub was asked"))
    refusal(model)


def test_a_path_never_reaches_the_hub(monkeypatch):
    monkeypatch.setattr(hub, "fetch", lambda *_: pytest.fail("the Hub was asked"))
    assert refusal(Path("owner/name")).message == "there is no file or folder `owner/name`"


@pytest.mark.parametrize("model", ["a/b/c.ckpt", "a/b/c.bin@v1", "a/b/../c.safetensors", "a/b/c"])
def test_what_is_no_file_of_the_hub_s_never_reaches_it(model, monkeypatch):
    monkeypatch.setattr(hub, "fetch", lambda *_: pytest.fail("the Hub was asked"))
    refusal(model)


def test_a_pickle_on_the_hub_is_refused_with_the_way_out():
    assert "OWNER/NAME/FILE.safetensors" in refusal("owner/name/model.ckpt").hint


def test_a_misspelt_file_in_a_folder_that_is_here_never_reaches_the_hub(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("owner/name").mkdir(parents=True)
    monkeypatch.setattr(hub, "fetch", lambda *_: pytest.fail("the Hub was asked"))
    assert "there is no file" in refusal("owner/name/modle.safetensors").message


@pytest.fixture
def server(file, monkeypatch, tmp_path):
    with serving(monkeypatch, tmp_path) as held:
        held.files[NEW, "model.safetensors"] = held.files[NEW, "best.safetensors"] = file.read_bytes()
        yield held


def test_a_model_on_the_hub_is_downloaded_and_built(server):
    assert load("owner/name").source == f"owner/name@{NEW[:12]}"


def test_a_file_of_a_model_on_the_hub_is_downloaded_and_built(server):
    loaded = load("owner/name/best.safetensors@main")
    assert loaded.source == f"owner/name/best.safetensors@{NEW[:12]}"
    assert loaded.facts["base"] == f"owner/name/best.safetensors@{NEW}"


def test_the_license_in_a_model_comes_before_that_of_its_card(server):
    server.files[NEW, "README.md"] = b"---\nlicense: mit\n---\n"
    assert load("owner/name").facts["license"] == "CC0-1.0"


def test_a_model_without_a_license_gets_that_of_its_card(server, file):
    server.files[NEW, "README.md"] = b"---\nlicense: cc-by-nc-4.0\n---\n"
    server.files[NEW, "model.safetensors"] = changed(file, {"license": None}).read_bytes()
    assert load("owner/name").facts["license"] == "cc-by-nc-4.0"


def test_a_model_from_the_hub_has_a_notice_the_first_time_only(server):
    assert load("owner/name").notice
    assert load("owner/name").notice == ""


def test_a_name_longer_than_the_disk_allows_is_a_sentence():
    assert "cannot be read" in refusal("x" * 5000).message


@pytest.mark.skipif(
    not (Path(model_files.__file__).parents[1] / "weights" / "mini.safetensors").exists(),
    reason="the embedded model has not been trained yet",
)
def test_the_embedded_model_loads():
    assert load("mini").recipe.name == "mini"
