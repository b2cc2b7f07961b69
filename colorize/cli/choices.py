"""What `eval` is asked for: modes, shares of hints, baselines. Imported when it runs; knows nothing of coloring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from colorize.checkpoint import Loaded
from colorize.cli import common
from colorize.errors import ColorizeError
from colorize.evaluation import baselines as known
from colorize.evaluation.baselines import Baseline
from colorize.evaluation.curve import SHARES
from colorize.evaluation.samples import HINT_SHARE, MODES, Kind, Samples, Store, samples
from colorize.recipes import Recipe

NEEDS = {  # mode -> hint of the recipe
    **dict.fromkeys(("same", "flip", "cross", "shuffled", "palette"), "reference"),
    **dict.fromkeys(("hints", "stored"), "hints"),
}
LEFT = {  # mode -> which pictures it leaves out
    "cross": "that nothing else shares a group with",
    "shuffled": "that have none of another set and group",
    "stored": "that have no hints of their own",
}
ALIKE = "that nothing of their group shares so many colors with"


def name(model: str, loaded: Loaded) -> str:
    """Return what a table calls a model: its run or file rather than its whole path, and what it has on."""
    path = Path(model)
    found = model
    if path.suffix == ".safetensors":
        found = path.parent.name if path.stem == "model" and path.parent.name else path.stem
    found = f"{found} (model)" if found in known.BASELINES else found
    return " + ".join([found, *(one.text for one in loaded.adapters)])


@dataclass(frozen=True)
class How:
    """How samples are made, see `samples`; no shares stand for the usual one."""

    size: int
    seed: int
    kind: Kind
    limit: int
    shares: tuple[float, ...] = ()
    alike: float = 0.0


def shares(percents: Sequence[float], curve: bool, modes: Sequence[str]) -> tuple[float, ...]:
    """Return the shares of hinted pixels that were asked for, rising, each once.

    Raises ColorizeError (wrong usage) for two wishes at once, and where no mode gives hints.
    """
    if not percents and not curve:
        return ()
    option = "--curve" if curve else "--hint-share"
    if percents and curve:
        raise ColorizeError("--curve and --hint-share are both given", "choose one", code=2)
    if modes and "hints" not in modes:
        raise ColorizeError(f"{option} is for the mode hints", "add --mode hints", code=2)
    return SHARES if curve else tuple(sorted({percent / 100 for percent in percents}))


def drawn(recipe: Recipe, kind: Kind | None) -> Kind:
    """Return how pictures are drawn: as asked, or else as line art if the recipe takes it."""
    return kind or ("line" if "line" in recipe.hints else "gray")


def tasks(recipe: Recipe, data: Path, modes: Sequence[str], how: How) -> list[Samples]:
    """Return the samples of every mode; without `modes`, of all that model and folder can have.

    Raises ColorizeError if a wanted mode cannot be, or the folder.
    """
    store = Store(data)
    found: list[Samples] = []
    without: list[str] = []  # told at the end: they are no news if there is no mode at all
    for mode in dict.fromkeys(modes or MODES):
        try:
            some = _of_mode(recipe, store, mode, how)
        except ColorizeError as error:
            asked = modes or (mode == "hints" and how.shares)
            if asked or (mode == list(MODES)[-1] and not found):
                raise
            if mode != "stored":  # few have such, and nobody misses it
                without.append(f"note: without the mode {mode}: {error.message}")
            continue
        if some[0].left_out:
            left = common.counted(some[0].left_out, "picture")
            why = ALIKE if how.alike and mode == "cross" else LEFT[mode]
            common.say(f"note: {mode}: left out {left} {why}")
        found += some
    for note in without:
        common.say(note)
    return found


def _of_mode(recipe: Recipe, store: Store, mode: str, how: How) -> list[Samples]:
    """The samples of one mode, of every share if it is that of hints."""
    need = NEEDS.get(mode)
    if need and need not in recipe.hints:
        raise ColorizeError(
            f"`{recipe.name}` takes no {need}, which the mode {mode} gives",
            "choose another --mode",
            code=2,
        )
    wanted = (how.shares if mode == "hints" else ()) or (HINT_SHARE,)
    return [
        samples(store, mode, how.size, how.seed, how.kind, how.limit, share, how.alike)
        for share in wanted
    ]


def baselines(names: Sequence[str], modes: Sequence[str]) -> list[Baseline]:
    """Return the baselines of these names, `all` and `none` among them, that a mode can use.

    Raises ColorizeError (wrong usage) for an unknown name and for one that no mode can use.
    """
    if "none" in names:
        return []
    if "all" in names:
        return [one for one in known.BASELINES.values() if not one.oracle]
    found = [known.find(name) for name in names]
    for baseline in found:
        if not set(baseline.modes) & set(modes):
            hint = "add --mode " + " or ".join(baseline.modes)
            raise ColorizeError(f"`{baseline.name}` can color none of these modes", hint, code=2)
    return found
