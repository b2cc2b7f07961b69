"""Every reader of the program, small valid inputs for each, and ways to damage them."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
import typer
from PIL import Image

from colorize import recipes
from colorize.checkpoints import adapters, model_files, pickles
from colorize.cli import config
from colorize.cli.app import app
from colorize.colorize_diffusion import text_edits
from colorize.datasets.celeba import _read_list
from colorize.datasets.journal import Journal
from colorize.datasets.parquet import ParquetSource
from colorize.datasets.prepare import PrepareOptions
from colorize.images import archives, color_hints, files, hint_files, json_lines, metadata, palettes, region_files
from colorize.images.dataset_folder import JOURNAL, METADATA, read_folder
from colorize.images.decode import read_texts
from colorize.images.encode import encode
from colorize.images.image import Picture
from colorize.recipes import overrides
from colorize.training import run, run_folder
from colorize.training.options import TrainOptions

FORMS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "JPEG2000", "AVIF", "PCX", "SGI", "TGA")
SIZE = (24, 32)  # of pictures, height and width
GROUP: Any = typer.main.get_command(app)
CONTEXT = GROUP.make_context("colorize", [], resilient_parsing=True)


@dataclass(frozen=True)
class Reader:
    """seeds: valid inputs. call: reads one, in a folder of its own. allowed: errors besides ColorizeError."""

    seeds: tuple[bytes, ...]
    call: Callable[[bytes, Path], object]
    allowed: tuple[type[Exception], ...] = ()


def pixels(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8) // 64 * 64


def pictures() -> Iterator[bytes]:
    exif = metadata.Exif()
    exif.set_dpi(300, 300)
    exif.add_texts({"a": "b"})
    more: dict[str, Any] = {"exif": exif.block(), "icc_profile": metadata.profile("sRGB")}
    for form in FORMS:
        for mode in ("RGB", "L", "RGBA") if form not in ("JPEG", "PPM", "PCX") else ("RGB", "L"):
            stream, given = io.BytesIO(), more if form in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF") else {}
            Image.fromarray(pixels()).convert(mode).save(stream, form, **given)
            yield stream.getvalue()
    for suffix in (".png", ".tif"):
        deep = Picture(pixels().astype(np.uint16) * 257, pixels()[..., 0].astype(np.uint16) * 257)
        yield encode(deep, suffix, {"a": "b"})
    frames = io.BytesIO()
    Image.fromarray(pixels()).save(frames, "TIFF", save_all=True, append_images=[Image.fromarray(pixels(1))])
    yield frames.getvalue()
    yield zipped({"mergedimage.png": encode(Picture(pixels()), ".png")})


def zipped(members: dict[str, bytes], pack: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", pack) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def read_picture(data: bytes, folder: Path) -> None:
    read_texts(data)
    found = files.read(data, "x")
    assert found.size == found.pixels.shape[:2]


def read_archive(data: bytes, folder: Path) -> None:
    path = folder / "a.zip"
    path.write_bytes(data)
    archives.read_record(path)
    with archives.Reader(path) as reader:
        for name, _ in archives.list_pictures(path, "a"):
            reader.read(name)
    volume = archives.open_volume(path)
    for page in volume.pages:
        volume.read(page)


def as_file(name: str, call: Callable[[Path], object], data: bytes, folder: Path) -> None:
    (folder / name).write_bytes(data)
    call(folder / name)


def as_text(call: Callable[[str], object], data: bytes, folder: Path) -> None:
    call(data.decode("utf-8", "surrogateescape"))


def read_hints(data: bytes, folder: Path) -> None:
    drawing = Picture(pixels(3))
    found = files.read(data, "x")
    if found.alpha is not None:
        hint_files.parse(found.image.convert("RGBA") and np.dstack([found.array]), drawing.size)
    hint_files.parse_copy(found, drawing)


def read_map(text: bytes, data: bytes, folder: Path) -> None:
    (folder / "a_regions.toml").write_bytes(text)
    as_file("a_regions_map.png", lambda _: region_files.read(folder / "a_regions.toml"), data, folder)


def read_table(data: bytes, folder: Path) -> None:
    def rows(path: Path) -> None:
        found = ParquetSource.open(path, PrepareOptions(layout="parquet"))
        assert found is not None
        list(found.read(found.items))

    as_file("train-0.parquet", rows, data, folder)


def read_list(picture: bytes, data: bytes, folder: Path) -> None:
    (folder / "a.png").write_bytes(picture)
    as_file(METADATA, lambda path: read_folder(path.parent), data, folder)


def read_run(file: str, data: bytes, folder: Path) -> None:
    out = folder / "run"
    out.mkdir(exist_ok=True)
    for name in (run_folder.LOG, run_folder.STATE, run.VALUES):
        (out / name).unlink(missing_ok=True)
    (out / "model.safetensors").write_bytes(b"")
    (out / file).write_bytes(data)
    options = TrainOptions(out=out, data=folder, steps=5)
    run_folder.done(out)
    json_lines.read(out / run_folder.LOG)
    run.facts(out / run_folder.STATE)
    run.check(recipes.find("mini"), run.seeded(options))


def read_journal(data: bytes, folder: Path) -> None:
    as_file(JOURNAL, lambda path: Journal(folder, {"source": "x"}, overwrite=True), data, folder)


def read_recipe(data: bytes, folder: Path) -> None:
    plain = recipes.find("anime-diffusion")
    try:
        made = overrides.from_dict(plain, json.loads(data))
    except model_files.INVALID:  # `model_files` turns these into sentences
        return
    model_files.build_on_meta(made)


def checkpoint() -> bytes:
    stream = io.BytesIO()
    value = torch.ones(2, 3)
    torch.save({"a": value, "b": value.T, "c": {"d": [value.half(), 3, "x"]}}, stream)
    return stream.getvalue()


def parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = [{"bytes": encode(Picture(pixels(seed)), ".png"), "path": "a"} for seed in range(3)]
    stream = io.BytesIO()
    pq.write_table(pa.table({"image": cells, "sketch": cells, "text": ["a", "b", None]}), stream)
    return stream.getvalue()


def model(folder: Path) -> bytes:
    from saved import TINY, randomized

    model_files.save(randomized(), TINY, folder / "m.safetensors", {"license": "x"})
    return (folder / "m.safetensors").read_bytes()


def adapter(folder: Path) -> bytes:
    change = adapters.Adapter("mini", "mini", 2, 2.0, "0" * 16, "0" * 16, {}, {"a.down": torch.ones(2, 4)})
    adapters.save(change, folder / "m.safetensors")
    return (folder / "m.safetensors").read_bytes()


HINTS = b'{"points": [{"x": 4, "y": 5, "color": "#d02030", "radius": 3}], "strokes": [{"points": [[1, 2], [9, 9]], '
HINTS += b'"color": "navy", "width": 2}]}'
TOML = b'[sample]\npalette = "#fff, navy"\nsteps = 4\nflat = true\nref = ["a.png"]\n[train]\nseed = 3\nbudget = "9m"\n'
EDITS = b'[[edit]]\ntarget = "blonde"\nanchor = "brown"\ncontrol = "hair"\nscale = 12\nthresholds = [0, 0.25, 0.5, 1]\n'
LINES = b"[target] blonde; [anchor] brown; [control] hair; [scale] 12; [enhanced] True; [ts0] 0\neverything: night\n"
ROW = b'{"file_name": "a.png", "line_file_name": "a.png", "reference_file_names": ["a.png"], "group": 3, "text": "b"}\n'
ENTRY = b'{"version": 2, "source": "x"}\n{"key": "k", "files": ["train/color/a.png"], "hash": "ff", "skipped": ""}\n'


def everything(folder: Path) -> dict[str, Reader]:
    """All readers by name; folder: where seeds are made."""
    png, line = encode(Picture(pixels()), ".png"), np.full((*SIZE, 1), 255, np.uint8)
    numbers = np.ones(SIZE, np.int32)
    state = region_files.State(region_files.fingerprint(Picture(line)), None, ("#ffffff",))
    region_files.write_map(numbers, folder / "a_regions_map.png", state)
    chart = (folder / "a_regions_map.png").read_bytes()
    text = b'map = "a_regions_map.png"\ncolored = ""\n[regions]\n1 = { color = "#c81414", name = "x", area = 9 }\n'
    layer = np.dstack([pixels(), np.where(np.arange(32) < 9, 255, 0)[None].repeat(24, 0)]).astype(np.uint8)
    clear = encode(Picture(layer[..., :3].copy(), layer[..., 3].copy()), ".png")
    painted = pixels(3)
    painted[4:9, 4:9] = (255, 0, 0)
    described = json.dumps(overrides.to_dict(recipes.find("anime-diffusion"))).encode()
    values = json.dumps({"recipe": overrides.to_dict(recipes.find("mini")), "seed": 0, "from": ""}).encode()
    weights = model(folder)
    pages = {"p1.png": png, "b/p2.png": png, "c.txt": b"x"}
    log = b'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4}\n'
    return {
        "pictures": Reader(tuple(pictures()), read_picture),
        "EXIF and profiles": Reader(
            (metadata.Exif(tags={0: {274: (3, b"\1\0")}, 0x8769: {}, 0x8825: {}}).block(), metadata.profile("LAB")),
            lambda data, _: (metadata.Exif.parse(data).take_texts(), metadata.is_srgb(data, True)),
            (ValueError,),
        ),
        "archives": Reader((zipped(pages), zipped(pages, zipfile.ZIP_DEFLATED)), read_archive),
        "hint JSON": Reader((HINTS,), partial(as_text, lambda text: hint_files.parse(text, SIZE))),
        "hint pictures": Reader((clear, encode(Picture(painted), ".png")), read_hints),
        "hints in words": Reader(
            (b"120,85,6=#ff8800", b"10,10-80,40=orange"), partial(as_text, color_hints.parse_hint)
        ),
        "palettes": Reader((b"#3b5fa0, #fc0, navy",), partial(as_text, palettes.parse)),
        "regions": Reader((text,), lambda data, to: read_map(data, chart, to)),
        "region maps": Reader((chart,), partial(read_map, text)),
        "recipes": Reader((described,), read_recipe),
        "settings": Reader(
            (b"denoiser.net.heads=8", b"lr=1e-4", b"pretrain.mix.gray=0.5", b"denoiser.net.widths=[8,16]"),
            partial(as_text, lambda given: overrides.override(recipes.find("anime-diffusion"), given)),
        ),
        "models": Reader((weights,), partial(as_file, "m.safetensors", model_files.load)),
        "adapters": Reader((adapter(folder), weights), partial(as_file, "m.safetensors", adapters.load)),
        "pickles": Reader((checkpoint(),), partial(as_file, "m.pt", pickles.read)),
        "Parquet": Reader((parquet(),), read_table),
        "lists of pictures": Reader((ROW * 2,), partial(read_list, png)),
        "lists of CelebA": Reader((b"1.jpg 3\n2.jpg 4\n",), partial(as_file, "x.txt", _read_list)),
        "journals": Reader((ENTRY,), read_journal),
        "run settings": Reader((values,), partial(read_run, run.VALUES)),
        "run logs": Reader((log,), partial(read_run, run_folder.LOG)),
        "run states": Reader((weights,), partial(read_run, run_folder.STATE)),
        "colorize.toml": Reader(
            (TOML,), partial(as_file, "colorize.toml", lambda path: config.read_file(path, GROUP.commands, CONTEXT))
        ),
        "text edits": Reader((EDITS,), partial(as_file, "e.toml", text_edits.read)),
        "text edits in lines": Reader((LINES,), partial(as_file, "e.txt", text_edits.read)),
    }


def damaged(seeds: tuple[bytes, ...], rng: Random) -> bytes:
    """A valid input with up to eight changes; half of the time one that keeps checksums and lengths right."""
    base = rng.choice(seeds)
    if rng.random() < 0.5:
        if base.startswith(metadata.PNG_SIGNATURE):
            parts = metadata.png_chunks(base)
            at = rng.randrange(len(parts))
            parts[at] = parts[at][0], changed(parts[at][1], (parts[at][1],), rng)
            return metadata.join_png(parts)
        if base.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(base)) as archive:
                members = {name: archive.read(name) for name in archive.namelist()}
            name = rng.choice([one for one in members if one.endswith("pkl")] or list(members))
            return zipped({**members, name: changed(members[name], seeds, rng)})
        if base[8:9] == b"{":  # safetensors
            (size,) = struct.unpack_from("<Q", base)
            header = changed(base[8 : 8 + size], (b"{}",), rng)
            return struct.pack("<Q", len(header)) + header + base[8 + size :]
    return changed(base, seeds, rng)


def changed(data: bytes, others: tuple[bytes, ...], rng: Random) -> bytes:
    """Bytes with one to eight changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        data = rng.choice((flip, cut, drop, double, splice, length, number, sign))(data or b"\0", others, rng)
    return data[: 2**20]


def flip(data: bytes, others: tuple[bytes, ...], rng: Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def cut(data: bytes, others: tuple[bytes, ...], rng: Random) -> bytes:
    return data[: rng.randrange(len(data))]


def drop(data: bytes, others: tuple[bytes, ...], rng: Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randint(1, 16) :]


def double(data: bytes, others: tuple[bytes, ...], rng: Random) -> bytes:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.randint(1, 64)]
    return data[:start] + piece * rng.choice((2, 3, 9, 400)) + data[start:]


def splice(data: bytes, others: tuple[bytes, ...], rng: Random) -> bytes:
    other = rng.choice(others) or b"\0"
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def length(data: bytes, others: tuple[bytes, ...], rng: Random) -> bytes:
    size, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    value = rng.choice((0, 1, 255, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), rng.randrange(2 ** (8 * size))))
    at = rng.randrange(len(data))
    return data[:at] + (value % 256**size).to_bytes(size, order) + data[at + size :]  # type: ignore[arg-type]


def number(data: bytes, others: tuple[bytes, ...], rng: Random) -> bytes:
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data[:65536]))
    if not found:
        return flip(data, others, rng)
    new = (b"0", b"-1", b"1e999", b"NaN", b"99999999999", b"9" * 5000, b"1e-320", b'"x"', b"null", b"[]", b"true")
    one = rng.choice(found)
    return data[: one.start()] + rng.choice(new) + data[one.end() :]


def sign(data: bytes, others: tuple[bytes, ...], rng: Random) -> bytes:
    at = rng.randrange(len(data))
    new = (
        b"{",
        b"[" * 3000,
        b"}",
        b"]",
        b'"',
        b"\\",
        b"\n",
        b"\0",
        b"=",
        b"../",
        b"/",
        b"\xff",
        "\u202e".encode(),
        b",",
    )
    return data[:at] + rng.choice(new) + data[at + rng.choice((0, 1)) :]
