"""What a probe by depth can be told: who reads the classes, from how many images, how maps are averaged."""

from __future__ import annotations

from typing import ClassVar, Literal

from engine.fields import Scalar, setting
from engine.methods.config import MethodConfig


class DepthProbeConfig(MethodConfig):
    """Settings of a probe by depth; none of them is a paper's, which probes whole layers."""

    PRESETS: ClassVar[dict[str, dict[str, Scalar]]] = {
        "Default": {},
        "Quick look": {"kind": "knn", "learn": 500, "ask": 500, "places": 1},
    }

    kind: Literal["linear", "knn"] = setting(
        "linear",
        "Who reads the classes: a linear model, or the vote of the nearest training images.",
        labels={"linear": "Linear", "knn": "Neighbours"},
        title="Read by",
    )
    learn: int = setting(
        2000,
        "Training images to learn from; of more, so many are taken, spread over all.",
        ge=20,
        le=10_000,
        title="Images to learn from",
    )
    ask: int = setting(
        1000,
        "Images of the test part, or else the validation part, that judge it.",
        ge=10,
        le=5000,
        title="Images that judge",
    )
    places: Literal[1, 2, 4] = setting(
        2,
        "Every map is averaged down to so many places a side; more keep where things are, and cost memory.",
        labels={"1": "1", "2": "2 × 2", "4": "4 × 4"},
        more=True,
        title="Places kept",
    )
    twin: bool = setting(
        True,
        "Probe the same network with random weights as well: depth helps a little even untrained.",
        more=True,
        title="Untrained twin beside it",
    )
