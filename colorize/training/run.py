"""Train a recipe in a run folder: begin, go on, or say why that is not possible."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from colorize.checkpoints import adapters, foreign, model_files
from colorize.checkpoints.adapters import Adapter
from colorize.checkpoints.model_files import Loaded
from colorize.coloring.options import SIZES
from colorize.errors import ColorizeError, within
from colorize.images.files import atomic, content, sha256
from colorize.model import Colorizer
from colorize.networks import devices, lora
from colorize.recipes import overrides
from colorize.recipes.recipe import Adversarial, Choosing, Recipe, Stage
from colorize.region_diffusion.system import RegionColorizer
from colorize.training import objectives, optimizer, region_batches, region_objective, run_folder
from colorize.training.batches import Pictures
from colorize.training.loop import Loop, Progress
from colorize.training.options import TrainOptions
from colorize.training.preview import Preview
from colorize.training.region_batches import RegionBatches
from colorize.training.run_folder import Lock, done

WEIGHTS, VALUES = "model.safetensors", "recipe.json"
ADAPTER = adapters.FILE  # in place of the weights, where an adapter is trained
MADE = (WEIGHTS, ADAPTER, run_folder.STATE, VALUES, run_folder.LOG)  # what a run writes, besides folders
CLOSE = 0.02  # share of a budget before whose end a run stops, since its last step must fit


def override(recipe: Recipe, phase: str, changes: Sequence[str]) -> Recipe:
    """Change values by `name=value`; names that begin with a field of a stage mean that of the phase.

    So `lr=1e-4` is `pretrain.lr=1e-4`, and `size` that of the training pictures; `recipe.size` is the recipe's. Raises
    ColorizeError (wrong usage) for misspelt names, and for values of which no network can be built.
    """
    short = {field.name for field in fields(Stage)}
    own = {field.name for field in fields(Recipe)} - {"name", "help"} | {"recipe"}
    full = []
    for text in (change.strip() for change in changes):
        name = text.partition("=")[0].strip()
        head = name.partition(".")[0]
        if head not in short | own:
            known = [leaf for leaf, _ in overrides.leaves(recipe.stage(phase))]
            known += [leaf for leaf, _ in overrides.leaves(recipe) if leaf.partition(".")[0] in own]
            raise overrides.unknown(name, known)
        full.append(f"{phase}.{text}" if head in short else text.removeprefix("recipe."))
    changed = overrides.override(recipe, *full)
    for name, size, what in (
        ("size", changed.stage(phase).size, "a training picture"),
        ("recipe.size", changed.size, "a picture inside the model"),
    ):
        within(name, size, *SIZES, f"{what} has {SIZES[0]} to {SIZES[1]} pixels a side, such as 128")
    model_files.build_on_meta(changed)
    return changed


def seeded(options: TrainOptions) -> TrainOptions:
    """Choose the seed if none is given: that of the run in the folder, or else 0.

    A run that begins with a model takes one made of its weights, so that going on from model to model never shows the
    same batches again.
    """
    if options.seed is not None:
        return options
    before = {} if options.restart else _values(options.folder)
    if before.get("from") == options.start and isinstance(before.get("seed"), int):
        return replace(options, seed=before["seed"])
    if not options.start:
        return replace(options, seed=0)
    try:
        found = model_files.find(options.start, offline=options.dry_run)
        with resources.as_file(found.file) as path:
            return replace(options, seed=int((found.sha256 or sha256(path))[:8], 16))
    except (ColorizeError, OSError):
        if options.dry_run:  # which fetches nothing
            return options
        raise


def _values(folder: Path) -> dict[str, Any]:
    """Return what a run folder says of its run; nothing if it does not."""
    try:
        values = json.loads(content(folder / VALUES))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def identity(recipe: Recipe, options: TrainOptions) -> dict[str, Any]:
    """Return what the result depends on, JSON-able: all calls of one run must agree in it."""
    return {
        "recipe": overrides.to_dict(recipe),
        "phase": options.phase,
        "data": str(options.data),
        "from": options.start,
        "lora": options.lora or 0,
        "seed": options.seed,
        "anneal": options.budget if options.anneal else None,
        "accumulate": options.accumulate,
    }


def difference(before: Any, now: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """Return the first leaf in which two JSON values differ: its dotted name, then both values.

    What `before` does not have is no difference: it came with a later version.
    """
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return None if before == now else (name, before, now)
    for key, value in now.items():
        if key in before and key != "help":
            inside = f"{name}.{key}".removeprefix(".").removesuffix(".is")
            if found := difference(before[key], value, inside):
                return found
    return None


def check_folder(out: Path) -> None:
    """Refuse a folder that holds other things than a run, which would mix with them (ColorizeError, wrong usage)."""
    if not out.is_dir() or any((out / name).exists() for name in MADE if name != run_folder.LOG):
        return
    known = (run_folder.LOG, "samples")
    others = [one.name for one in out.iterdir() if not one.name.startswith(".") and one.name not in known]
    if others:
        message = f"`{out}` holds other files, such as `{min(others)}`"
        raise ColorizeError(message, "name a new folder with --out", code=2)


def check(recipe: Recipe, options: TrainOptions) -> None:
    """Refuse a run folder of other settings, or of something else (ColorizeError)."""
    out, way_out = options.folder, "choose another --out, or add --restart"
    written = [name for name in (WEIGHTS, ADAPTER, run_folder.STATE) if (out / name).exists()]
    if not written:
        return  # no run, or one that ended before its first state
    if not (out / VALUES).is_file():
        raise ColorizeError(f"`{out}` holds `{written[0]}`, but no run", way_out, code=2)
    try:
        before = {"lora": 0, "accumulate": 1, **json.loads(content(out / VALUES))}  # older runs do not say
        if not isinstance(before.get("recipe", {}), dict):
            raise TypeError("recipe")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ColorizeError(f"`{out / VALUES}` is damaged", way_out) from error
    now = identity(recipe, seeded(options))
    if isinstance(before.get("data"), str) and Path(before["data"]).resolve() == options.data.resolve():
        before["data"] = now["data"]
    if found := difference(before, now):
        name, old, new = found
        message = f"is a run with {name} = {json.dumps(old)}, not {json.dumps(new)}"
        if name == f"recipe.{options.phase}.steps":
            message, step = f"is a run of {old} {'step' if old == 1 else 'steps'}, not {new}", done(out)[0]
            going = f"--steps {old} goes on with it at step {step}; " if 0 < step < old else ""
            end = "at the end of --budget" if options.anneal else f"at step {old}"
            way_out = f"{going}its learning rate falls to zero {end}: {train_longer(options)}"
        raise ColorizeError(f"`{out}` {message}", way_out, code=2)


def finished(recipe: Recipe, options: TrainOptions) -> bool:
    """Whether a run has nothing left to do."""
    step, seconds = done(options.folder)
    if not any((options.folder / name).exists() for name in (WEIGHTS, ADAPTER)):
        return False  # it ended without a model that can be used
    return step > 0 and options.over(recipe.stage(options.phase), step, seconds + CLOSE * (options.budget or 0), 0)


def train_longer(options: TrainOptions) -> str:
    """Say how to train longer than a run was to take; the fall of its learning rate cannot be undone."""
    out = options.folder
    if options.lora:
        return "add --restart to train an adapter of more steps"
    if options.phase == "finetune":
        how = f"`colorize finetune {out} {options.data} --out {out}-2 --steps NUMBER`"
    else:
        how = f"the same command with --from {out} --out {out}-2"
    return f"{how} continues from its weights in a new run; --restart discards them"


def facts(path: Path) -> dict[str, str]:
    """Return the facts in a model's file, such as the license of the weights it began with."""
    return {name: text for name, text in run_folder.read_header(path).items() if name not in model_files.RESERVED}


def _inherited(found: Mapping[str, str]) -> dict[str, str]:
    """Return the facts that a model passes on to one that begins with it: all but how it was trained."""
    return {name: text for name, text in found.items() if name != "training"}


def add_adapter(model: Colorizer, options: TrainOptions) -> None:
    """Freeze a model and give it the adapter that is to be trained."""
    model.requires_grad_(False)
    lora.begin(model.network, options.lora or 0, torch.Generator().manual_seed(options.seed or 0))


def batches(
    recipe: Recipe, options: TrainOptions, device: torch.device, first: bool = True
) -> Pictures | RegionBatches:
    """Make the training data of a stage. first: of several processes, the one that prepares files for all."""
    stage = recipe.stage(options.phase)
    if not isinstance(stage.objective, Choosing):
        return Pictures(options.data, recipe, stage, options.seed or 0, device)
    RegionBatches.check(stage)
    return RegionBatches(region_batches.opened(options.data, stage.mix.sets, first), stage, options.seed or 0)


class Training:
    """A run that is ready to go: its model and pictures, and the step it is at."""

    def __init__(self, recipe: Recipe, options: TrainOptions, begun: float | None = None) -> None:
        """Load everything; afterwards the folder is this run's.

        begun: monotonic seconds from which on `options.budget` counts, now if None. Raises ColorizeError for
        a folder of another run, or that another process trains in, for pictures or weights that cannot be
        read, and for values that do not go together.
        """
        options = seeded(options)
        self.recipe, self.options, self.stage = recipe, options, recipe.stage(options.phase)
        self.begun = time.monotonic() if begun is None else begun
        self.ranks, name = optimizer.join(options.device)
        self.device = devices.device(name)
        devices.precision(options.precision, self.device)  # refused before the folder is made
        self.lock: Lock | None = None
        self.refresh: region_objective.Refresh | None = None
        self.adapter: Adapter | None = None
        try:
            self._load()
        except BaseException:
            self.release()
            raise
        # The first optimizer of a process imports torch.compile, 1 to 2 s that belong to loading.
        torch.optim.AdamW([torch.zeros(1, requires_grad=True)])

    def _load(self) -> None:
        out, options = self.options.folder, self.options
        if out.is_dir():
            self._claim()  # before anything that takes time
        self.objective = objectives.build(self.stage, self.recipe)
        torch.manual_seed(options.seed or 0)
        if not options.restart:
            check(self.recipe, options)
        goes_on = not options.restart and (out / run_folder.STATE).exists()
        self.facts = {} if options.restart else facts(out / WEIGHTS)
        self.model = self._model(goes_on)
        objectives.add_critic(self.model, self.stage)
        self.pictures = batches(self.recipe, options, self.device, self.ranks.first)
        self._prepare_folder()
        self.step = done(out)[0]

    def _model(self, goes_on: bool) -> Colorizer:
        """Build the model, with fresh weights, or those of the model it begins with, which no state holds if frozen."""
        options = self.options
        model = model_files.build_on_meta(self.recipe)
        if options.lora:
            adapter = adapters.describe(self._take(model), options.lora)
            before = {} if options.restart else facts(options.folder / ADAPTER)
            if before.get("weights", adapter.weights) != adapter.weights:
                message = f"`{options.start}` has other weights than when the run in `{options.folder}` began with it"
                raise ColorizeError(message, "name the model it began with, or add --restart", code=2)
            self.adapter = replace(adapter, facts=_inherited(adapter.facts))
            add_adapter(model, options)
        elif options.start and (not goes_on or run_folder.frozen(model)):
            begun = _inherited(self._take(model).facts)
            self.facts = self.facts if goes_on else begun
        else:
            if not goes_on:
                self.recipe.system.check_start(self.recipe)
            model = self.recipe.build()
        if not goes_on and not options.start:
            objectives.fill_tagger(model, self.recipe)
        return model

    def _take(self, model: Colorizer) -> Loaded:
        """Give a model the weights of the one it begins with, and return that."""
        start = self.options.start
        with resources.as_file(model_files.find(start).file) as path:
            if begun := foreign.begun(path, self.recipe):
                model.load_state_dict(begun.state_dict(), assign=True)
                return Loaded(self.recipe, model, start, {})
        loaded = model_files.load(start)
        for name in ("space", "condition", "denoiser"):
            theirs, ours = (overrides.to_dict(getattr(recipe, name)) for recipe in (loaded.recipe, self.recipe))
            if found := difference(theirs, ours, name):
                raise ColorizeError(
                    f"the weights of `{start}` are for {found[0]} = {json.dumps(found[1])}, not {json.dumps(found[2])}",
                    f"keep that value by --set, or take all of them: `colorize finetune {start}`",
                    code=2,
                )
        model.load_state_dict(loaded.colorizer.state_dict(), assign=True)  # not a second copy
        return loaded

    @property
    def parameters(self) -> int:
        """The number of weights that are trained."""
        return sum(value.numel() for value in run_folder.trained(self.model).values())

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of how this is trained."""
        wanted = self.stage.objective
        if not isinstance(wanted, Adversarial) or wanted.vgg or wanted.tagger or not wanted.perceptual:
            return ()
        how = "--set objective.vgg=FILE, objective.tagger=FILE or both add that"
        return (f"without frozen networks the loss has no perceptual part; {how}",)

    def steps(self) -> Iterator[Progress]:
        """Train, yielding after every step.

        Leaves model.safetensors (or adapter.safetensors), the averaged weights, and everything that going on needs.
        """
        options = replace(self.options, prefetch=self.prefetch)
        if options.budget is not None and not options.anneal:  # of this call, loading included
            options = replace(options, budget=max(1.0, options.budget - (time.monotonic() - self.begun)))
        out = options.folder
        preview = Preview(options.data, self.recipe, self.stage.size, out / "samples")
        show = preview if options.sample_every else None
        self._claim()
        try:
            for progress in Loop(self.model, self.objective, self.pictures, self.stage, options, self._save, show):
                self.step = progress.step
                yield progress
            if show and self.ranks.first:
                with_adapter = self.adapter is not None
                file, lora_file = (options.start, out / ADAPTER) if with_adapter else (out / WEIGHTS, ())
                preview(model_files.load(file, device=self.device, lora=lora_file).colorizer, self.step)
        finally:
            self.release()
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()

    @property
    def prefetch(self) -> bool:
        """Whether to make batches ahead: not where that takes cores or graphics memory from the network."""
        there = isinstance(self.pictures, Pictures) and self.pictures.store.pages is not None
        return self.device.type != "cpu" and not there

    def _claim(self) -> None:
        """Take the folder; of several processes that train as one, the first does."""
        if self.ranks.first and self.lock is None:
            self.lock = Lock(self.options.folder)

    def release(self) -> None:
        """Let others train in the folder."""
        if self.lock is not None:
            self.lock.free()
            self.lock = None

    def _save(self, model: Colorizer, path: Path) -> None:
        step = done(path.parent)[0]  # the state is written first
        training = f"{self.options.phase}, {step} steps, {len(self.pictures)} pictures, {self.stage.size} px"
        if isinstance(model, RegionColorizer) and isinstance(self.pictures, RegionBatches):
            self.refresh = self.refresh or region_objective.Refresh(self.pictures.store)
            self.refresh(model)
        if self.adapter is None:
            model_files.save(model, self.recipe, path, {**self.facts, "training": training})
            return
        described = {**self.adapter.facts, "training": training}
        adapter = replace(self.adapter, facts=described, tensors=lora.tensors_of(model.network))
        adapters.save(adapter, path.with_name(ADAPTER))

    def _prepare_folder(self) -> None:
        """Make the folder this run's, before any process looks into it."""
        out = self.options.folder
        if self.ranks.first:
            out.mkdir(parents=True, exist_ok=True)
            self._claim()
            if self.lock is not None:
                self.lock.tidy()
            if self.options.restart:
                for path in (*(out / name for name in MADE), *out.glob("samples/step-*.png")):
                    path.unlink(missing_ok=True)
            with atomic(out / VALUES) as path:
                path.write_text(json.dumps(identity(self.recipe, self.options), indent=2) + "\n", "utf-8")
        if self.ranks.world > 1:
            torch.distributed.barrier()
