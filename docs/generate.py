"""Write the reference pages from the program itself, or check them (`--check`). Knows nothing of prose."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import sys
import typing
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

os.environ.update(NO_COLOR="1", COLUMNS="100", TERM="dumb", XDG_CONFIG_HOME=os.devnull)

from typer.testing import CliRunner

from colorize import recipes
from colorize.checkpoints import model_files
from colorize.cli.app import app
from colorize.colorize_diffusion.condition import LatentSettings
from colorize.errors import ColorizeError
from colorize.evaluation.metrics import METRICS
from colorize.recipes import overrides
from colorize.recipes.recipe import Mix, Recipe, Stage

PLACE = Path(__file__).parent / "reference"
COMMANDS = ("sample", "regions", "web", "prepare-data", "train", "finetune", "eval", "models")
MODELS = ("list", "info", "pull", "push", "remove")
HEAD = "<!-- Made by `python docs/generate.py`; do not edit. -->\n\n"


def command_line() -> str:
    """Return the page on all commands: their help, word for word."""
    parts = [HEAD + "# The command line\n"]
    for command in ((), *((name,) for name in COMMANDS), *(("models", name) for name in MODELS)):
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
    end = "Every number can be changed with `--set`; see [settings](settings.md)."
    return f"{HEAD}# Recipes\n\n{texts}\n\n{table}\n\n{end}\n\n{difference_table()}"


def difference_table() -> str:
    """Return the section on what variants do otherwise than the systems that they are named after."""
    rows = []
    for name in recipes.names():
        for variant, differences in recipes.differences(name).items():
            recipe = recipes.find(f"{name}:{variant}")
            for one in differences:
                ours = one.ours or shown(attrgetter(one.what)(recipe))
                what = one.what if one.ours else f"`{one.what}`"
                rows.append(f"| `{name}:{variant}` | {what} | {one.published} | {ours} | {one.why} |\n")
    head = "| Variant | What | Published | Here | Why |\n| --- | --- | --- | --- | --- |\n"
    said = "These variants have the networks and the settings of published systems, but for this:"
    return f"## Published variants\n\n{said}\n\n{head}{''.join(rows)}"


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


SETTINGS = """# Settings

`colorize train` and `finetune` take `--set NAME=VALUE`, repeatable, for every name below. Numbers, `true`, `false`,
`none`, words and lists such as `[64,128]` are written as they are. Where a class is asked for, its name chooses the
kind: `--set objective=Trajectory`, then `--set objective.every=5`.

Names of [the stage](#the-stage) mean the phase that is trained: `lr` is `pretrain.lr`, with `--phase finetune`
`finetune.lr`. `size` is that of the training pictures, `recipe.size` that of drawings inside the model.

`colorize train RECIPE --dry-run` prints all values in use. The last column names recipes
whose values differ, those of `pretrain` in the stage and its mix.
"""
KNOBS = """## Knobs of ColorizeDiffusion

`colorize sample --model tellurion/ColorizeDiffusion --knob NAME=VALUE`, repeatable; see
[the guide](../guides/colorize-diffusion.md).
"""
PARTS = {  # field of a recipe -> heading, and what is said of it
    "pretrain": ("The stage", ""),
    "sampling": ("Sampling", "How `sample`, previews and `Trajectory` walk from noise to picture."),
    "schedule": ("Schedule", "How noise grows."),
    "space": ("Space", "What the network denoises."),
    "condition": ("Condition", "How hints reach the network."),
    "denoiser": ("Network", "What the network is, and what it predicts."),
}
FAR = 10**30  # outside every range
RECIPES = [recipes.find(name) for name in recipes.names()]


def meanings(cls: type) -> dict[str, str]:
    """Return what the docstring of a dataclass says of its fields: such as `name: meaning.` or `a, b: meaning.`."""
    names = "|".join(field.name for field in dataclasses.fields(cls))
    text = " ".join((inspect.getdoc(cls) or "").split())
    parts = re.split(rf"(?:^|(?<=[.;] ))((?:{names})(?:, (?:{names}))*): ", text) if names else [text]
    return {
        name: said.strip() for all_, said in zip(parts[1::2], parts[2::2], strict=True) for name in all_.split(", ")
    }


def example(cls: Any) -> Any:
    """Return a value of a class."""
    return cls("", "", ()) if cls is Recipe else cls()


def choices(cls: type, name: str) -> dict[str, type]:
    """Return the classes that a field may be of, by name."""
    return overrides._classes(typing.get_type_hints(cls)[name], "?")


def allowed(cls: Any, name: str) -> str:
    """Return what a field takes: words, a kind of value, or the range that is told when a number lies outside."""
    kind = typing.get_type_hints(cls)[name]
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{one}`" for one in typing.get_args(kind))
    for value in {int: (-FAR, FAR), float: (-float(FAR), float(FAR)), str: ("?",)}.get(kind, ()):
        try:
            dataclasses.replace(example(cls), **{name: value})
        except ColorizeError as error:
            return re.sub(rf"^(choose|known:) |=-{FAR}", "", error.hint)
        except TypeError:  # a class without defaults
            break
    return overrides._describe(kind).removeprefix("a list such as ").replace("[1,2]", "list")


def leaves(cls: Any, prefix: str, default: Any) -> Iterator[tuple[str, Any, str, Any]]:
    """Yield name, class, field and default of every setting of a class and of its parts of a single kind."""
    for field in dataclasses.fields(cls):
        kinds, value = choices(cls, field.name), getattr(default, field.name)
        if len(kinds) == 1 and dataclasses.is_dataclass(value):
            yield from leaves(type(value), f"{prefix}{field.name}.", value)
        else:
            yield f"{prefix}{field.name}", cls, field.name, value
            if len(kinds) == 1 and value is None:  # off until it is named
                yield from leaves(*kinds.values(), f"{prefix}{field.name}.", *(kind() for kind in kinds.values()))


def shown(value: Any) -> str:
    """Return a value as `--set` takes it."""
    value = overrides.to_dict(value)
    if isinstance(value, dict):
        return f"`{value['is']}`"
    text = {None: "none", True: "true", False: "false"}.get(value) if isinstance(value, bool | None) else None
    return f"`{text or (str(value).replace(' ', '') if value != '' else 'empty')}`"


def others(name: str, default: Any) -> str:
    """Return the recipes whose value of a dotted name differs from the default."""
    found = []
    for recipe in RECIPES:
        value: Any = recipe
        for part in name.split("."):
            value = getattr(value, part, None)
        same = type(value) is type(default) if dataclasses.is_dataclass(default) else value == default
        if not same and value is not None and len(shown(value)) < 40:
            found.append(f"{recipe.name} {shown(value)}")
    return ", ".join(found)


def table(cls: Any, prefix: str, path: str, skip: tuple[str, ...] = ()) -> str:
    """Return the settings of a class as rows. prefix: of their names. path: of the same in a recipe, or empty."""
    heads = ["Name", "Meaning", "Allowed", "Default", *(["In recipes"] if path else [])]
    rows = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for name, owner, field, default in leaves(cls, prefix, example(cls)):
        if name.removeprefix(prefix).partition(".")[0] in skip:
            continue
        text, kinds = meanings(owner)[field], choices(owner, field)
        what = ", ".join(f"`{kind}`" for kind in kinds) if kinds else allowed(owner, field)
        more = f" {others(path + name.removeprefix(prefix), default)} |" if path else ""
        rows.append(f"| `{name}` | {text[0].upper()}{text[1:]} | {what} | {shown(default)} |{more}")
    return "\n".join(rows) + "\n"


def kinds(cls: type, name: str, prefix: str, heading: str) -> Iterator[str]:
    """Yield a section for every class that a field may be of."""
    for kind, one in choices(cls, name).items():
        said = " ".join((inspect.getdoc(one) or "").partition("\n\n")[0].split())
        yield f"{heading} {kind}\n\n`--set {prefix.rstrip('.')}={kind}`. {said}\n"
        if dataclasses.fields(one):
            yield table(one, prefix, "")


def settings() -> str:
    """Return the page on every `--set` and `--knob`."""
    parts = [HEAD + SETTINGS]
    for field, (heading, said) in PARTS.items():
        parts.append(f"## {heading}\n" + (f"\n{said}\n" if said else ""))
        if field == "pretrain":
            parts += [table(Stage, "", "pretrain.", ("mix",))]
            parts += ["### Mix\n", table(Mix, "mix.", "pretrain.mix.")]
            parts += kinds(Stage, "objective", "objective.", "### Objective")
        elif field == "denoiser":
            parts += [table(type(RECIPES[0].denoiser), "denoiser.", "denoiser.")]
            parts += kinds(type(RECIPES[0].denoiser), "net", "denoiser.net.", "###")
        elif field == "sampling":
            parts += [table(type(RECIPES[0].sampling), "sampling.", "sampling.")]
            parts += kinds(type(RECIPES[0].sampling), "threshold", "sampling.threshold.", "###")
        else:
            parts += kinds(Recipe, field, f"{field}.", "###")
    parts += ["## The recipe\n", table(Recipe, "recipe.", "", ("name", "help", *PARTS, "finetune"))]
    parts += [KNOBS, table(LatentSettings, "", "", ("prompts",))]
    return "\n".join(parts)


PAGES = {"command-line.md": command_line, "recipes.md": recipe_table, "scores.md": score_table, "settings.md": settings}


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
