"""The process that makes one file: `python -m engine.export.make_worker KEY`."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from engine import files
from engine.child import EVERY, Teller, ending_of
from engine.export.making import LOCK, MADE, REQUEST, STATUS, STOP, made_folder
from engine.export.run_zip import write_runs_zip
from engine.export.take import write_run
from engine.lock import try_lock

NICENESS = 5  # the pages come first


def main(argv: list[str]) -> int:
    """Make the file and say how it ended, whatever happens."""
    folder = made_folder(argv[0])
    lock = try_lock(folder / LOCK, wait=2.0)
    if lock is None:
        return 0  # another process has it
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICENESS)
    request = files.read_json(folder / REQUEST)
    told = _Teller(folder / STATUS)
    told.say(state="running", phase="starting")
    threading.Thread(target=_end_when_asked, args=(folder, told), daemon=True).start()
    ending = ending_of(lambda: _make(request, folder / MADE, told), "this file")
    told.end(**ending)
    return 0 if ending["state"] == "done" else 1


class _Teller(Teller):
    """The first ending that is told is the last word."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.guard, self.ended = threading.Lock(), False

    def say(self, **status: Any) -> None:
        with self.guard:
            if not self.ended:
                super().say(**status)

    def end(self, **status: Any) -> None:
        self.say(**status)
        self.ended = True


def _end_when_asked(folder: Path, told: _Teller) -> None:
    """Exporters cannot be asked to stop, so the process leaves from wherever it is."""
    while not (folder / STOP).exists():
        time.sleep(EVERY)
    if not told.ended:
        told.end(state="stopped")
        for path in folder.glob(f".{MADE}.*"):
            path.unlink(missing_ok=True)
        os._exit(3)


def _make(request: dict[str, Any], path: Path, told: _Teller) -> dict[str, Any]:
    if "runs" in request:
        with files.beside(path) as temporary:
            write_runs_zip(request["runs"], temporary, told, with_data=bool(request["data"]))
    else:
        write_run(str(request["run"]), str(request["format"]), path, told)
    return {"bytes": path.stat().st_size}


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # nothing that a library left running may keep the lock
