"""What every trainable method can be told: epochs, batch, optimiser, schedule."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from engine.fields import Scalar, setting


class MethodConfig(BaseModel):
    """Settings of anything that a recipe can ask for.

    Not a number is outside every bound, so it is refused like any other impossible value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    PRESETS: ClassVar[dict[str, dict[str, Scalar]]] = {"Default": {}}
    PRESET_RECIPES: ClassVar[dict[str, dict[str, Scalar]]] = {}  # preset -> image_size, backbone
    PRESET_NOTES: ClassVar[dict[str, str]] = {}  # preset -> one sentence a reader should know

    @classmethod
    def suggested(cls, n_train: int, nuisances: Collection[str] = ()) -> dict[str, Scalar]:
        """Settings whose best default depends on the data set.

        Args:
            n_train: How many training images there are.
            nuisances: Names of known factors that vary whatever the class is.
        """
        return {}

    def check_size(self, image_size: int) -> None:
        """Refuse image sizes that these settings cannot do with.

        Raises:
            UserError: One sentence with what would do.
        """


class TrainingConfig(MethodConfig):
    """Settings that the loop reads; a method's own config adds its fields to these."""

    FINAL_RATE: ClassVar[float] = 0.0  # where the cosine ends, as a share of the highest rate

    epochs: int = setting(15, "How many times training goes through all images.", ge=1, le=2000)
    batch_size: int = setting(
        64, "Images per step; more need more memory and make fewer, smoother steps.", ge=1, le=4096
    )
    learning_rate: float = setting(
        0.003, "How far each step moves the weights; too high and the loss explodes.", gt=0, le=10
    )
    optimizer: Literal["sgd", "adam", "adamw", "lars"] = setting(
        "adamw",
        "The rule that turns gradients into steps.",
        labels={"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "lars": "LARS (large batches)"},
    )
    schedule: Literal["constant", "cosine", "step"] = setting(
        "cosine",
        "How the learning rate changes over the run.",
        labels={
            "constant": "Constant",
            "cosine": "Falls along a cosine to zero",
            "step": "Divided by ten after each third",
        },
    )
    weight_decay: float = setting(
        0.05,
        "Pulls weights towards zero at each step, but not biases and norms.",
        more=True,
        ge=0,
        le=1,
    )
    momentum: float = setting(
        0.9, "Share of the last step that is kept in the next; used by SGD and LARS.", more=True, ge=0, lt=1
    )
    warmup_epochs: int = setting(
        1,
        "Epochs over which the learning rate climbs from near zero; the last epoch is never one of them.",
        more=True,
        ge=0,
        le=1000,
    )
