"""The help of commands: its groups of options, on terminals and in files. Bug guarded: options that no group lists."""

from __future__ import annotations

import re

import pytest
import typer
from typer.testing import CliRunner

from colorize.cli import help, messages
from colorize.cli.app import app
from colorize.errors import ColorizeError

COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("name", help.PANELS)
def test_every_option_is_in_one_panel_and_every_panel_has_only_options(name):
    listed = [one for members in help.PANELS[name].values() for one in members if one != "help"]
    options = {param.name for param in COMMANDS[name].params if param.param_type_name == "option"}
    allowed = {"phase", "start", "lora"} if name in ("train", "finetune") else set()  # one of the two has them
    assert options <= set(listed)
    assert set(listed) - options <= allowed
    assert len(listed) == len(set(listed))


def test_sample_has_the_panels_in_this_order_and_the_last_is_short():
    text = CliRunner().invoke(app, ["sample", "--help"]).stdout
    titles = re.findall(r"^([A-Z]\w.*):$", text, re.M)
    assert titles == ["Arguments", "Drawing and colors", "Output", "Sampling", "Machine", "ColorizeDiffusion"]
    last = text.partition("ColorizeDiffusion:")[2].partition("Examples:")[0].strip().splitlines()
    assert len(last) == len(help.PANELS["sample"]["ColorizeDiffusion"])
    assert max(map(len, text.splitlines())) <= 80


def test_panels_are_framed_keep_brackets_and_have_no_color_where_none_is_wanted(monkeypatch):
    rows = {"Output": [("-o, --out PATH", "A file  [default: none]")]}
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[1;36m-o, --out PATH" in help.panels(rows, 60)
    monkeypatch.setenv("NO_COLOR", "1")
    text = help.panels(rows, 60)
    assert "36m" not in text
    assert "A file  [default: none]" in text
    assert {len(line) for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()} == {60}


@pytest.mark.parametrize(
    ("environment", "colored"),
    [
        ({}, False),  # no terminal
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, False),
        ({"FORCE_COLOR": ""}, False),
    ],
)
def test_errors_have_color_on_a_terminal_or_if_it_is_forced(environment, colored, monkeypatch, capsys):
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    messages.print_error(ColorizeError("it broke"))
    assert ("\x1b" in capsys.readouterr().err) == colored
