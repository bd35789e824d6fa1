"""A run written to one file of the kind that its name in `RUN_FORMATS` says, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine import files
from engine.data.progress import Report, silent
from engine.errors import UserError
from engine.export.run_formats import refusal, run_format
from engine.fields import load
from engine.runs.store import RunStore


def write_run(run_id: str, name: str, path: Path, report: Report | None = None) -> None:
    """Write a run as `name` to `path`; whatever happens, no half of a file stays behind.

    Args:
        run_id: Which run.
        name: A key of `RUN_FORMATS`.
        path: The file; one that is there is replaced.
        report: Told how far it is.

    Raises:
        UserError: The run cannot be taken home so, or the file cannot be written.
    """
    known = run_format(name)
    if why := refusal(run_id, name):
        raise UserError(why)
    more = {"decoder": True} if known.decoder else {}
    with files.beside(path) as temporary:
        load(known.place)(run_id, temporary, report=report or silent, **more)


def write_encoder(run_id: str, path: Path, report: Report | None = None) -> None:
    """Copy the encoder's weights as the run keeps them."""
    shutil.copyfile(RunStore().encoder_path(run_id), path)


def write_decoder(run_id: str, path: Path, report: Report | None = None) -> None:
    """Copy the decoder's weights as the run keeps them."""
    shutil.copyfile(RunStore().decoder_path(run_id), path)


def write_table(run_id: str, path: Path, report: Report | None = None) -> None:
    """Write what the run says of every image as CSV, or the points of a map.

    Raises:
        UserError: It has said nothing yet.
    """
    from engine.methods import method_entry

    store = RunStore()
    if not method_entry(store.recipe(run_id).method).method:
        from engine.evaluation.map_result import read_map
        from engine.export.maps import NOTHING, write_csv

        found = read_map(run_id, store)
        if found is None or not found.done:
            raise UserError(NOTHING)
        with open(path, "wb") as file:
            write_csv(found, file)
        return
    from engine.export.tables import write_predictions

    with open(path, "w", encoding="utf-8", newline="") as text:
        write_predictions(run_id, text, store)
