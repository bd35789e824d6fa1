"""Zips of runs taken in by a process of their own, which tells how far it is and can be stopped."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from engine import files
from engine.child import start_detached
from engine.errors import UserError
from engine.export.making import GRACE, LOCK, REQUEST, STATUS, STOP, UNDER_WAY, Making
from engine.export.run_import import Imported
from engine.lock import is_locked
from engine.runs import layout
from engine.settings import settings

ZIP = "runs.zip"
MOST_AT_ONCE = 4
CUT_OFF = "The import was interrupted, and nothing was kept: drop the zip again."


@dataclass(frozen=True)
class TakingIn(Making):
    """How an import of runs is doing.

    Attributes:
        runs: What was taken in, once it is done.
    """

    runs: tuple[Imported, ...] = ()


def start(path: Path) -> str:
    """Begin to take in the runs of a zip, which is moved away for it; gives the import's id.

    Raises:
        UserError: There is no such zip, or too many imports are under way.
    """
    if not path.is_file():
        raise UserError("There is no such zip: check its name.")
    if sum(taking_in(job).state in UNDER_WAY for job in _jobs()) >= MOST_AT_ONCE:
        raise UserError(f"{MOST_AT_ONCE} zips are being taken in already: wait until one is done.")
    job = files.new_id()
    folder = job_folder(job)
    folder.mkdir(parents=True)
    try:
        shutil.move(path, folder / ZIP)
        files.write_json(folder / REQUEST, {"started": time.time()})
        start_detached("engine.export.take_in_worker", folder)
    except OSError:
        files.remove_tree(folder)
        raise UserError("The import could not be started: the disk may be full.") from None
    return job


def job_folder(job: str) -> Path:
    """Where an import keeps its zip and tells how it is doing; swept with all that is for a while only."""
    return files.inside(settings().tmp, files.check_id(job, "import id"))


def taking_in(job: str) -> TakingIn:
    """How the import is doing, truthfully: one that died, or is gone, reads as interrupted."""
    folder = job_folder(job)
    status = _read(folder)
    if status.state in UNDER_WAY and not is_locked(folder / LOCK):
        status = _read(folder)  # it may have ended between the two looks
        started = layout.number((files.read_json(folder / REQUEST) or {}).get("started"))
        starting = status.state == "queued" and abs(time.time() - started) < GRACE
        if status.state in UNDER_WAY and not starting:
            status = replace(status, state="interrupted", error=CUT_OFF)
    return status


def _read(folder: Path) -> TakingIn:
    known = files.read_json(folder / STATUS, {"state": "queued"})
    try:
        runs = tuple(Imported(**run) for run in known.pop("runs", ()))
        return TakingIn(**known, runs=runs)
    except (AttributeError, TypeError):
        return TakingIn("interrupted", error=CUT_OFF)


def stop(job: str) -> None:
    """Ask the import to stop; it leaves nothing behind."""
    folder = job_folder(job)
    if folder.exists():
        (folder / STOP).touch()


def clear(job: str) -> None:
    """Forget an import that has ended."""
    if taking_in(job).state not in UNDER_WAY:
        files.remove_tree(job_folder(job))


def _jobs() -> list[str]:
    try:
        names = os.listdir(settings().tmp)
    except OSError:
        return []
    return [n for n in names if files.ID_PATTERN.fullmatch(n) and (settings().tmp / n / REQUEST).is_file()]
