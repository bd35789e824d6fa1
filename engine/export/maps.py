"""A map as a file: the table and the arrays are written here, the rest by the writers of `MAP_FORMATS`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from engine import files
from engine.errors import UserError
from engine.evaluation.map_result import LatentMap, read_map
from engine.export.map_figures import data_of
from engine.export.map_formats import MAP_FORMATS
from engine.export.tables import SPLITS, cell
from engine.fields import load
from engine.runs.store import RunStore

NEIGHBOURS = 10  # a row names
NOTHING = "This map has no panel yet: wait for the first, or make it again."


def write_map(run_id: str, path: Path, store: RunStore | None = None) -> None:
    """Write a map run to a file of the kind that its ending names (`MAP_FORMATS`), whole or not at all.

    Raises:
        UserError: There is no map, no such kind of file, or it cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in MAP_FORMATS:
        raise UserError(f"A map is written as one of: {', '.join(MAP_FORMATS)}.")
    found = read_map(run_id, store)
    if found is None or not found.done:
        raise UserError(NOTHING)
    with files.beside(path) as temporary, open(temporary, "wb") as file:
        write_bytes(found, ending, file)


def write_bytes(found: LatentMap, ending: str, file: IO[bytes]) -> None:
    """Write a map that has a panel as the kind of file that `ending`, such as ".svg", stands for.

    Raises:
        UserError: What the kind needs is not there.
    """
    load(MAP_FORMATS[ending].place)(found, file)


def write_csv(found: LatentMap, file: IO[bytes]) -> None:
    """The table, in UTF-8."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    csv.writer(text).writerows(map_rows(found))
    text.flush()
    text.detach()  # the file stays open for whoever opened it


def write_parquet(found: LatentMap, file: IO[bytes], rows: Sequence[int] | None = None) -> None:
    """The table with the types of its columns; `rows` picks and orders its rows, all if None."""
    import pyarrow
    from pyarrow import parquet

    head, columns = _columns(found, rows)
    parquet.write_table(pyarrow.table(dict(zip(head, columns, strict=True))), file)


def write_arrays(found: LatentMap, file: IO[bytes]) -> None:
    """The arrays of `map_arrays`, compressed."""
    np.savez_compressed(file, **map_arrays(found))  # type: ignore[arg-type]


def map_arrays(found: LatentMap) -> dict[str, np.ndarray]:
    """The map as arrays: index, split, label, neighbours, distances, and (n, dimensions) a method."""
    shared = {name: getattr(found, name) for name in ("index", "split", "label", "neighbours", "distances")}
    return shared | {panel.method: panel.positions for panel in found.done if panel.positions is not None}


def map_rows(found: LatentMap, rows: Sequence[int] | None = None) -> Iterator[Sequence[Any]]:
    """The table's head, then a row a point; `rows` picks and orders them, all in their order if None."""
    head, columns = _columns(found, rows)
    yield head
    yield from zip(*columns, strict=True)


def _columns(found: LatentMap, rows: Sequence[int] | None) -> tuple[list[str], list[list[Any]]]:
    chosen = np.arange(len(found.index)) if rows is None else np.asarray(rows, np.int64)
    dataset = data_of(found)
    names = dataset.names if dataset else []
    classes = list(dataset.classes) if dataset else []
    index, label = found.index[chosen], found.label[chosen]

    def name(place: int) -> str:
        return cell(names[place]) if place < len(names) else ""

    head = ["image", "name", "split", "label"]
    columns: list[list[Any]] = [
        index.tolist(),
        [name(int(place)) for place in index],
        [SPLITS[int(code)] for code in found.split[chosen]],
        [cell(classes[code]) if 0 <= code < len(classes) else "" for code in label.tolist()],
    ]
    for panel in found.done:
        assert panel.positions is not None
        for axis, letter in zip(range(panel.positions.shape[1]), "xyz", strict=False):
            head.append(f"{panel.method}_{letter}")
            columns.append([round(float(value), 6) for value in panel.positions[chosen, axis]])
    head.append("neighbours")
    near = found.index[found.neighbours[chosen][:, :NEIGHBOURS]]
    columns.append([" ".join(map(str, row)) for row in near.tolist()])
    return head, columns
