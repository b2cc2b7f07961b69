"""Every command of README and guides, taken from the pages and run in order. Bug guarded: a page that does not work."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from zipfile import ZipFile

import pytest
from conftest import TINY
from hub_server import NEW, serving
from latents import letters, published_folder
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from colorize.checkpoints import hub as hub_module
from colorize.cli.app import app
from colorize.colorize_diffusion import conditioner

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs/questions.md", *sorted((ROOT / "docs/guides").glob("*.md"))]
LATENT = {"colorize-diffusion.md", "change-colors-by-words.md"}
SETUP = ("python3 -m venv", ". .venv/bin/activate", "pip install", "bash tests/check.sh")
LEAVES = {  # page -> what there must be at its end
    "README.md": "examples/sketch_color.png colored/1.png volume_color.cbz old_color.jpg sketch.ora report.html",
    "change-colors-by-words.md": "sketch_color.png night.png map.png",
    "color-a-drawing.md": "sketch_color.png four.png red.png sketch.ora",
    "color-a-folder.md": "colored/1.png colored/2.png volume_color.cbz",
    "color-manga.md": "palette.png page_color.png",
    "colorize-diffusion.md": "masked.png beach.png",
    "correct-colors.md": "layers/gift.ora gift_regions.png gift.toml colored/car.png few.png",
    "old-photographs.md": "old_color.jpg referenced.jpg hinted.jpg",
    "prepare-pictures.md": "data/train/metadata.jsonl paired/validation/metadata.jsonl unzipped/test/metadata.jsonl",
    "train-on-your-pictures.md": "runs/anime-diffusion-finetune/model.safetensors report.html old_color.jpg"
    " runs/mini/model.safetensors runs/mini-lora/adapter.safetensors runs/mini-2/model.safetensors",
}
SMALL = ("size=32", "batch=2", "steps=2", "warmup=0")
RECIPES = ("mini", "diffusart", "lab-diffusion", "manga-gan")


def commands(page: Path) -> list[str]:
    """The lines of a page's shell blocks, except blocks that say they are not run, and what is done by hand between."""
    found = re.findall(r"(?:<!-- (not run|by hand): (.+?) -->\n)?```bash\n(.*?)```", page.read_text("utf-8"), re.S)
    parts = []
    for kind, comment, block in found:
        lines = [] if kind == "not run" else block.splitlines()
        parts += [comment] if kind == "by hand" else []
        parts += [part.strip() for line in lines for part in re.sub(r"(^|\s)#.*", "", line).split(" && ")]
    return [part for part in parts if part and not part.startswith(SETUP)]


def brief(words: list[str]) -> list[str]:
    """A command on the smallest network, the fewest pictures and the least time."""
    if words[0] in ("train", "finetune") and "--dry-run" not in words:
        recipe = next((name for name in RECIPES if name in words), "anime-diffusion")
        sets = [text for text in TINY[recipe] if not text.startswith(("size", "pretrain", "finetune"))]
        own = words[0] == "train" and "--from" not in words  # else the network is the other model's
        words = [*words, *(word for text in [*(sets if own else ()), *SMALL] for word in ("--set", text))]
        less = [*words, "--sample-every", "0"]
        for option, value in (("--budget", "0.5s"), ("--steps", "2")):
            less += [option, value] if option in words else []
        return less
    if words[0] == "eval":
        return [*words, "--limit", "1", "--size", "32", "--against", "gray"]
    return words


def colored(name: str) -> Image.Image:
    return Image.open(ROOT / "examples" / name)


def furnish() -> None:
    """Lay out what the pages name: drawings, references, pages, a volume, photographs, pictures to learn from."""
    shutil.copytree(ROOT / "examples", "examples")
    small = colored("sketch.png").convert("L").resize((256, 256))
    small.save("sketch.png")
    for name in ("ref.png", "front.png", "sheet.png", "character.png", "other.png", "similar.jpg", "beach.jpg"):
        colored("reference-1.png").convert("RGB").resize((128, 128)).save(name)
    colored("reference-2.png").convert("RGB").resize((128, 128)).save("back.png")
    colored("gray.png").convert("L").resize((128, 128)).save("old.jpg")
    dots = Image.new("RGBA", small.size)
    dots.paste((255, 136, 0, 255), (120, 40, 132, 52))
    dots.save("dots.png")
    for folder, names in (("pages", "12"), ("library", "12"), ("drawings", ("gift", "car", "rockets"))):
        Path(folder).mkdir()
        for turn, name in enumerate(names):
            small.rotate(180 * turn).save(f"{folder}/{name}.png")
    Image.new("L", small.size, 255).save("mask.png")
    small.save("page.png")
    with ZipFile("volume.cbz", "w") as volume:
        volume.write("pages/1.png", "001.png")
        volume.write("page.png", "002.png")
    shutil.copy("volume.cbz", "library/volume.cbz")
    for folder in ("my-pictures", "series", "pairs/color", "archives/color"):
        pictures(Path(folder))
    pictures(Path("pairs/sketch"), gray=True)
    with ZipFile("archives/color/0001.zip", "w") as archive:
        for path in Path("archives/color").glob("*.png"):
            archive.write(path, path.name)
            path.unlink()


def pictures(folder: Path, gray: bool = False) -> None:
    """Twelve pictures of four colored disks each, no two alike."""
    folder.mkdir(parents=True)
    for at in range(12):
        rng = random.Random(at)
        picture = Image.new("RGB", (64, 64), "white")
        for _ in range(4):
            x, y, size = rng.randrange(44), rng.randrange(44), rng.randrange(10, 40)
            color = tuple(rng.randrange(256) for _ in range(3))
            ImageDraw.Draw(picture).ellipse((x, y, x + size, y + size), color, "black", 2)
        picture.convert("L" if gray else "RGB").save(folder / f"{at}.png")


def run(command: str) -> tuple[int, str]:
    """Run a line of a page: the program in this process, anything else in a shell."""
    words = shlex.split(command)
    if words[:2] == ["colorize", "web"]:
        return serve(words[1:])
    if words[0] == "colorize" and not set(words) & {"|", ">"}:
        done = CliRunner().invoke(app, brief(words[1:]))
        return done.exit_code, done.output
    Path("bin").mkdir(exist_ok=True)
    Path("bin/colorize").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m colorize "$@"\n')
    Path("bin/colorize").chmod(0o755)
    path = f"{Path('bin').absolute()}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = subprocess.run(
        ["bash", "-ec", command],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
    )
    return shell.returncode, shell.stdout + shell.stderr


def serve(words: list[str]) -> tuple[int, str]:
    """Open the page that a line serves, and end the program with Ctrl-C."""
    command = [sys.executable, "-m", "colorize", *words, "--no-browser"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as server:
        assert server.stdout
        said = server.stdout.readline()
        with urllib.request.urlopen(said.strip(), timeout=30) as page:
            assert b"<title>" in page.read()
        server.send_signal(signal.SIGINT)
        return 0 if server.wait(timeout=30) in (0, 130) else 1, said + server.stdout.read()


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORIZE_DEVICE", "cpu")
    furnish()


def follow(page: Path) -> None:
    """Run a page, and claim that every command works and colors, and that the page leaves what it says."""
    for command in commands(page):
        code, said = run(command)
        assert code == 0, f"{command}\n{said}"
        assert not re.search(r"skipped `|\d skipped|results? exist|no color differs", said), f"{command}\n{said}"
    assert [name for name in LEAVES.get(page.name, "").split() if not Path(name).exists()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in LATENT], ids=lambda page: page.name)
@pytest.mark.usefixtures("fresh")
def test_the_commands_of_a_page_work_in_its_order(page: Path) -> None:
    follow(page)


@pytest.mark.parametrize("name", sorted(LATENT))
@pytest.mark.usefixtures("fresh")
def test_the_commands_for_colorize_diffusion_work(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a Hub on this machine, whose files have the published layout at a tiny size."""
    page = ROOT / "docs/guides" / name
    Path("night.toml").write_text("".join(re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.S)))
    monkeypatch.setattr(conditioner, "tokenized", letters)
    monkeypatch.setattr(hub_module, "_CHECKSUMS", {})
    with serving(monkeypatch, tmp_path) as hub:
        hub.name = "tellurion/ColorizeDiffusion"
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 2**16)
        published = published_folder(tmp_path / "published")
        config = json.loads((published / "config.json").read_text("utf-8"))
        config["condition"]["encoder"] = f"{hub.name}/clip.safetensors"
        hub.files = {(NEW, "config.json"): json.dumps(config).encode()}
        hub.files[NEW, "clip.safetensors"] = (published / "clip.safetensors").read_bytes()
        for file in ("mult-eps-ft", "switch-eps", "v2-full"):
            hub.files[NEW, f"{file}.safetensors"] = (published / "model.safetensors").read_bytes()
        follow(page)


def test_few_commands_are_left_out() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    left_out = re.findall(r"<!-- not run: .+? -->\n```bash\n(.*?)```", text, re.S)
    assert sum(len(commands(page)) for page in PAGES) > 60
    assert sum(len(block.splitlines()) for block in left_out) <= 6
