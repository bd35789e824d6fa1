"""The pretended training, on a disk that fills up in its second epoch: `filling_worker.py RUN_DIR`."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from engine.runs import worker
from engine.runs.recipe import Recipe
from engine.runs.writer import RunWriter
from tests.runs import fake_worker


def fill(kind: str, epoch: int, step: int, writer: RunWriter) -> None:
    if (epoch, step) != (2, 1) or writer.attempt > 1:
        return
    filler = os.open(writer.folder.parents[1] / "filler", os.O_WRONLY | os.O_CREAT)
    for size in (1024**2, 4096):
        with contextlib.suppress(OSError):
            while os.write(filler, bytes(size)) == size:
                pass
    print("x" * 100_000, flush=True)  # the log is on that disk too


def carry_out(recipe: Recipe, writer: RunWriter) -> dict[str, Any]:
    fake_worker.fault = fill
    return fake_worker.carry_out(recipe, writer)


if __name__ == "__main__":
    worker.carry.__defaults__ = (carry_out,)
    os._exit(worker.main(sys.argv[1:]))
