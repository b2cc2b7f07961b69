"""What Python gets: any kind of picture goes in, results save themselves, and mistakes name the right word."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from drawings import MINI, colored, gray, sketch
from PIL import Image

import colorize
from colorize import api
from colorize.checkpoints import model_files
from colorize.coloring.options import SampleOptions
from colorize.errors import ColorizeError
from colorize.images import files
from colorize.images.encode import encode
from colorize.images.image import Picture

NAMES = ["ColorizeError", "Colorizer", "Result", "__version__", "load", "paint", "paint_all"]
COMMAND_LINE = {  # options that concern files and the terminal, which Python has no use for
    *(
        "out",
        "visualize",
        "grid",
        "film",
        "save_regions",
        "regions",
        "overwrite",
        "watch",
        "dry_run",
        "as_json",
        "quiet",
        "settings",
    )
}


def test_the_names_are_listed_and_cost_nothing() -> None:
    code = "import sys, colorize; print(*dir(colorize)); print(*{'torch', 'numpy', 'PIL', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [" ".join(NAMES), ""]


def test_every_name_that_is_listed_is_there() -> None:
    for name in NAMES:
        assert getattr(colorize, name).__doc__
    with pytest.raises(AttributeError, match="no attribute `piant`"):
        _ = colorize.piant


def test_every_option_of_sample_is_one_of_python_or_only_of_the_command_line() -> None:
    known = {one.name for one in fields(SampleOptions)}
    assert known - COMMAND_LINE == {*api.PaintOptions.__annotations__, "variations"}
    assert known >= COMMAND_LINE


def rgb(picture: Picture) -> np.ndarray:
    return np.dstack([picture.pixels] * 3) if picture.gray else picture.pixels


def opaque(picture: Picture) -> Picture:
    return Picture(rgb(picture), np.full(picture.size, 255, np.uint8))


KINDS = {  # how it is given, and the picture that it is
    "array (H, W)": (lambda p: p.pixels[..., 0], lambda p: p),
    "array (H, W, 1)": (lambda p: p.pixels, lambda p: p),
    "array (H, W, 3)": (rgb, lambda p: Picture(rgb(p))),
    "array (H, W, 4)": (lambda p: np.dstack([rgb(p), np.full(p.size, 255, np.uint8)]), opaque),
    "array of uint16": (lambda p: rgb(p).astype(np.uint16) * 257, lambda p: Picture(rgb(p).astype(np.uint16) * 257)),
    "array of bool": (lambda p: p.pixels[..., 0] > 0, lambda p: p),
    "array of floats": (lambda p: rgb(p) / 255, lambda p: Picture(rgb(p))),
    "array of float16": (lambda p: (rgb(p) / 255).astype(np.float16), lambda p: Picture(rgb(p))),
    "Pillow RGB": (lambda p: Image.fromarray(rgb(p)), lambda p: Picture(rgb(p))),
    "Pillow L": (lambda p: Image.fromarray(p.pixels[..., 0]), lambda p: p),
    "Pillow 1": (lambda p: Image.fromarray(p.pixels[..., 0]).convert("1"), lambda p: p),
    "Pillow RGBA": (lambda p: Image.fromarray(rgb(p)).convert("RGBA"), opaque),
    "Pillow palette": (lambda p: Image.fromarray(rgb(p)).quantize(16), lambda p: Picture(rgb(p))),
    "Pillow I;16": (
        lambda p: Image.fromarray(p.pixels[..., 0].astype(np.uint16) * 257),
        lambda p: Picture(p.pixels.astype(np.uint16) * 257),
    ),
    "Pillow from a file": (lambda p: Image.open(BytesIO(encode(p, ".png"))), lambda p: p),
    "bytes": (lambda p: encode(p, ".png"), lambda p: p),
    "bytearray": (lambda p: bytearray(encode(p, ".png")), lambda p: p),
    "open file": (lambda p: BytesIO(encode(p, ".png")), lambda p: p),
    "picture": (lambda p: p, lambda p: p),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_drawing_may_be_of_any_kind(kind: str) -> None:
    given, expected = (make(sketch()) for make in KINDS[kind])
    one, two = (colorize.paint(each, reference=colored(), model=MINI) for each in (given, expected))
    assert (one.array == two.array).all()


@pytest.mark.parametrize("kind", ["array (H, W, 3)", "array of floats", "Pillow RGB", "Pillow palette", "bytes"])
def test_a_reference_may_be_of_any_kind(kind: str, plain: np.ndarray) -> None:
    assert (colorize.paint(sketch(), reference=KINDS[kind][0](colored()), model=MINI).array == plain).all()


def test_pillow_s_metadata_stay(tmp_path: Path) -> None:
    drawing = Image.fromarray(rgb(sketch()))
    exif = Image.Exif()
    exif[0x010E] = "a sketch"
    drawing.info["exif"] = exif.tobytes()
    made = colorize.paint(drawing, reference=colored(), model=MINI)
    made.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as saved:
        for image in (made.image, saved):
            assert image.getexif()[0x010E] == "a sketch"
            assert '"seed": 0' in image.info["colorize"]


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return colorize.paint(sketch(), reference=colored(), model=MINI).array


def test_paths_may_be_texts_paths_or_anything_with_one(tmp_path: Path, plain: np.ndarray) -> None:
    files.write(sketch(), tmp_path / "sketch.png")
    files.write(colored(), tmp_path / "ref.png")

    class PathLike:
        def __init__(self, name: str) -> None:
            self.name = name

        def __fspath__(self) -> str:
            return str(tmp_path / self.name)

    for kind in (str, Path, lambda path: PathLike(Path(path).name)):
        made = colorize.paint(kind(tmp_path / "sketch.png"), reference=kind(tmp_path / "ref.png"), model=MINI)
        assert made.name == "sketch.png"
        assert (made.array == plain).all()


def test_a_result_is_a_reference_of_the_next() -> None:
    first = colorize.paint(sketch(), reference=colored(), model=MINI)
    again = colorize.paint(sketch(step=22), reference=first, model=MINI)
    assert (again.array == colorize.paint(sketch(step=22), reference=first.picture, model=MINI).array).all()


def test_several_references_of_one_kind_keep_their_fingerprints() -> None:
    made = colorize.paint(sketch(), reference=[colored(1), rgb(colored(2))], model=MINI)
    assert list(made.meta["references"]) == ["reference 1", "reference 2"]


def test_hints_may_be_an_array_a_dictionary_or_text() -> None:
    layer = np.zeros((96, 64, 4), np.uint8)
    layer[28:33, 29:34] = (255, 136, 0, 255)
    point = {"points": [{"x": 31, "y": 30, "color": "#ff8800", "radius": 2}]}
    found = {"points": [{"x": np.int64(31), "y": np.float32(30), "color": "#ff8800", "radius": 2}]}
    for given in (
        {"hints": layer},
        {"hints": point},
        {"hints": found},
        {"hint": "31,30,2=#ff8800"},
        {"hint": ["31,30,2=#ff8800"]},
    ):
        made = colorize.paint(sketch(), model=MINI, **given)
        assert made.array[30, 31].tolist() == [255, 136, 0]


def test_hints_with_numbers_of_any_length_are_refused_in_a_sentence() -> None:
    round_hints: dict[str, object] = {}
    round_hints["points"] = [round_hints]
    for given in ({"points": [{"x": 10**400, "y": 1}]}, {"points": [{"x": 10**5000, "y": 1}]}, round_hints):
        with pytest.raises(ColorizeError, match=r"needs a place|too long"):
            colorize.paint(sketch(), model=MINI, hints=given)


def test_a_palette_may_be_a_list_of_colors() -> None:
    one, two = (colorize.paint(sketch(), palette=p, model=MINI) for p in (["red", "#0000ff"], "red,#0000ff"))
    assert (one.array == two.array).all()


def test_masks_may_be_arrays() -> None:
    with pytest.raises(ColorizeError) as found:
        colorize.paint(sketch(), model=MINI, reference=colored(), mask=np.ones((96, 64), bool))
    assert "takes no" in found.value.message or "`mask`" in found.value.message  # `walker` has none


# Results


def test_a_result_saves_itself_by_the_suffix_with_its_metadata(tmp_path: Path) -> None:
    made = colorize.paint(sketch(), reference=colored(), model=MINI, seed=2)
    for name in ("a.png", "a.webp", "b/a.tif"):
        assert made.save(tmp_path / name) == tmp_path / name
        stored = files.read(tmp_path / name)
        assert (stored.pixels == made.array).all()
        assert '"seed": 2' in stored.text["colorize"]
    assert made.save(str(tmp_path / "a.jpg"), quality=70).stat().st_size > 0
    with pytest.raises(ColorizeError, match=r"cannot be written as `\.xyz`"):
        made.save(tmp_path / "a.xyz")
    assert not (tmp_path / "a.xyz").exists()


def test_a_format_that_cannot_hold_all_warns(tmp_path: Path) -> None:
    clear = np.dstack([rgb(sketch()), np.full((96, 64), 128, np.uint8)])
    made = colorize.paint(clear, reference=colored(), model=MINI)
    assert made.image.mode == "RGBA"
    assert made.array.shape == (96, 64, 4)
    with pytest.warns(UserWarning, match="JPEG has no transparency"):
        made.save(tmp_path / "a.jpg")


def test_a_result_is_an_image_an_array_and_shown_in_notebooks() -> None:
    made = colorize.paint(sketch(1300, 64), reference=colored(), model=MINI, panels="off")
    assert made.image.mode == "RGB"
    assert (np.asarray(made.image) == made.array).all()
    with Image.open(BytesIO(made._repr_png_())) as shown:
        assert shown.size == (50, 1024)
    assert repr(made) == "<colorize.Result drawing, 64 x 1300 pixels, seed 0>"


def test_the_array_is_the_caller_s_own() -> None:
    made = colorize.paint(sketch(), reference=colored(), model=MINI)
    made.array[:] = 0
    assert made.array.any()


def test_layers_compose_to_the_picture_and_are_saved(tmp_path: Path) -> None:
    made = colorize.paint(sketch(), reference=colored(), model=MINI, layers=True)
    names = [name for name, _ in made.layers]
    assert (names[0], names[-1]) == ("line", "paper")
    whole = Image.new("RGBA", made.image.size)
    for layer in reversed(made.layers):
        whole.alpha_composite(layer.image)
    assert np.abs(np.asarray(whole.convert("RGB")).astype(int) - made.array).max() <= 2
    with zipfile.ZipFile(made.save_layers(tmp_path / "a.ora")) as file:
        assert file.read("mimetype") == b"image/openraster"


def test_layers_that_were_not_asked_for_say_how() -> None:
    made = colorize.paint(sketch(), reference=colored(), model=MINI)
    for ask in (lambda: made.layers, lambda: made.save_layers("a.ora")):
        with pytest.raises(ColorizeError, match="paint it with `layers=True`"):
            ask()
    with pytest.raises(ColorizeError, match=r"use .ora or .psd"):
        made.save_layers("a.xcf")


def test_variations_are_a_list() -> None:
    several = colorize.paint(sketch(), reference=colored(), model=MINI, variations=3)
    assert [one.variation for one in several] == [0, 1, 2]
    assert len({one.array.tobytes() for one in several}) == 3
    (one,) = colorize.paint(sketch(), reference=colored(), model=MINI, variations=1)
    assert (one.array == several[0].array).all()


def test_notes_speak_python() -> None:
    made = colorize.paint(sketch(), reference=colored(), hint="31,30=red", model=MINI)
    assert not any("--" in note for note in made.notes)
    assert api._in_python("choose with --ref or --save-regions") == "choose with `reference` or `save_regions`"


# Many drawings


def test_many_drawings_come_in_order_and_a_bad_one_ends_nothing(tmp_path: Path) -> None:
    files.write(sketch(), tmp_path / "a.png")
    images = [tmp_path / "a.png", tmp_path / "none.png", np.zeros((3, 96, 64)), sketch(step=22), None]
    done = list(colorize.paint_all(images, reference=colored(), model=MINI, batch=2))
    kinds = [isinstance(one, colorize.Result) for one in done]
    assert kinds == [True, False, False, True, False]
    assert [one.name for one in done if isinstance(one, colorize.Result)] == ["a.png", "drawing 4"]
    assert "`drawing 3` is an array of 3 x 96 x 64 values" in str(done[2])


def test_a_folder_is_many_drawings_and_one_picture_is_one(tmp_path: Path) -> None:
    for at in (2, 10):
        files.write(sketch(step=20 + at), tmp_path / f"{at}.png")
    done = list(colorize.paint_all(tmp_path, reference=colored(), model=MINI, variations=2))
    assert [one.name for one in done] == ["2.png", "2.png", "10.png", "10.png"]
    assert len(list(colorize.paint_all(sketch(), reference=colored(), model=MINI))) == 1


def test_what_is_wrong_with_all_is_said_before_any_is_read() -> None:
    with pytest.raises(ColorizeError, match="did you mean `reference`"):
        colorize.paint_all(iter([]), ref=colored(), model=MINI)
    with pytest.raises(ColorizeError, match="reference 1"):
        colorize.paint_all(iter([]), reference=b"no picture", model=MINI)


# Mistakes

WRONG = {
    "ref": ("ref.png", "did you mean `reference`?"),
    "references": ([], "did you mean `reference`?"),
    "sede": (1, "did you mean `seed`?"),
    "json": (True, "did you mean `as_json`?"),
    "out": ("a.png", "result.save(path)"),
    "quiet": (True, "leave it out"),
    "seed": ("2", "it takes a value of the type int"),
    "flat": (1, "it takes a value of the type bool"),
    "eta": ("much", "it takes a value of the type float"),
    "guidance": (2, "it takes a value of the type dict"),
    "kind": ("lien", "did you mean `line`?"),
    "variations": (0, "at least 1"),
    "layers": ("a.ora", "save_layers(path)"),
    "hints": (3, "give a path, bytes, a Pillow image, or a numpy array"),
    "reference": ([3], "give a path, bytes, a Pillow image, or a numpy array"),
    "mask": (".", "give a file"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_option_says_what_is_right(name: str) -> None:
    value, hint = WRONG[name]
    with pytest.raises(ColorizeError) as found:
        colorize.paint(sketch(), model=MINI, **{name: value})
    assert hint in str(found.value)
    assert f"`{name}`" in found.value.message or name in found.value.message


def test_numbers_may_be_numpy_s() -> None:
    given = {
        "seed": np.int64(3),
        "guidance": {"reference": np.float32(1.5)},
        "steps": np.uint8(2),
        "flat": np.bool_(False),
    }
    made = colorize.paint(sketch(), reference=colored(), model=MINI, **given)
    same = colorize.paint(sketch(), reference=colored(), model=MINI, seed=3, guidance={"reference": 1.5}, steps=2)
    assert (made.array == same.array).all()
    assert made.meta == same.meta


def test_an_unknown_keyword_is_a_type_error_too() -> None:
    with pytest.raises(TypeError, match="`sede` is not an option"):
        colorize.paint(sketch(), sede=1)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.zeros((3, 64, 64)), "np.moveaxis"),
        (np.zeros((64, 64, 2)), "it has the shape"),
        (np.zeros(64), "array of 64 values"),
        (np.full((64, 64), np.nan), "floats from nan"),
        (np.full((64, 64), 200.0), "floats from 200 to 200"),
        (np.zeros((64, 64), np.int64), "array of int64"),
        (np.zeros((0, 64)), "array of 0 x 64"),
        (None, "is a NoneType"),
        (Image.new("F", (64, 64)), "floating-point"),
        (b"", "is empty"),
        (b"no picture", "is not a picture"),
    ],
)
def test_a_drawing_that_is_none_says_why(values: object, why: str) -> None:
    with pytest.raises(ColorizeError) as found:
        colorize.paint(values, reference=colored(), model=MINI)
    assert why in str(found.value)
    assert "`drawing`" in found.value.message


# Models


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """The models that are loaded, of which one lies in the working folder."""
    calls: list[object] = []
    whole = model_files.load

    def load(model: object, **how: object) -> object:
        calls.append(model)
        return whole(model, **how)

    monkeypatch.setattr(model_files, "load", load)
    monkeypatch.setattr(api, "_kept", api._Kept())
    monkeypatch.chdir(tmp_path)
    model_files.save(MINI.colorizer, MINI.recipe, Path("tiny.safetensors"))
    return calls


def test_two_calls_load_a_model_once(counted: list[object]) -> None:
    for seed in (0, 1):
        colorize.paint(sketch(), reference=colored(), model="tiny.safetensors", seed=seed)
    assert counted == ["tiny.safetensors"]


def test_a_model_that_changed_is_loaded_again(counted: list[object]) -> None:
    colorize.paint(sketch(), reference=colored(), model="tiny.safetensors")
    model_files.save(MINI.colorizer, MINI.recipe, Path("tiny.safetensors"), {"license": "MIT"})
    made = colorize.paint(sketch(), reference=colored(), model="tiny.safetensors")
    assert made.meta["weights_license"] == "MIT"
    assert len(counted) == 2


def test_what_was_loaded_paints_without_being_loaded_again(counted: list[object], plain: np.ndarray) -> None:
    model = colorize.load("tiny.safetensors", device="cpu")
    assert isinstance(model, colorize.Colorizer)
    for _ in range(2):
        made = colorize.paint(sketch(), reference=colored(), model=model)
        assert (made.array == plain).all()
    assert made.meta["model"] == "tiny.safetensors"
    assert len(counted) == 1


def test_load_takes_what_concerns_models() -> None:
    with pytest.raises(TypeError, match="`seed` is not an option of `load`"):
        colorize.load("mini", seed=1)
    with pytest.raises(ColorizeError, match="did you mean `device`"):
        colorize.load("mini", devise="cpu")
    with pytest.raises(ColorizeError, match="unknown prediction `x`"):
        colorize.load("mini", predicts="x")


def test_a_model_from_a_recipe_paints_without_being_saved() -> None:
    model = MINI.recipe.build()
    assert colorize.paint(sketch(), reference=colored(), model=model).meta["model"] == "a model made here"


def test_threads_may_share_a_model(counted: list[object]) -> None:
    def paint(step: int) -> bytes:
        made = colorize.paint(sketch(step=step), reference=colored(step), model="tiny.safetensors", steps=2)
        return made.array.tobytes()

    steps = [20, 22, 24, 26, 20, 22]
    alone = [paint(step) for step in steps]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(paint, steps)) == alone
    assert len(counted) == 1


def test_a_gray_picture_keeps_its_depth() -> None:
    deep = gray().pixels.astype(np.uint16) * 257
    assert colorize.paint(deep, reference=colored(), model=MINI).array.dtype == np.uint16


def test_drawings_of_a_folder_are_named_by_their_place_in_it(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        files.write(sketch(), tmp_path / folder / "1.png")
    names = [one.name for one in colorize.paint_all(tmp_path, reference=colored(), model=MINI)]
    assert names == ["x/1.png", "y/1.png"]
