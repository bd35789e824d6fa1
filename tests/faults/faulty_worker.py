"""The real worker, which kills itself at a named place of its first attempt: `faulty_worker.py PLACE RUN`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.runs import layout, worker
from engine.runs.writer import RunWriter

EPOCH = 2  # the one that is broken off


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_phase(phase: str, **where: Any) -> Callable[[], None]:
    """Die once the worker has said that it is in this phase."""

    def arm() -> None:
        real = RunWriter.progress

        def progress(self: RunWriter, *, flush: bool = False, **fields: Any) -> None:
            real(self, flush=True, **fields)
            if all(self._progress.get(name) == value for name, value in {"phase": phase, **where}.items()):
                die()

        RunWriter.progress = progress  # type: ignore[method-assign]

    return arm


def half_a_row() -> None:
    """Die when half of an epoch's row is on disk."""
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if bytes(data).startswith(b'{"kind":"epoch","epoch":%d,' % EPOCH):
            real(fd, data[: len(data) // 2])
            die()
        return real(fd, data)

    os.write = write


def before_the_checkpoint() -> None:
    """Die when the epoch's row is written and its checkpoint is not."""
    from engine.training import loop

    real = loop.save_checkpoint
    loop.save_checkpoint = lambda path, state: die() if state["epoch"] == EPOCH else real(path, state)


def in_the_checkpoint() -> None:
    """Die when half of the checkpoint is on disk, under its temporary name."""
    from engine.training import checkpoint

    real, seen = checkpoint.replace, [0]

    def replace(source: Path, target: Path) -> None:
        seen[0] += target.name == layout.CHECKPOINT
        if seen[0] == EPOCH:
            os.truncate(source, source.stat().st_size // 2)
            die()
        real(source, target)

    checkpoint.replace = replace


def after_the_results() -> None:
    """Die when everything is written and "done" is not."""
    real = RunWriter.results

    def results(self: RunWriter, found: Any) -> None:
        real(self, found)
        die()

    RunWriter.results = results  # type: ignore[method-assign]


# place -> (how to arm it, epochs whose rows are whole by then)
PLACES: dict[str, tuple[Callable[[], None], int]] = {
    "starting": (in_phase("starting"), 0),
    "loading data": (in_phase("reading images", step=64), 0),
    "mid-epoch": (in_phase("training", epoch=EPOCH, step=3), EPOCH - 1),
    "in validation": (in_phase("evaluating", epoch=EPOCH), EPOCH - 1),
    "writing metrics": (half_a_row, EPOCH - 1),
    "between metrics and checkpoint": (before_the_checkpoint, EPOCH),
    "writing a checkpoint": (in_the_checkpoint, EPOCH),
    "after the last epoch": (in_phase("saving"), 4),
    "before done": (after_the_results, 4),
}


if __name__ == "__main__":
    if layout.read_status(Path(sys.argv[2])).get("attempt") == 1:
        PLACES[sys.argv[1]][0]()
    os._exit(worker.main(sys.argv[2:]))
