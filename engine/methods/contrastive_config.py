"""Settings of the methods that tell images apart: SimCLR, MoCo, instance discrimination; imports no torch."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Literal

from pydantic import model_validator

from engine.fields import Scalar, setting
from engine.methods.self_supervised_config import CIFAR_COLOURS, CIFAR_NOTE, CIFAR_RECIPE, ViewsConfig


class SimCLRConfig(ViewsConfig):
    """Settings of SimCLR."""

    PRESETS: ClassVar[dict[str, dict[str, Scalar]]] = {
        "Default": {},
        "CIFAR-10 (GPU)": {
            **CIFAR_COLOURS,
            "epochs": 1000,
            "batch_size": 512,
            "optimizer": "lars",
            "learning_rate": 1.0,
            "weight_decay": 1e-4,
            "warmup_epochs": 10,
            "temperature": 0.5,
            "hidden_size": 512,
            "output_size": 128,
        },
    }
    PRESET_RECIPES: ClassVar[dict[str, dict[str, Scalar]]] = {"CIFAR-10 (GPU)": CIFAR_RECIPE}
    PRESET_NOTES: ClassVar[dict[str, str]] = {"CIFAR-10 (GPU)": CIFAR_NOTE}
    PAPER_VIEWS: ClassVar[str] = (
        "SimCLR drew both views alike: crops of 8 to 100 % of the area, mirroring, strong colour jitter, "
        "grey, and blur on half the images; on CIFAR-10 colours at half strength and no blur."
    )
    BREAKS: ClassVar[dict[str, str]] = {
        "temperature": "A tiny temperature looks at the hardest negative only, a large one at all alike: on "
        "digits 0.02 left z in a narrow cone (spread 0.28), 5 left it in few directions (8 of 64). The loss "
        "of different temperatures cannot be compared.",
        "norm": "Nothing collapses, since the negatives keep embeddings apart, but neighbours got worse on "
        "digits: 75 % right without a norm, 82 % with GroupNorm, 89 % with BatchNorm.",
    }

    learning_rate: float = setting(
        0.003, "How far each step moves the weights; the papers scale it by batch / 256.", gt=0, le=100
    )
    temperature: float = setting(
        0.2,
        "Divides the similarities before the softmax; lower looks harder at the most similar negatives.",
        ge=0.01,
        le=10,
        step=0.05,
    )


class MoCoConfig(ViewsConfig):
    """Settings of MoCo, versions 1 and 2."""

    PRESETS: ClassVar[dict[str, dict[str, Scalar]]] = {
        "Default": {},
        "MoCo v1": {
            "head": "linear",
            "temperature": 0.07,
            "jitter": 1.0,
            "hue": 0.4,
            "grayscale": 0.2,
            "blur": 0.0,
        },
        "MoCo v2": {
            "head": "mlp",
            "temperature": 0.2,
            "jitter": 0.8,
            "hue": 0.1,
            "grayscale": 0.2,
            "blur": 0.5,
        },
        "CIFAR-10 (GPU)": {
            **CIFAR_COLOURS,
            "head": "linear",
            "epochs": 200,
            "batch_size": 512,
            "optimizer": "sgd",
            "learning_rate": 0.06,
            "weight_decay": 5e-4,
            "warmup_epochs": 0,
            "temperature": 0.1,
            "queue_size": 4096,
            "ema_momentum": 0.99,
            "batch_norm_splits": 8,
            "output_size": 128,
        },
    }
    PRESET_RECIPES: ClassVar[dict[str, dict[str, Scalar]]] = {"CIFAR-10 (GPU)": CIFAR_RECIPE}
    PRESET_NOTES: ClassVar[dict[str, str]] = {
        "MoCo v1": "Head, temperature and colours of the first paper; queue and schedule stay ours.",
        "MoCo v2": "Head, temperature and views of the second version; queue and schedule stay ours.",
        "CIFAR-10 (GPU)": CIFAR_NOTE,
    }
    PAPER_VIEWS: ClassVar[str] = (
        "MoCo v1 drew crops of 20 to 100 % of the area, always changed colours, grey and mirroring; v2 "
        "changed colours less often and blurred half the images, as SimCLR had shown to help."
    )
    BREAKS: ClassVar[dict[str, str]] = {
        "ema_momentum": "At 0 the key encoder is the query encoder; on digits that did not fail. At 1 it "
        "never learns, and neighbours got a little worse (87 % right instead of 91 %). Watch"
        " the ages of the keys rather than wait for a collapse.",
        "queue_size": "A tiny queue leaves few negatives: the chance line falls, and the task gets easy. On "
        "digits one batch of keys did as well as four.",
        "norm": "Without BatchNorm z hardly left the one direction it began in on digits (spread 0.04).",
    }

    batch_size: int = setting(
        128,
        "Images per step; the queue brings the negatives, so small batches do. The last images of an epoch "
        "that fill no batch wait for the next.",
        ge=2,
        le=4096,
    )
    temperature: float = setting(
        0.2,
        "Divides the similarities before the softmax; lower looks harder at the most similar negatives.",
        ge=0.01,
        le=10,
        step=0.05,
    )
    queue_size: int = setting(
        1024,
        "Keys of earlier batches that serve as negatives; a multiple of the batch.",
        ge=2,
        le=131_072,
        step=256,
    )
    ema_momentum: float = setting(
        0.99,
        "Share of itself that the key encoder keeps at each step.",
        ge=0,
        le=1,
        step=0.01,
        title="Momentum of the key encoder",
    )
    head: Literal["mlp_norm", "mlp", "linear"] = setting(
        "mlp_norm",
        "Version 1 had one dense layer, version 2 two, version 3 normalised between them.",
        more=True,
        labels={
            "mlp_norm": "Two layers, normalised (v3)",
            "mlp": "Two layers (v2)",
            "linear": "One layer (v1)",
        },
    )
    symmetric: bool = setting(
        False, "Let each view once be the query and once the key; twice the work a step.", more=True
    )
    batch_norm_splits: int = setting(
        8,
        "Parts of a batch that BatchNorm treats apart, with the keys shuffled between them, so that a "
        "batch's statistics cannot give the positive away; 1 switches it off.",
        ge=1,
        le=64,
        more=True,
        title="BatchNorm splits",
    )

    @classmethod
    def suggested(cls, n_train: int, nuisances: Collection[str] = ()) -> dict[str, Scalar]:
        """Also a queue that holds few keys of images that come back while they are in it."""
        found = super().suggested(n_train, nuisances)
        batch = int(found["batch_size"])
        usual = int(cls.model_fields["queue_size"].default)
        queue = min(usual, max(batch, n_train // 2 // batch * batch))
        return {**found, "queue_size": queue, "batch_norm_splits": min(8, batch // 2)}

    @model_validator(mode="after")
    def _fits(self) -> MoCoConfig:
        keys = self.batch_size * (2 if self.symmetric else 1)
        if self.queue_size % keys:
            near = max(1, round(self.queue_size / keys)) * keys
            raise ValueError(
                f"queue_size must be a multiple of the {keys} keys that a step adds, got {self.queue_size}: "
                f"use {near}."
            )
        if self.norm == "batch" and self.batch_size % self.batch_norm_splits:
            raise ValueError(
                f"batch_size must be a multiple of batch_norm_splits ({self.batch_norm_splits}), got "
                f"{self.batch_size}."
            )
        return self


class InstanceConfig(ViewsConfig):
    """Settings of instance discrimination with a memory bank."""

    IMAGES: ClassVar[int] = 240_000
    PAPER_VIEWS: ClassVar[str] = (
        "Instance discrimination showed one view an image: crops of 20 to 100 % of the area, colour jitter, "
        "grey and mirroring; the other side is the image's entry in the memory bank."
    )
    BREAKS: ClassVar[dict[str, str]] = {
        "bank_momentum": "At 1 the bank never changes: every image chases a random point. Twelve epochs on "
        "digits did not suffer from it."
    }

    temperature: float = setting(
        0.1, "Divides the similarities before the softmax over all images.", ge=0.01, le=10, step=0.05
    )
    bank_momentum: float = setting(
        0.5, "Share of itself that an entry of the bank keeps when its image is seen.", ge=0, le=1, step=0.1
    )
