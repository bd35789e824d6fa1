"""Settings of classification; apart from the method so that forms and the command line need no torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from engine.fields import Scalar, setting
from engine.methods.config import TrainingConfig

# Names of the augmentation recipes in engine/data/augment.py.
Augment = Literal["none", "light", "standard", "strong"]


class ClassificationConfig(TrainingConfig):
    """How a classifier is trained on a backbone."""

    PRESETS: ClassVar[dict[str, dict[str, Scalar]]] = {
        "Default": {},
        # A frozen backbone in seconds: its features are computed once, only the head learns.
        "Frozen backbone": {
            "mode": "extract",
            "epochs": 30,
            "learning_rate": 0.003,
            "augment": "none",
            "weight_decay": 0.0,
            "warmup_epochs": 0,
        },
        # Ants and bees as in the PyTorch transfer tutorial, at 224 px.
        "Tutorial": {
            "mode": "extract",
            "epochs": 15,
            "batch_size": 8,
            "optimizer": "sgd",
            "learning_rate": 0.001,
            "momentum": 0.9,
            "schedule": "constant",
            "weight_decay": 0.0,
            "warmup_epochs": 0,
            "label_smoothing": 0.0,
            "class_balance": "none",
            "augment": "standard",
            "augmented_copies": 4,
        },
    }

    # What a preset also sets in the recipe, and where it departs from what it is named after.
    PRESET_RECIPES: ClassVar[dict[str, dict[str, Scalar]]] = {
        "Tutorial": {"image_size": 224},
        "Tutorial, fine-tuning": {"image_size": 224},
    }
    PRESET_NOTES: ClassVar[dict[str, str]] = {
        "Tutorial": "The tutorial draws a new crop and flip for every image in every epoch and keeps dropout "
        "and BatchNorm statistics moving; here the frozen backbone runs once on 4 augmented copies an image.",
        "Tutorial, fine-tuning": "As in the tutorial, except that a tie between epochs goes to the lower "
        "validation loss and batches really hold 8 images.",
    }

    mode: Literal["extract", "last_block", "everything"] = setting(
        "everything",
        "Which part of the network learns; what does not learn stays exactly as it was.",
        labels={
            "extract": "Only the new head (backbone frozen)",
            "last_block": "The head and the last block",
            "everything": "Everything",
        },
    )
    augment: Augment = setting(
        "light",
        "Random changes to training images, so that the network cannot learn them by heart.",
        labels={
            "none": "None",
            "light": "Light: small crops and flips",
            "standard": "Standard: random resized crops and flips",
            "strong": "Strong: crops, flips, colours, grey, blur",
        },
    )
    augmented_copies: int = setting(
        0,
        "With a frozen backbone: how many augmented copies of each image are used; 0 takes the plain image.",
        ge=0,
        le=8,
    )
    label_smoothing: float = setting(
        0.0, "Share of certainty moved from the true class to all classes.", more=True, ge=0, le=0.5
    )
    class_balance: Literal["none", "weighted_loss", "balanced_sampling"] = setting(
        "none",
        "What to do when some classes have far more images than others.",
        more=True,
        labels={
            "none": "Nothing",
            "weighted_loss": "Weigh rare classes more in the loss",
            "balanced_sampling": "Draw rare classes more often",
        },
    )
    head_dropout: float = setting(
        0.0, "Share of the features hidden from the head at each step.", more=True, ge=0, le=0.9
    )


ClassificationConfig.PRESETS["Tutorial, fine-tuning"] = {
    **ClassificationConfig.PRESETS["Tutorial"],
    "mode": "everything",
    "augmented_copies": 0,
}
