"""What supervised runs reached on a data set: the fine-tuned figure of an encoder, and the ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.runs.layout import DONE, number
from engine.runs.store import RunStore
from engine.runs.summary import RunSummary


@dataclass(frozen=True)
class FineTuned:
    """A finished classification run that trained its backbone along, judged by one split.

    Attributes:
        run: Its id.
        name: What people call it.
        backbone: The encoder it began with.
        split: "test" or "val".
        accuracy: Of the kept epoch on all images of that split.
        low: Lower end of its 95 % interval (Wilson).
        high: Upper end.
        n: Images.
        correct: Images answered correctly.
        validation: Validation accuracy, by which one of several runs is chosen; -1 where there is none.
    """

    run: str
    name: str
    backbone: str
    split: str
    accuracy: float
    low: float
    high: float
    n: int
    correct: int
    validation: float


def fine_tuned(dataset: Dataset, split: str, store: RunStore | None = None) -> list[FineTuned]:
    """Every finished run that learned the classes of this very data set and moved its backbone, newest first.

    Args:
        dataset: Its content must be what the run saw.
        split: "test" or "val"; runs that were not judged by it are left out.
        store: Where runs are.
    """
    store = store or RunStore()
    found = []
    for run in store.list():
        if run.method == "classification" and run.state == DONE and run.dataset == dataset.id:
            one = _of(run, dataset, split, store)
            if one is not None:
                found.append(one)
    return found


def _of(run: RunSummary, dataset: Dataset, split: str, store: RunStore) -> FineTuned | None:
    try:
        recipe, results = store.recipe(run.id), store.results(run.id) or {}
    except UserError:  # damaged, or deleted while we looked
        return None
    figures = _figures(results, split)
    if recipe.fingerprint != dataset.fingerprint or recipe.config.get("mode") == "extract" or figures is None:
        return None
    validation = _figures(results, "val")
    return FineTuned(
        run=run.id,
        name=run.name,
        backbone=recipe.backbone or "",
        split=split,
        accuracy=figures["accuracy"],
        low=figures["interval"][0],
        high=figures["interval"][1],
        n=int(figures["n"]),
        correct=int(number(figures.get("correct"))),
        validation=validation["accuracy"] if validation else -1.0,
    )


def _figures(results: dict[str, Any], split: str) -> dict[str, Any] | None:
    """The figures of a split, where the file holds them whole."""
    splits = results.get("splits")
    found = splits.get(split) if isinstance(splits, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("accuracy"), (int, float)):
        return None
    interval = found.get("interval")
    whole = isinstance(interval, list) and len(interval) == 2 and number(found.get("n")) > 0
    return found if whole else None


def of_encoder(found: Sequence[FineTuned], encoder: str) -> FineTuned | None:
    """The run that an encoder is of, or the one that was fine-tuned from it.

    Of several the one with the best validation accuracy is told, so that no test image chooses.
    """
    own = next((one for one in found if encoder == f"run:{one.run}"), None)
    return own or ceiling([one for one in found if one.backbone == encoder])


def ceiling(found: Sequence[FineTuned]) -> FineTuned | None:
    """The run with the best validation accuracy; the newest among equals."""
    return max(found, key=lambda one: one.validation, default=None)
