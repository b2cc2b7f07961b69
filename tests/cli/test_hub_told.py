"""Claims about what commands say of models on the Hub, and about what their pictures hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import tiny
from drawings import MINI, run, sketch
from hub_server import NEW, Hub, serving
from typer.testing import CliRunner, Result

from colorize.checkpoints import model_files
from colorize.cli.app import app
from colorize.images import files

CARD = b"---\nlicense: cc-by-nc-4.0\n---\n# A model\n"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A model on the Hub that may not be used commercially, and a drawing in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORIZE_DEVICE", "cpu")
    monkeypatch.delenv("COLORIZE_MODEL", raising=False)
    files.write(sketch(), Path("sketch.png"))
    model_files.save(MINI.colorizer, MINI.recipe, Path("tiny.safetensors"))
    with serving(monkeypatch, tmp_path) as held:
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 4096)
        weights = Path("tiny.safetensors").read_bytes()
        held.files = {(NEW, "tiny.safetensors"): weights, (NEW, "README.md"): CARD}
        yield held


def sample(*more: str) -> Result:
    return run("sketch.png", "--model", "owner/name", "--overwrite", *more)


def told(path: str) -> dict[str, object]:
    value = json.loads(files.read(Path(path)).text["colorize"])
    assert isinstance(value, dict)
    return value


def test_the_license_is_said_when_weights_are_fetched_and_never_again(server: Hub) -> None:
    first = sample()
    assert (first.exit_code, first.stdout) == (0, "sketch_color.png\n")
    assert first.stderr == (
        "note: the weights of `owner/name` are under cc-by-nc-4.0, which forbids commercial use;"
        f" see {server.url}/owner/name\n"
    )
    assert sample().stderr == ""
    assert sample("--offline").stderr == ""


def test_quiet_says_no_license(server: Hub) -> None:
    assert sample("--quiet").stderr == ""


def test_json_has_the_license_beside_it(server: Hub) -> None:
    result = sample("--json")
    assert "cc-by-nc-4.0" in result.stderr
    assert json.loads(result.stdout)["output"] == "sketch_color.png"


def test_a_picture_tells_the_license_of_the_weights(server: Hub) -> None:
    sample()
    online = told("sketch_color.png")
    assert online["weights_license"] == "cc-by-nc-4.0"
    assert online["model"] == f"owner/name/tiny.safetensors@{NEW[:12]}"
    sample("--offline")
    assert told("sketch_color.png") == online


def test_a_picture_of_weights_without_a_license_tells_none(server: Hub) -> None:
    run("sketch.png", "--model", "tiny.safetensors")
    assert "weights_license" not in told("sketch_color.png")


def test_a_license_as_long_as_a_book_is_cut(server: Hub) -> None:
    model_files.save(MINI.colorizer, MINI.recipe, Path("own.safetensors"), {"license": "x" * 10_000})
    run("sketch.png", "--model", "own.safetensors")
    assert told("sketch_color.png")["weights_license"] == "x" * 200


def test_a_broken_download_ends_the_command_and_the_same_command_goes_on(server: Hub) -> None:
    server.line = 10_000
    result = sample()
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error: the connection broke while `owner/name` was fetched" in result.stderr
    assert "hint: repeat the command; the download resumes" in result.stderr
    assert not Path("sketch_color.png").exists()
    server.line = None
    assert sample().exit_code == 0
    assert server.sent[-1][1] == "bytes=8192-"


def test_a_file_that_the_model_lacks_is_wrong_usage(server: Hub) -> None:
    result = run("sketch.png", "--model", "owner/name/tyni.safetensors")
    assert result.exit_code == 2
    assert "hint: did you mean `tiny.safetensors`?" in result.stderr


def test_training_says_the_license_of_what_it_begins_with(server: Hub) -> None:
    # It stops at the missing pictures, before any training.
    said = "which forbids commercial use"
    begun = CliRunner().invoke(app, ["finetune", "owner/name", "no-data"])
    assert said in begun.stderr
    assert said not in CliRunner().invoke(app, ["finetune", "owner/name", "no-data"]).stderr


def test_training_from_a_model_says_its_license(server: Hub) -> None:
    arguments = ["train", "mini", "no-data", "--from", "owner/name"]
    dry = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert "forbids commercial use" not in dry.stderr
    assert server.asked == []
    assert "forbids commercial use" in CliRunner().invoke(app, arguments).stderr


def test_a_finetuned_model_keeps_the_license_and_the_origin(server: Hub, tmp_path: Path) -> None:
    loaded = model_files.load("owner/name")
    model_files.save_folder(loaded.colorizer, tiny("walker"), tmp_path / "mine", loaded.facts)
    again = model_files.load(tmp_path / "mine").facts
    assert again == {"license": "cc-by-nc-4.0", "base": f"owner/name/tiny.safetensors@{NEW}"}
    assert 'license: "cc-by-nc-4.0"' in (tmp_path / "mine/README.md").read_text()
