"""A watcher that remembers, and small learnable images, for tests of the loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.data.augment import View
from engine.methods import parse_config
from engine.methods.classification import Classification
from engine.methods.method import Task
from engine.models.encoder import build_encoder
from engine.training.sources import PixelSource

SIDE = 32
N_TRAIN, N_VAL = 45, 12  # 45 images in batches of 11: the last one would be alone


def images(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a bright left or right half: (n, 32, 32, 3) uint8 and (n,) labels."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 120, (n, SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.arange(n) % 2
    pixels[labels == 0, :, : SIDE // 2] += 100
    pixels[labels == 1, :, SIDE // 2 :] += 100
    return pixels, labels


class Watcher:
    """Keeps what it is told; can ask to stop after so many steps, or fail at an epoch's end."""

    def __init__(self, folder: Path, stop_after: int | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.checkpoint_path = folder / "checkpoint.pt"
        self.best_path = folder / "best.safetensors"
        self.rows: list[dict[str, Any]] = []
        self.told: dict[str, Any] = {}
        self.stop_after, self.asked = stop_after, 0

    def metric(self, row: Mapping[str, Any]) -> None:
        self.rows.append(dict(row))

    def progress(self, **fields: Any) -> None:
        self.told.update(fields)

    def stop_requested(self) -> bool:
        self.asked += 1
        return self.stop_after is not None and self.asked > self.stop_after

    @property
    def epochs(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["kind"] == "epoch"]


def classifier(arch: str = "cnn-small", classes: int = 2, **settings: Any) -> Classification:
    config = parse_config("classification", {"batch_size": 11, "augment": "none", **settings})
    task = Task(tuple("abcdefghij"[:classes]), (N_TRAIN // classes,) * classes, N_TRAIN, SIDE)
    encoder = build_encoder(f"random:{arch}", SIDE, 0)
    torch.manual_seed(0)
    return Classification(encoder, config, task)  # type: ignore[arg-type]


def sources(batch: int = 11, views: tuple[View, ...] = (View(),)) -> tuple[PixelSource, PixelSource]:
    train, val = images(N_TRAIN, 0), images(N_VAL, 1)
    return (
        PixelSource(train[0], np.arange(N_TRAIN), train[1], SIDE, views, batch, 0),
        PixelSource(val[0], np.arange(N_VAL), val[1], SIDE, (), batch, 0),
    )
