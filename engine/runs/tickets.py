"""The queue: a ticket a run, people served in turn, in front of N slots that are OS locks."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from engine.files import ID_PATTERN, read_json, write_json
from engine.lock import is_locked, release, try_lock
from engine.runs import layout


class Ticket(NamedTuple):
    """A run's place in line, as its file's name says it: reading a line takes one look into a folder."""

    number: int  # in the order of asking
    run: str
    owner: str  # a person's id; empty for the server's

    @property
    def file(self) -> str:
        return f"{self.number:010d}~{self.run}" + (f"~{self.owner}" if self.owner else "")


def tickets(root: Path) -> list[Ticket]:
    """Every ticket, first to start first; some may belong to dead runs."""
    found = _tickets(root)
    return order(found, Counter(owners_running(root)), _served(root)) if found else []


def _tickets(root: Path) -> list[Ticket]:
    found = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(root / layout.TICKETS):
            number, _, rest = entry.name.partition("~")
            run_id, _, owner = rest.partition("~")
            if number.isdigit() and run_id:
                found.append(Ticket(int(number), run_id, owner))
    return found


def order(waiting: Iterable[Ticket], running: Mapping[str, int], served: Mapping[str, int]) -> list[Ticket]:
    """Who starts next, and who then: people take turns, so that a long list of one holds up nobody.

    Whoever has fewer runs going, counting their own that wait in front, goes first; among equals, in order of
    asking, where those who wait with more runs than the one that just had its turn ask again when it ends.

    Args:
        waiting: The tickets, in any order.
        running: Owner -> how many of their runs are running.
        served: Owner -> the number that was next when a run of theirs had its turn last.
    """
    before: Counter[str] = Counter()
    keyed = []
    for ticket in sorted(waiting):
        own = before[ticket.owner]
        asked = max(ticket.number, served.get(ticket.owner, 0))
        keyed.append((running.get(ticket.owner, 0) + own, own, asked, ticket))
        before[ticket.owner] += 1
    return [ticket for *_, ticket in sorted(keyed)]


def take_ticket(root: Path, run_id: str, owner: object = "") -> None:
    """Stand in line at the end; a run that has a ticket keeps it. The caller holds the store's lock."""
    line = _tickets(root)
    if any(ticket.run == run_id for ticket in line):
        return
    folder = root / layout.TICKETS
    folder.mkdir(exist_ok=True)
    known = isinstance(owner, str) and ID_PATTERN.fullmatch(owner)
    (folder / Ticket(_next_number(line, _served(root)), run_id, str(owner) if known else "").file).touch()


def drop_ticket(root: Path, run_id: str) -> None:
    """Leave the line; fine if one was not in it."""
    for ticket in _tickets(root):
        if ticket.run == run_id:
            (root / layout.TICKETS / ticket.file).unlink(missing_ok=True)


def places(root: Path) -> dict[str, int]:
    """Run id -> place in the line, counted from 1."""
    return {ticket.run: place for place, ticket in enumerate(tickets(root), start=1)}


def next_in_line(root: Path, run_id: str, most: Callable[[str], int]) -> bool:
    """Whether nobody alive goes before this run; tickets of the dead found on the way are removed.

    Args:
        root: The folder of the runs.
        run_id: Which.
        most: Owner -> how many of their runs may be running at once, 0 for any number; runs of those who have
            theirs are passed over.
    """
    running = Counter(owners_running(root))
    for ticket in order(_tickets(root), running, _served(root)):
        limit = most(ticket.owner) if running[ticket.owner] else 0
        full = bool(limit) and running[ticket.owner] >= limit
        if ticket.run == run_id:
            return not full
        if full:
            continue
        if layout.true_status(root / ticket.run)["state"] == layout.QUEUED:
            return False
        (root / layout.TICKETS / ticket.file).unlink(missing_ok=True)
    return True


def take_turn(root: Path, run_id: str, slots: int, most: Callable[[str], int]) -> int | None:
    """The lock of a slot, if it is this run's turn and one is free; else None.

    The lock lives until it is released or its holders die. Looking and taking is one step, so two runs of one
    person cannot both slip past a limit of one.
    """
    if not next_in_line(root, run_id, most):
        return None
    guard = try_lock(root / layout.TURN_LOCK)
    if guard is None:
        return None
    try:
        if not next_in_line(root, run_id, most):
            return None
        taken = take_slot(root, slots)
        if taken is None:
            return None
        owner = next((ticket.owner for ticket in _tickets(root) if ticket.run == run_id), "")
        _mark(taken[1], run_id, owner)
        drop_ticket(root, run_id)
        _note_served(root, owner)
        return taken[1]
    finally:
        release(guard)


def end_turn(root: Path, run_id: str, slot: int) -> None:
    """Give the slot of a run that has ended to the next; its owner's other runs ask again now."""
    guard = try_lock(root / layout.TURN_LOCK, wait=2.0)
    try:
        owner = next((owner for run, owner in running_now(root) if run == run_id), "")
        _note_served(root, owner)
        _mark(slot, "", "")
    finally:
        if guard is not None:
            release(guard)
        free_slot(slot)


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


def running_now(root: Path) -> list[tuple[str, str]]:
    """(run id, owner) of the runs that hold a slot, as the slots say: no run's files are read."""
    found = []
    with contextlib.suppress(OSError):
        for entry in sorted(os.scandir(root / layout.SLOTS), key=lambda entry: entry.name):
            if is_locked(Path(entry.path)):
                with open(entry.path, "rb") as file:
                    file.seek(1)  # the first byte is the one that Windows locks
                    run_id, _, owner = file.read(200).decode("ascii", "replace").strip().partition("~")
                if run_id:  # else somebody just looks whether it is free
                    found.append((run_id, owner))
    return found


def owners_running(root: Path) -> list[str]:
    """The owner of each run that holds a slot."""
    return [owner for _, owner in running_now(root)]


def _mark(lock: int, run_id: str, owner: str) -> None:
    """Say on a slot who has it; a full disk takes only the order's fairness, so it is no reason to fail."""
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.lseek(lock, 0, os.SEEK_SET)
        os.write(lock, f" {run_id}~{owner}\n".encode() if run_id else b"")


def _served(root: Path) -> dict[str, int]:
    known = read_json(root / layout.SERVED, {})
    if not isinstance(known, dict):
        return {}
    return {owner: number for owner, number in known.items() if isinstance(number, int)}


def _note_served(root: Path, owner: str) -> None:
    """Remember that a person had a turn, for as long as it matters: while they and others wait."""
    line = _tickets(root)
    waiting = {ticket.owner for ticket in line}
    if owner not in waiting or len(waiting) == 1:
        return
    served = _served(root)
    kept = {other: number for other, number in served.items() if other in waiting}
    with contextlib.suppress(OSError):
        write_json(root / layout.SERVED, {**kept, owner: _next_number(line, served)})


def _next_number(line: Iterable[Ticket], served: Mapping[str, int]) -> int:
    return max([0, *(ticket.number for ticket in line), *served.values()]) + 1
