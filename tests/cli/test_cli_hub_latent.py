"""Claims about a latent model fetched by id: pinned, checked, its license told, offline afterwards, gone on with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawings import furnish, run
from hub_server import NEW, OLD, Hub, serving
from latents import published_folder

from colorize.checkpoints import hub as hub_module
from colorize.images import files

MODEL = "owner/name"
WEIGHTS, CLIP = "mult-eps-ft.safetensors", "clip.safetensors"
CARD = b"---\nlicense: cc-by-nc-sa-4.0\n---\n# Colors\n"


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], bytes]:
    """What the authors published, at a tiny size: weights in their layout, a card, CLIP's weights beside them."""
    folder = published_folder(tmp_path_factory.mktemp("published"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["condition"]["encoder"] = f"{MODEL}/{CLIP}"
    of = {
        WEIGHTS: (folder / "model.safetensors").read_bytes(),
        "v2-full.safetensors": b"of another version",
        "config.json": json.dumps(config).encode(),
        "README.md": CARD,
        CLIP: (folder / CLIP).read_bytes(),
    }
    return {(NEW, name): data for name, data in of.items()}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, held: dict[tuple[str, str], bytes]) -> Iterator[Hub]:
    from huggingface_hub import constants

    with serving(monkeypatch, tmp_path) as server:
        server.files = {**held, (OLD, "README.md"): CARD}
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 2**16)
        monkeypatch.setitem(hub_module.DEFAULT_FILES, MODEL, (WEIGHTS,))
        monkeypatch.setattr(hub_module, "_CHECKSUMS", {})
        monkeypatch.setenv("COLORIZE_MODEL", MODEL)
        monkeypatch.setenv("COLORIZE_DEVICE", "cpu")
        (tmp_path / "work").mkdir()
        monkeypatch.chdir(tmp_path / "work")
        furnish()
        yield server


def told() -> dict[str, object]:
    return dict(json.loads(files.read(Path("sketch_color.png")).text["colorize"]))


def test_the_first_run_fetches_and_tells_the_license_and_the_second_needs_no_network(hub: Hub) -> None:
    first = run("sketch.png", "--ref", "ref.png")
    assert first.exit_code == 0, first.stderr
    assert "cc-by-nc-sa-4.0" in first.stderr
    assert "forbids commercial use" in first.stderr
    assert told()["weights_license"] == "cc-by-nc-sa-4.0"
    assert told()["model"] == f"{MODEL}/{WEIGHTS}@{NEW[:12]}"
    assert {file for file, *_ in hub.sent} == {WEIGHTS, CLIP}
    picture = files.read(Path("sketch_color.png")).pixels

    hub.asked.clear()
    second = run("sketch.png", "--ref", "ref.png", "--overwrite", "--offline")
    assert (second.exit_code, second.stderr) == (0, "")
    assert hub.asked == []
    assert (files.read(Path("sketch_color.png")).pixels == picture).all()


def test_a_revision_is_kept_to(hub: Hub) -> None:
    hub.files = {(OLD if commit == NEW else NEW, name): d for (commit, name), d in hub.files.items()}
    result = run("sketch.png", "--ref", "ref.png", "--model", f"{MODEL}/{WEIGHTS}@{OLD}")
    assert "has no" in result.stderr  # CLIP's weights are only in the other revision
    assert all(OLD in asked or CLIP in asked for asked in hub.asked if ".safetensors" in asked)


def test_a_broken_download_goes_on_where_it_broke(hub: Hub) -> None:
    hub.line = 200_000
    broken = run("sketch.png", "--ref", "ref.png")
    assert broken.exit_code == 1
    assert "broke" in broken.stderr
    assert not Path("sketch_color.png").exists()
    hub.line = None
    assert run("sketch.png", "--ref", "ref.png").exit_code == 0
    ranges = [wanted for file, wanted, _ in hub.sent if file == WEIGHTS]
    assert ranges[0] is None
    assert ranges[-1] not in (None, "bytes=0-")


def test_a_file_of_another_checksum_is_refused_and_forgotten(hub: Hub) -> None:
    hub.sums = {WEIGHTS: "0" * 64}
    result = run("sketch.png", "--ref", "ref.png")
    assert result.exit_code == 1
    assert "sha256" in result.stderr
    hub.sums = {}
    assert run("sketch.png", "--ref", "ref.png").exit_code == 0


def test_a_pickle_is_refused_with_the_way_out(hub: Hub) -> None:
    result = run("sketch.png", "--ref", "ref.png", "--model", f"{MODEL}/mult.ckpt")
    assert result.exit_code in (1, 2)
    assert ".safetensors" in result.stderr
    assert hub.sent == []


def test_a_file_of_another_kind_is_refused_by_name(hub: Hub) -> None:
    result = run("sketch.png", "--ref", "ref.png", "--model", f"{MODEL}/v2-full.safetensors")
    assert result.exit_code == 1
    assert "v2-full.safetensors" in result.stderr


def test_a_model_can_be_finetuned_by_its_id(hub: Hub) -> None:
    from drawings import colored

    Path("few").mkdir()
    for seed in range(2):
        files.write(colored(seed), Path(f"few/{seed}.png"))
    from typer.testing import CliRunner

    from colorize.cli.app import app

    line = ["finetune", MODEL, "few", "--lora", "2", "--steps", "2", "--out", "run"]
    changes = ["size=32", "batch=1", "aspects=[]", "warmup=1"]
    more = [part for change in changes for part in ("--set", change)]
    result = CliRunner().invoke(app, [*line, *more, "--sample-every", "0"])
    assert result.exit_code == 0, result.stderr
    assert "cc-by-nc-sa-4.0" in result.stderr
    assert run("sketch.png", "--ref", "ref.png", "--lora", "run", "--offline").exit_code == 0
    assert told()["weights_license"] == "cc-by-nc-sa-4.0"
