"""Read the CelebA faces in the layout of torchvision's loader.

Liu, Luo, Wang and Tang 2015, "Deep Learning Face Attributes in the Wild".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from colorize.datasets.sources import Item, Source, name_items
from colorize.errors import ColorizeError
from colorize.images.files import content, shown

if TYPE_CHECKING:
    from colorize.datasets.prepare import PrepareOptions

PICTURES = "img_align_celeba"
PARTITION = "list_eval_partition.txt"
IDENTITY = "identity_CelebA.txt"
SPLIT = {"0": "train", "1": "validation", "2": "test"}
LONGEST = 64 * 2**20  # bytes of a list; those of CelebA have 6
UNPACK = f"unpack {PICTURES}.zip there"


@dataclass(frozen=True)
class CelebASource(Source):
    """The faces of CelebA with its splits; pictures of a person are a group, unless group is "none"."""

    @classmethod
    def open(cls, path: Path, options: PrepareOptions) -> Source | None:
        """Return the faces in `path` or `path/celeba`; None if they are not there.

        Raises ColorizeError if the pictures or a list is missing or damaged.
        """
        known = (PARTITION, IDENTITY, PICTURES, f"{PICTURES}.zip")
        bases = [base for base in (path / "celeba", path) if any((base / name).exists() for name in known)]
        if not bases and options.layout == "celeba":
            hint = "give the folder that holds them, or the one above it, with `celeba/` in it"
            raise ColorizeError(f"`{path}` holds neither `{PARTITION}` nor `{PICTURES}`", hint)
        if not bases:
            return None
        folder = bases[0] / PICTURES
        names = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
        names = {name for name in names if name.lower().endswith(".jpg") and name[0] != "."}
        if not names:
            raise ColorizeError(f"`{folder}` holds no pictures of CelebA", UNPACK)
        splits, people = _read_list(bases[0] / PARTITION), _read_list(bases[0] / IDENTITY)
        if bad := next((name for name, split in splits.items() if split not in SPLIT), ""):
            hint = "0 is train, 1 validation and 2 test; download the list again"
            raise ColorizeError(f"`{bases[0] / PARTITION}` gives `{shown(bad)}` an unknown split", hint)
        lists = {bases[0] / PARTITION: splits, bases[0] / IDENTITY: people}
        checks = [(path, names - numbers.keys(), names, "download the list again") for path, numbers in lists.items()]
        for place, missing, every, hint in (*checks, (folder, splits.keys() - names, splits, UNPACK)):
            if missing:
                lacking = f"`{place}` lacks {len(missing)} of {len(every)} pictures, such as `{shown(min(missing))}`"
                raise ColorizeError(lacking, hint)
        below = folder.relative_to(path).as_posix()
        faces = [Item(f"{below}/{name}", (name,), split=SPLIT[splits[name]]) for name in sorted(names)]

        def person(face: Item) -> str:
            return f"person {people[face.parts[0]]}"

        return cls(path, "celeba", name_items(faces, "none" if options.group == "none" else person))


def _read_list(path: Path) -> dict[str, str]:
    """Read a list of CelebA: a picture's name and a number in every line."""
    try:
        lines = content(path, LONGEST).decode("ascii").split("\n")
    except FileNotFoundError:
        raise ColorizeError(f"`{path.parent}` has no `{path.name}`", "download it from the pages of CelebA") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ColorizeError(f"`{path}` cannot be read: {error}", "download it again") from error
    pairs = [line.split() for line in lines if line.strip()]
    wrong = next((pair for pair in pairs if len(pair) != 2 or not pair[1].isdigit()), None)
    if wrong is not None or not pairs:
        found = f"`{' '.join(wrong)[:40]}`" if wrong else "nothing"
        raise ColorizeError(f"`{path}` holds {found} instead of names and numbers", "download it again")
    return {pair[0]: pair[1] for pair in pairs}
