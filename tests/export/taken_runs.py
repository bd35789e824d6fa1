"""Runs to take home: really trained, for one epoch on a few images of one colour a class."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.data.dataset import Dataset
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import check_recipe, make_recipe
from engine.runs.store import RunStore

CLASSES = ("blue", 'it\'s \\ "red"\n<b>')


@contextmanager
def own_workspace(path: Path) -> Iterator[Path]:
    """A workspace for all tests of a file: what is trained once is taken home in many ways."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLAB_WORKSPACE", str(path / "workspace"))
        patch.setenv("REPLAB_EXECUTOR", "inline")
        patch.setenv("REPLAB_DEVICE", "cpu")
        patch.setenv("REPLAB_MIN_FREE_BYTES", "0")
        yield path / "workspace"


def classified(dataset: Dataset, backbone: str = "random:cnn-small", size: int = 32, **config: Any) -> str:
    """The id of a finished classification."""
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "classification"}
    settings = {"epochs": 1, "batch_size": 8, "augment": "none", **config}
    rest = {"config": settings, "backbone": backbone, "image_size": size, "seed": 0}
    store = RunStore()
    run = store.create(check_recipe(make_recipe({**fields, **rest}))).id
    InlineExecutor(store).submit(run)
    assert store.status(run).state == "done", store.log_tail(run)
    return run


def some_images(n: int, size: int, seed: int = 0) -> torch.Tensor:
    """(n, 3, size, size) of noise in [0, 1]."""
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def method_says(run: str, images: torch.Tensor) -> dict[str, np.ndarray]:
    """What the trained method itself says of images, in this project's own classes."""
    from engine.training.trained import load_trained

    method: Any = load_trained(run)
    said = {"features": method.backbone(images).numpy()}
    if hasattr(method, "head"):
        said["probabilities"] = method(images).softmax(1).numpy()
    if getattr(method, "decodes", False):
        said["pictures"] = method.decode(torch.from_numpy(said["features"])).numpy()
    return said
