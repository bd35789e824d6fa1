"""The queue: numbered tickets, first come first served, in front of N slots that are OS locks."""

from __future__ import annotations

import contextlib
from pathlib import Path

from engine.lock import release, try_lock
from engine.runs import layout


def tickets(root: Path) -> list[tuple[int, str]]:
    """(number, run id) of every ticket, first in line first; some may belong to dead runs."""
    found = []
    with contextlib.suppress(OSError):
        for entry in (root / layout.TICKETS).iterdir():
            number, _, run_id = entry.name.partition("~")
            if number.isdigit() and run_id:
                found.append((int(number), run_id))
    return sorted(found)


def take_ticket(root: Path, run_id: str) -> None:
    """Stand in line at the end; a run that has a ticket keeps it. The caller holds the store's lock."""
    line = tickets(root)
    if any(other == run_id for _, other in line):
        return
    folder = root / layout.TICKETS
    folder.mkdir(exist_ok=True)
    number = line[-1][0] + 1 if line else 1
    (folder / f"{number:010d}~{run_id}").touch()


def drop_ticket(root: Path, run_id: str) -> None:
    """Leave the line; fine if one was not in it."""
    for number, other in tickets(root):
        if other == run_id:
            (root / layout.TICKETS / f"{number:010d}~{run_id}").unlink(missing_ok=True)


def places(root: Path) -> dict[str, int]:
    """Run id -> place in the line, counted from 1."""
    return {run_id: place for place, (_, run_id) in enumerate(tickets(root), start=1)}


def first_in_line(root: Path, run_id: str) -> bool:
    """Whether nobody alive waits before this run; tickets of the dead found on the way are removed."""
    for number, other in tickets(root):
        if other == run_id:
            return True
        if layout.true_status(root / other)["state"] == layout.QUEUED:
            return False
        (root / layout.TICKETS / f"{number:010d}~{other}").unlink(missing_ok=True)
    return True


def take_slot(root: Path, slots: int) -> tuple[int, int] | None:
    """(number, lock) of a free slot, or None; the lock lives until it is released or its holders die."""
    folder = root / layout.SLOTS
    folder.mkdir(exist_ok=True)
    for number in range(slots):
        lock = try_lock(folder / str(number))
        if lock is not None:
            return number, lock
    return None


def free_slot(lock: int) -> None:
    release(lock)
