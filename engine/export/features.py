"""Features of a data set as a Parquet table: a row an image, with its file name, split, label and vector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.data.dataset import Dataset, open_dataset
from engine.data.progress import Progress, Report, silent
from engine.errors import UserError
from engine.runs.store import RunStore

if TYPE_CHECKING:
    import pyarrow

CHUNK_BYTES = 16 * 2**20  # of vectors written at a time


def write_features(run_id: str, path: Path, report: Report | None = None) -> None:
    """Write what the run's encoder makes of every image of its data set.

    Args:
        run_id: A finished run that trained an encoder.
        path: The file; its columns are image, name, split, label and vector (a list of numbers).
        report: Told how far it is.

    Raises:
        UserError: The data set is not here, or is another by now, or the encoder cannot be used.
    """
    from pyarrow import parquet

    from engine.evaluation.encoding import encode, usual_side

    store = RunStore()
    dataset = data_of(run_id, store)
    encoder = f"run:{run_id}"
    side = usual_side(encoder, dataset)

    def tell(phase: str, done: int, total: int) -> None:
        (report or silent)(Progress(phase, done, total))

    vectors = encode(encoder, dataset, side, tell=tell)
    assert vectors is not None  # it is None only where it was stopped
    facts = {"run": run_id, "encoder": encoder, "image_size": side, "data": dataset.id}
    schema = _schema(vectors.shape[1], facts | {"fingerprint": dataset.fingerprint})
    rows = max(1, CHUNK_BYTES // (4 * vectors.shape[1]))
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, len(dataset), rows):
            some = np.arange(start, min(start + rows, len(dataset)))
            writer.write_table(_table(dataset, vectors, some, schema))
            tell("writing the table", int(some[-1]) + 1, len(dataset))


def data_of(run_id: str, store: RunStore) -> Dataset:
    """The data set that the run learned from.

    Raises:
        UserError: It is not here, or has other content by now.
    """
    recipe = store.recipe(run_id)
    try:
        dataset = open_dataset(recipe.dataset)
    except UserError:
        raise UserError("The data set of this run is not here any more: add it again first.") from None
    if recipe.fingerprint and recipe.fingerprint != dataset.fingerprint:
        raise UserError("The data set of this run has other content by now, so its features would be others.")
    return dataset


def _schema(width: int, facts: dict[str, object]) -> pyarrow.Schema:
    import pyarrow

    columns = {
        "image": pyarrow.int64(),
        "name": pyarrow.string(),
        "split": pyarrow.string(),
        "label": pyarrow.string(),
        "vector": pyarrow.list_(pyarrow.float32(), width),
    }
    return pyarrow.schema(columns, metadata={"representation-lab": json.dumps(facts)})


def _table(dataset: Dataset, vectors: np.ndarray, rows: np.ndarray, schema: pyarrow.Schema) -> pyarrow.Table:
    import pyarrow

    labels = [dataset.classes[code] if code >= 0 else None for code in dataset.labels[rows].tolist()]
    flat = np.ascontiguousarray(vectors[rows], np.float32)
    columns = [
        pyarrow.array(rows),
        pyarrow.array([dataset.names[row] for row in rows.tolist()], pyarrow.string()),
        pyarrow.array(dataset.splits[rows].tolist(), pyarrow.string()),
        pyarrow.array(labels, pyarrow.string()),
        pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(flat.reshape(-1)), flat.shape[1]),
    ]
    return pyarrow.Table.from_arrays(columns, schema=schema)
