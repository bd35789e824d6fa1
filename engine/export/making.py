"""Files made in a process of their own, kept in the workspace's cache until what they are made of changes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine import files
from engine.child import start_detached
from engine.errors import UserError
from engine.export.run_formats import refusal, run_format
from engine.lock import held, is_locked
from engine.runs import layout
from engine.runs.store import RunStore, check_space
from engine.runs.summary import data_name
from engine.settings import settings

VERSION = 1  # of what the writers write
REQUEST, STATUS, STOP, LOCK, MADE = "request.json", "status.json", "stop", "lock", "made"
UNDER_WAY = ("queued", "running")
STARTING = ".starting"  # held while somebody starts a file
BUSY = "Another window is starting a file right now: press again in a moment."
PATIENCE = 5.0  # seconds to wait for that
GRACE = 20.0  # seconds a new process may take to start
MOST_AT_ONCE = 3
MOST_BYTES = 2 * 1024**3  # of all files that are kept
LEFT_AFTER = 3600.0  # seconds after which a folder without its file is of no use to anybody
CUT_OFF = "The file was not finished: start it again."
# what each file is made of, besides the encoder
PARTS = (
    layout.RECIPE,
    layout.STATUS,
    layout.NAME,
    layout.RESULTS,
    layout.ENCODER,
    layout.BEST,
    layout.SELECTIONS,
)


@dataclass(frozen=True)
class Making:
    """How a file is doing.

    Attributes:
        state: absent, queued, running, done, failed, stopped or interrupted.
        phase: What is going on.
        done: Steps done.
        total: Steps in all, if known.
        note: More to show.
        error: One sentence, if it failed or was interrupted.
        bytes: Its size once it is done.
    """

    state: str
    phase: str = ""
    done: int = 0
    total: int | None = None
    note: str = ""
    error: str | None = None
    bytes: int = 0


def key_of(run_id: str, name: str) -> str:
    """What the file `name` of a run is called in the cache: a hash of all that it is made of.

    Raises:
        UserError: There is no such run or format.
    """
    run_format(name)
    store = RunStore()
    folder = store.folder(run_id)
    question: dict[str, Any] = {"version": VERSION, "run": run_id, "format": name, "parts": stamps(folder)}
    if name == "report":
        question["data"] = data_name(store.get(run_id).dataset)
        question["maps"] = [run.id for run in store.list() if run.backbone == f"run:{run_id}"]
    return key_for(question)


def key_for(question: Any) -> str:
    """The key of a question that JSON can hold."""
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:40]


def stamps(folder: Path) -> list[tuple[str, list[int]]]:
    """What tells a run's files from what they were."""
    return [(part, _stamp(folder / part)) for part in PARTS]


def _stamp(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def made_folder(key: str) -> Path:
    """Where the file of this key is made and kept."""
    return files.inside(settings().cache, "exports", files.check_id(key, "export id"))


def start(run_id: str, name: str) -> None:
    """Begin to make the file; harmless while it is being made, and once it is.

    Raises:
        UserError: The run cannot be taken home so, or too many files are being made.
    """
    if why := refusal(run_id, name):
        raise UserError(why)
    begin(key_of(run_id, name), {"run": run_id, "format": name})


def begin(key: str, request: Mapping[str, Any]) -> None:
    """Begin to make the file of a key as its request says; harmless while it is being made, and once it is.

    Raises:
        UserError: Too many files are being made, or too little disk is free.
    """
    check_space(settings().workspace)
    # one window at a time decides what is made: between its look and its folder nobody else acts
    with held(settings().cache / "exports" / STARTING, PATIENCE, BUSY):
        if status_of(key).state in (*UNDER_WAY, "done"):
            return
        if sum(status_of(other).state in UNDER_WAY for other in _keys()) >= MOST_AT_ONCE:
            raise UserError(f"{MOST_AT_ONCE} files are being made already: wait until one is ready.")
        _make_room()
        folder = made_folder(key)
        files.remove_tree(folder)
        folder.mkdir(parents=True)
        files.write_json(folder / REQUEST, {**request, "started": time.time()})
        start_detached("engine.export.make_worker", folder)


def making(run_id: str, name: str) -> Making:
    """How the file is doing, truthfully: one whose process died reads as interrupted.

    Raises:
        UserError: There is no such run or format.
    """
    return status_of(key_of(run_id, name))


def status_of(key: str) -> Making:
    """How the file of a key is doing."""
    folder = made_folder(key)
    request = files.read_json(folder / REQUEST)
    if not isinstance(request, dict):
        return Making("absent")
    status = _read(folder)
    if status.state in UNDER_WAY and not is_locked(folder / LOCK):
        status = _read(folder)  # it may have ended between the two looks
        starting = status.state == "queued" and abs(time.time() - layout.number(request["started"])) < GRACE
        if status.state in UNDER_WAY and not starting:
            status = replace(status, state="interrupted", error=CUT_OFF)
    if status.state == "done" and not (folder / MADE).is_file():
        return Making("absent")
    return status


def _read(folder: Path) -> Making:
    known = files.read_json(folder / STATUS, {"state": "queued"})
    try:
        return Making(**known)
    except TypeError:
        return Making("interrupted", error=CUT_OFF)


def made(run_id: str, name: str) -> Path:
    """The finished file.

    Raises:
        UserError: It is not made yet, or was made of something that has changed.
    """
    return made_file(key_of(run_id, name))


def made_file(key: str) -> Path:
    """The finished file of a key.

    Raises:
        UserError: It is not made yet.
    """
    if status_of(key).state != "done":
        raise UserError("This file is not made yet: press its button on the run's page first.")
    path = made_folder(key) / MADE
    with contextlib.suppress(OSError):
        os.utime(path)  # the least recently used are the first to go
    return path


def stop(run_id: str, name: str) -> None:
    """End the making; nothing of the file stays."""
    end(key_of(run_id, name))


def end(key: str) -> None:
    """End the making of a key's file."""
    folder = made_folder(key)
    if folder.exists():
        (folder / STOP).touch()


def request_of(key: str) -> dict[str, Any]:
    """What was asked for under a key; empty where nothing was."""
    request = files.read_json(made_folder(key) / REQUEST)
    return request if isinstance(request, dict) else {}


def forget(run_ids: Collection[str]) -> None:
    """Remove every file that was made of these runs, and stop those that are being made."""
    for key in _keys():
        folder, request = made_folder(key), request_of(key)
        if not {request.get("run"), *(request.get("runs") or ())} & set(run_ids):
            continue
        if status_of(key).state in UNDER_WAY:
            with contextlib.suppress(OSError):
                (folder / STOP).touch()
        else:
            files.remove_tree(folder)


def _keys() -> list[str]:
    try:
        names = os.listdir(settings().cache / "exports")
    except OSError:
        return []
    return [name for name in names if files.ID_PATTERN.fullmatch(name)]


def _make_room() -> None:
    """Forget what was never finished, and the files asked for longest ago until the others fit."""
    there = []
    for key in _keys():
        folder = made_folder(key)
        if status_of(key).state in UNDER_WAY:
            continue
        with contextlib.suppress(OSError):
            if not (folder / MADE).exists():
                if time.time() - folder.stat().st_mtime > LEFT_AFTER:
                    files.remove_tree(folder)
                continue
            found = (folder / MADE).stat()
            there.append((found.st_mtime, found.st_size, key))
    total = sum(size for _, size, _ in there)
    for _, size, key in sorted(there):
        if total <= MOST_BYTES:
            return
        files.remove_tree(made_folder(key))
        total -= size
