"""What one person may use at once on a class server, and the one place that refuses more."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

from engine import access, files
from engine.access import OPERATOR, TEACHER, Person
from engine.errors import UserError
from engine.runs import layout
from engine.settings import settings

FOLDER = "people-limits"
REMEMBERED = 2.0  # seconds that a waiting runner goes without asking again for somebody's limit


@dataclass(frozen=True)
class Limits:
    """The most that one person may have; 0 = as many as they like."""

    running: int = 0
    queued: int = 0
    bytes: int = 0
    sets: int = 0


@dataclass(frozen=True)
class Usage:
    """What one person has.

    Attributes:
        running: Their runs that are running.
        queued: Their runs that wait.
        sets: Their data sets, with those being imported.
        run_bytes: Disk taken by their runs.
        set_bytes: Disk taken by their data sets.
        other_bytes: Disk taken by their vectors, weights and uploads that are not data sets yet.
    """

    running: int = 0
    queued: int = 0
    sets: int = 0
    run_bytes: int = 0
    set_bytes: int = 0
    other_bytes: int = 0

    @property
    def bytes(self) -> int:
        return self.run_bytes + self.set_bytes + self.other_bytes


NO_LIMITS = Limits()
NAMES = tuple(field.name for field in fields(Limits))


def limits_of(person: Person | None = None) -> Limits:
    """The limits of a person, or of who is acting: of students in a class only, teachers have none."""
    here, person = settings(), person or access.me()
    if here.mode != "class" or person.role in (OPERATOR, TEACHER):
        return NO_LIMITS
    usual = {name: getattr(here, f"max_person_{name}") for name in NAMES}
    return Limits(**{**usual, **own_limits(person.id)})


def own_limits(person_id: str) -> dict[str, int]:
    """The limits that a teacher has set for one person instead of the usual ones, by name."""
    if not person_id:
        return {}
    given = files.read_json(_limits_path(person_id), {})
    if not isinstance(given, dict):
        return {}
    return {name: given[name] for name in NAMES if _is_count(given.get(name))}


def set_limits(person_id: str, **limits: int | None) -> None:
    """Set limits of one person; None gives back the usual one.

    Raises:
        UserError: Who is acting is no teacher, or a limit is no whole number from 0 up.
    """
    require_teacher()
    if unknown := set(limits) - set(NAMES):
        raise UserError(f"There is no limit called {sorted(unknown)[0][:40]}: there are {', '.join(NAMES)}.")
    if bad := [name for name, value in limits.items() if value is not None and not _is_count(value)]:
        raise UserError(f"The limit of {bad[0]} must be a whole number from 0 (no limit) up.")
    path = _limits_path(person_id)
    kept = {name: value for name, value in {**own_limits(person_id), **limits}.items() if value is not None}
    if not kept:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, kept)


def require_teacher() -> None:
    """Refuse all but teachers and the operator.

    Raises:
        UserError: Who is acting is neither.
    """
    if access.me().role not in (OPERATOR, TEACHER):
        raise UserError("Only a teacher can do this: ask yours.")


def _limits_path(person_id: str) -> Path:
    return files.inside(settings().workspace / FOLDER, f"{files.check_id(person_id, 'person')}.json")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class MostRunning:
    """Owner -> how many of their runs may be running at once; asked many times a second by those who wait."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, int]] = {}

    def __call__(self, owner: str) -> int:
        asked, most = self._known.get(owner, (float("-inf"), 0))
        if time.monotonic() - asked > REMEMBERED:
            with contextlib.suppress(UserError):  # of damaged settings: what was known goes on
                most = limits_of(access.person_with(owner)).running if owner else 0
            self._known[owner] = time.monotonic(), most
        return most


# what they use


def usage_of(person_id: str) -> Usage:
    """What a person has now, read from the workspace; what was just deleted counts no more."""
    return usages(person_id).get(person_id, Usage())


def usages(only: str | None = None) -> dict[str, Usage]:
    """Person -> what they have, for all who have something, or for one."""
    parts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for owner, part, count in (
        *_of_runs(only),
        *_of_sets(only),
        *_of_imports(),
        *_of_files(),
        *_of_expected(),
    ):
        if only in (None, owner):
            parts[owner][part] += count
    return {owner: Usage(**counts) for owner, counts in parts.items()}


Part = tuple[str, str, int]  # owner, field of Usage, how much


def _of_runs(only: str | None) -> Iterator[Part]:
    from engine.runs.summary import summarize

    root = settings().runs
    for name in _names(root):
        run = summarize(os.fspath(root), name, {})
        if run is None or only not in (None, run.owner):
            continue
        if run.state in layout.ACTIVE:
            yield run.owner, run.state, 1
        yield run.owner, "run_bytes", files.tree_bytes(root / name) if run.bytes is None else run.bytes


def _of_sets(only: str | None) -> Iterator[Part]:
    from engine.data.dataset import card

    for name in _names(settings().datasets):
        found = card(name)
        if found and only in (None, found.ownership.owner):
            yield found.ownership.owner, "sets", 1
            yield found.ownership.owner, "set_bytes", found.bytes


def _of_imports() -> Iterator[Part]:
    """Data sets that are being imported, and the uploads they are made of."""
    from engine.data.catalog import CATALOG
    from engine.data.imports import REQUEST, UNDER_WAY, import_folder, list_imports

    uploads = settings().uploads.absolute()
    for status in list_imports():
        if status.state not in UNDER_WAY:
            continue
        source = str(files.read_json(import_folder(status.id) / REQUEST, {}).get("source", ""))
        if source not in CATALOG:  # those become the server's
            yield status.owner, "sets", 1
            yield status.owner, "other_bytes", _size(Path(source)) if Path(source).parent == uploads else 0


def _of_files() -> Iterator[Part]:
    """Vectors, weights and uploads."""
    here = settings()
    for path in (*here.datasets.glob("*/vectors/*/vectors.json"), *here.weights.glob("*/weights.json")):
        yield _owner_in(path), "other_bytes", files.tree_bytes(path.parent)
    for path in here.uploads.glob("*.json"):
        taken = sum(_size(other) for other in here.uploads.glob(f"{path.stem}.*"))
        yield _owner_in(path), "other_bytes", taken


def _of_expected() -> Iterator[Part]:
    with _guard:
        coming = [(person, part) for person, parts in _expected.items() for part in parts]
    for person, (sets, count) in coming:
        yield person, "sets", sets
        yield person, "other_bytes", count


def _owner_in(path: Path) -> str:
    found = files.read_json(path)
    return access.ownership(found).owner if isinstance(found, dict) else ""


def _names(root: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(root) if files.ID_PATTERN.fullmatch(entry.name)]
    except OSError:
        return []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


# refusing


@contextlib.contextmanager
def room(**wanted: int) -> Iterator[None]:
    """Let who is acting make something within their limits; one at a time, so no two slip past together.

    Args:
        wanted: Any of `runs`, `sets` and `bytes`: how much more is wanted.

    Raises:
        UserError: It would be over a limit; the sentence names it, what is used and what to do.
    """
    if limits_of() == NO_LIMITS:
        yield
        return
    with layout.store_lock(settings().runs):
        require_room(**wanted)
        yield


def require_room(runs: int = 0, sets: int = 0, bytes: int = 0) -> None:
    """The same for a caller that holds the store's lock.

    Raises:
        UserError: It would be over a limit.
    """
    limits = limits_of()
    if limits == NO_LIMITS:
        return
    used = usage_of(access.me().id)
    if runs and limits.queued and used.queued + runs > limits.queued:
        raise UserError(
            f"You have {_count(used.queued, 'run')} waiting, and one person may have {limits.queued}: wait "
            "until one has started, or stop one."
        )
    if sets and limits.sets and used.sets + sets > limits.sets:
        raise UserError(
            f"You have {_count(used.sets, 'data set')}, and one person may have {limits.sets}: delete one "
            "that is no longer needed, then try again."
        )
    if limits.bytes and used.bytes + max(bytes, 1) > limits.bytes:
        raise UserError(_too_much(used, limits, bytes))


def _too_much(used: Usage, limits: Limits, more: int) -> str:
    parts = {"runs": used.run_bytes, "data sets": used.set_bytes, "other files": used.other_bytes}
    largest = max(parts, key=lambda name: parts[name])
    told = ", ".join(f"{name} {gigabytes(size)}" for name, size in parts.items() if size)
    wanted = f", and {gigabytes(more)} more would be too much" if more and used.bytes <= limits.bytes else ""
    return (
        f"You use {gigabytes(used.bytes)} of the {gigabytes(limits.bytes)} of disk that one person may use "
        f"({told or 'nothing yet'}){wanted}: delete {largest} that are no longer needed, then try again."
    )


def gigabytes(count: float) -> str:
    """'5.0 GB', '12.3 MB'."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _count(n: int, one: str) -> str:
    return f"{n} {one}{'' if n == 1 else 's'}"


# what is on its way

_expected: dict[
    str, list[tuple[int, int]]
] = {}  # person -> (data sets, bytes) that this server makes for them
_guard = threading.Lock()


@contextlib.contextmanager
def expecting(sets: int = 0, bytes: int = 0) -> Iterator[None]:
    """Make, for who is acting, what takes longer than a lock may be held; it counts as used meanwhile.

    Args:
        sets: Data sets that will be there at the end.
        bytes: Disk that they, or whatever it is, may take.

    Raises:
        UserError: It would be over a limit.
    """
    person, part = access.me().id, (sets, bytes)
    with room(sets=sets, bytes=bytes), _guard:
        _expected.setdefault(person, []).append(part)
    try:
        yield
    finally:
        with _guard:
            _expected[person].remove(part)
            if not _expected[person]:
                del _expected[person]


def usual_limits() -> Limits:
    """The limits of a student for whom no teacher has set others."""
    return limits_of(replace(access.THE_VISITOR, role=access.STUDENT))
