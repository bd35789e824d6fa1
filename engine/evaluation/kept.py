"""What can be made of a run's kept predictions, made once until the run's file changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import numpy as np

from engine.errors import UserError
from engine.runs.store import RunStore

T = TypeVar("T")


def remembered(read: Callable[[dict[str, np.ndarray]], T], lacks: str, most: int) -> Callable[[str], T]:
    """A function of a run's id that remembers what `read` makes of its predictions.

    Args:
        read: Given the arrays; none where the file is damaged.
        lacks: The sentence where the run has kept none.
        most: Answers that are remembered.
    """

    @lru_cache(maxsize=most)
    def known(run_id: str, path: str, mark: int) -> T:
        return read(RunStore().predictions(run_id) or {})

    def asked(run_id: str) -> T:
        path = RunStore().predictions_path(run_id)
        try:
            mark = path.stat().st_mtime_ns
        except OSError:
            raise UserError(lacks) from None
        return known(run_id, str(path), mark)

    return asked
