"""The process that takes in the runs of one zip: `python -m engine.export.take_in_worker ID`."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import asdict
from typing import Any

from engine.child import Teller, ending_of
from engine.data.progress import Progress
from engine.export.making import LOCK, STATUS, STOP
from engine.export.run_import import import_runs
from engine.export.taking_in import ZIP, job_folder
from engine.lock import try_lock

NICENESS = 5  # the pages come first


def main(argv: list[str]) -> int:
    """Take the runs in and say how it ended, whatever happens."""
    folder = job_folder(argv[0])
    lock = try_lock(folder / LOCK, wait=2.0)
    if lock is None:
        return 0  # another process has it
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICENESS)
    teller = Teller(folder / STATUS)
    teller(Progress("starting", 0))

    def work() -> dict[str, Any]:
        return {"runs": [asdict(run) for run in import_runs(folder / ZIP, teller, (folder / STOP).exists)]}

    ending = ending_of(work, "this import")
    (folder / ZIP).unlink(missing_ok=True)
    teller.say(**ending)
    return 0 if ending["state"] == "done" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
