"""RunWriter: what a training says while it runs, and a crash at any byte loses nothing finished."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.files import replace, write_json
from engine.runs import layout

if TYPE_CHECKING:
    import numpy as np

EVERY = 0.25  # seconds between two writes of progress.json


class Stopped(Exception):
    """Raised by a training that was asked to stop and has put its things away."""


class RunWriter:
    """The writing side of one run folder; there is one at a time.

    A full disk raises OSError from any of its methods; what was written before stays whole.
    """

    def __init__(self, folder: Path, attempt: int = 1) -> None:
        self.folder = folder
        self.attempt = attempt
        self.stop_event = threading.Event()  # set by the worker: its runner is gone, or it was told to end
        self.stop_seen = False
        self._metrics = -1
        self._progress = layout.load_json(folder / layout.PROGRESS)[0]
        self._written = -EVERY

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / layout.CHECKPOINT

    @property
    def best_path(self) -> Path:
        return self.folder / layout.BEST

    @property
    def encoder_path(self) -> Path:
        return self.folder / layout.ENCODER

    @property
    def decoder_path(self) -> Path:
        return self.folder / layout.DECODER

    @property
    def encoder_info_path(self) -> Path:
        return self.folder / layout.ENCODER_INFO

    def metric(self, row: Mapping[str, Any]) -> None:
        """Append one row to metrics.jsonl; numbers that are not finite become null.

        An epoch row also goes into progress.json, at once: lists show the last and the kept epoch from there.
        """
        row = clean(row)
        if self._metrics < 0:
            self._metrics = _open_to_append(self.folder / layout.METRICS)
        line = (json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n").encode()
        written = os.write(self._metrics, line)
        if written != len(line):  # the disk filled up; the torn line is healed by the next open
            os.close(self._metrics)
            self._metrics = -1
            raise OSError(28, "the disk is full")
        if row.get("kind") == "epoch":
            kept = {"best": row} if row.get("kept") else {}
            self.progress(last=row, **kept, flush=True)

    def progress(self, *, flush: bool = False, **fields: Any) -> None:
        """Change fields of progress.json; also the sign of life that the runner looks for.

        Written at most four times a second, but at once when the phase or the epoch changes.

        Args:
            flush: Write now.
            fields: Any of phase, epoch, epochs, step, steps, images_per_second, seconds_left, note.
        """
        fields = clean(fields)
        news = any(fields.get(name, self._progress.get(name)) != self._progress.get(name) for name in NEWS)
        self._progress.update(fields)
        if not (flush or news or time.monotonic() - self._written >= EVERY):
            return
        self._progress["time"] = time.time()
        write_json(self.folder / layout.PROGRESS, self._progress)
        self._written = time.monotonic()

    def frame(self, epoch: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the arrays that show what the model saw after `epoch`."""
        folder = self.folder / layout.FRAMES
        folder.mkdir(exist_ok=True)
        _save_arrays(folder / layout.frame_name(epoch), arrays)

    def map_part(self, part: str, **arrays: np.ndarray) -> None:
        """Keep a map's points, or the panel of one method."""
        path = layout.map_path(self.folder, part)
        path.parent.mkdir(exist_ok=True)
        _save_arrays(path, arrays)

    def results(self, results: Mapping[str, Any]) -> None:
        """Write results.json."""
        write_json(self.folder / layout.RESULTS, clean(results))

    def predictions(self, **arrays: np.ndarray) -> None:
        """Write predictions.npz: arrays with one row an image."""
        _save_arrays(self.folder / layout.PREDICTIONS, arrays)

    def environment(self, facts: Mapping[str, Any]) -> None:
        """Write environment.json: device, versions, what a reader needs to repeat the run."""
        write_json(self.folder / layout.ENVIRONMENT, clean(facts))

    def log(self, text: str) -> None:
        """Say something in the run's log, where a worker's output goes too; never fails."""
        with contextlib.suppress(OSError), open(self.folder / layout.LOG, "ab") as file:
            file.write((text.rstrip("\n") + "\n").encode("utf-8", "replace"))

    def stop_requested(self) -> bool:
        """Whether the training should put its things away and end; ask once a step."""
        if self.stop_event.is_set() or (self.folder / layout.STOP).exists():
            self.stop_seen = True
        return self.stop_seen

    def sweep(self) -> None:
        """Remove what a worker that was killed left half written; the status and the name are not ours."""
        for path in self.folder.rglob(".*.tmp"):
            if not path.name.startswith((f".{layout.STATUS}.", f".{layout.NAME}.")):
                with contextlib.suppress(OSError):
                    path.unlink()

    def close(self) -> None:
        """Write what throttling held back and let go of the files."""
        if self._metrics >= 0:
            os.close(self._metrics)
            self._metrics = -1
        if self._progress:
            self.progress(flush=True)


NEWS = ("phase", "epoch", "note")


def clean(value: Any) -> Any:
    """`value` as JSON can hold it: numpy scalars and arrays as plain numbers, NaN and infinity as null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): clean(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


def _open_to_append(path: Path) -> int:
    """Open metrics.jsonl; a line that a crash left unfinished gets its newline, so that the next is whole."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
    try:
        size = os.fstat(fd).st_size
        if size:
            os.lseek(fd, size - 1, os.SEEK_SET)
            if os.read(fd, 1) != b"\n":
                os.write(fd, b"\n")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    import numpy as np

    temporary = path.with_name(f".{path.name}.{secrets.token_hex(3)}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **{name: np.asarray(array) for name, array in arrays.items()})  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
