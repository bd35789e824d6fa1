"""Settings of the autoencoder family; imports no torch."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Literal

from pydantic import model_validator

from engine.errors import UserError
from engine.fields import Scalar, setting
from engine.methods.config import TrainingConfig
from engine.models.codes import LARGEST, SMALLEST

TUTORIAL: dict[str, Scalar] = {
    "network": "mlp",
    "hidden": 128,
    "latent_size": 10,
    "loss": "bce",
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "schedule": "constant",
    "warmup_epochs": 0,
    "weight_decay": 0.0,
    "batch_size": 128,
    "epochs": 5,
}
LOSSES = {"bce": "Binary cross-entropy", "mse": "Mean squared error"}


class CodeConfig(TrainingConfig):
    """What every autoencoder can be told."""

    STEPS: ClassVar[int] = 1200  # that a default run takes, about a minute on two cores at 32 px

    epochs: int = setting(12, "How many times training goes through all images.", ge=1, le=2000)
    batch_size: int = setting(
        64, "Images per step; more need more memory and make fewer, smoother steps.", ge=1, le=4096
    )
    learning_rate: float = setting(
        0.003, "How far each step moves the weights; too high and the loss explodes.", gt=0, le=10
    )
    optimizer: Literal["sgd", "adam", "adamw", "lars"] = setting(
        "adam",
        "The rule that turns gradients into steps.",
        more=True,
        labels={"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "lars": "LARS (large batches)"},
    )
    weight_decay: float = setting(
        0.0, "Pulls weights towards zero at each step, but not biases and norms.", more=True, ge=0, le=1
    )

    @classmethod
    def suggested(cls, n_train: int, nuisances: Collection[str] = ()) -> dict[str, Scalar]:
        """Enough epochs for a picture worth looking at, few on a large set and many on a small one."""
        steps = max(1, n_train // int(cls.model_fields["batch_size"].default))
        return {"epochs": min(80, max(3, round(cls.STEPS / steps)))}

    def check_size(self, image_size: int) -> None:
        """Refuse what no network of this family can be built for.

        Raises:
            UserError: One sentence with what would do.
        """
        if not SMALLEST <= image_size <= LARGEST:
            raise UserError(
                f"Autoencoders read images of {SMALLEST} to {LARGEST} px, got {image_size} px: choose a size "
                "between, 28 to 128 px work well."
            )
        latent = int(getattr(self, "latent_size", 1))
        if latent > image_size**2:
            raise UserError(
                f"A code of {latent} numbers is no smaller than a grey image of {image_size} px, which has "
                f"{image_size**2}: choose a smaller latent_size, so that something has to be left out."
            )


class AutoencoderConfig(CodeConfig):
    """Settings of the plain autoencoder, and the base of most others."""

    PRESETS: ClassVar[dict[str, dict[str, Scalar]]] = {"Default": {}, "Tutorial": TUTORIAL}
    PRESET_RECIPES: ClassVar[dict[str, dict[str, Scalar]]] = {"Tutorial": {"image_size": 28}}
    PRESET_NOTES: ClassVar[dict[str, str]] = {
        "Tutorial": "The dense network of the university tutorial: 784-128-128-10 and back, for grey images "
        "of 28 px such as MNIST and Fashion-MNIST; it works on any set."
    }

    network: Literal["conv", "mlp"] = setting(
        "conv",
        "Convolutions know that neighbouring pixels belong together; dense layers must learn it.",
        labels={"conv": "Convolutional", "mlp": "Dense"},
    )
    latent_size: int = setting(
        32, "Numbers in the code: all that the decoder gets to know of an image.", ge=1, le=1024
    )
    hidden: int = setting(
        32,
        "Channels of the first convolution (later ones have up to four times as many), or units of each "
        "dense layer.",
        ge=4,
        le=1024,
        title="Width",
    )
    loss: Literal["mse", "bce"] = setting(
        "mse",
        "How a rebuilt pixel is compared with the real one; cross-entropy has a floor above zero that is "
        "drawn beside it.",
        labels=LOSSES,
    )


class LinearConfig(CodeConfig):
    """Settings of the linear autoencoder; its loss is the squared error, as PCA's."""

    latent_size: int = setting(16, "Numbers in the code; PCA would call them components.", ge=1, le=1024)
    epochs: int = setting(70, "How many times training goes through all images.", ge=1, le=2000)
    learning_rate: float = setting(
        0.01, "How far each step moves the weights; too high and the loss explodes.", gt=0, le=10
    )

    STEPS: ClassVar[int] = 7000


class DenoisingConfig(AutoencoderConfig):
    """Settings of the denoising autoencoder."""

    noise: Literal["gaussian", "mask"] = setting(
        "gaussian",
        "What is done to the image that goes in; the clean one must come out.",
        labels={"gaussian": "Gaussian noise", "mask": "Pixels set to black"},
    )
    noise_level: float = setting(
        0.3,
        "Standard deviation of the noise, where pixels lie from 0 to 1, or the share of pixels blacked out; "
        "too little and copying is enough.",
        ge=0,
        le=1,
    )


class InpaintingConfig(AutoencoderConfig):
    """Settings of in-painting."""

    hole: Literal["block", "centre", "half"] = setting(
        "block",
        "The part that is hidden; only what lies in it counts for the loss.",
        labels={"block": "A block somewhere", "centre": "The centre", "half": "The lower half"},
    )
    hole_size: float = setting(
        0.5, "Side of the hidden block as a share of the image's side.", gt=0, le=0.9, more=True
    )


class ColorizationConfig(AutoencoderConfig):
    """Settings of colorization."""

    PRESETS: ClassVar[dict[str, dict[str, Scalar]]] = {"Default": {}}
    PRESET_RECIPES: ClassVar[dict[str, dict[str, Scalar]]] = {}
    PRESET_NOTES: ClassVar[dict[str, str]] = {}

    network: Literal["conv", "mlp"] = setting(
        "conv",
        "Convolutions know that neighbouring pixels belong together; dense layers must learn it.",
        more=True,
        labels={"conv": "Convolutional", "mlp": "Dense"},
    )
    latent_size: int = setting(
        64, "Numbers in the code: all that the decoder gets to know of the grey image.", ge=1, le=1024
    )


class SplitBrainConfig(ColorizationConfig):
    """Settings of the split-brain autoencoder."""

    network: Literal["conv"] = setting(
        "conv", "Each half is convolutional.", more=True, labels={"conv": "Convolutional"}
    )
    latent_size: int = setting(
        64, "Numbers in both codes together; each half has half of them.", ge=2, le=1024
    )


class VariationalConfig(AutoencoderConfig):
    """Settings of the variational autoencoder."""

    PRESET_NOTES: ClassVar[dict[str, str]] = {
        "Tutorial": "The tutorial's dense network, here with a variational code."
    }

    loss: Literal["mse", "bce"] = setting(
        "bce",
        "How a rebuilt pixel is compared with the real one; with squared error the code collapses sooner.",
        labels=LOSSES,
    )
    beta: float = setting(
        1.0,
        "Weight of the term that pulls every code towards a standard normal; above 1 codes are tidier and "
        "pictures blurrier, and too much makes the code say nothing.",
        ge=0,
        le=1000,
    )


class MaskedConfig(CodeConfig):
    """Settings of the masked autoencoder."""

    epochs: int = setting(12, "How many times training goes through all images.", ge=1, le=2000)
    mask_share: float = setting(
        0.75, "Share of the patches that is hidden; only those count for the loss.", ge=0.1, le=0.95
    )
    hidden: int = setting(
        64, "Width of the transformer: numbers that describe a patch.", ge=8, le=768, title="Width"
    )
    optimizer: Literal["sgd", "adam", "adamw", "lars"] = setting(
        "adamw",
        "The rule that turns gradients into steps.",
        more=True,
        labels={"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "lars": "LARS (large batches)"},
    )
    weight_decay: float = setting(
        0.05, "Pulls weights towards zero at each step, but not biases and norms.", more=True, ge=0, le=1
    )
    normalise_patches: bool = setting(
        False,
        "Predict each patch less its own mean and in units of its own spread, as the paper does for better "
        "features; the pictures then borrow both from the original.",
        more=True,
    )

    @model_validator(mode="after")
    def _width_fits(self) -> MaskedConfig:
        if self.hidden % 4:
            raise ValueError(f"hidden must be a multiple of 4, for its four heads, got {self.hidden}.")
        return self
