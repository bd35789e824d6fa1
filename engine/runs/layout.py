"""What lies where in a run folder, and the one truth about a run's state; standard library only.

Every file has one writer: recipe.json and name.json the store, status.json the runner (the store before there
is one), `stop` and `force` whoever asks, everything else the worker.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.files import write_json
from engine.lock import held, is_locked

RECIPE = "recipe.json"
STATUS = "status.json"
NAME = "name.json"
PROGRESS = "progress.json"
METRICS = "metrics.jsonl"
LOG = "log.txt"
RUNNER_LOG = "runner.log"
CHECKPOINT = "checkpoint.pt"
BEST = "best.safetensors"
FRAMES = "frames"
MAPS = "maps"
SELECTIONS = "selections.json"  # a map's, written by whoever looks at it
# the parts of a map that its panels share
MAP_POINTS, MAP_NEIGHBOURS, MAP_CLUSTERS = "points", "neighbours", "clusters"
RESULTS = "results.json"
PREDICTIONS = "predictions.npz"
ENCODER = "encoder.safetensors"
ENCODER_INFO = "encoder.json"
DECODER = "decoder.safetensors"
ENVIRONMENT = "environment.json"
ERROR = "error.json"
STOP = "stop"
FORCE = "force"
LOCK = "lock"  # held while a runner is alive
WRITER_LOCK = "writer.lock"  # held while a worker is alive, who may outlive its runner by a step
BALLAST = ".ballast"  # given up when the disk is full, so that the last word still fits
TICKETS = ".queue"
SLOTS = ".slots"
STORE_LOCK = ".lock"
TURN_LOCK = ".turn"  # held while a runner looks whose turn it is and takes it
SERVED = ".served.json"  # who had a turn lately; written under the turn's lock

QUEUED, RUNNING, DONE = "queued", "running", "done"
FAILED, STOPPED, INTERRUPTED = "failed", "stopped", "interrupted"
ACTIVE = frozenset({QUEUED, RUNNING})
FINAL = frozenset({DONE, FAILED, STOPPED, INTERRUPTED})
STATES = ACTIVE | FINAL

GRACE = 15.0  # seconds a submitted run may be without a runner: one is being started
MAX_JSON = 32 * 1024**2
BALLAST_BYTES = 16 * 1024


def load_json(path: Path | str, limit: int = MAX_JSON) -> tuple[dict[str, Any], bool]:
    """The JSON object in a file, and whether the file is damaged; never raises.

    Returns:
        The object and False; an empty one and False where there is no file; an empty one and True where the
        file holds something else.
    """
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except OSError:
        return {}, os.path.lexists(path) and not os.path.isfile(path)
    try:
        size = os.fstat(fd).st_size
        data = os.read(fd, size) if size <= limit else b""
        value = json.loads(data)
    except (OSError, ValueError, RecursionError):
        return {}, True
    finally:
        os.close(fd)
    return (value, False) if isinstance(value, dict) else ({}, True)


def read_status(folder: Path) -> dict[str, Any]:
    """status.json as it stands; a damaged or missing one reads as a run that was interrupted."""
    status, damaged = load_json(folder / STATUS)
    state = status.get("state")
    if damaged or not isinstance(state, str) or state not in STATES:
        status = {**status, "state": INTERRUPTED, "damaged": True}
    return status


def write_status(folder: Path, **fields: Any) -> dict[str, Any]:
    """Change fields of status.json, atomically.

    Raises:
        OSError: It could not be written, not even with the ballast thrown overboard.
    """
    status = {**read_status(folder), **fields}
    status.pop("damaged", None)
    try:
        write_json(folder / STATUS, status)
    except OSError:
        (folder / BALLAST).unlink(missing_ok=True)
        write_json(folder / STATUS, status)
    return status


def true_status(folder: Path) -> dict[str, Any]:
    """status.json with the state as it is now: a run without a living runner is not running.

    Read, probe the lock, read again: a runner that ended in between has written its last word before it let
    go of the lock.
    """
    status = read_status(folder)
    if status.get("damaged") and is_locked(folder / LOCK):
        return {**status, "state": RUNNING}
    if status["state"] in FINAL or is_locked(folder / LOCK):
        return status
    status = read_status(folder)
    if status["state"] in FINAL or _starting(status):
        return status
    if is_locked(folder / LOCK):
        return read_status(folder)
    return {**status, "state": INTERRUPTED, "error": lost_sentence(folder, status), "lost": True}


def _starting(status: dict[str, Any]) -> bool:
    if status["state"] != QUEUED:
        return False
    since = number(status.get("submitted")) or number(status.get("created"))
    return abs(time.time() - since) < GRACE


def lost_sentence(folder: Path, status: dict[str, Any]) -> str:
    """What to tell about a run whose runner vanished."""
    if status["state"] == QUEUED:
        return "The run was cut off while it waited; Resume puts it back in the queue."
    return f"The run was cut off {at_epoch(folder)}; Resume continues from there."


def finished_epochs(folder: Path) -> int:
    """How many epochs are complete."""
    last = load_json(folder / PROGRESS)[0].get("last")
    return int(number(last.get("epoch"))) if isinstance(last, dict) else 0


def at_epoch(folder: Path, before: str = "after") -> str:
    """'after epoch 3', or 'before the first epoch was complete'."""
    epochs = finished_epochs(folder)
    return f"{before} epoch {epochs}" if epochs else "before the first epoch was complete"


def number(value: Any) -> float:
    """`value` if it is a finite number, else 0: files are read that anything may have happened to."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    try:
        value = float(value)
    except OverflowError:
        return 0.0
    return value if value - value == 0 else 0.0


def frame_name(epoch: int) -> str:
    return f"{epoch:05d}.npz"


def map_path(folder: Path, part: str) -> Path:
    """Where a map's points or one method's panel lie."""
    return folder / MAPS / f"{part}.npz"


def host() -> str:
    return socket.gethostname()


@contextmanager
def store_lock(root: Path, wait: float = 10.0) -> Iterator[None]:
    """One at a time may make, submit or remove runs below `root`, whichever process it is in.

    Raises:
        UserError: Somebody else has held it for too long.
    """
    with held(root / STORE_LOCK, wait, "The list of runs is busy: try again in a moment."):
        yield
