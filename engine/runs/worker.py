"""The worker: `python -m engine.runs.worker RUN_DIR` carries out one run and exits with a code."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.data.progress import Stopped as ReadingStopped
from engine.errors import UserError
from engine.files import write_json
from engine.lock import release, try_lock
from engine.logs import mark, told
from engine.runs import layout, outcome
from engine.runs.recipe import Recipe, check_recipe
from engine.runs.writer import RunWriter, Stopped

ORPHAN_SECONDS = 20.0  # how long a worker may tidy up after its runner died
NICENESS = 5  # the web server comes first

CarryOut = Callable[[Recipe, RunWriter], Any]


def carry(writer: RunWriter, carry_out: CarryOut | None = None) -> int:
    """Carry out the run of `writer` and return the exit code; the sentence for a failure is in error.json."""
    folder = writer.folder
    writer.sweep()
    try:
        if carry_out is None:
            from engine.methods import work_of

            recipe = check_recipe(Recipe.from_json((folder / layout.RECIPE).read_bytes()))
            work_of(recipe.method)(recipe, writer)
        else:
            carry_out(Recipe.from_json((folder / layout.RECIPE).read_bytes()), writer)
        writer.close()
    except (Stopped, ReadingStopped):
        return _closed(writer, outcome.STOPPED)
    except Exception as error:
        found = mark()
        writer.log(f"fault {found}\n{told(error)}")
        code, sentence = outcome.explain(error, folder, found)
        with contextlib.suppress(OSError):  # on a full disk the exit code says it all
            write_json(folder / layout.ERROR, {"error": str(UserError(sentence))})
        return _closed(writer, code)
    return outcome.OK  # also if Stop was pressed too late to matter


def _closed(writer: RunWriter, code: int) -> int:
    with contextlib.suppress(OSError):
        writer.close()
    return code


def _watch_runner(writer: RunWriter) -> None:
    """End when the runner does: its end of our standard input closes, however it dies."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    writer.stop_event.set()
    time.sleep(ORPHAN_SECONDS)
    os._exit(outcome.ORPHANED)


def main(argv: list[str]) -> int:
    folder = Path(argv[0]).resolve()
    attempt = int(layout.number(layout.read_status(folder).get("attempt"))) or 1
    writer = RunWriter(folder, attempt)

    def end(*_: object) -> None:
        if writer.stop_requested():  # asked before and not heard: leave from where we are
            raise Stopped
        writer.stop_event.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICENESS)
    lock = try_lock(folder / layout.WRITER_LOCK, wait=ORPHAN_SECONDS + 5.0)
    if lock is None:
        writer.log("another process is still writing this run")
        return outcome.ORPHANED
    threading.Thread(target=_watch_runner, args=(writer,), daemon=True).start()
    try:
        writer.progress(phase="starting", note="", flush=True)
        return carry(writer)
    except OSError as error:
        return outcome.explain(error, folder)[0]
    finally:
        release(lock)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # nothing that a library left running may keep the slot
