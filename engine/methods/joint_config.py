"""Settings of the methods without negatives: BYOL, SimSiam, Barlow Twins, VICReg; imports no torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from engine.fields import Scalar, setting
from engine.methods.self_supervised_config import (
    BREAK,
    CIFAR_COLOURS,
    CIFAR_NOTE,
    CIFAR_RECIPE,
    OPTIMIZERS,
    VIEWS,
    ViewsConfig,
)


class PairConfig(ViewsConfig):
    """Settings of methods without negatives that predict one view from the other."""

    stop_gradient: bool = setting(
        True, "Keep the gradient from the side that is to be predicted.", group=BREAK
    )
    predictor: bool = setting(True, "A small network between the two sides.", group=BREAK)
    predictor_size: int = setting(
        128, "Units of the predictor's hidden layer.", more=True, ge=4, le=8192, title="Predictor width"
    )


class BYOLConfig(PairConfig):
    """Settings of BYOL."""

    IMAGES: ClassVar[int] = 132_000
    PRESETS: ClassVar[dict[str, dict[str, Scalar]]] = {
        "Default": {},
        "Views of the paper": {
            "crop_min": 0.08,
            "saturation": 0.2,
            "blur": 1.0,
            "solarise": 0.0,
            "second_blur": 0.1,
            "second_solarise": 0.2,
        },
        "CIFAR-10 (GPU)": {
            **CIFAR_COLOURS,
            "saturation": 0.2,
            "second_blur": 0.0,
            "second_solarise": 0.2,
            "epochs": 800,
            "batch_size": 512,
            "optimizer": "sgd",
            "learning_rate": 0.12,
            "weight_decay": 5e-4,
            "warmup_epochs": 10,
            "ema_momentum": 0.99,
            "predictor_rate": 1.0,
            "hidden_size": 1024,
            "predictor_size": 1024,
            "output_size": 256,
        },
    }
    PRESET_RECIPES: ClassVar[dict[str, dict[str, Scalar]]] = {"CIFAR-10 (GPU)": CIFAR_RECIPE}
    PRESET_NOTES: ClassVar[dict[str, str]] = {
        "Views of the paper": "Blur and solarisation as at 224 px; on small images they cost more than they "
        "teach.",
        "CIFAR-10 (GPU)": CIFAR_NOTE,
    }
    PAPER_VIEWS: ClassVar[str] = (
        "BYOL drew its two views differently: the first always blurred, the second blurred one time in ten "
        "and solarised one time in five; crops, colours, grey and mirroring alike for both."
    )
    BREAKS: ClassVar[dict[str, str]] = {
        "stop_gradient": "Without it the online network is its own target, and all meet in one point: on "
        "digits the spread of z fell to 0.02 and the loss to 0, and neighbours got worse (67 % right instead "
        "of 84 %).",
        "predictor": "Without a predictor the embeddings shrink: on digits the spread fell to 0.02, and "
        "neighbours got worse (70 % right instead of 84 %).",
        "norm": "Without any normalisation z collapsed on digits (spread below 0.001). GroupNorm with "
        "standardised weights was shown to work at scale; in our short run z collapsed all the same, while "
        "neighbours under h stayed good.",
        "ema_momentum": "Held constant at 0 the target is the online network itself, as in SimSiam; at 1 it "
        "never learns.",
    }

    batch_size: int = setting(
        128,
        "Images per step, each seen twice; without negatives small batches do, and make more steps. The last "
        "images of an epoch that fill no batch wait for the next.",
        ge=2,
        le=4096,
    )
    learning_rate: float = setting(
        0.1, "How far each step moves the weights; the papers scale it by batch / 256.", gt=0, le=100
    )
    optimizer: Literal["sgd", "adam", "adamw", "lars"] = setting(
        "sgd",
        "The rule that turns gradients into steps.",
        more=True,
        labels=OPTIMIZERS,
    )
    weight_decay: float = setting(
        5e-4, "Pulls weights towards zero at each step, but not biases and norms.", more=True, ge=0, le=1
    )
    ema_momentum: float = setting(
        0.9,
        "Share of itself that the target network keeps at the start; rises to 1 along a cosine.",
        ge=0,
        le=1,
        step=0.01,
        title="Momentum of the target",
    )
    ema_schedule: Literal["cosine", "constant"] = setting(
        "cosine",
        "How that share changes over the run.",
        more=True,
        labels={"cosine": "Rises to 1 along a cosine", "constant": "Constant"},
    )
    predictor_rate: float = setting(
        10.0,
        "How many times faster than the rest the predictor learns. A quick one took short runs further here; "
        "the paper's recipe has 1.",
        more=True,
        gt=0,
        le=100,
        title="Predictor's rate",
    )
    second_blur: float = setting(
        0.0,
        "Chance of a blur in the second view.",
        ge=0,
        le=1,
        group=VIEWS,
        off=0.0,
        step=0.1,
        title="Blur, second view",
    )
    second_solarise: float = setting(
        0.2,
        "Chance of inverting all bright pixels in the second view.",
        ge=0,
        le=1,
        group=VIEWS,
        off=0.0,
        step=0.1,
        title="Solarise, second view",
    )


class SimSiamConfig(PairConfig):
    """Settings of SimSiam."""

    IMAGES: ClassVar[int] = 130_000
    PRESETS: ClassVar[dict[str, dict[str, Scalar]]] = {
        "Default": {},
        "CIFAR-10 (GPU)": {
            **CIFAR_COLOURS,
            "crop_min": 0.2,
            "epochs": 800,
            "batch_size": 512,
            "optimizer": "sgd",
            "learning_rate": 0.06,
            "weight_decay": 5e-4,
            "warmup_epochs": 10,
            "hidden_size": 2048,
            "predictor_size": 512,
            "output_size": 2048,
        },
    }
    PRESET_RECIPES: ClassVar[dict[str, dict[str, Scalar]]] = {"CIFAR-10 (GPU)": CIFAR_RECIPE}
    PRESET_NOTES: ClassVar[dict[str, str]] = {"CIFAR-10 (GPU)": CIFAR_NOTE}
    PAPER_VIEWS: ClassVar[str] = (
        "SimSiam used the views of MoCo v2: crops of 20 to 100 % of the area, colour jitter, grey, blur and "
        "mirroring."
    )
    BREAKS: ClassVar[dict[str, str]] = {
        "stop_gradient": "Without it the embeddings run to one point: spread 0.03 on digits.",
        "predictor": "The paper saw a collapse without it. Twelve epochs on digits did not collapse, but z "
        "used fewer directions (8 instead of 13).",
        "norm": "Without any normalisation z collapsed on digits, and neighbours with it (50 % right instead"
        " of 82 %).",
    }


class BarlowTwinsConfig(ViewsConfig):
    """Settings of Barlow Twins."""

    FINAL_RATE: ClassVar[float] = 0.001
    PAPER_VIEWS: ClassVar[str] = "Barlow Twins used BYOL's two views, one of them solarised at times."
    BREAKS: ClassVar[dict[str, str]] = {
        "redundancy_weight": "At 0 nothing keeps two numbers of the embedding from saying the same: on "
        "digits the effective rank fell from 19 to 16."
    }

    hidden_size: int = setting(
        512, "Units of the projection head's hidden layers.", more=True, ge=8, le=8192, title="Head width"
    )
    output_size: int = setting(
        256, "Numbers in the embedding; more help this method.", more=True, ge=2, le=8192, title="Embedding"
    )
    redundancy_weight: float = setting(
        0.005, "Weight of the terms off the diagonal of the correlation matrix.", ge=0, le=1, title="Lambda"
    )


class VICRegConfig(ViewsConfig):
    """Settings of VICReg."""

    FINAL_RATE: ClassVar[float] = 0.001
    PAPER_VIEWS: ClassVar[str] = "VICReg used BYOL's views: both may be blurred and solarised."
    BREAKS: ClassVar[dict[str, str]] = {
        "variance_weight": "At 0 nothing keeps the embeddings apart: on digits the spread fell to 0.18, and "
        "neighbours got worse (65 % right instead of 92 %).",
        "covariance_weight": "At 0 the numbers of the embedding may all say the same: on digits the "
        "effective rank fell from 46 to 22.",
    }

    hidden_size: int = setting(
        512, "Units of the expander's hidden layers.", more=True, ge=8, le=8192, title="Head width"
    )
    output_size: int = setting(
        256, "Numbers in the embedding; more help this method.", more=True, ge=2, le=8192, title="Embedding"
    )
    invariance_weight: float = setting(25.0, "Weight of the distance between the views.", ge=0, le=1000)
    variance_weight: float = setting(25.0, "Weight of the spread that is asked for.", ge=0, le=1000)
    covariance_weight: float = setting(
        1.0, "Weight of what the numbers of the embedding have in common.", ge=0, le=1000
    )
