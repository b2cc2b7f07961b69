"""Folders that hold other things than a run are refused, and runs without a model are not finished."""

from __future__ import annotations

from pathlib import Path

import pytest

from colorize.errors import ColorizeError
from colorize.training import run


def test_a_folder_of_pictures_is_no_run_folder(tmp_path: Path) -> None:
    run.check_folder(tmp_path / "new")
    run.check_folder(tmp_path)
    (tmp_path / "log.jsonl").write_text("")
    run.check_folder(tmp_path)  # a run that ended at once
    (tmp_path / "mine.png").write_bytes(b"painted")
    with pytest.raises(ColorizeError, match=r"holds other files, such as `mine\.png`"):
        run.check_folder(tmp_path)
    (tmp_path / "recipe.json").write_text("{}")
    run.check_folder(tmp_path)  # a run's, with a file that somebody put there
