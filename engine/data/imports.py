"""Imports that outlive the page that asked for them: one folder and one detached process each."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine import access, files
from engine.access import CHANGE, Ownership
from engine.child import start_detached
from engine.data.catalog import CATALOG, find_catalog_set
from engine.data.dataset import Dataset, clean_title, list_datasets, open_dataset
from engine.errors import UserError
from engine.lock import is_locked
from engine.settings import settings

REQUEST, STATUS, STOP, LOCK = "request.json", "status.json", "stop", "lock"
UNDER_WAY = ("queued", "running")
GRACE = 20.0  # seconds a new import may be without its process: that one is being started
MOST_AT_ONCE = 4
GONE = "There is no such import: it was finished or dismissed."
INTERRUPTED = "The import was interrupted, and nothing was kept: add it again."


@dataclass(frozen=True)
class ImportStatus:
    """How an import is doing.

    Attributes:
        id: Its folder's name.
        state: queued, running, done, failed, stopped or interrupted.
        source_name: What is imported, as people call it.
        started: Seconds since 1970.
        phase: What is going on.
        done: Steps done.
        total: Steps in all, if known.
        note: More to show.
        error: One sentence, if it failed or was interrupted.
        dataset: Id of the new data set, once it is done.
        owner: Id of whoever asked for it.
    """

    id: str
    state: str
    source_name: str
    started: float
    phase: str = ""
    done: int = 0
    total: int | None = None
    note: str = ""
    error: str | None = None
    dataset: str | None = None
    owner: str = ""

    @property
    def ownership(self) -> Ownership:
        return Ownership(self.owner, private=True)


def start_import(
    source: str | Path,
    *,
    name: str | None = None,
    val_fraction: float = 0.2,
    test_fraction: float = 0.0,
    seed: int = 0,
) -> str:
    """Begin to build a data set in a process of its own; `import_status` tells how it goes.

    Args:
        source: A name of the catalog, an uploaded file, or a folder or archive on this machine.
        name: What to call the set; made from the source if None.
        val_fraction: Share of the training images set aside for validation where the source has none.
        test_fraction: Likewise for testing.
        seed: Decides which ones.

    Returns:
        The import's id.

    Raises:
        UserError: The source does not exist, the name is empty, or too many imports are under way.
    """
    text = str(source)
    if text not in CATALOG and not Path(text).exists():
        raise UserError(
            "There is nothing at this place: give a folder, a zip or tar, or a name of the catalog."
        )
    running = [status for status in _all_imports() if status.state in UNDER_WAY]
    source_name = text if text in CATALOG else clean_title(name or Path(text).name)
    if text in CATALOG:
        for status in running:
            if status.source_name == source_name and access.may(CHANGE, status.ownership):
                return status.id
    if len(running) >= MOST_AT_ONCE:
        raise UserError(f"{MOST_AT_ONCE} imports are under way already: wait until one is done.")
    options = {"name": name, "val_fraction": val_fraction, "test_fraction": test_fraction, "seed": seed}
    import_id = files.new_id()
    folder = settings().imports / import_id
    request = {"source": text, "source_name": source_name, "started": time.time(), "options": options}
    request["owner"] = access.me().id
    try:
        folder.mkdir(parents=True)
        files.write_json(folder / REQUEST, request)
        start_detached("engine.data.import_worker", folder, network=text in CATALOG)
    except OSError:
        files.remove_tree(folder)
        raise UserError("The import could not be started: free some disk space, then try again.") from None
    return import_id


def import_folder(import_id: str) -> Path:
    return files.inside(settings().imports, files.check_id(import_id, "import id"))


def import_status(import_id: str) -> ImportStatus:
    """How an import is doing, truthfully: one whose process died reads as interrupted.

    Raises:
        UserError: There is no such import, or it is somebody else's.
    """
    status = _true_status(import_id)
    if not access.may(CHANGE, status.ownership):
        raise UserError(GONE)
    return status


def _true_status(import_id: str) -> ImportStatus:
    folder = import_folder(import_id)
    request = files.read_json(folder / REQUEST)
    if not isinstance(request, dict):
        raise UserError(GONE)
    status = _read(folder, request)
    if status.state in UNDER_WAY and not is_locked(folder / LOCK):
        status = _read(folder, request)  # it may have ended between the two looks
        starting = status.state == "queued" and abs(time.time() - status.started) < GRACE
        if status.state in UNDER_WAY and not starting:
            status = replace(status, state="interrupted", error=INTERRUPTED)
    return status


def _read(folder: Path, request: dict[str, Any]) -> ImportStatus:
    known = files.read_json(folder / STATUS, {"state": "queued"})
    return ImportStatus(
        id=folder.name,
        source_name=str(request["source_name"]),
        started=float(request["started"]),
        owner=str(request.get("owner", "")),
        **known,
    )


def list_imports() -> list[ImportStatus]:
    """The imports of who is acting that nobody has cleared, newest first; all, for a teacher."""
    person = access.me()
    return [status for status in _all_imports() if access.may(CHANGE, status.ownership, person)]


def _all_imports() -> list[ImportStatus]:
    found = []
    with contextlib.suppress(FileNotFoundError):
        for folder in settings().imports.iterdir():
            if files.ID_PATTERN.fullmatch(folder.name):
                with contextlib.suppress(UserError):
                    found.append(_true_status(folder.name))
    return sorted(found, key=lambda status: -status.started)


def stop_import(import_id: str) -> None:
    """Ask an import to stop; it does within a second or two and leaves nothing behind.

    Raises:
        UserError: It is somebody else's.
    """
    folder = import_folder(import_id)
    if folder.exists():
        import_status(import_id)
        (folder / STOP).touch()


def clear_import(import_id: str) -> None:
    """Forget an import that has ended.

    Raises:
        UserError: It is still under way, or somebody else's.
    """
    folder = import_folder(import_id)
    if folder.exists() and import_status(import_id).state in UNDER_WAY:
        raise UserError("This import is still under way: stop it first.")
    files.remove_tree(folder)


def sweep_leftovers() -> None:
    """Remove what killed imports, uploads and writers left in the workspace; call it when a server starts."""
    config = settings()
    living = {status.id for status in _all_imports() if status.state in UNDER_WAY}
    wanted = {
        str(Path(files.read_json(config.imports / import_id / REQUEST)["source"]).absolute())
        for import_id in living
    }
    for path in _entries(config.uploads):
        if not any(place == str(path) or place.startswith(str(path) + os.sep) for place in wanted):
            _remove(path)
    for path in _entries(config.tmp):
        if not is_locked(path / LOCK):
            _remove(path)
    for root in (config.datasets, config.runs, config.imports):
        for path in _entries(root):
            if path.name.startswith(".removed-"):
                _remove(path)


def _entries(folder: Path) -> list[Path]:
    try:
        return [path.absolute() for path in folder.iterdir()]
    except OSError:
        return []


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        files.remove_tree(path)
    else:
        path.unlink(missing_ok=True)


def resolve(data: str) -> Dataset:
    """The data set that `data` names: an id, or a name of the catalog that has been built.

    Raises:
        UserError: There is none; the sentence tells what there is.
    """
    found = find_catalog_set(data) if data in CATALOG else None
    if found:
        return open_dataset(found)
    if data in CATALOG:
        raise UserError(f"'{data}' is in the catalog but not here yet: add it first (data add {data}).")
    files.check_id(data, "data set id")
    known = [summary.id for summary in list_datasets()]
    if data not in known:
        there = ", ".join(known[:8]) or "none yet"
        raise UserError(f"There is no data set '{data[:40]}'; there are: {there}.")
    return open_dataset(data)
