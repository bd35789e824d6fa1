"""The process of one import: `python -m engine.data.import_worker ID`."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from engine import files
from engine.child import Teller, ending_of
from engine.data.catalog import CATALOG, build_catalog_set
from engine.data.dataset import Dataset
from engine.data.imports import LOCK, REQUEST, STATUS, STOP, import_folder
from engine.data.progress import Progress, Stop
from engine.lock import try_lock
from engine.settings import settings


def main(argv: list[str]) -> int:
    """Carry out the import and say how it ended, whatever happens."""
    folder = import_folder(argv[0])
    lock = try_lock(folder / LOCK, wait=2.0)
    if lock is None:
        return 0  # another process has it
    with contextlib.suppress(AttributeError, OSError):
        os.nice(5)  # the pages come first
    teller = Teller(folder / STATUS)
    request = files.read_json(folder / REQUEST)
    ending = ending_of(lambda: {"dataset": _build(request, teller, (folder / STOP).exists).id}, "this import")
    _drop_upload(Path(request["source"]))
    teller.say(**ending)
    return 0 if ending["state"] == "done" else 1


def _build(request: dict[str, Any], report: Teller, stop: Stop) -> Dataset:
    report(Progress("starting", 0))
    source = request["source"]
    if source in CATALOG:
        return build_catalog_set(source, report, stop)
    from engine.data.intake import add_dataset

    return add_dataset(source, progress=report, stop=stop, **request["options"])


def _drop_upload(source: Path) -> None:
    """An uploaded file has served its purpose; a file of the user's own is never touched."""
    uploads = settings().uploads.absolute()
    if source.is_absolute() and source.is_relative_to(uploads) and source != uploads:
        with contextlib.suppress(OSError):
            source.unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
