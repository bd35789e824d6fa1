"""Reading what a run wrote: rows, curves, arrays. Damaged files give what is readable, never an exception."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.runs import layout

if TYPE_CHECKING:
    import numpy as np

CHUNK = 4 * 1024**2
MAX_LINE = 64 * 1024
TAIL = 64 * 1024


def read_rows(folder: Path, since: int = 0) -> tuple[list[dict[str, Any]], int, int]:
    """The metric rows written after byte `since`, about four megabytes of them at a time.

    Returns:
        (rows, offset to go on from, lines that could not be read). An unfinished last line is left for the
        next time. A file that became shorter is read from its start.
    """
    try:
        with open(folder / layout.METRICS, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            since = since if 0 <= since <= size else 0
            file.seek(since)
            data = file.read(CHUNK)
    except OSError:
        return [], max(since, 0), 0
    end = data.rfind(b"\n") + 1
    if not end and len(data) == CHUNK:  # one line of megabytes: pass over it
        return [], since + CHUNK, 1
    rows, damaged = [], 0
    for line in data[:end].splitlines():
        row = _row(line)
        if row is not None:
            rows.append(row)
        elif line.strip():
            damaged += 1
    return rows, since + end, damaged


def _row(line: bytes) -> dict[str, Any] | None:
    if len(line) > MAX_LINE:
        return None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and isinstance(row.get("kind"), str) else None


def read_curve(folder: Path) -> dict[str, Any]:
    """All metric rows in order of training, where the last attempt at an epoch wins.

    Returns:
        {"steps": rows of kind step, "epochs": rows of kind epoch, "damaged": lines that could not be read}.
    """
    steps: dict[tuple[float, float], dict[str, Any]] = {}
    epochs: dict[float, dict[str, Any]] = {}
    offset = damaged = 0
    while True:
        rows, reached, bad = read_rows(folder, offset)
        damaged += bad
        for row in rows:
            epoch = layout.number(row.get("epoch"))
            if row["kind"] == "start":  # an attempt goes on after `epoch`: what came later is done again
                steps = {key: old for key, old in steps.items() if key[0] <= epoch}
                epochs = {key: old for key, old in epochs.items() if key <= epoch}
            elif row["kind"] == "step":
                steps[epoch, layout.number(row.get("step"))] = row
            elif row["kind"] == "epoch" and epoch > 0:
                epochs[epoch] = row
        if reached == offset:
            break
        offset = reached
    damaged += _tail_is_junk(folder, offset)
    return {
        "steps": [steps[key] for key in sorted(steps)],
        "epochs": [epochs[key] for key in sorted(epochs)],
        "damaged": damaged,
    }


def _tail_is_junk(folder: Path, offset: int) -> bool:
    """Whether the unfinished last line cannot be the beginning of a row."""
    try:
        with open(folder / layout.METRICS, "rb") as file:
            file.seek(offset)
            return file.read(1) not in (b"", b"{")
    except OSError:
        return False


def read_log(folder: Path, lines: int = 200) -> str:
    """The last lines of the log."""
    try:
        with open(folder / layout.LOG, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - TAIL))
            data = file.read(TAIL)
    except OSError:
        return ""
    text = data.replace(b"\0", b"").decode("utf-8", "replace").splitlines()
    return "\n".join((text[1:] if size > TAIL and len(text) > 1 else text)[-lines:])


def list_frames(folder: Path) -> list[int]:
    """The epochs that have a frame, in order."""
    try:
        names = os.listdir(folder / layout.FRAMES)
    except OSError:
        return []
    stems = [name[:-4] for name in names if name.endswith(".npz")]
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit() and len(stem) < 10)


def frame_path(folder: Path, epoch: int) -> Path:
    return folder / layout.FRAMES / layout.frame_name(epoch)


def read_arrays(path: Path, only: Collection[str] | None = None) -> dict[str, np.ndarray] | None:
    """The arrays of an .npz file, or None where there is none or it is damaged.

    Args:
        path: The file.
        only: Names of the arrays that are wanted, where they are there; the others are not looked at.
    """
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if only is None or name in only}
    except Exception:  # numpy and zipfile raise a dozen kinds on damaged bytes; all mean the same here
        return None


def array_names(path: Path) -> tuple[str, ...]:
    """The names of the arrays in an .npz file, without reading one; none where it is damaged."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return tuple(file.files)
    except Exception:  # as above
        return ()
