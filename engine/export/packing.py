"""Several runs packed for another installation: one zip, made and kept as other files are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.data.writer import check_free
from engine.errors import UserError
from engine.export import making
from engine.export.run_manifest import MOST_RUNS
from engine.export.run_zip import needed_sets, packed_bytes
from engine.runs.layout import FINAL
from engine.runs.store import RunStore

VERSION = 1


def key_of(run_ids: Sequence[str], with_data: bool = False) -> str:
    """What the zip of these runs is called in the cache: a hash of all that it is made of.

    Raises:
        UserError: There is no such run.
    """
    store = RunStore()
    runs = [(run_id, making.stamps(store.folder(run_id))) for run_id in run_ids]
    data = [(one.id, one.info.get("fingerprint"), one.name) for one in needed_sets(run_ids)]
    return making.key_for({"version": VERSION, "pack": runs, "data": data if with_data else None})


def start(run_ids: Sequence[str], with_data: bool = False) -> None:
    """Begin to pack runs; harmless while that goes on, and once it is done.

    Args:
        run_ids: Finished runs.
        with_data: Pack the data sets that they learned from too.

    Raises:
        UserError: There is nothing to pack, a run is not finished, there are too many, the disk is too full,
            or too many files are being made.
    """
    store = RunStore()
    if not run_ids:
        raise UserError("There is no finished run to pack: train one first.")
    if len(run_ids) > MOST_RUNS:
        raise UserError(f"{len(run_ids):,} runs are too many for one zip: choose {MOST_RUNS:,} at most.")
    for run_id in run_ids:
        if store.get(run_id).state not in FINAL:
            raise UserError(f"The run {run_id} is not finished: wait for it, or stop it first.")
    check_free(packed_bytes(run_ids, with_data))
    making.begin(key_of(run_ids, with_data), {"runs": list(run_ids), "data": with_data})


def packed(key: str) -> tuple[Path, int]:
    """The finished zip of a key, and how many runs are in it.

    Raises:
        UserError: It is not made, or holds a run or a data set that who is acting may not see.
    """
    path, request = making.made_file(key), making.request_of(key)
    run_ids = request.get("runs")
    if not isinstance(run_ids, list) or key_of(run_ids, bool(request.get("data"))) != key:
        raise UserError("This zip is not there any more: pack the runs again.")
    return path, len(run_ids)
