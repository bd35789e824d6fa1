"""What a comparison can be told: which encoders, on which images, and what is measured of each."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import field_validator, model_validator

from engine.errors import UserError
from engine.fields import Scalar, setting
from engine.methods.config import MethodConfig

MOST_ENCODERS = 24
LADDER = (1, 2, 5, 10, 50, 100, 500)  # labels a class
QUICK: dict[str, Scalar] = {"images": 1000, "asked": 1000, "knn": False, "few_labels": False}


class ComparisonConfig(MethodConfig):
    """Settings of a comparison; raw pixels and random weights take part without being named."""

    PRESETS: ClassVar[dict[str, dict[str, Scalar]]] = {"Default": {}, "Best backbone in a minute": QUICK}

    encoders: str = setting(
        "", "Names of the encoders, as the command line writes them, with commas between.", form=False
    )
    split: Literal["test", "val"] = setting(
        "test",
        "Which images judge; the probes always learn from training images.",
        labels={"test": "Test", "val": "Validation"},
        title="Judged on",
    )
    linear: bool = setting(
        True,
        "Softmax regression on the features with all training labels; its penalty is chosen on a fifth of "
        "them that is held out.",
        title="Linear probe",
    )
    knn: bool = setting(
        True,
        "Let the nearest training images vote, weighted by how near they are.",
        title="Nearest neighbours",
    )
    few_labels: bool = setting(
        True,
        "The linear probe again with 1, 2, 5, 10, 50 labels a class, drawn several times.",
        title="Few labels",
    )
    structure: bool = setting(
        True,
        "How well classes stand apart in the features, and how many directions the features use.",
        title="Shape of the features",
        more=True,
    )
    images: int = setting(
        10_000,
        "Training images that the probes learn from, at most; drawn from every class alike.",
        ge=20,
        le=60_000,
        title="Images to learn from",
        more=True,
    )
    asked: int = setting(
        5000,
        "Images that judge, at most; more make every interval narrower.",
        ge=20,
        le=60_000,
        title="Images to judge by",
        more=True,
    )
    few_most: int = setting(
        50, "Labels a class at which the few-label curve ends.", ge=1, le=500, title="Most labels", more=True
    )
    draws: int = setting(
        5, "How often the few labels are drawn anew; more make its bands narrower.", ge=2, le=50, more=True
    )
    sizes: Literal["own", "same"] = setting(
        "own",
        "At which side each encoder reads the images: the one it was made for or trained at, or one for all.",
        labels={"own": "Each its own", "same": "The same"},
        title="Image size",
        more=True,
    )

    @field_validator("encoders")
    @classmethod
    def _known_words(cls, value: str) -> str:
        return ",".join(parse_encoders(value))

    @model_validator(mode="after")
    def _something_measured(self) -> ComparisonConfig:
        if not (self.linear or self.knn or self.few_labels):
            raise ValueError(
                "A comparison needs a measure: switch on the linear probe, neighbours or few labels."
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The encoders in the order in which they were named."""
        return tuple(parse_encoders(self.encoders))

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of labels a class of the few-label curve."""
        return tuple(sorted({*(n for n in LADDER if n < self.few_most), self.few_most}))


def parse_encoders(text: str) -> list[str]:
    """The encoder names in a list with commas, each once; loads no torch.

    Raises:
        UserError: One of them cannot name an encoder, or there are too many.
    """
    from engine.data.vectors import vectors_id
    from engine.models.encoder import PIXELS, parse_encoder

    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if len(names) > MOST_ENCODERS:
        raise UserError(
            f"{len(names)} encoders are too many for one comparison: name {MOST_ENCODERS} at most."
        )
    for name in names:
        if name != PIXELS and vectors_id(name) is None:
            parse_encoder(name)
    return names
