"""Finished autoencoder runs for the page tests: really trained, for an epoch or two on a tiny set."""

from __future__ import annotations

from typing import Any

from engine.data.dataset import Dataset
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.store import RunStore


def code_recipe(dataset: Dataset, method: str = "autoencoder", **config: Any) -> Recipe:
    """A recipe that takes a second."""
    settings: dict[str, Any] = {"epochs": 1, "batch_size": 8}
    if method == "masked_autoencoder":
        settings["hidden"] = 16
    elif method != "linear_autoencoder":
        settings["hidden"] = 4
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": method}
    return check_recipe(
        make_recipe({**fields, "config": settings | config, "backbone": None, "image_size": 16, "seed": 0})
    )


def code_run(dataset: Dataset, method: str = "autoencoder", **config: Any) -> str:
    """The id of a run that has finished."""
    store = RunStore()
    run = store.create(code_recipe(dataset, method, **config)).id
    InlineExecutor(store).submit(run)
    assert store.status(run).state == "done", store.log_tail(run)
    return run
