"""When a waiting run is likely to start: from what the running ones say is left, and how long others took."""

from __future__ import annotations

import heapq
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import median

from engine.runs import layout, tickets
from engine.runs.quotas import MostRunning
from engine.runs.summary import RunSummary, summarize
from engine.settings import settings

LATEST = 15  # finished runs of a method by which the length of the next is judged
UNKNOWN = math.inf
REMEMBERED = 10.0  # seconds that the usual lengths are not looked up again


def expected_starts(root: Path, slots: int | None = None) -> dict[str, float]:
    """Run id -> seconds until it is likely to start; those of which nothing can be said are left out.

    Args:
        root: The folder of the runs.
        slots: How many run at once; as the settings say if None.
    """
    line = tickets.tickets(root)
    if not line:
        return {}
    usual = usual_seconds(root)
    running = [(_left(root, run_id, usual), owner) for run_id, owner in tickets.running_now(root)]
    waiting = [(ticket, _length(root, ticket.run, usual)) for ticket in line]
    return simulate(waiting, running, slots or settings().slots, MostRunning())


def place_words(place: int | None, seconds: float | None = None) -> str:
    """Where a run stands in line: 'place 3, starts in about 12 min', or 'place 3' alone."""
    words = f"place {place or 1}"
    if seconds is None:
        return words
    if seconds < 45:
        return f"{words}, starts within a minute"
    minutes = seconds / 60
    length = f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
    return f"{words}, starts in about {length}"


def simulate(
    waiting: Sequence[tuple[tickets.Ticket, float]],
    running: Sequence[tuple[float, str]],
    slots: int,
    most: Callable[[str], int],
) -> dict[str, float]:
    """When each of the waiting runs starts if all of them take as long as expected.

    Args:
        waiting: The tickets, first to start first, each with its length in seconds, infinite if unknown.
        running: (seconds left, owner) of those that run.
        slots: How many run at once.
        most: Owner -> how many of their runs may run at once, 0 for any number.

    Returns:
        Run id -> seconds from now.
    """
    line, ends, now = list(waiting), list(running), 0.0
    heapq.heapify(ends)
    busy = Counter(owner for _, owner in ends)
    starts: dict[str, float] = {}
    while line:
        free = len(ends) < slots
        able = (at for at, (ticket, _) in enumerate(line) if not _full(ticket.owner, busy, most))
        chosen = next(able, None) if free else None
        if chosen is not None:
            ticket, length = line.pop(chosen)
            starts[ticket.run] = now
            heapq.heappush(ends, (now + length, ticket.owner))
            busy[ticket.owner] += 1
            continue
        if not ends:
            break
        now, owner = heapq.heappop(ends)
        busy[owner] -= 1
        if now == UNKNOWN:
            break
    return starts


def _full(owner: str, busy: Mapping[str, int], most: Callable[[str], int]) -> bool:
    limit = most(owner) if busy.get(owner, 0) else 0
    return bool(limit) and busy[owner] >= limit


def usual_seconds(root: Path) -> dict[str, float]:
    """Method -> median seconds of its latest finished runs on this machine; looked up every few seconds."""
    known = _usual.get(os.fspath(root))
    if known is None or time.monotonic() - known[0] > REMEMBERED:
        found = {method: median(lengths) for method, lengths in _lengths(root).items()}
        known = _usual[os.fspath(root)] = time.monotonic(), found
    return known[1]


_usual: dict[str, tuple[float, dict[str, float]]] = {}  # folder of runs -> when it was asked, what was found


def _lengths(root: Path) -> dict[str, list[float]]:
    """Seconds of the latest finished runs of each method."""
    done = []
    for run in _summaries(root):
        if run.state == layout.DONE and run.finished and run.seconds is not None and run.attempt == 1:
            done.append((run.finished, run.seconds, run))
    lengths: dict[str, list[float]] = {}
    for _, seconds, run in sorted(done, key=lambda item: -item[0]):
        if len(lengths.get(run.method, [])) < LATEST and _was_here(root / run.id):
            lengths.setdefault(run.method, []).append(seconds)
    return lengths


def _summaries(root: Path) -> Iterator[RunSummary]:
    try:
        names = [entry.name for entry in os.scandir(root) if entry.name[:1] != "."]
    except OSError:
        return
    for name in names:
        if run := summarize(os.fspath(root), name, {}):
            yield run


def _was_here(folder: Path) -> bool:
    status = layout.read_status(folder)
    return status.get("host") == layout.host() and not status.get("imported")


def _length(root: Path, run_id: str, usual: Mapping[str, float]) -> float:
    """Seconds that a run is likely to take; infinite where nothing is known of its method."""
    return usual.get(_method(root / run_id / layout.RECIPE), UNKNOWN)


@lru_cache(maxsize=4096)
def _method(path: Path) -> str:
    """The method in a recipe, which never changes."""
    return str(layout.load_json(path)[0].get("method"))


def _left(root: Path, run_id: str, usual: Mapping[str, float]) -> float:
    """Seconds that a running run says are left; where it does not, what is left of the usual length."""
    left = layout.load_json(root / run_id / layout.PROGRESS)[0].get("seconds_left")
    if isinstance(left, (int, float)) and not isinstance(left, bool) and layout.number(left) == left >= 0:
        return float(left)
    started = layout.number(layout.read_status(root / run_id).get("started"))
    return max(0.0, _length(root, run_id, usual) - max(0.0, time.time() - started))
