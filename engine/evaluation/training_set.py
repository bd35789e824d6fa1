"""The images that a run has learned from, as they were then; imports no torch."""

from __future__ import annotations

from engine.data.dataset import Dataset, open_dataset
from engine.errors import UserError
from engine.runs.store import RunStore

GONE = "The data set of this run is gone, so its training images cannot be compared; what it predicts holds."
CHANGED = "The data set of this run has changed, so its training images cannot be compared with a picture."


def training_set(run_id: str) -> Dataset:
    """The data set that a run has learned from, as it was then.

    Raises:
        UserError: It is gone or has changed.
    """
    recipe = RunStore().recipe(run_id)
    try:
        dataset = open_dataset(recipe.dataset)
    except UserError:
        raise UserError(GONE) from None
    if recipe.fingerprint and recipe.fingerprint != dataset.fingerprint:
        raise UserError(CHANGED)
    return dataset
