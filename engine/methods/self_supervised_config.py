"""Settings that all self-supervised methods share: views, head, and how to break them; imports no torch.

What the papers used stands in the presets; the defaults are for small images on a processor and are ours.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import ClassVar, Literal

from engine.fields import Scalar, setting
from engine.methods.config import TrainingConfig

VIEWS = "Views"  # groups of the form
BREAK = "Break it on purpose"
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "lars": "LARS (large batches)"}
NORMS = {"batch": "BatchNorm", "group": "GroupNorm + standardised weights", "none": "None"}
# 32 px, as the CIFAR experiments of the papers' own repositories: colours at half strength, no blur
CIFAR_COLOURS: dict[str, Scalar] = {
    "crop_min": 0.08,
    "flip": 0.5,
    "rotation": 0.0,
    "jitter": 0.8,
    "brightness": 0.4,
    "saturation": 0.4,
    "hue": 0.1,
    "grayscale": 0.2,
    "blur": 0.0,
}
# What views should change where a factor is known to say nothing about the class: an encoder keeps what its
# views leave alone, and on drawn images that is the colour of the background long before it is the shape.
NUISANCE_VIEWS: dict[str, dict[str, Scalar]] = {
    "rotation": {"rotation": 180.0},
    "hue": {"jitter": 1.0, "hue": 0.5, "saturation": 0.8, "grayscale": 0.5},
    "light": {"brightness": 0.8},
    "scale": {"crop_min": 0.25},
}
CIFAR_RECIPE: dict[str, Scalar] = {"image_size": 32, "backbone": "random:resnet18-small"}
CIFAR_NOTE = (
    "The published CIFAR-10 settings with ResNet-18 and a 3×3 first layer: made for a graphics card, days on "
    "two cores."
)


class ViewsConfig(TrainingConfig):
    """What every method of this family can be told: its views, its head, and how to break it."""

    IMAGES: ClassVar[int] = 160_000  # that a default run goes through; about two minutes on two cores
    PAPER_VIEWS: ClassVar[str] = ""  # what the paper used, in one sentence
    NEEDS_BATCH: ClassVar[int] = 2
    FINAL_RATE: ClassVar[float] = 0.0
    BREAKS: ClassVar[dict[str, str]] = {}  # setting -> what to watch for, as measured

    PRESET_RECIPES: ClassVar[dict[str, dict[str, Scalar]]] = {}
    PRESET_NOTES: ClassVar[dict[str, str]] = {}

    epochs: int = setting(25, "How many times training goes through all images.", ge=1, le=2000)
    batch_size: int = setting(
        256,
        "Images per step, each seen twice; the last images of an epoch that fill no batch wait for the next.",
        ge=2,
        le=4096,
    )
    learning_rate: float = setting(
        0.002, "How far each step moves the weights; the papers scale it by batch / 256.", gt=0, le=100
    )
    optimizer: Literal["sgd", "adam", "adamw", "lars"] = setting(
        "adam",
        "The rule that turns gradients into steps.",
        more=True,
        labels=OPTIMIZERS,
    )
    schedule: Literal["constant", "cosine", "step"] = setting(
        "cosine",
        "How the learning rate changes over the run.",
        more=True,
        labels={
            "constant": "Constant",
            "cosine": "Falls along a cosine to zero",
            "step": "Divided by ten after each third",
        },
    )
    weight_decay: float = setting(
        1e-5, "Pulls weights towards zero at each step, but not biases and norms.", more=True, ge=0, le=1
    )
    hidden_size: int = setting(
        256, "Units of the projection head's hidden layer.", more=True, ge=8, le=8192, title="Head width"
    )
    output_size: int = setting(
        64, "Numbers in the embedding z that the loss compares.", more=True, ge=2, le=8192, title="Embedding"
    )

    crop_min: float = setting(
        0.2,
        "Least share of the image's area that a random crop keeps; 1 switches cropping off.",
        gt=0,
        le=1,
        group=VIEWS,
        off=1.0,
        title="Smallest crop",
    )
    flip: float = setting(
        0.5, "Chance of mirroring left to right.", ge=0, le=1, group=VIEWS, off=0.0, step=0.1
    )
    rotation: float = setting(
        0.0,
        "How far a view may be turned either way, in degrees.",
        ge=0,
        le=180,
        group=VIEWS,
        off=0.0,
        step=15,
    )
    jitter: float = setting(
        0.8,
        "Chance that brightness, contrast, saturation and hue change at all.",
        ge=0,
        le=1,
        group=VIEWS,
        off=0.0,
        step=0.1,
        title="Colour jitter",
    )
    brightness: float = setting(
        0.4,
        "How much brightness and contrast may change: factors from 1 less this to 1 plus this.",
        ge=0,
        le=1,
        group=VIEWS,
        step=0.1,
        title="Brightness and contrast",
    )
    saturation: float = setting(0.4, "How much saturation may change.", ge=0, le=1, group=VIEWS, step=0.1)
    hue: float = setting(
        0.1, "How far hue may turn, in turns of the colour wheel.", ge=0, le=0.5, group=VIEWS, step=0.05
    )
    grayscale: float = setting(
        0.2, "Chance of losing all colour.", ge=0, le=1, group=VIEWS, off=0.0, step=0.1, title="Grey"
    )
    blur: float = setting(0.0, "Chance of a Gaussian blur.", ge=0, le=1, group=VIEWS, off=0.0, step=0.1)
    solarise: float = setting(
        0.0, "Chance of inverting all bright pixels.", ge=0, le=1, group=VIEWS, off=0.0, step=0.1
    )

    norm: Literal["batch", "group", "none"] = setting(
        "batch",
        "What normalises inside encoder and head; the others are offered for the small networks.",
        group=BREAK,
        labels=NORMS,
        title="Normalisation",
    )

    @classmethod
    def suggested(cls, n_train: int, nuisances: Collection[str] = ()) -> dict[str, Scalar]:
        """Few epochs on a large set and many on a small one, batches that it fills, views that change what
        is known not to matter.
        """
        usual = int(cls.model_fields["batch_size"].default)
        batch = usual if n_train >= 2 * usual else 2 ** max(1, int(math.log2(max(2, n_train // 2))))
        found: dict[str, Scalar] = {
            "epochs": min(200, max(3, round(cls.IMAGES / max(1, n_train)))),
            "batch_size": batch,
        }
        for factor, views in NUISANCE_VIEWS.items():
            if factor in nuisances:
                found |= views
        return found
