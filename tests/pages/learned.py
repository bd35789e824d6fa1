"""Finished self-supervised runs for the page tests: really trained, for an epoch or two on a tiny set."""

from __future__ import annotations

from typing import Any

from engine.data.dataset import Dataset
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.store import RunStore


def learned_recipe(dataset: Dataset, method: str = "simclr", **config: Any) -> Recipe:
    """A recipe that takes a second or two."""
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 8}
    if method == "moco":
        settings |= {"queue_size": 16, "batch_norm_splits": 2}
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": method}
    rest = {"backbone": "random:cnn-small", "image_size": 32, "seed": 0}
    return check_recipe(make_recipe({**fields, "config": settings | config, **rest}))


def learned_run(dataset: Dataset, method: str = "simclr", **config: Any) -> str:
    """The id of a run that has finished."""
    store = RunStore()
    run = store.create(learned_recipe(dataset, method, **config)).id
    InlineExecutor(store).submit(run)
    assert store.status(run).state == "done", store.log_tail(run)
    return run
