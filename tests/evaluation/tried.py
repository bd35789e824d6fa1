"""A finished classification for the tests that try one: really trained, for an epoch or two on a tiny set."""

from __future__ import annotations

from typing import Any

from engine.data.dataset import Dataset
from engine.data.drawn_sets import build_shapes
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.store import RunStore

SIDE = 16


def small_shapes(**images: int) -> Dataset:
    """Drawn shapes of 16 px."""
    return build_shapes(
        "shapes", "Shapes", SIDE, "drawn", images=images or {"train": 60, "val": 30, "test": 20}
    )


def tried_recipe(dataset: Dataset, backbone: str = "random:cnn-small", **config: Any) -> Recipe:
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "classification"}
    settings = {"epochs": 1, "batch_size": 16, "augment": "none", **config}
    rest = {"backbone": backbone, "image_size": SIDE, "seed": 0}
    return check_recipe(make_recipe({**fields, "config": settings, **rest}))


def tried_run(dataset: Dataset, backbone: str = "random:cnn-small", **config: Any) -> str:
    """The id of a run that has finished."""
    store = RunStore()
    run = store.create(tried_recipe(dataset, backbone, **config)).id
    InlineExecutor(store).submit(run)
    assert store.status(run).state == "done", store.log_tail(run)
    return run
