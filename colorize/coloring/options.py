"""Options of `sample`, each with its default and help text, and the jobs that they color."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from colorize.diffusion import names
from colorize.errors import SEEDS, ColorizeError, nearest, within

if TYPE_CHECKING:  # the command line reads the options before anything heavy is imported
    from torch import Tensor

    from colorize.checkpoints.adapters import AdapterPaths
    from colorize.checkpoints.model_files import Loaded
    from colorize.colorize_diffusion.condition import LatentSettings
    from colorize.hints import Hints
    from colorize.images.color_hints import ColorHint
    from colorize.images.image import Picture
    from colorize.model import Sampling, Settings
    from colorize.recipes.recipe import Recipe

SIZES = (32, 4096)  # pixels inside the model: less shows nothing, more fills any memory
GUIDANCE = (0, 20)  # 1 is as trained; beyond 20 nothing but flat, glaring colors is left
STRENGTH = (0, 3)  # 1 is as trained; each recipe says how far it follows
RECIPE = "  [default: the recipe's]"
SWITCHED = {"echo": "InjectionSettings", "window": "Window"}  # off until one of their numbers is given


def weights(option: str, texts: Iterable[str]) -> dict[str, float]:
    """Read NAME=NUMBER of a repeatable option; raises ColorizeError (wrong usage) for anything else."""
    found = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            found[name.strip()] = math.nan
        if not math.isfinite(found[name.strip()]):
            raise ColorizeError(
                f"`{option} {text}` is not a name and a number", f"write it as {option} reference=1.5", code=2
            )
    return found


def option(default: Any, metavar: str, help: str, *flags: str, affects: bool = True, **more: Any) -> Any:
    """Declare a field of `SampleOptions`, which is an option of the command line too.

    flags: its names there, if not that of the field. affects: whether it changes the colors of a result. more:
    further settings of `typer.Option`.
    """
    how = {"default_factory": default} if callable(default) else {"default": default}
    typer = {"metavar": metavar or None, "help": help, **more}
    return field(**how, metadata={"flags": flags, "affects": affects, "typer": typer})


@dataclass(frozen=True)
class SampleOptions:
    """How to color. None stands for what the model was made for.

    On the command line fields of several types are texts or paths. Raises ColorizeError (wrong usage) for values
    that no model can have.
    """

    reference: "str | Path | Picture | Sequence[str | Path | Picture]" = option(
        (), "PICTURE", "Reference picture or folder to take colors from; repeatable", "--ref"
    )
    palette: "str | Path | Picture" = option(
        "", "COLORS", 'Colors to use, such as "#3b5fa0,#f2c6a0", or a picture that has them'
    )
    colors: int | None = option(
        None, "NUMBER", "Most colors in the result besides paper and ink; for models that choose colors: mini", min=1
    )
    hints: "Path | str | Picture | None" = option(
        None,
        "PATH",
        "Color hints: transparent PNG, painted copy of the drawing, corrected result, JSON, or folder of them",
    )
    hint: "str | Sequence[str]" = option(
        (),
        "X,Y=COLOR",
        "Color hint at a pixel; 120,85,6=#ff8800 has radius 6, 10,10-80,40=orange is a stroke; repeatable",
    )
    hint_mode: Literal["hard", "soft"] = option(
        "hard", "MODE", "Give hinted pixels exactly their color (hard), or only tell the model (soft)"
    )
    auto_hints: float | None = option(
        None,
        "SHARE",
        "Color twice: this share of the first result's pixels, such as 0.003, hints the second; for manga-gan",
    )
    model: "str | Path | Loaded" = option(
        "mini", "MODEL", "Model: a recipe, a file, a folder, or OWNER/NAME[/FILE] on the Hub", envvar="COLORIZE_MODEL"
    )
    lora: "AdapterPaths" = option(
        (), "FILE[=WEIGHT]", "Adapter to load, or run of `finetune --lora`; WEIGHT is 0 to 2  [default: 1]; repeatable"
    )
    out: str | None = option(
        None,
        "PATH",
        "Output file or folder, or - for stdout; a folder also gets copies of pictures in color"
        "  [default: NAME_color beside one file, else colored/]",
        "--out",
        "-o",
        affects=False,
    )
    kind: Literal["auto", "line", "gray"] = option("auto", "KIND", "Kind of drawing: auto, line, gray")
    steps: int | None = option(None, "NUMBER", f"Number of denoising steps{RECIPE}", min=1)
    sampler: str | None = option(None, "NAME", f"Sampler to use: {', '.join(names.SAMPLERS)}{RECIPE}")
    spacing: str | None = option(None, "NAME", f"Spacing of the steps: {', '.join(names.SPACINGS)}{RECIPE}")
    eta: float | None = option(
        None, "NUMBER", f"Noise added at each step, 0 (none) to 1; for {', '.join(names.FREE)}{RECIPE}"
    )
    seed: int = option(0, "NUMBER", "Random seed")
    guidance: "Mapping[str, float]" = option(
        dict, "HINT=NUMBER", "Guidance scale of a hint, 0 to 20; 1 is none; repeatable"
    )
    strength: "Mapping[str, float]" = option(
        dict, "HINT=NUMBER", "Strength of a hint, 0 to 1, or more with some models; repeatable"
    )
    text: "Sequence[str]" = option((), "EDIT", 'Edit of the reference, "hair: blonde"; repeatable')
    edits: Path | None = option(None, "FILE", "File of such edits: TOML, JSON or text")
    visualize: Path | None = option(None, "PICTURE", "Also draw where the edits act", affects=False)
    background: "str | Path | Picture | None" = option(None, "PICTURE", "Reference for the background")
    mask: "str | Path | Picture" = option("", "PATH", "Figure in white: picture, folder, or auto")
    only: "str | Path | Picture" = option(
        "", "PATH", "Color only where this mask is white: a picture, or a folder with one per drawing; the rest stays"
    )
    ref_mask: "str | Path | Picture | None" = option(None, "PICTURE", "The same for the reference")
    knob: "Sequence[str]" = option((), "NAME=VALUE", "Setting, such as margin=1.5; repeatable")
    encoder: str = option("", "FILE", "CLIP weights: a file, or OWNER/NAME/FILE")
    predicts: str = option("", "NAME", "eps or v  [default: detected]")
    variations: int = option(1, "NUMBER", "Number of results per drawing", min=1)
    grid: bool = option(False, "", "Write drawing, references and results side by side as one picture", affects=False)
    film: Path | None = option(
        None, "GIF", "Also write the denoising steps as an animation; a folder gets one per drawing"
    )
    flat: bool = option(False, "", "Fill each region of line art with one flat color")
    gaps: float | None = option(
        None,
        "PIXELS",
        "Widest gap in a line that counts as closed between flat regions; 0 closes none"
        "  [default: 1/21 of the longer side]",
        min=0,
    )
    panels: Literal["auto", "on", "off"] = option(
        "auto", "MODE", "Color manga pages panel by panel: auto (if it looks like a page), on, off"
    )
    layers: Path | None = option(
        None,
        "PATH",
        "Also write layers (line, shade, a layer per flat color, paper) as .ora or .psd; line art only;"
        " a folder gets an .ora per drawing, layers/*.psd a .psd",
    )
    save_regions: Path | None = option(
        None,
        "PATH",
        "Also write the regions and their colors as .toml, with a map of them as .png; line art only;"
        " a folder gets them per drawing",
    )
    regions: Path | None = option(
        None, "FILE", "Recolor a result by the colors in a file of regions (see `colorize regions`), without a model"
    )
    size: int | None = option(None, "PIXELS", f"Longer side inside the model; results keep the drawing's size{RECIPE}")
    device: str = option(
        "auto", "DEVICE", "Device: auto, cpu, cuda (or gpu), cuda:1 or mps", affects=False, envvar="COLORIZE_DEVICE"
    )
    precision: str = option(
        "auto",
        "NAME",
        "Arithmetic: auto, fp32, bf16 or fp16; auto takes bf16 where the hardware has it",
        envvar="COLORIZE_PRECISION",
    )
    batch: int | None = option(None, "NUMBER", "Batch size  [default: 8 on CUDA, else 1]", affects=False, min=1)
    force: bool = option(False, "", "Also color pictures that are blank or already in color")
    overwrite: bool = option(False, "", "Replace existing results, also those that were edited")
    watch: bool = option(
        False, "", "Color what is in a folder, and then whatever is saved into it, until Ctrl-C", affects=False
    )
    dry_run: bool = option(False, "", "Estimate work, time and memory; write nothing", affects=False)
    offline: bool = option(False, "", "Do not use the network", affects=False)
    as_json: bool = option(False, "", "Print one JSON object per result to stdout", "--json", affects=False)
    quiet: bool = option(False, "", "Print only results and errors", "--quiet", "-q", affects=False)
    settings: "Settings | None" = None  # of colorize-diffusion, made of knob, text and edits

    @property
    def divides(self) -> bool:
        """Whether line art is divided into regions of one color."""
        return self.flat or self.layers is not None or self.save_regions is not None

    def __post_init__(self) -> None:
        for one in fields(self):
            value, what = getattr(self, one.name), one.name.replace("_", " ")
            if get_origin(one.type) is Literal and value not in get_args(one.type):
                raise ColorizeError(f"unknown {what} `{value}`", nearest(value, get_args(one.type)), code=2)
            least = one.metadata.get("typer", {}).get("min")
            if least is not None and value is not None and value < least:
                raise ColorizeError(f"{what} is {value}", f"choose at least {least}", code=2)
        if self.size is not None and not SIZES[0] <= self.size <= SIZES[1]:
            raise ColorizeError(f"size is {self.size}", f"choose {SIZES[0]} to {SIZES[1]} pixels", code=2)
        if self.only and (self.layers or self.save_regions):
            other = "--layers" if self.layers else "--save-regions"
            message = f"--only keeps a part of an earlier picture, of which {other} knows nothing"
            raise ColorizeError(message, "leave one of them out", code=2)
        within("seed", self.seed, *SEEDS)
        if self.auto_hints is not None:
            within("auto hints", self.auto_hints, 0, 1, "choose a share of pixels from 0 to 1; 0.003 is usual")
        _check_weights(self)
        if self.settings is None and (self.knob or self.text or self.edits):
            object.__setattr__(self, "settings", latent_settings(self.knob, self.text, self.edits))


def _check_weights(options: SampleOptions) -> None:
    for name, weight in options.guidance.items():
        hint = "choose 0 (without it) to 20; 1 is as trained, 1.5 to 3 is usual"
        within(f"the guidance of `{name}`", weight, *GUIDANCE, hint)
    for name, share in options.strength.items():
        hint = "choose 0 (without it) to 1 (as trained), or up to 3 with some models"
        within(f"the strength of `{name}`", share, *STRENGTH, hint)


def latent_settings(knobs: Sequence[str], edits: Sequence[str], file: Path | None) -> "LatentSettings":
    """Return the settings that knobs such as `margin=1.5` and `echo.start=0.2` and edits make.

    edits, file: changes of the reference by words; the file's come first. Raises ColorizeError (wrong usage) for
    misspelt names, with the nearest, and for values out of range.
    """
    from colorize.colorize_diffusion import text_edits
    from colorize.colorize_diffusion.condition import LatentSettings
    from colorize.recipes.overrides import override

    for text in knobs:
        if "=" not in text:
            raise ColorizeError(f"`--knob {text}` has no value", "write it as NAME=VALUE, such as margin=1.5", code=2)
    on = [f"{name}={kind}" for name, kind in SWITCHED.items() if any(k.strip().startswith(f"{name}.") for k in knobs)]
    stored = text_edits.read(file) if file else ()
    prompts = (*stored, *(text_edits.parse(text) for text in edits))
    return replace(override(LatentSettings(), *on, *knobs), prompts=prompts)


@dataclass(frozen=True)
class Named:
    """A picture and what messages call it; palette: it shows colors only, see `palettes.swatches`."""

    name: str
    picture: "Picture"
    palette: bool = False


@dataclass(frozen=True)
class Job:
    """One drawing to color, and the pictures given with it.

    drawing: a picture, or the path or bytes of its file, or a function that returns these, called when the job
    begins. references: pictures to take colors from. hints: a picture that is transparent but for the hints, a
    copy of the drawing painted over, JSON text, the path of any of these, or a hint map (1, 4, h, w). dots: lie
    on top, see `inputs.hint_map`. background: reference of the background. mask, reference_mask: light where
    the figure is in the drawing and in the first reference; `auto` detects it. only: light where the picture may
    change. results: files of this drawing in color, the latest first, which tell corrections from what the program
    chose, and show what lies outside of `only`.
    """

    name: str
    drawing: "Picture | Path | bytes | Callable[[], bytes | Picture]"
    references: tuple[Named, ...] = ()
    hints: "Picture | Path | str | Tensor | None" = None
    dots: "tuple[ColorHint, ...]" = ()
    background: Named | None = None
    mask: "Picture | Literal['auto'] | None" = None
    reference_mask: "Picture | None" = None
    only: "Picture | None" = None
    results: tuple[Path, ...] = ()

    @property
    def given(self) -> tuple[str, ...]:
        """The hints given besides the drawing."""
        from colorize.hints import HINTS, OPTIONAL

        empty = (None, ())
        return tuple(n for n in OPTIONAL if any(getattr(self, f) not in empty for f in HINTS[n].fields))


def sampling(recipe: "Recipe", options: SampleOptions) -> "Sampling":
    """Return the sampling of a recipe with the user's changes; eta falls to 0 with another sampler.

    Raises ColorizeError (wrong usage) for an unknown sampler, numbers out of range, and an eta that
    the sampler cannot use.
    """
    wanted = {
        name: value for name in ("steps", "sampler", "eta", "spacing") if (value := getattr(options, name)) is not None
    }
    if options.eta is None and options.sampler not in (None, recipe.sampling.sampler):
        wanted["eta"] = 0.0
    if recipe.once and options.steps not in (None, 1):
        raise ColorizeError(f"`{recipe.name}` colors in one step, not {options.steps}", "leave --steps out", code=2)
    if recipe.chooses and (named := [name for name in ("sampler", "eta", "spacing") if name in wanted]):
        message = f"`{recipe.name}` chooses colors and does not denoise, so it has no {named[0]}"
        raise ColorizeError(message, f"leave --{named[0]} out, or choose another model", code=2)
    changed = replace(recipe.sampling, **wanted)
    if options.eta:
        names.settle(changed.sampler, options.eta, code=2)
    return changed


def guidance(sampling: "Sampling", options: SampleOptions, given: "Hints") -> dict[str, float]:
    """Return the guidance by hint: the recipe's for the hints that one picture has, and the user's."""
    return {name: scale for name, scale in sampling.guidance if name in given} | {**options.guidance}


def check(recipe: "Recipe", options: SampleOptions) -> None:
    """Refuse guidance and strength for hints that the recipe does not take (ColorizeError, wrong usage)."""
    most = dict(recipe.strongest)
    for name, weight in [*options.guidance.items(), *options.strength.items()]:
        if name not in recipe.hints:
            hint = nearest(name, recipe.hints)
            raise ColorizeError(f"the model `{recipe.name}` does not support the hint `{name}`", hint, code=2)
        if recipe.chooses and weight != 1:
            message = f"the weight of `{name}` is {weight:g}, but `{recipe.name}` chooses colors and mixes none"
            raise ColorizeError(message, "leave --guidance and --strength out, or choose another model", code=2)
    if options.colors is not None and not recipe.chooses:
        message = f"`{recipe.name}` mixes colors freely, so --colors cannot limit them"
        raise ColorizeError(
            message, "leave --colors out, or choose a model that chooses among given colors: mini", code=2
        )
    if options.auto_hints is not None and not (recipe.once and "hints" in recipe.hints):
        hint = "leave it out, or choose a model of `manga-gan` that takes color hints"
        raise ColorizeError(f"the model `{recipe.name}` does not support --auto-hints", hint, code=2)
    for name, share in options.strength.items():
        if share > most.get(name, 1.0):
            hint = f"with `{recipe.name}` choose 0 (without it) to {most.get(name, 1.0):g}"
            raise ColorizeError(f"the strength of `{name}` is {share:g}", hint, code=2)
    recipe.system.check(recipe.name, options)


def check_job(recipe: "Recipe", options: SampleOptions, job: Job) -> tuple[str, ...]:
    """Return notes on what is given with a drawing; refuse what the recipe does not take.

    Raises ColorizeError (wrong usage), also for guidance by a hint that is not given.
    """
    from colorize.hints import COLORED, HINTS, OPTIONAL

    for name in job.given:
        if name not in recipe.hints:
            message = f"the model `{recipe.name}` does not support `{name}` ({HINTS[name].option})"
            raise ColorizeError(message, "it takes: " + ", ".join(recipe.hints), code=2)
    if any(one.palette for one in job.references) and not recipe.pretrain.mix.palette:
        hint = "give a picture with --ref, or choose a model that has: mini"
        raise ColorizeError(f"the model `{recipe.name}` was not trained on palettes", hint, code=2)
    for name in [*options.guidance, *options.strength]:
        if name in OPTIONAL and name not in job.given:
            hint = f"give it with {HINTS[name].option}"
            raise ColorizeError(f"`{name}` has a weight but was not given", hint, code=2)
    recipe.system.check_job(recipe.name, options, job)
    if [name for name in COLORED if name in recipe.hints] == ["reference"] and not job.references:
        return (f"no reference was given; `{recipe.name}` guesses the colors",)
    return ()


def check_kind(name: str, kind: str, options: SampleOptions) -> None:
    """Refuse a gray picture that is to become flat or layers: it has no lines between its regions."""
    if kind == "gray" and options.divides:
        wanted = "--flat" if options.flat else "--layers" if options.layers else "--save-regions"
        message = f"`{name}` is a gray picture, and {wanted} works only on line art"
        raise ColorizeError(message, f"leave {wanted} out, or treat the picture as line art with --kind line")
