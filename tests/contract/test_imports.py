"""The directions of the house, and the size of its rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "colorize"
ORDER = (  # a dotted name is a module that stands lower than the rest of its part
    ("errors", "interrupts"),
    ("images",),
    ("hints",),
    ("checkpoints.weights_io",),
    ("checkpoints.pickles",),
    ("diffusion",),
    ("networks",),
    ("model",),
    ("system",),
    ("region_diffusion", "colorize_diffusion", "manga", "published"),
    ("recipes",),
    ("checkpoints",),
    ("coloring",),
    ("datasets", "training", "evaluation", "api"),
    ("web",),
    ("cli",),
)
PLACE = {name: place for place, names in enumerate(ORDER) for name in names}
SYSTEMS = ("colorize.colorize_diffusion", "colorize.manga", "colorize.published")
FREE = ("__init__", "__main__")
UPWARD = {("model", "checkpoints")}  # `Colorizer.from_pretrained` and its like, inside of functions
FILES = sorted(PACKAGE.rglob("*.py"))


def part(name: str) -> str:
    """The part of the package that a module without its first word belongs to: `checkpoints.hub` to `checkpoints`."""
    return name if name in PLACE else name.partition(".")[0]


def own_part(path: Path) -> str:
    """The part of the package that a file belongs to."""
    return part(".".join(path.relative_to(PACKAGE).with_suffix("").parts[:2]))


def imported(path: Path) -> set[str]:
    """The parts of the package that a file imports at run time, wherever in the file."""
    found = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("colorize"):
            below = node.module.removeprefix("colorize").removeprefix(".")
            deeper = below.count(".") > 0
            found |= {below} if deeper else {f"{below}.{a.name}".removeprefix(".") for a in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("colorize.") for a in node.names if a.name.startswith("colorize.")}
    return {part(name) for name in found}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_part_imports_only_what_stands_left_of_it(path: Path) -> None:
    own = own_part(path)
    if own in FREE:
        return
    seen = {name for name in imported(path) if name in PLACE and name != own}
    wrong = {name for name in seen if PLACE[name] >= PLACE[own] and (own, name) not in UPWARD}
    if own == "diffusion":
        wrong |= seen & {"images", "hints"}
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
    parts = {own_part(path) for path in FILES} - set(FREE)
    assert parts - {"weights"} <= set(PLACE)


def test_coloring_loads_no_system_by_itself() -> None:
    code = "import sys, colorize.coloring.paint; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=PACKAGE.parent)
    assert not [name for name in found.stdout.split() if name.startswith(SYSTEMS)]


def test_a_class_of_a_system_is_found_by_name_though_nothing_has_imported_it() -> None:
    code = (
        "from colorize import recipes; from colorize.recipes.overrides import override;"
        "print(override(recipes.find('lab-diffusion'), 'denoiser.net=GeneratorSpec').system.once)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=PACKAGE.parent)
    assert found.stdout == "True\n"
