"""How commands print their help, in groups of options, and what else is the same for all commands."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup, TyperOption

from colorize.cli import messages

OTHER = "Options"  # the title of options that no panel names
TRAIN = {
    "Training": ("phase", "start", "lora", "changes", "budget", "steps", "anneal", "seed"),
    "Run folder": ("out", "save_every", "sample_every", "restart", "dry_run", "help"),
    "Machine": ("device", "precision", "compile", "gradient_checkpointing"),
}
PANELS: dict[str, dict[str, tuple[str, ...]]] = {  # command -> panel -> parameters in their order
    "sample": {
        "Drawing and colors": (
            *("reference", "palette", "colors", "hint", "hints", "hint_mode", "auto_hints", "only", "model", "lora"),
            *("kind", "panels", "flat", "gaps", "seed", "variations", "force"),
        ),
        "Output": (
            *("out", "grid", "film", "layers", "save_regions", "regions", "overwrite", "watch"),
            *("dry_run", "as_json", "quiet", "help"),
        ),
        "Sampling": ("steps", "sampler", "spacing", "eta", "guidance", "strength"),
        "Machine": ("size", "device", "precision", "batch", "offline"),
        "ColorizeDiffusion": (
            *("text", "edits", "visualize", "background", "mask", "ref_mask"),
            *("knob", "encoder", "predicts"),
        ),
    },
    "web": {
        "Address": ("host", "port", "token", "browser", "quiet", "help"),
        "Model": ("model", "encoder", "predicts", "device", "precision", "offline"),
    },
    "prepare-data": {
        "Source": ("layout", "order", "styles", "size", "crop"),
        "Splits": ("validation", "test", "group", "seed"),
        "Output": ("workers", "overwrite", "as_json", "help"),
    },
    "train": TRAIN,
    "finetune": TRAIN,
    "eval": {
        "Hints and pictures": ("mode", "hint_share", "hint_mode", "curve", "alike", "kind", "size", "limit", "seed"),
        "Model and comparison": ("lora", "steps", "sampler", "against", "oracle", "perceptual"),
        "Machine": ("device", "precision"),
        "Output": ("sheet", "sheet_rows", "html", "as_json", "as_markdown", "help"),
    },
}
Rows = list[tuple[str, str]]


class Command(TyperCommand):
    """A command whose help groups options, and whose switches can be undone: --no-flat."""

    def make_parser(self, ctx: Any) -> Any:
        """Give every switch its opposite, which undoes one in `colorize.toml`; the help stays short without them."""
        parser = super().make_parser(ctx)
        for param in self.params:
            if isinstance(param, TyperOption) and param.is_bool_flag and not param.secondary_opts:
                names = [f"--no-{name[2:]}" for name in param.opts if name.startswith("--")]
                parser.add_option(obj=param, opts=names, dest=param.name, action="store_const", const=False)
        return parser

    def invoke(self, ctx: Any) -> Any:
        """Run the command; say first which files outside the working folder give it defaults."""
        config, quiet = ctx.meta.get("config"), ctx.params.get("quiet") or ctx.params.get("as_json")
        if config and config.error:
            raise config.error
        if config and not quiet and messages.first():
            for path in config.sources.get(self.name, ()):
                messages.say(f"note: options from `{path}`")
            for note in config.notes:
                messages.say(f"note: {note}")
        return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, a section for each panel."""
        panels = PANELS.get(self.name or "", {})
        sections: dict[str, dict[str, tuple[str, str]]] = {name: {} for name in ("Arguments", *panels, OTHER)}
        for param in self.get_params(ctx):
            argument = param.param_type_name == "argument"
            title = next((name for name, members in panels.items() if param.name in members), OTHER)
            if record := param.get_help_record(ctx):
                name = param.metavar or record[0] if argument else record[0]
                sections["Arguments" if argument else title][param.name] = name, _ranges(record[1])
        for name, members in panels.items():
            sections[name] = {one: sections[name][one] for one in members if one in sections[name]}
        write(formatter, {title: list(records.values()) for title, records in sections.items()})


def _ranges(text: str) -> str:
    """Write Typer's `x>=1` and `0<=x<=100` as people do."""
    return re.sub(r"\b(\d+)<=x<=(\d+)\b", r"\1 to \2", text).replace("; x>=0", "").replace("x>=", "at least ")


class Group(TyperGroup):
    """The program, whose help looks like that of its commands."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands and the options of the program."""
        commands = [(name, command.get_short_help_str(65)) for name, command in self.commands.items()]
        options = [record for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
        write(formatter, {"Commands": commands, "Options": options})


def write(formatter: Any, sections: dict[str, Rows]) -> None:
    """Write titled lists of two columns: in panels on a terminal, and plain for pipes, files and TERM=dumb."""
    filled = {title: rows for title, rows in sections.items() if rows}
    if sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        formatter.write("\n" + panels(filled, formatter.width))
        return
    for title, rows in filled.items():
        with formatter.section(title):
            formatter.write_dl(rows)


def panels(sections: dict[str, Rows], width: int) -> str:
    """Return titled lists of two columns as framed panels, with the signs that color them unless NO_COLOR is set."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, highlight=False)
    for title, rows in sections.items():
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(max_width=30, overflow="fold")
        grid.add_column(overflow="fold")
        for name, text in rows:
            grid.add_row(Text(name, "bold cyan"), Text(text))
        console.print(Panel(grid, title=title, title_align="left", border_style="dim"))
    return file.getvalue()


def examples(lines: Sequence[str]) -> str:
    """Return the end of a help text, with examples line by line."""
    return "\n".join(["\b", "Examples:", *lines])  # \b: lines stay lines
