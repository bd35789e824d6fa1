"""Vectors without images: a data set of its own, whose pictures show each row's numbers as shades of grey."""

from __future__ import annotations

import io
import math
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from engine import files
from engine.data.dataset import Dataset, remove_dataset
from engine.data.layout import readable
from engine.data.source import short_name
from engine.data.splits import TRAIN
from engine.data.vector_files import VectorTable, open_table
from engine.data.vectors import add_vectors, check_file
from engine.data.writer import DatasetWriter, disk_full_as_sentence
from engine.errors import UserError
from engine.settings import settings

SMALLEST = 32  # px; smaller pictures are enlarged by whole factors
SAMPLE = 2000  # rows by which a column's black and white are set
BLACK, WHITE = 1.0, 99.0  # percentiles of a column
EMPTY = 128  # grey of cells beyond the last number
NOTE = (
    "These vectors came without images. Each picture shows the numbers of a row as shades, every column from "
    "its 1st to its 99th percentile; the vectors themselves can be mapped as 'My vectors'."
)


def add_vectors_alone(path: Path | str, name: str | None = None, array: str | None = None) -> tuple[str, str]:
    """Make a data set of a file of vectors, all of it or nothing.

    A column `label` or `class` of a Parquet file gives the classes, a column `file` or `name` the names.

    Args:
        path: As `add_vectors` takes it.
        name: What to call data set and vectors; the file's name if None.
        array: Which array of an .npz, where it holds several tables.

    Returns:
        The ids of the data set and of the vectors.

    Raises:
        UserError: The file cannot be used; nothing is left of it.
    """
    path = Path(path)
    shown = short_name(PurePosixPath((name or path.name).replace("\\", "/")).name or path.name)
    check_file(path, shown)
    scratch = files.inside(settings().tmp, files.new_id())
    scratch.mkdir(parents=True)
    try:
        with disk_full_as_sentence(), open_table(path, shown, scratch, array) as table:
            dataset = _drawn(table, shown, name or path.stem)
    finally:
        files.remove_tree(scratch)
    try:
        return dataset.id, add_vectors(path, dataset.id, name, array, in_order=True)
    except BaseException:
        remove_dataset(dataset.id)
        raise


def _drawn(table: VectorTable, shown: str, title: str) -> Dataset:
    classes, labels = _classes(table, shown)
    black, white = _range(table)
    with DatasetWriter(title) as writer:
        for chunk in table.chunks():
            for row in picture_of(chunk, black, white):
                number = len(writer)
                if number == table.rows:
                    raise UserError(f"'{shown}' holds more rows than it says: write it again.")
                given = readable(table.names[number]) if table.names else ""
                writer.add(_png(row), given or f"row {number + 1}")
        if len(writer) < table.rows:
            raise UserError(f"'{shown}' does not hold the rows it says: write it again.")
        report = {"entries": table.rows, "taken": table.rows, "skipped": [], "skipped_count": 0, "ignored": 0}
        return writer.finish(
            classes=classes,
            labels=labels,
            splits=np.full(table.rows, TRAIN, np.uint8),
            report={**report, "reasons": {}, "notes": [NOTE]},
            split_note="All rows are for training.",
            source="vectors",
        )


def _classes(table: VectorTable, shown: str) -> tuple[list[str], np.ndarray]:
    """Class names and (n,) which of them each row has, -1 for none."""
    given = [readable(text).strip()[:100] for text in table.classes or []]
    classes = sorted(set(given) - {""})
    most = settings().max_classes
    if len(classes) > most:
        raise UserError(
            f"'{shown}' has {len(classes):,} different labels and the limit is {most:,}: leave the column "
            "out, or use fewer."
        )
    place = {text: code for code, text in enumerate(classes)}
    labels = [place.get(text, -1) for text in given] or [-1] * table.rows
    return classes, np.array(labels, np.int64)


def _range(table: VectorTable) -> tuple[np.ndarray, np.ndarray]:
    """(d,) the values drawn black and white."""
    step, seen, some = math.ceil(table.rows / SAMPLE), 0, []
    for chunk in table.chunks():
        some.append(chunk[-seen % step :: step])
        seen += len(chunk)
    x = np.concatenate(some).astype(np.float64)
    x[~np.isfinite(x)] = np.nan
    x[:, np.isnan(x).all(0)] = 0  # a column without any number has no range
    low, high = np.nanpercentile(x, (BLACK, WHITE), axis=0)
    return low, high


def picture_of(x: np.ndarray, black: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Rows as square pictures, number by number from the top left.

    Args:
        x: (k, d) rows.
        black: (d,) the value of each column that is drawn black.
        white: (d,) likewise white.

    Returns:
        (k, s, s) uint8 with s of at least `SMALLEST`.
    """
    width = np.where(white > black, white - black, 1)
    shades = np.nan_to_num(np.clip((x - black) / width, 0, 1)) * 255
    side = math.ceil(math.sqrt(x.shape[1]))
    cells = np.full((len(x), side * side), EMPTY, np.uint8)
    cells[:, : x.shape[1]] = np.rint(shades)
    factor = math.ceil(SMALLEST / side)
    return cells.reshape(-1, side, side).repeat(factor, 1).repeat(factor, 2)


def _png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()
