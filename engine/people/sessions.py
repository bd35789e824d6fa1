"""Who is signed in: random tokens in browsers, of which the disk knows no more than a keyed digest."""

from __future__ import annotations

import hmac
import os
import re
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from engine import files
from engine.access import Person
from engine.people import store

IDLE_SECONDS, LONGEST_SECONDS = 12 * 3600, 7 * 24 * 3600
REMEMBERED_SECONDS = 2.0  # what another process changes is noticed after this long
SEEN_EVERY_SECONDS = 300.0
MOST_REMEMBERED = 512
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 bytes
NAME = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Remembered:
    person: Person
    at: float


_lock = threading.Lock()
_remembered: OrderedDict[str, Remembered] = OrderedDict()
_ended = 0  # sessions ended in this process: what was read before the last one is not remembered


def begin(person_id: str) -> str:
    """A new session's token; nothing of it can be known before."""
    token = secrets.token_urlsafe(32)
    sweep()
    now = store.now()
    path = _path(_name(token))
    store.write(path, {"person": person_id, "created": now})
    os.utime(path, (now, now))  # the time of change says when the session was last seen
    return token


def person_of(token: str, seen: bool = True) -> Person | None:
    """Whose session this is; None for one that has ended or never was.

    Args:
        token: What the browser sent; anything at all.
        seen: Whether this counts as a sign of life, which keeps the session from ending idle.
    """
    if not isinstance(token, str) or not TOKEN.fullmatch(token):
        return None
    name = _name(token)
    if (person := _known(name)) is not None:
        return person
    before = _ended
    person = _look_up(name, seen)
    if person is not None:
        with _lock:
            if before == _ended:
                _remembered[name] = Remembered(person, store.now())
                while len(_remembered) > MOST_REMEMBERED:
                    _remembered.popitem(last=False)
    return person


def remembered(token: str) -> Person | None:
    """The same without a look at the disk; None where that is needed."""
    return _known(_name(token)) if TOKEN.fullmatch(token) else None


def end(token: str) -> None:
    """Sign out."""
    if TOKEN.fullmatch(token):
        _end(_path(_name(token)))


def end_all(person_id: str) -> None:
    """Sign a person out everywhere."""
    for path in _paths():
        if (files.read_json(path) or {}).get("person") == person_id:
            _end(path)


def sweep() -> None:
    """Delete what is left of sessions that have ended by themselves."""
    for path in _paths():
        kept = files.read_json(path)
        if not isinstance(kept, dict) or _over(path, kept) or store.read(kept.get("person", "")) is None:
            _end(path)


def _name(token: str) -> str:
    return hmac.digest(store.secret(), token.encode("ascii"), "sha256").hex()


def _path(name: str) -> Path:
    return store.root() / "sessions" / name


def _paths() -> list[Path]:
    try:
        return [path for path in (store.root() / "sessions").iterdir() if NAME.fullmatch(path.name)]
    except OSError:
        return []


def _known(name: str) -> Person | None:
    with _lock:
        kept = _remembered.get(name)
        if kept is None or not 0 <= store.now() - kept.at < REMEMBERED_SECONDS:
            return None
        return kept.person


def _look_up(name: str, seen: bool) -> Person | None:
    path = _path(name)
    kept = files.read_json(path)
    if not isinstance(kept, dict) or _over(path, kept):
        return None
    account = store.read(kept.get("person", ""))
    if account is None or account.blocked:
        return None
    try:
        if seen and store.now() - path.stat().st_mtime > SEEN_EVERY_SECONDS:
            os.utime(path, (store.now(), store.now()))  # never makes a file anew that was just deleted
    except OSError:
        return None
    return account.person


def _over(path: Path, kept: dict[str, object]) -> bool:
    created, now = kept.get("created"), store.now()
    try:
        idle = now - path.stat().st_mtime
    except OSError:
        return True
    return not isinstance(created, float | int) or now - created > LONGEST_SECONDS or idle > IDLE_SECONDS


def _end(path: Path) -> None:
    global _ended
    path.unlink(missing_ok=True)
    with _lock:
        _ended += 1
        _remembered.pop(path.name, None)
