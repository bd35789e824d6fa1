"""Tables of a run's predictions, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from typing import TextIO

import numpy as np

from engine.data.dataset import open_dataset
from engine.errors import UserError
from engine.runs.store import RunStore

SPLITS = ("train", "val", "test")


def cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def write_predictions(run_id: str, file: TextIO, store: RunStore | None = None) -> int:
    """Write one line an image: its name, split, label, what the run says, how sure it is; gives the lines.

    Args:
        run_id: A finished run.
        file: Opened for text with `newline=""`.
        store: Where the run is.

    Raises:
        UserError: The run has no predictions.
    """
    store = store or RunStore()
    arrays = store.predictions(run_id)
    if arrays is None or not {"index", "split", "label", "probabilities"} <= arrays.keys():
        raise UserError("This run has no predictions yet: they are written when it is done.")
    names, classes = _words(store, run_id, arrays["probabilities"].shape[1])
    writer = csv.writer(file)
    header = ["image", "name", "split", "label", "predicted", "confidence", "correct"]
    writer.writerow([*header, *(cell(f"p({name})") for name in classes)])
    rows = zip(arrays["index"], arrays["split"], arrays["label"], arrays["probabilities"], strict=True)
    for index, split, label, probabilities in rows:
        said = int(np.argmax(probabilities))
        known = 0 <= int(label) < len(classes)
        writer.writerow(
            [
                int(index),
                cell(names[int(index)]) if int(index) < len(names) else "",
                SPLITS[int(split)] if int(split) < len(SPLITS) else "",
                cell(classes[int(label)]) if known else "",
                cell(classes[said]),
                f"{float(probabilities[said]):.6f}",
                int(said == int(label)) if known else "",
                *(f"{float(p):.6f}" for p in probabilities),
            ]
        )
    return len(arrays["index"])


def _words(store: RunStore, run_id: str, width: int) -> tuple[list[str], list[str]]:
    """(names of the images, names of the classes); numbers where the data set is gone."""
    try:
        dataset = open_dataset(store.recipe(run_id).dataset)
    except UserError:
        return [], [str(number) for number in range(width)]
    classes = list(dataset.classes)
    return dataset.names, classes if len(classes) == width else [str(number) for number in range(width)]
