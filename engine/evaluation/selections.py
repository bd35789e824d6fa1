"""Named selections of a map's points, kept in its run folder so that they are there tomorrow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.errors import UserError
from engine.files import write_json
from engine.runs import layout, outcome
from engine.runs.store import RunStore, clean_name

MOST = 100  # of one map


def list_selections(run_id: str, store: RunStore | None = None) -> dict[str, list[int]]:
    """Rows by name, in the order in which they were saved; what cannot be read is left out."""
    folder = (store or RunStore()).folder(run_id)
    found = layout.load_json(folder / layout.SELECTIONS)[0]
    return {name: rows for name, rows in found.items() if isinstance(rows, list) and all(map(_is_row, rows))}


def _is_row(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def save_selection(run_id: str, name: str, rows: Sequence[int], store: RunStore | None = None) -> str:
    """Keep rows under a name; an older selection of that name gives way. Gives the name as it is kept.

    Raises:
        UserError: The name or the selection is empty, there are too many, or the map is somebody else's.
    """
    store = store or RunStore()
    name = clean_name(name)
    if not name:
        raise UserError("A selection needs a name, so that it is found again: type one.")
    if not len(rows):
        raise UserError("Nothing is selected: draw around some points first.")
    found = list_selections(run_id, store)
    if name not in found and len(found) >= MOST:
        raise UserError(f"This map has {MOST} selections already: remove one first.")
    found[name] = sorted(int(row) for row in np.unique(np.asarray(rows, np.int64)))
    path = store.own_folder(run_id) / layout.SELECTIONS
    with outcome.written():
        write_json(path, found)
    return name


def remove_selection(run_id: str, name: str, store: RunStore | None = None) -> None:
    """Forget a selection; one that is not there is no error.

    Raises:
        UserError: The map is somebody else's.
    """
    store = store or RunStore()
    found = list_selections(run_id, store)
    if found.pop(name, None) is not None:
        path = store.own_folder(run_id) / layout.SELECTIONS
        with outcome.written():
            write_json(path, found)
