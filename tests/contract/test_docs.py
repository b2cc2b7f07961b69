"""The documents and the program say the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from colorize import recipes
from colorize.cli.app import app
from colorize.evaluation.samples import MODES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES)
COMMANDS = [command.name for command in app.registered_commands]


def test_the_reference_pages_are_current() -> None:
    subprocess.run([sys.executable, "docs/generate.py", "--check"], check=True, cwd=ROOT)


@pytest.mark.parametrize("name", [*COMMANDS, *recipes.names(), *MODES])
def test_everything_has_its_place_in_the_docs(name: str) -> None:
    assert re.search(rf"\b{name}\b", TEXT)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text()):
        if "://" not in target:
            goal = page.parent / target if target else page
            assert goal.exists(), target
            assert not anchor or anchor in anchors(goal), f"{target}#{anchor}"


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs/index.md"
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#]+)", index.read_text())}
    assert {page for page in PAGES[1:] if page != index} <= linked
    assert "(docs/index.md)" in PAGES[0].read_text()


def test_twenty_questions_are_answered_by_a_page() -> None:
    rows = re.findall(r"^\| (\d+)\. .+\?.* \| .+ \| .*\]\(.+\) \|$", (ROOT / "docs/questions.md").read_text(), re.M)
    assert rows == [str(number) for number in range(1, 21)]


def test_the_docs_stay_short() -> None:
    words = {
        page: len(page.read_text().split())
        for page in PAGES
        if "Made by `python docs/generate.py`" not in page.read_text()
    }
    assert words[PAGES[0]] <= 600
    assert words[ROOT / "docs/guides/train-on-your-pictures.md"] <= 1000
    assert sum(words.values()) - words[PAGES[0]] <= 15_070


def test_every_command_line_in_the_docs_is_one_the_program_knows() -> None:
    from typer.testing import CliRunner

    helps = {name: CliRunner().invoke(app, [name, "--help"]).output for name in COMMANDS}
    for command, rest in re.findall(r"^\s*(?:.*\| |.*do )?colorize ([a-z-]+)([^\n#|;]*)", TEXT, re.M):
        if command not in helps:
            continue
        for option in re.findall(r"(?<!\S)--[a-z-]+", rest):
            known = helps[command]
            assert option in known or option.replace("--no-", "--") in known, f"colorize {command} {option}"


def test_the_house_is_drawn_as_it_is_built() -> None:
    picture = (ROOT / "docs/concepts/the-house.md").read_text()
    parts = {p.name for p in (ROOT / "colorize").iterdir() if p.is_dir() and p.name[0] != "_"}
    parts |= {p.name for p in (ROOT / "colorize").glob("[a-z]*.py")}
    assert all(part in picture for part in parts)


def test_every_variable_that_the_program_reads_is_in_the_docs() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "colorize").rglob("*.py"))
    read = set(re.findall(r"environ(?:\.get\(|\.setdefault\(|\[)[\"'](\w+)[\"']", sources))
    read |= set(re.findall(r"envvar=[\"'](\w+)[\"']", sources))
    page = (ROOT / "docs/reference/configuration.md").read_text()
    assert {"COLORIZE_MODEL", "NO_COLOR", "XDG_CONFIG_HOME"} <= read
    assert [name for name in sorted(read) if f"`{name}`" not in page and f"`{name}=" not in page] == []


def test_the_example_of_a_configuration_can_be_read(tmp_path: Path) -> None:
    import typer

    from colorize.cli import config

    page = (ROOT / "docs/reference/configuration.md").read_text()
    (path := tmp_path / "colorize.toml").write_text(page.partition("```toml\n")[2].partition("```")[0])
    program: Any = typer.main.get_command(app)
    found = config.read_file(path, program.commands, program.make_context("colorize", [], resilient_parsing=True))
    assert found["sample"]["flat"] is True
    assert found["train"]["changes"] == ["batch=8", "mix.flip=0"]
