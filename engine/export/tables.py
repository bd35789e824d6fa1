"""Tables of what a run says of each image, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import numpy as np

from engine.data.dataset import open_dataset
from engine.errors import UserError
from engine.runs.store import RunStore

SPLITS = ("train", "val", "test")
CHUNK = 65536
Row = Sequence[Any]


def cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else text


def write_predictions(run_id: str, file: TextIO, store: RunStore | None = None) -> int:
    """Write one line an image: its name, split, label, and what the run says of it; gives the lines.

    Args:
        run_id: A finished run.
        file: Opened for text with `newline=""`.
        store: Where the run is.

    Raises:
        UserError: The run has no predictions.
    """
    writer = csv.writer(file)
    lines = -1
    for row in prediction_rows(run_id, store):
        writer.writerow(row)
        lines += 1
    return lines


def prediction_rows(
    run_id: str, store: RunStore | None = None, rows: np.ndarray | None = None
) -> Iterator[Row]:
    """The table's head, then a row an image; `rows` picks and orders them, all in their order if None.

    Raises:
        UserError: The run has no predictions.
    """
    store = store or RunStore()
    arrays = store.predictions(run_id)
    kinds = {"probabilities": _classified, "code": _coded, "feature": _learned}
    kind = next((name for name in kinds if arrays is not None and name in arrays), None)
    if arrays is None or kind is None or not {"index", "split", "label"} <= arrays.keys():
        raise UserError("This run has no predictions: they are written when a run is done.")
    names, classes = _words(store, run_id)
    chosen = np.arange(len(arrays["index"])) if rows is None else rows
    return _rows(arrays, chosen, names, classes, kinds[kind](arrays, classes))


def lines(rows: Iterator[Row]) -> Iterator[str]:
    """The rows as parts of a CSV file, a few thousand letters each."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    for row in rows:
        writer.writerow(row)
        if buffer.tell() > CHUNK:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _rows(
    arrays: dict[str, np.ndarray], chosen: np.ndarray, names: list[str], classes: list[str], said: Any
) -> Iterator[Row]:
    head, tell = said
    yield ["image", "name", "split", "label", *head]
    for row in chosen:
        index, split, label = (int(arrays[name][row]) for name in ("index", "split", "label"))
        yield [
            index,
            cell(names[index]) if index < len(names) else "",
            SPLITS[split] if split < len(SPLITS) else "",
            cell(classes[label]) if 0 <= label < len(classes) else "",
            *tell(int(row)),
        ]


def _classified(arrays: dict[str, np.ndarray], classes: list[str]) -> Any:
    """Columns of a classifier: its answer, how sure it is, whether it is right, every probability."""
    shares = arrays["probabilities"]
    width = shares.shape[1]
    words = classes if len(classes) == width else [str(number) for number in range(width)]

    def tell(row: int) -> Row:
        p, label = shares[row], int(arrays["label"][row])
        best = int(np.argmax(p))
        right = int(best == label) if 0 <= label < width else ""
        return [cell(words[best]), f"{float(p[best]):.6f}", right, *(f"{float(v):.6f}" for v in p)]

    return ["predicted", "confidence", "correct", *(cell(f"p({word})") for word in words)], tell


def _coded(arrays: dict[str, np.ndarray], classes: list[str]) -> Any:
    """Columns of an autoencoder: its error, its loss, and the code."""
    codes = arrays["code"]

    def tell(row: int) -> Row:
        figures = (float(arrays["error"][row]), float(arrays["loss"][row]), *map(float, codes[row]))
        return [f"{figure:.6g}" for figure in figures]

    return ["squared_error", "loss", *(f"code_{i + 1}" for i in range(codes.shape[1]))], tell


def _learned(arrays: dict[str, np.ndarray], classes: list[str]) -> Any:
    """Columns of a self-supervised encoder: its features h, and the embedding z after the head."""
    parts = {"h": arrays["feature"]} | ({"z": arrays["embedding"]} if "embedding" in arrays else {})

    def tell(row: int) -> Row:
        return [f"{float(value):.6g}" for values in parts.values() for value in values[row]]

    return [f"{name}_{i + 1}" for name, values in parts.items() for i in range(values.shape[1])], tell


def _words(store: RunStore, run_id: str) -> tuple[list[str], list[str]]:
    """(names of the images, names of the classes); empty where the data set is gone."""
    try:
        dataset = open_dataset(store.recipe(run_id).dataset)
    except UserError:
        return [], []
    return dataset.names, list(dataset.classes)
