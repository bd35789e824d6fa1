"""Wrong tries: after ten for a name, and many from an address, the next ones must wait."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import UserError
from engine.people import store

# wrong tries that cost nothing; a whole class may share an address, and thirty people mistype more than one
FREE = {"pair": 10, "name": 10, "code": 50, "address": 100}
AT_ONCE = ("pair", "name")  # counted when a try begins
# Whoever knows a name, or shares an address, could keep others out: only the two together wait for long.
LONGEST = {"pair": 15 * 60.0, "name": 30.0, "code": 30.0, "address": 30.0}
FIRST_WAIT = 2.0  # seconds; doubles from one wrong try to the next
FORGOTTEN_AFTER = 30 * 60.0  # seconds without a try
MOST = 4096  # names and addresses remembered

Key = tuple[
    str, str
]  # what is counted ("pair": a name from an address, "name", "address", "code"), and which


class MustWait(UserError):
    """Too many wrong tries."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, math.ceil(seconds))
        super().__init__(f"Too many wrong tries: wait {self.seconds} s, then try again.")


@dataclass
class Count:
    wrong: int = 0
    until: float = 0.0
    last: float = 0.0


class Tries:
    """Counts in this process; a restart forgets them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Key, Count] = {}

    def begin(self, keys: Sequence[Key]) -> None:
        """Let a try begin, unless one of the keys has to wait.

        For a name it counts as wrong until `right` says otherwise, so that many at once are no way around; an
        address may be that of a whole class which signs in at once, and counts when the answer is known.

        Raises:
            MustWait: There were too many wrong ones.
        """
        now = store.now()
        with self._lock:
            waits = (min(self._count(key, now).until - now, LONGEST[key[0]]) for key in keys)
            if (wait := max(waits, default=0.0)) > 0:
                raise MustWait(wait)
            self._add([key for key in keys if key[0] in AT_ONCE], now)

    def wrong(self, keys: Sequence[Key]) -> None:
        """The try was wrong."""
        now = store.now()
        with self._lock:
            self._add([key for key in keys if key[0] not in AT_ONCE], now)

    def right(self, keys: Sequence[Key]) -> None:
        """The try was right: a name begins anew, an address does not.

        Whoever knows one password could otherwise try those of others from the same address without end.
        """
        with self._lock:
            for key in keys:
                if key[0] in AT_ONCE:
                    self._counts.pop(key, None)

    def _add(self, keys: Sequence[Key], now: float) -> None:
        for key in keys:
            count = self._count(key, now)
            count.wrong += 1
            count.last = now
            if count.wrong >= FREE[key[0]]:
                doublings = min(count.wrong - FREE[key[0]], 20)
                count.until = now + min(FIRST_WAIT * 2**doublings, LONGEST[key[0]])

    def forget(self) -> None:
        with self._lock:
            self._counts.clear()

    def _count(self, key: Key, now: float) -> Count:
        count = self._counts.get(key)
        if count is None or abs(now - count.last) > FORGOTTEN_AFTER:
            if len(self._counts) >= MOST:
                self._make_room(now)
            count = self._counts[key] = Count(last=now)
        return count

    def _make_room(self, now: float) -> None:
        for key in [key for key, count in self._counts.items() if now - count.last > FORGOTTEN_AFTER]:
            del self._counts[key]
        mildest = sorted(self._counts, key=lambda key: (self._counts[key].wrong, self._counts[key].last))
        for key in mildest[: max(0, len(self._counts) - MOST * 3 // 4)]:
            del self._counts[key]


TRIES = Tries()
