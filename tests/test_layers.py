"""The directions of the house, and the size of its rooms."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "colorize"
ORDER = (
    ("errors", "interrupts"),
    ("images",),
    ("hints",),
    ("diffusion",),
    ("networks",),
    ("model",),
    ("region_diffusion", "colorize_diffusion", "manga"),
    ("recipes",),
    ("checkpoints",),
    ("coloring",),
    ("datasets", "training", "evaluation"),
    ("cli", "web"),
)
PLACE = {name: place for place, names in enumerate(ORDER) for name in names}
# Modules that stand higher up than the rest of their folder, or that import what is to move.
EXCEPT = {
    "colorize_diffusion/job_inputs.py",
    "colorize_diffusion/published.py",
    "manga/checkpoint.py",
    "model.py",
    "networks/lora.py",
}
FREE = ("__init__", "__main__")
FILES = sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    """The part of the house a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The parts of the package that a file imports at run time, wherever in the file."""
    found = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("colorize"):
            tails = [node.module.split(".")[1]] if "." in node.module else [a.name for a in node.names]
            names = tails
        elif isinstance(node, ast.Import):
            names = [a.name.split(".")[1] for a in node.names if a.name.startswith("colorize.")]
        found |= set(names)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_part_imports_only_what_stands_left_of_it(path: Path) -> None:
    own = part(path)
    if own in FREE or str(path.relative_to(PACKAGE)) in EXCEPT:
        return
    seen = {name for name in imported(path) if name in PLACE and name != own}
    wrong = {name for name in seen if PLACE[name] >= PLACE[own]}
    if own == "diffusion":
        wrong |= seen & {"pictures", "hints"}
    assert not wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_have_at_most_400_lines_and_bodies_of_functions_40(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            told = isinstance(node.body[0], ast.Expr) and len(node.body) > 1  # the docstring
            begin = node.body[1 if told else 0].lineno
            assert (node.end_lineno or 0) - begin < 40, node.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_file_says_what_it_does(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_no_part_is_missing_from_the_picture() -> None:
    parts = {part(path) for path in FILES} - set(FREE)
    assert parts - {"weights"} <= set(PLACE)
