"""Data sets, finished runs and comparisons for the tests of the comparison; no training."""

from __future__ import annotations

from typing import Any

from engine.data.dataset import Dataset
from engine.data.drawn_sets import build_shapes
from engine.evaluation.comparison import carry_out
from engine.evaluation.comparison_result import Comparison, read_comparison
from engine.evaluation.metrics import wilson_interval
from engine.files import write_json
from engine.models.encoder import build_encoder
from engine.runs import layout
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.store import RunStore
from engine.training.checkpoint import save_tensors

SIDE = 16
QUICK: dict[str, Any] = {"few_labels": False, "structure": False}


def shapes(name: str = "shapes", **images: int) -> Dataset:
    return build_shapes(
        name, name.title(), SIDE, "drawn", images=images or {"train": 80, "val": 30, "test": 40}
    )


def comparison_recipe(data: Dataset, encoders: str, seed: int = 0, size: int = SIDE, **config: Any) -> Recipe:
    fields = {
        "dataset": data.id, "fingerprint": data.fingerprint, "method": "comparison", "image_size": size,
        "seed": seed, "config": {"encoders": encoders, "sizes": "same", **config},
    }  # fmt: skip
    return check_recipe(make_recipe(fields))


def compared(recipe: Recipe) -> tuple[str, Comparison, dict[str, Any]]:
    run = RunStore().create(recipe).id
    results = carry_out(recipe, RunStore().writer(run))
    found = read_comparison(run)
    assert found is not None
    return run, found, results


def finished(
    data: Dataset,
    method: str = "simclr",
    backbone: str = "random:cnn-small",
    accuracy: dict[str, tuple[int, int]] | None = None,
    **config: Any,
) -> str:
    """A run that is done and has left an encoder of random weights; `accuracy` is (correct, n) by split."""
    store = RunStore()
    fields = {"dataset": data.id, "fingerprint": data.fingerprint, "method": method, "backbone": backbone}
    recipe = check_recipe(make_recipe({**fields, "image_size": SIDE, "config": config}))
    run, folder = store.create(recipe, f"A {method} run")
    save_tensors(folder / layout.ENCODER, build_encoder("random:cnn-small", SIDE, 5).trunk.state_dict())
    info = {"arch": "cnn-small", "width": 128, "image_size": SIDE, "source": backbone, "method": method}
    write_json(folder / layout.ENCODER_INFO, {**info, "dataset": data.id, "fingerprint": data.fingerprint})
    splits = {
        name: {
            "accuracy": correct / n, "n": n, "correct": correct, "interval": list(wilson_interval(correct, n))
        }
        for name, (correct, n) in (accuracy or {}).items()
    }  # fmt: skip
    store.writer(run).results({"splits": splits})
    layout.write_status(folder, state=layout.DONE)
    return run
