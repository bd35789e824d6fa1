"""Placing new pictures on a map in a process of its own: no picture and no library can end the server."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from engine import files
from engine.child import start_child
from engine.data.writer import check_free, disk_full_as_sentence
from engine.errors import UserError
from engine.evaluation.new_pictures import Pictures
from engine.evaluation.new_points import NewPoints, PlacedPanel
from engine.lock import held, is_locked
from engine.settings import settings

REQUEST, STATUS, STOP, LOCK = "placing.json", "status.json", "stop", "lock"
STARTING = ".placing"  # in the cache; held while somebody starts one
BUSY = "Another window is starting to place pictures: try again in a moment."
PICTURES, FOUND = "pictures", "found.npz"
MOST_AT_ONCE = 4
TURN = 5.0  # seconds to wait for others who are starting one
GRACE = 20.0  # seconds a new process may take until it holds its lock
PATIENCE = 5.0  # seconds between being asked to stop and being ended
KEPT_SECONDS = 600.0  # one that has ended, before it is forgotten
FINAL = ("done", "failed", "stopped")
_children: dict[str, subprocess.Popen[bytes]] = {}  # by id


@dataclass(frozen=True)
class PlacingStatus:
    """How far it is.

    Attributes:
        state: running, done, failed or stopped.
        phase: What is going on.
        done: Steps done.
        total: Steps in all, if known.
        note: More to show.
        error: One sentence, if it failed.
        stopping: Whether it was asked to stop.
    """

    state: str
    phase: str = ""
    done: int = 0
    total: int | None = None
    note: str = ""
    error: str | None = None
    stopping: bool = False


def start_placing(run: str, pictures: Sequence[tuple[str, bytes]] | Path) -> str:
    """Begin to place pictures on the map of a run; `placing_status` tells how it goes.

    Args:
        run: Id of a map run that has ended.
        pictures: Names and bytes of files, or the path of an archive, which is copied.

    Returns:
        The id of this placing.

    Raises:
        UserError: Too many are under way, or the disk is full.
    """
    _forget_old()
    _refuse_more()  # before anything is copied
    placing = files.new_id()
    folder = placing_folder(placing)
    try:
        with disk_full_as_sentence():
            request = _keep_inputs(folder, files.check_id(run, "run id"), pictures)
            # between its count and its process nobody else acts
            with held(settings().cache / STARTING, TURN, BUSY):
                _refuse_more()
                files.write_json(folder / REQUEST, request)  # from now on it counts
                _begin(folder)
    except BaseException:
        files.remove_tree(folder)
        raise
    return placing


def _refuse_more() -> None:
    """Refuse one more where as many as may be are under way, whichever server started them.

    Raises:
        UserError: They are.
    """
    mine = [name for name, child in list(_children.items()) if child.poll() is None]
    others = [path for path in settings().tmp.glob(f"*/{REQUEST}") if path.parent.name not in _children]
    count = len(mine) + sum(_runs_elsewhere(path) for path in others)
    if count >= MOST_AT_ONCE:
        raise UserError(f"{count} others are placing pictures just now: try again in a moment.")


def _runs_elsewhere(request: Path) -> bool:
    """Whether a placing that another process started is under way, or about to be."""
    folder = request.parent
    if _read(folder).state in FINAL:
        return False
    try:
        starting = abs(time.time() - request.stat().st_mtime) < GRACE
    except OSError:  # it was cleared just now
        return False
    return starting or is_locked(folder / LOCK)


def _forget_old() -> None:
    """Clear those whose page was closed before it had seen the end."""
    for placing, child in list(_children.items()):
        if child.poll() is not None and time.time() - _age_mark(placing) > KEPT_SECONDS:
            clear_placing(placing)


def _age_mark(placing: str) -> float:
    try:
        return placing_folder(placing).stat().st_mtime
    except OSError:
        return 0.0


def _keep_inputs(folder: Path, run: str, pictures: Sequence[tuple[str, bytes]] | Path) -> dict[str, Any]:
    """Copy the pictures into the folder; the request for them."""
    inputs = folder / PICTURES
    inputs.mkdir(parents=True)
    request: dict[str, Any] = {"run": run, "archive": isinstance(pictures, Path)}
    if isinstance(pictures, Path):
        check_free(pictures.stat().st_size)
        shutil.copyfile(pictures, inputs / "0")
    else:
        check_free(sum(len(data) for _, data in pictures))
        request["names"] = [name for name, _ in pictures]  # data, never paths
        for number, (_, data) in enumerate(pictures):
            (inputs / str(number)).write_bytes(data)
    return request


def _begin(folder: Path) -> None:
    """Start the process; under the inline executor the work is done here, before this returns."""
    if settings().executor == "inline":
        from engine.evaluation.placing_worker import main

        main([folder.name])
        return
    try:
        _children[folder.name] = start_child("engine.evaluation.placing_worker", folder)
    except OSError:
        raise UserError("The pictures cannot be placed: the computer has no room for a process.") from None


def placing_folder(placing: str) -> Path:
    """Where a placing lies.

    Raises:
        UserError: This is no id.
    """
    return files.inside(settings().tmp, files.check_id(placing, "placing id"))


def placing_status(placing: str) -> PlacingStatus:
    """How it goes, truthfully: where its process died it has failed, and one that does not stop is ended."""
    folder = placing_folder(placing)
    status = _read(folder)
    if status.state in FINAL:
        return status
    child = _children.get(placing)
    if child is not None and child.poll() is None:
        if status.stopping and time.time() - (folder / STOP).stat().st_mtime > PATIENCE:
            child.kill()
        return status
    if child is None and is_locked(folder / LOCK):  # another server process started it
        return status
    status = _read(folder)  # it may have ended between the two looks
    if status.state in FINAL:
        return status
    if status.stopping:
        return PlacingStatus("stopped")
    return PlacingStatus("failed", error=_why(child.returncode if child is not None else None))


def _read(folder: Path) -> PlacingStatus:
    told = files.read_json(folder / STATUS, {})
    told = told if isinstance(told, dict) else {}
    known = {field.name for field in fields(PlacingStatus)}
    kept = {name: value for name, value in told.items() if name in known}
    return PlacingStatus(**{"state": "running", **kept, "stopping": (folder / STOP).exists()})


def _why(code: int | None) -> str:
    reason = "its process ended without a word"
    if code is not None and code < 0:
        reason = "a library crashed, or memory ran out"
    return f"The pictures could not be placed: {reason}. Try fewer pictures, or leave unusual ones out."


def stop_placing(placing: str) -> None:
    """Ask it to stop; it does within seconds."""
    folder = placing_folder(placing)
    if folder.is_dir():
        (folder / STOP).touch()


def clear_placing(placing: str) -> None:
    """Forget one that has ended, with its pictures."""
    child = _children.pop(placing, None)
    if child is not None:
        child.wait()
    files.remove_tree(placing_folder(placing))


def keep_found(folder: Path, new: NewPoints) -> None:
    """Write what was found, for `read_found`."""
    pictures, words = new.pictures, [[panel.method, panel.title, panel.by_method] for panel in new.panels]
    told = {"names": pictures.names, "skipped": pictures.skipped, "more": pictures.more, "panels": words}
    arrays = {
        "pixels": pictures.pixels,
        **{name: getattr(new, name) for name in ("neighbours", "distances", "label", "votes")},
        "far_beyond": np.array(new.far_beyond),
        **{f"positions_{i}": panel.positions for i, panel in enumerate(new.panels)},
        **{f"beside_{i}": panel.beside for i, panel in enumerate(new.panels)},
        "told": np.frombuffer(json.dumps(told).encode(), np.uint8),
    }
    file = io.BytesIO()
    np.savez(file, **arrays)
    files.write_bytes(folder / FOUND, file.getvalue())


def read_found(placing: str) -> NewPoints:
    """What a placing that is done has found.

    Raises:
        UserError: It is not there, or damaged.
    """
    try:
        with np.load(placing_folder(placing) / FOUND, allow_pickle=False) as file:
            arrays = dict(file)
        told = json.loads(arrays["told"].tobytes())
        panels = [
            PlacedPanel(method, title, arrays[f"positions_{i}"], arrays[f"beside_{i}"], by_method)
            for i, (method, title, by_method) in enumerate(told["panels"])
        ]
        skipped = tuple((str(name), str(reason)) for name, reason in told["skipped"])
        pictures = Pictures(tuple(told["names"]), arrays["pixels"], skipped, bool(told["more"]))
        shared = {name: arrays[name] for name in ("neighbours", "distances", "label", "votes")}
        return NewPoints(pictures, **shared, far_beyond=float(arrays["far_beyond"]), panels=tuple(panels))
    except (OSError, ValueError, LookupError, TypeError):
        raise UserError("What was found about these pictures is gone: drop them again.") from None
