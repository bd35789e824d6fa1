"""Imports that outlive the page that asked for them: one folder and one detached process each."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine import access, files
from engine.access import CHANGE, READ, Ownership
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
STOP_SECONDS = 10.0  # that an import may take to hear that it is stopped
LEFT_AFTER = 24 * 3600.0  # seconds after which nobody still writes a file
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
        shared: It makes a set of the catalog, for which everybody here may wait.
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
    shared: bool = False

    @property
    def ownership(self) -> Ownership:
        return Ownership(self.owner, private=not self.shared)


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
            if status.source_name == source_name and status.shared:
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
        UserError: There is no such import, or it is somebody else's own.
    """
    status = _true_status(import_id)
    if not access.may(READ, status.ownership):
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
        shared=request.get("source") in CATALOG,
        **known,
    )


def list_imports() -> list[ImportStatus]:
    """What who is acting imports and has not cleared, newest first, and the sets of the catalog on their way.

    A teacher sees all.
    """
    person = access.me()
    return [
        status
        for status in _all_imports()
        if access.may(CHANGE, status.ownership, person)
        or (status.state in UNDER_WAY and access.may(READ, status.ownership, person))
    ]


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
        access.require(CHANGE, import_status(import_id).ownership, "import")
        (folder / STOP).touch()


def clear_import(import_id: str) -> None:
    """Forget an import that has ended.

    Raises:
        UserError: It is still under way, or somebody else's.
    """
    folder = import_folder(import_id)
    if folder.exists():
        status = import_status(import_id)
        access.require(CHANGE, status.ownership, "import")
        if status.state in UNDER_WAY:
            raise UserError("This import is still under way: stop it first.")
    files.remove_tree(folder)


def drop_imports_of(person_id: str) -> None:
    """Stop and forget somebody's imports, and delete the files that they have uploaded and not used."""
    for status in [status for status in _all_imports() if status.owner == person_id]:
        (import_folder(status.id) / STOP).touch()
        end = time.monotonic() + STOP_SECONDS
        while _true_status(status.id).state in UNDER_WAY and time.monotonic() < end:
            time.sleep(0.05)
        files.remove_tree(import_folder(status.id))
    for about in settings().uploads.glob("*.json"):
        if files.read_json(about, {}).get("owner") == person_id:
            for path in settings().uploads.glob(f"{about.stem}.*"):
                path.unlink(missing_ok=True)


def sweep_uploads(older: float = 0.0) -> None:
    """Delete uploads that no import waits for.

    Args:
        older: Seconds since they were written; those that are younger stay.
    """
    wanted = {
        str(Path(files.read_json(import_folder(status.id) / REQUEST)["source"]).absolute())
        for status in _all_imports()
        if status.state in UNDER_WAY
    }
    for path in _entries(settings().uploads):
        if any(place == str(path) or place.startswith(str(path) + os.sep) for place in wanted):
            continue
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime >= older:
                _remove(path)


def sweep_leftovers() -> None:
    """Remove what killed imports, uploads and writers left in the workspace; call it when a server starts."""
    config = settings()
    sweep_uploads()
    for path in _entries(config.tmp):
        if not is_locked(path / LOCK):
            _remove(path)
    _sweep_features(config.cache / "features")
    for root in (config.datasets, config.runs, config.imports):
        for path in _entries(root):
            if path.name.startswith(".removed-"):
                _remove(path)


def _sweep_features(root: Path) -> None:
    """Remove what killed workers left half written, and features kept as an older version kept them."""
    for path in [*root.glob("*.npy"), *root.glob("*/.*.tmp")]:
        with contextlib.suppress(OSError):
            if path.suffix == ".npy" or time.time() - path.stat().st_mtime > LEFT_AFTER:
                path.unlink()


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
