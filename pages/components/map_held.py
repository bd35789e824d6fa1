"""Selections too long for an address: held on the server for a while, each under a short random key."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import UserError

MOST = 100  # selections of all people; of 60,000 points each they are 24 MB
SECONDS = 3600.0  # since the page that offers it was last drawn
GONE = "This selection is not held any more: draw around the points again on its map, or keep it there."


@dataclass
class _Held:
    run: str
    rows: np.ndarray
    until: float


_held: OrderedDict[str, _Held] = OrderedDict()  # the one that was drawn last is the last
_lock = threading.Lock()


def hold(run: str, rows: Sequence[int]) -> str:
    """Hold rows of a map for an address, or hold them longer; gives their key, the same for the same rows."""
    wanted = np.asarray(rows, np.int32)
    with _lock:
        _let_go()
        known = (key for key, held in _held.items() if held.run == run and np.array_equal(held.rows, wanted))
        key = next(known, None) or secrets.token_urlsafe(12)
        _held[key] = _Held(run, wanted, time.monotonic() + SECONDS)
        _held.move_to_end(key)
        while len(_held) > MOST:
            _held.popitem(last=False)
    return key


def held_rows(run: str, key: str) -> list[int]:
    """The rows that are held under a key.

    Raises:
        UserError: None are, or they are another map's.
    """
    with _lock:
        _let_go()
        held = _held.get(key)
    if held is None:
        raise UserError(GONE)
    if held.run != run:
        raise UserError("This selection is of another map: ask for it there.")
    return [int(row) for row in held.rows]


def _let_go() -> None:
    now = time.monotonic()
    for key in [key for key, held in _held.items() if held.until <= now]:
        del _held[key]
