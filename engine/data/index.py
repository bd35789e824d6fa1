"""The files of a data set: a table of images, their bytes one after another, small grey thumbnails."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.splits import SPLITS

VERSION = 1
INFO, INDEX, IMAGES, THUMBS, PIXELS = "dataset.json", "index.parquet", "images.bin", "thumbs.npy", "pixels"


def write_index(folder: Path, columns: dict[str, Any], thumbs: np.ndarray) -> None:
    """Write the table of images and their grey thumbnails."""
    import pyarrow
    import pyarrow.parquet as parquet

    table = pyarrow.table(
        {
            key: pyarrow.array(value, type=pyarrow.binary(16) if key == "digest" else None)
            for key, value in columns.items()
        }
    )
    parquet.write_table(table, folder / INDEX, compression="zstd")
    np.save(folder / THUMBS, thumbs)


def read_index(root: Path, columns: list[str] | None = None) -> Any:
    """The table of images, or some columns of it."""
    import pyarrow.parquet as parquet

    # Not memory-mapped: Windows could not delete a mapped file. Not by `read_table`, which loads pandas.
    with parquet.ParquetFile(root / INDEX, memory_map=False) as file:
        return file.read(columns=columns, use_threads=False)


def column(table: Any, name: str) -> np.ndarray:
    """One column of the table, without Arrow's `to_numpy`, which loads pandas: that takes a second.

    Raises:
        KeyError: There is none.
        TypeError: A number is missing.
    """
    import pyarrow.types as types

    values = table.column(name).combine_chunks()
    if types.is_integer(values.type) or types.is_floating(values.type):
        return np.from_dlpack(values)
    return np.array(values.to_pylist())


def fingerprint(
    classes: Sequence[str], digests: Sequence[bytes], labels: np.ndarray, codes: np.ndarray
) -> str:
    """Hash of the content: classes, and of each image, in order, its pixels, label and split."""
    whole = hashlib.sha256(json.dumps(list(classes)).encode())
    whole.update(b"".join(digests))
    whole.update(labels.astype("<i4").tobytes())
    whole.update(codes.astype("u1").tobytes())
    return whole.hexdigest()


def size_summary(sizes: np.ndarray) -> dict[str, list[int]]:
    """Smallest, middle and largest width and height of (n, 2) sizes."""
    if not len(sizes):
        return {}
    return {
        "min": sizes.min(0).tolist(),
        "median": np.median(sizes, axis=0).astype(int).tolist(),
        "max": sizes.max(0).tolist(),
    }


def count_by_split(
    labels: np.ndarray, codes: np.ndarray, classes: Sequence[str]
) -> dict[str, dict[str, int]]:
    """{split: {class: images}} for the splits that hold any image."""
    counts: dict[str, dict[str, int]] = {}
    for code, split in enumerate(SPLITS):
        here = labels[codes == code]
        if len(here):
            numbers = np.bincount(here[here >= 0], minlength=len(classes))
            counts[split] = dict(zip(classes, numbers.tolist(), strict=True))
    return counts
