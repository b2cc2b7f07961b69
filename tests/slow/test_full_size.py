"""Claims about a file as large as the published one. Run: python -m pytest -m slow tests/slow/test_full_size.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import full_size
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux does")]
ROOT = Path(__file__).parents[2]
BYTES = 3_887_014_350  # of mult-eps-ft.safetensors
GIGABYTE = 10**9


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file, removed at the end whatever happens, since it is 4 GB."""
    folder = tmp_path_factory.mktemp("large")
    if shutil.disk_usage(folder).free < BYTES + GIGABYTE:
        pytest.skip("the disk does not hold a file of 4 GB")
    try:
        full_size.write(folder / "mult-eps-ft.safetensors")
        yield folder / "mult-eps-ft.safetensors"
    finally:
        shutil.rmtree(folder)


def test_it_has_the_published_number_of_bytes(large: Path) -> None:
    assert large.stat().st_size == BYTES


@pytest.mark.parametrize(("kind", "weights"), [("float32", 4_054_190_188), ("bfloat16", 2_326_494_188)])
def test_it_arrives_whole_and_without_a_second_copy_in_memory(large: Path, kind: str, weights: int) -> None:
    command = [sys.executable, str(ROOT / "tests" / "support" / "full_size.py"), str(large), kind]
    path = {**os.environ, "PYTHONPATH": str(ROOT)}
    told = json.loads(subprocess.run(command, check=True, env=path, stdout=subprocess.PIPE).stdout)
    sys.stdout.write(f"{kind}: {told}\n")  # which -s shows
    assert (told["version"], told["tensors"], told["wrong"]) == ("v1", 988, [])
    assert told["weights"] == weights
    # beside the weights: a window of the file, its largest tensor, and what the library itself takes
    assert told["peak"] - told["before"] < weights + 0.75 * GIGABYTE
    assert told["anonymous"] - weights < 0.75 * GIGABYTE
