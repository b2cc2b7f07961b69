"""ColorizeDiffusion (Yan et al. 2024 and 2025): latent diffusion, a sketch and the colors of a reference.

The networks are the published ones, tensor by tensor, so that weights of versions 1, 1.5 and 2 load.
Departures: all 16 places follow the weight of the reference; the guidance window closes for its steps only;
half-masked tokens of version 1.5 are made the same way of a given background and of a masked reference;
version 2's background encoder reads the background's own tokens; latents are the autoencoder's mean; seeds
depend on the picture, not on its batch; drawings keep their proportions on a canvas of 64-multiples.
As published, sampling begins with pure noise although the schedule ends a little before it (alpha = 0.07).
"""

from __future__ import annotations

from dataclasses import replace

from colorize.colorize_diffusion.conditioner import SketchAndReference
from colorize.colorize_diffusion.encoders import ClusterSpec, SideSpec, ThresholdSpec
from colorize.colorize_diffusion.unet import LatentUNetSpec
from colorize.colorize_diffusion.vae import Latent
from colorize.diffusion.schedules import ScaledLinear
from colorize.model import Sampling
from colorize.recipes.recipe import DenoiserSpec, Denoising, Mix, Recipe, Stage

MIX = Mix(reference=0.9, other=0.0, warp=0.0, restyle=0.5, margins=0.2, crop=0.8)
STAGE = Stage(
    objective=Denoising(offset=0.05, noisy=1.0),
    mix=MIX,
    size=512,
    batch=1,
    steps=130_000,
    lr=1e-5,
    ema=0.9999,
    aspects=("1:1", "1:1", "5:6", "6:5", "2:3", "3:2", "3:5", "5:3"),
)

RECIPE = Recipe(
    name="colorize-diffusion",
    help="Latent diffusion in the colors of a reference, edited by words; published weights, for GPUs",
    hints=("line", "reference"),
    strongest=(("line", 3.0), ("reference", 2.0)),
    size=512,
    space=Latent(),
    condition=SketchAndReference(),
    denoiser=DenoiserSpec(net=LatentUNetSpec(), predicts="eps"),
    schedule=ScaledLinear(steps=1000),
    sampling=Sampling(steps=20, sampler="dpmpp", spacing="karras", threshold=None, guidance=(("reference", 5.0),)),
    pretrain=STAGE,
    # The authors then drop half of the references, since in training these always match the sketch.
    finetune=replace(STAGE, objective=Denoising(offset=0.05), mix=replace(MIX, reference=0.5), steps=60_000),
)

VARIANTS = {
    "v1.5": replace(
        RECIPE,
        help="Figure and background told apart by masks",
        condition=SketchAndReference(threshold=ThresholdSpec(), clusters=ClusterSpec()),
        denoiser=DenoiserSpec(net=LatentUNetSpec(lora=(4, 0.5)), predicts="eps"),
    ),
    "v2": replace(
        RECIPE,
        help="With encoders of background and style; 768 px",
        size=768,
        condition=SketchAndReference(sides=SideSpec()),
        denoiser=DenoiserSpec(net=LatentUNetSpec(lora=(4, 4), tuned=(False, True), sides=True), predicts="v"),
    ),
}
