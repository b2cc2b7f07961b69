"""Write the reference pages from the program itself, or check them (`--check`). Knows nothing of prose."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.update(NO_COLOR="1", COLUMNS="100", TERMINAL_WIDTH="100", TERM="dumb")

from typer.testing import CliRunner

from colorize import recipes
from colorize.checkpoints import model_files
from colorize.cli.app import app
from colorize.evaluation.metrics import METRICS
from colorize.recipes.recipe import Recipe

PLACE = Path(__file__).parent / "reference"
COMMANDS = ("sample", "regions", "prepare-data", "train", "finetune", "eval")
HEAD = "<!-- Made by `python docs/generate.py`; do not edit. -->\n\n"


def command_line() -> str:
    """Return the page on all commands: their help, word for word."""
    parts = [HEAD + "# The command line\n"]
    for command in ((), *((name,) for name in COMMANDS)):
        text = CliRunner().invoke(app, [*command, "--help"], prog_name="colorize").output
        lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
        parts.append(f"## colorize {' '.join(command)}".rstrip() + f"\n\n```text\n{lines}\n```\n")
    return "\n".join(parts)


def row(name: str, recipe: Recipe) -> str:
    """Return one line of the table of recipes."""
    weights = sum(weight.numel() for weight in model_files.build_on_meta(recipe).parameters()) / 1e6
    walk = recipe.sampling
    return (
        f"| `{name}` | {', '.join(recipe.hints)} | {type(recipe.space).__name__} |"
        f" {type(recipe.schedule).__name__} | {recipe.denoiser.predicts} | {weights:.1f} M |"
        f" {recipe.size} | {walk.sampler}, {walk.steps} steps, eta {walk.eta:g} |"
    )


def recipe_table() -> str:
    """Return the page on all recipes and their variants."""
    head = "| Recipe | Hints | Space | Schedule | Predicts | Weights | Size | Sampling |\n"
    rows = []
    for name in recipes.names():
        variants = [f"{name}:{variant}" for variant in recipes.variants(name)]
        rows += [row(full, recipes.find(full)) for full in (name, *variants)]
    texts = "\n".join(f"- `{name}`: {recipes.find(name).help}." for name in recipes.names())
    table = head + "| --- " * 8 + "|\n" + "\n".join(rows)
    return f"{HEAD}# Recipes\n\n{texts}\n\n{table}\n\nEvery number can be changed with `--set`.\n"


def score_table() -> str:
    """Return the page on all scores of `colorize eval`."""
    head = "| Column | In JSON | Better | Unit | Where | What it says |\n| --- | --- | --- | --- | --- | --- |\n"
    rows = [
        f"| {one.title} | `{name}` | {'higher' if one.higher else 'lower'} | {one.unit} |"
        f" {'everywhere' if one.terminal else 'all but the terminal'}{', `--perceptual`' if one.perceptual else ''} |"
        f" {one.help} |\n"
        for name, one in METRICS.items()
    ]
    return f"{HEAD}# The scores of colorize eval\n\n{head}{''.join(rows)}"


PAGES = {"command-line.md": command_line, "recipes.md": recipe_table, "scores.md": score_table}


def main() -> None:
    """Write or check all pages; exits 1 if a page is not current."""
    stale = []
    for name, make in PAGES.items():
        path, text = PLACE / name, make()
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(name)
    if stale:
        sys.exit(f"not current: {', '.join(stale)}; run `python docs/generate.py`")


if __name__ == "__main__":
    main()
