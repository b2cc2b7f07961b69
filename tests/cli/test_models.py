"""Claims about `colorize models`: what it lists, fetches, publishes and removes, and that offline means offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawings import MINI
from hub_server import NEW, Hub, serving
from typer.testing import CliRunner, Result

from colorize import recipes
from colorize.checkpoints import library, model_files
from colorize.cli.app import app
from colorize.recipes import overrides

# The library's own, when it sends large files.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

CARD = b"""---
license: cc-by-nc-4.0
---
# A model\x1b[2J

## Scores

| Given | Right |
| --- | ---: |
| a reference | 0.5 |

## More
"""
LICENSED = ("--license", "cc-by-4.0")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A model on the Hub, an empty cache and an empty working folder with a model of one's own."""
    monkeypatch.chdir(tmp_path)
    for name in ("runs/mine", "hub"):
        Path(name).mkdir(parents=True)
    model_files.save(MINI.colorizer, MINI.recipe, Path("runs/mine/model.safetensors"), {"training": "9 steps"})
    model_files.save(MINI.colorizer, MINI.recipe, Path("hub/model.safetensors"), {"license": "CC-BY-NC-4.0"})
    with serving(monkeypatch, tmp_path) as held:
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 4096)
        held.files = {(NEW, "model.safetensors"): Path("hub/model.safetensors").read_bytes(), (NEW, "README.md"): CARD}
        yield held


def models(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, ["models", *arguments], input=typed)


def listed() -> dict[str, dict[str, object]]:
    return {entry["name"]: entry for entry in json.loads(models("--json").stdout)}


def log(rows: int) -> None:
    text = [json.dumps({"step": n, "loss": 1 / n, "lr": 1e-3, "seconds": 60.0 * n}) for n in range(1, rows + 1)]
    Path("runs/mine/log.jsonl").write_text("\n".join(text) + "\n")


# The list


def test_the_list_has_the_embedded_model_with_size_license_takes_and_scores(server: Hub) -> None:
    mini = listed()["mini"]
    assert (mini["where"], mini["license"], mini["recipe"]) == ("embedded", "cc-by-sa-4.0", "mini")
    assert mini["takes"] == ["line", "gray", "reference", "hints"]
    assert isinstance(mini["bytes"], int)
    assert isinstance(mini["scores"], list)
    assert 0 < float(mini["scores"][0]["Right"]) < 1
    assert "right 0." in models().stdout


def test_the_list_has_every_recipe_once(server: Hub) -> None:
    found = [entry["recipe"] for name, entry in listed().items() if name != "runs/mine"]
    assert sorted(found) == sorted(recipes.names())
    assert listed()["tellurion/ColorizeDiffusion"]["takes"] == ["line", "reference", "text"]


def test_the_list_has_what_was_trained_here_and_fetched(server: Hub) -> None:
    assert "owner/name" not in listed()
    models("pull", "owner/name")
    found = listed()
    assert (found["runs/mine"]["where"], found["owner/name"]["where"]) == ("trained", "cached")
    assert (found["owner/name"]["license"], found["owner/name"]["recipe"]) == ("cc-by-nc-4.0", "mini")
    assert found["owner/name"]["bytes"] == sum(len(data) for data in server.files.values())


def test_models_of_other_programs_are_not_listed(server: Hub) -> None:
    from safetensors.numpy import save

    server.files = {(NEW, "model.safetensors"): save({})}
    result = models("pull", "owner/name")
    assert "note: `owner/name` does not say that it is a model of colorize" in result.stderr
    assert "owner/name" not in listed()


def test_a_damaged_file_does_not_end_the_list(server: Hub) -> None:
    Path("runs/mine/model.safetensors").write_bytes(b"broken")
    assert (listed()["runs/mine"]["recipe"], models().exit_code) == ("", 0)


def test_list_is_what_is_done_without_a_subcommand(server: Hub) -> None:
    assert models().stdout == models("list").stdout == models("list", "--offline").stdout


# Without a network


@pytest.mark.parametrize("words", [(), ("list",), ("info", "mini"), ("info", "owner/name"), ("pull", "owner/name")])
def test_offline_makes_no_network_call(server: Hub, words: tuple[str, ...]) -> None:
    models("pull", "owner/name")
    del server.asked[:], server.sent[:]
    assert models(*words, "--offline").exit_code == 0
    assert (server.asked, server.sent) == ([], [])


@pytest.mark.parametrize(
    "words", [("info", "owner/name"), ("pull", "owner/name"), ("push", "runs/mine", "me/x", *LICENSED)]
)
def test_the_variable_of_the_hub_switches_the_network_off(server: Hub, monkeypatch, words: tuple[str, ...]) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    result = models(*words)
    assert (result.exit_code, server.asked) == (1, [])
    assert "the network is switched off" in result.stderr


def test_removing_and_listing_need_no_network(server: Hub) -> None:
    models("pull", "owner/name")
    del server.asked[:]
    models()
    models("remove", "owner/name", "--yes")
    assert server.asked == []


# One model


def test_info_shows_card_and_files_before_anything_is_fetched(server: Hub) -> None:
    found = json.loads(models("info", "owner/name", "--json").stdout)
    assert (found["where"], found["license"]) == ("published", "cc-by-nc-4.0")
    assert found["scores"] == [{"Given": "a reference", "Right": "0.5"}]
    assert (found["recipe"], found["takes"]) == ("", [])
    assert set(found["files"]) == {"model.safetensors", "README.md"}
    assert found["card"] == CARD.decode()
    server.files[NEW, "config.json"] = json.dumps(overrides.to_dict(MINI.recipe)).encode()
    assert json.loads(models("info", "owner/name", "--json").stdout)["recipe"] == "mini"
    assert server.sent == []
    models("pull", "owner/name")
    assert json.loads(models("info", "owner/name", "--json").stdout)["where"] == "cached"


def test_a_card_cannot_steer_the_terminal(server: Hub) -> None:
    assert "# A model?[2J" in models("info", "owner/name").stdout


def test_info_tells_the_adapters_of_a_model(server: Hub) -> None:
    from colorize.checkpoints import adapters

    Path("runs/series").mkdir()
    adapter = adapters.describe(model_files.load("runs/mine"), 2)
    adapters.save(adapter, Path("runs/series/adapter.safetensors"))
    assert json.loads(models("info", "runs/mine", "--json").stdout)["adapters"] == ["runs/series"]
    assert json.loads(models("info", "mini", "--json").stdout)["adapters"] == []
    itself = models("info", "runs/series").stdout
    assert "takes:     adapter" in itself
    assert "recipe:    mini" in itself


@pytest.mark.parametrize("name", ["anime-diffusion", "mini", "runs/mine", "runs/mine/model.safetensors", "owner/name"])
def test_info_knows_all_that_sample_knows(server: Hub, name: str) -> None:
    assert models("info", name).exit_code == 0


# Fetching and removing


def test_pulling_prints_the_path_and_says_the_license(server: Hub) -> None:
    result = models("pull", "owner/name")
    assert Path(result.stdout.strip()).read_bytes() == server.files[NEW, "model.safetensors"]
    assert "cc-by-nc-4.0, which forbids commercial use" in result.stderr
    assert models("pull", "owner/name").stderr == "in the cache: owner/name\n"


def test_removing_frees_all_of_a_model(server: Hub, tmp_path: Path) -> None:
    models("pull", "owner/name")
    size = listed()["owner/name"]["bytes"]
    (tmp_path / "cache/models--owner--name/blobs/broken.incomplete").write_bytes(b"x" * 2_000_000)
    (repository,) = library.cache()
    assert isinstance(size, int)
    assert library.remove(repository) == size + 2_000_000
    assert not (tmp_path / "cache/models--owner--name").exists()


def test_removing_asks_first(server: Hub) -> None:
    models("pull", "owner/name")
    result = models("remove", "owner/name")
    assert (result.exit_code, "add --yes" in result.stderr) == (2, True)
    assert "owner/name" in listed()
    assert " freed\n" in models("remove", "owner/name", "--yes").stderr
    assert "owner/name" not in listed()
    assert "`owner/name` is not in the cache" in models("remove", "owner/name", "--yes").stderr


@pytest.mark.parametrize("command", ["pull", "remove"])
@pytest.mark.parametrize("name", ["mini", "../x", "a/b/c", "runs/mine/model", ""])
def test_what_is_no_name_on_the_hub_is_refused(server: Hub, command: str, name: str) -> None:
    result = models(command, name)
    assert (result.exit_code, server.asked) == (2, [])
    assert "is not the name of a model on the Hub" in result.stderr


# Publishing


def published(server: Hub) -> str:
    return server.files[NEW, "README.md"].decode()


def test_a_published_model_comes_back_with_its_card(server: Hub) -> None:
    log(100)
    Path("scores.md").write_text("| | Right |\n| --- | --- |\n| mine | 0.7 |\n")
    more = ("--data", "12 drawings of mine, CC0", "--scores", "scores.md")
    result = models("push", "runs/mine", "me/series", *LICENSED, *more)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{server.url}/me/series/commit/{NEW}\n"
    assert server.made[0]["visibility"] == "private"
    for text in (
        'license: "cc-by-4.0"',
        "12 drawings of mine, CC0",
        "| mine | 0.7 |",
        "| 100 | 0.0100 | 0.001 | 100.0 |",
    ):
        assert text in published(server)
    assert "--model me/series" in published(server)
    models("pull", "me/series")
    assert listed()["me/series"]["recipe"] == "mini"


def test_a_card_on_the_hub_is_replaced_only_by_what_was_asked_for(server: Hub) -> None:
    models("push", "hub", "me/series")
    server.files[NEW, "README.md"] = b"written there"
    models("push", "hub", "me/series")
    assert published(server) == "written there"
    models("push", "hub", "me/series", "--data", "12 drawings")
    assert "12 drawings" in published(server)


def test_a_model_without_a_license_is_not_published(server: Hub) -> None:
    result = models("push", "runs/mine", "me/series")
    assert (result.exit_code, server.asked) == (2, [])
    assert result.stderr == (
        "error: `runs/mine` has no license\nhint: add --license cc-by-4.0, or the one you choose\n"
    )


def test_the_license_of_a_model_goes_along_and_another_one_is_noted(server: Hub) -> None:
    assert models("push", "hub", "me/series", "--public").exit_code == 0
    assert server.made[0]["visibility"] == "public"
    assert 'license: "cc-by-nc-4.0"' in published(server)
    server.name = ""
    assert "are under CC-BY-NC-4.0; make sure" in models("push", "hub", "me/other", *LICENSED).stderr


def test_a_card_of_ones_own_is_published_as_it_is_and_must_name_a_license(server: Hub) -> None:
    card = Path("runs/mine/README.md")
    card.write_text("# Mine\n")
    assert "has no license" in models("push", "runs/mine", "me/series").stderr
    card.write_text("---\nlicense: mit\n---\n# Mine\n")
    assert "have no effect" in models("push", "runs/mine", "me/series", *LICENSED).stderr
    assert server.asked == []
    assert models("push", "runs/mine", "me/series").exit_code == 0
    assert published(server) == card.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere", "me/x"), "unknown model `nowhere`"),
        (("runs/mine", "me"), "`me` is not the name of a model on the Hub"),
        (("runs/mine", "me/x", *LICENSED, "--scores", "none.md"), "--scores `none.md` cannot be read"),
        (("runs/mine", "me/x", *LICENSED, "--scores", "runs/mine/recipe.json"), "holds no table"),
        (("owner/name", "me/x"), "is not in the cache of this machine"),
    ],
)
def test_what_cannot_be_published_is_said_before_the_hub_is_asked(server: Hub, words, said: str) -> None:
    Path("runs/mine/recipe.json").write_text("{}")
    result = models("push", *words)
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert server.asked == []


def test_an_adapter_is_not_published_as_a_model(server: Hub) -> None:
    from colorize.checkpoints import adapters

    adapters.save(adapters.describe(model_files.load("runs/mine"), 2), Path("adapter.safetensors"))
    result = models("push", "adapter.safetensors", "me/x", *LICENSED)
    assert (result.exit_code, server.asked) == (2, [])
    assert "is an adapter" in result.stderr


def test_the_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "huggingface_hub", "safetensors")
    code = (
        "import sys\nfrom colorize.cli.app import app\n"
        "try: app(['models', 'push', '--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    there = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=there, check=True)
    assert found.stderr == "[]\n"
