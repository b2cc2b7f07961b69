"""What `colorize sample` promises: what is printed where, what is written where, and which exit code."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import tiny
from drawings import DOT, colored, run, sketch
from PIL import Image
from typer.testing import Result

from colorize.checkpoints import model_files
from colorize.cli import messages
from colorize.coloring import paint
from colorize.images import files

pytestmark = pytest.mark.usefixtures("desk")

ROOT = Path(__file__).parents[2]


def cover() -> None:
    """Put a picture in color among the pages."""
    files.write(colored(), Path("pages/cover.png"))


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_one_drawing_is_colored_beside_it_and_only_its_path_is_printed() -> None:
    result = run("sketch.png", "--ref", "ref.png")
    assert (result.stdout, result.stderr, result.exit_code) == ("sketch_color.png\n", "", 0)
    assert files.read(Path("sketch_color.png")).size == files.read(Path("sketch.png")).size


def test_a_suffix_that_holds_no_color_becomes_png() -> None:
    Image.open("sketch.png").save("sketch.gif")
    assert run("sketch.gif").stdout == "sketch_color.png\n"


def test_a_folder_is_mirrored_below_colored() -> None:
    assert run("pages").stdout.split() == ["colored/1/p1.png", "colored/p2.jpg"]


def test_drawings_whose_results_would_share_a_name_both_get_one() -> None:
    Image.open("sketch.png").save("pages/1/p1.gif")
    made = run("pages", "-o", "out").stdout.split()
    assert sorted(made) == ["out/1/p1.png", "out/1/p1.png.png", "out/p2.jpg"]


def test_only_overwrite_replaces_what_is_not_ours() -> None:
    Path("sketch_color.png").write_bytes(b"mine")
    assert run("sketch.png").stdout == "sketch_color-2.png\n"
    assert Path("sketch_color.png").read_bytes() == b"mine"
    run("sketch.png", "--overwrite")
    assert Path("sketch_color.png").read_bytes() != b"mine"


def test_results_of_an_earlier_run_are_no_drawings() -> None:
    run("sketch.png")
    run(".")
    files.write(sketch(step=25), Path("new.png"))
    again = run(".", "--json")
    made = [line["output"] for line in lines(again) if line["seed"] is not None]
    assert made == ["colored/new.png"]
    assert again.exit_code == 0


def test_a_picture_in_color_among_drawings_is_skipped() -> None:
    cover()
    result = run("pages")
    assert result.exit_code == 0
    assert "2 colored, 1 skipped" in result.stderr


def test_a_single_picture_in_color_is_an_error_that_names_force() -> None:
    result = run("ref.png")
    assert result.exit_code == 1
    assert "already in color" in result.stderr
    assert "--force" in result.stderr


def test_a_bad_file_does_not_stop_the_others() -> None:
    Path("pages/1/a.png").write_bytes(b"no picture")
    result = run("pages")
    assert result.stdout.split() == ["colored/1/p1.png", "colored/p2.jpg"]
    assert "error: `pages/1/a.png`" in result.stderr
    assert "2 colored, 1 failed" in result.stderr
    assert result.exit_code == 3


def test_the_only_file_that_fails_ends_the_program_with_1() -> None:
    Path("bad.png").write_bytes(b"no picture")
    result = run("bad.png")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")


def test_json_has_one_object_per_result_with_the_same_keys() -> None:
    cover()
    Path("pages/z.png").write_bytes(b"no picture")
    told = lines(run("pages", "--json"))
    keys = {"input", "output", "seconds", "seed", "kind", "notes", "error"}
    assert [set(line) for line in told] == [keys] * 4
    assert [line["kind"] for line in told] == ["line", None, "gray", None]
    assert [bool(line["error"]) for line in told] == [False, False, False, True]


def test_a_drawing_may_come_and_go_through_pipes() -> None:
    result = run("-", stdin=Path("sketch.png").read_bytes())
    with Image.open(io.BytesIO(result.stdout_bytes)) as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 96))


def test_a_file_may_go_to_standard_output() -> None:
    assert run("sketch.png", "-o", "-").stdout_bytes.startswith(b"\x89PNG")


def test_variations_are_numbered() -> None:
    result = run("sketch.png", "--variations", "2", "-o", "out/a.png")
    assert result.stdout.split() == ["out/a_1.png", "out/a_2.png"]


def test_a_grid_is_one_picture_of_drawing_references_and_variations() -> None:
    result = run("sketch.png", "--ref", "ref.png", "--variations", "2", "--grid", "-o", "g.png")
    assert result.stdout == "g.png\n"
    height, width = files.read(Path("g.png")).size
    assert height * width > 4 * 96 * 64


def test_a_film_is_written_beside_the_result() -> None:
    assert run("sketch.png", "--film", "walk.gif", "--steps", "3").exit_code == 0
    with Image.open("walk.gif") as film:
        assert film.n_frames == 3


def test_a_film_of_one_step_says_how_to_get_more() -> None:
    assert "--steps 8" in run("sketch.png", "--film", "still.gif", "--steps", "1").stderr
    assert "--steps 8" not in run("sketch.png", "--film", "walk.gif", "--steps", "2", "--overwrite").stderr


def test_a_folder_of_references_stands_for_its_pictures() -> None:
    files.write(colored(), Path("refs/b.png"))
    files.write(colored(), Path("refs/a.png"))
    run("sketch.png", "--ref", "refs")
    told = json.loads(files.read(Path("sketch_color.png")).text["colorize"])
    assert list(told["references"]) == ["a.png", "b.png"]


def test_a_folder_of_hints_has_one_per_drawing() -> None:
    Path("marks/1").mkdir(parents=True)
    Path("marks/1/p1.json").write_text(DOT)
    run("pages", "--hints", "marks")
    told = [
        json.loads(files.read(Path(path)).text["colorize"])["hints"] for path in ("colored/1/p1.png", "colored/p2.jpg")
    ]
    assert told == [True, False]


def test_finished_results_are_skipped_on_a_terminal_too(monkeypatch: pytest.MonkeyPatch) -> None:
    # Guards against an IndexError of the progress bar, which had no task yet.
    run("pages")
    monkeypatch.setattr(messages, "on_terminal", lambda: True)
    Path("colored/1/p1.png").unlink()
    result = run("pages")
    assert (result.exit_code, "1 colored, 1 skipped" in result.stderr) == (0, True)


def test_quiet_says_nothing_but_results_and_errors() -> None:
    cover()
    Path("pages/z.png").write_bytes(b"no picture")
    result = run("pages", "-q")
    assert len(result.stdout.split()) == 2
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["error", "hint"]


def test_a_note_tells_which_model_a_recipe_s_name_stands_for() -> None:
    model_files.save(tiny("diffusart").build(), tiny("diffusart"), Path("d.safetensors"))
    for name in ("mini", "diffusart"):
        assert model_files.ambiguous(name) == ""
        Path("runs", name).mkdir(parents=True)
        shutil.copy("d.safetensors", Path("runs", name, "model.safetensors"))
    assert "for the one trained here add --model runs/mini" in model_files.ambiguous("mini")
    told = run("sketch.png", "--model", "diffusart").stderr
    assert "note: `diffusart` is the model trained here: runs/diffusart/model.safetensors" in told
    made = json.loads(files.read(Path("sketch_color.png")).text["colorize"])
    assert "trained here" in made["model"]


def test_a_note_that_concerns_all_is_told_once(tmp_path: Path) -> None:
    model_files.save(tiny("anime-diffusion").build(), tiny("anime-diffusion"), Path("a.safetensors"))
    result = run("pages", "--model", "a.safetensors")
    assert result.stderr.count("no reference was given") == 1


def test_an_interrupted_run_keeps_what_is_finished_and_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    work = paint.work

    def interrupted(*arguments: object):
        for event in work(*arguments):
            yield event
            if isinstance(event, paint.Outcome):
                raise KeyboardInterrupt

    monkeypatch.setattr(paint, "work", interrupted)
    result = run("pages")
    assert result.exit_code == 130
    assert "repeat the command" in result.stderr
    assert [path.name for path in Path("colored").rglob("*.*")] == ["p1.png"]


def test_nothing_slow_is_imported_that_coloring_does_not_need() -> None:
    # torchvision alone costs 2.8 s, huggingface_hub 0.5 s, skimage 0.4 s.
    code = (
        "import sys, colorize.cli.sample; assert 'torch' not in sys.modules;"
        "import colorize.coloring.paint; print([m for m in sys.argv[1:] if m in sys.modules])"
    )
    slow = ("torchvision", "skimage", "huggingface_hub", "matplotlib", "scipy", "rich", "sympy")
    done = subprocess.run([sys.executable, "-c", code, *slow], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_a_palette_is_colors_or_a_picture() -> None:
    for number, palette in enumerate(("#3b5fa0,#f2c6a0", "ref.png")):
        assert run("sketch.png", "--palette", palette, "-o", f"{number}.png").exit_code == 0
    assert Path("0.png").read_bytes() != Path("1.png").read_bytes()


def test_a_palette_that_is_neither_is_wrong_usage() -> None:
    result = run("sketch.png", "--palette", "missing.png")
    assert result.exit_code == 2
    assert "unknown color `missing.png` in the palette" in result.stderr
    assert not Path("sketch_color.png").exists()
