"""How a run ended, in a state and one sentence; standard library only, since the runner needs it too."""

from __future__ import annotations

import errno
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.runs import layout

# exit codes of a worker
OK, ERROR, STOPPED, DISK_FULL, NO_MEMORY, ORPHANED = 0, 1, 3, 4, 5, 7

FULL_DISK = "The disk is full: delete runs or data sets that are no longer needed, then press Resume."
NO_SPACE = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


@dataclass(frozen=True)
class Ending:
    """What a runner saw of its worker's end."""

    code: int  # exit code; minus the signal's number if one ended it
    asked: bool = False  # the user had pressed Stop
    out_of_memory: bool = False  # the kernel ended a process for want of memory meanwhile
    silent_for: float = 0.0  # seconds without a sign of life, after which the runner ended it


def verdict(folder: Path, ending: Ending) -> tuple[str, str | None]:
    """(state, sentence or None) of a run whose worker has ended."""
    code, where = ending.code, layout.at_epoch(folder)
    if code == OK:
        return layout.DONE, None
    if code in (ERROR, DISK_FULL, NO_MEMORY):
        return layout.FAILED, _told(folder, code)
    if ending.asked and (code < 0 or code == STOPPED):
        return layout.STOPPED, f"Stopped by you {where}."
    resume = "Resume continues from there."
    if ending.silent_for:
        minutes = max(1, round(ending.silent_for / 60))
        return (
            layout.INTERRUPTED,
            f"The training gave no sign of life for {minutes} min and was ended {where}; {resume}",
        )
    if code == -9 and ending.out_of_memory:
        return (
            layout.FAILED,
            f"The computer ran out of memory {where}: {_smaller(folder)}, then run it again.",
        )
    if code == STOPPED or code == -signal.SIGTERM:
        return layout.INTERRUPTED, f"The training process was asked to end {where}; {resume}"
    if code < 0:
        return layout.INTERRUPTED, f"The training process was killed ({_signal(-code)}) {where}; {resume}"
    return layout.FAILED, f"The training process ended unexpectedly {where} (details in the run's log)."


def _told(folder: Path, code: int) -> str:
    told = layout.load_json(folder / layout.ERROR)[0].get("error")
    if isinstance(told, str) and told:
        return told
    if code == DISK_FULL:
        return FULL_DISK
    if code == NO_MEMORY:
        return f"The training ran out of memory: {_smaller(folder)}."
    return (
        f"The training ended with an unexpected error {layout.at_epoch(folder)} (details in the run's log)."
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _smaller(folder: Path) -> str:
    config = layout.load_json(folder / layout.RECIPE)[0].get("config")
    batch = int(layout.number(config.get("batch_size"))) if isinstance(config, dict) else 0
    return f"try batch size {max(1, batch // 4)}, or smaller images" if batch > 1 else "try smaller images"


def explain(error: BaseException, folder: Path) -> tuple[int, str]:
    """(exit code, sentence) for an exception out of a training; the sentence never quotes an unknown one."""
    if isinstance(error, UserError):
        return ERROR, str(error)
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return DISK_FULL, FULL_DISK
    text = f"{type(error).__name__}: {error}".lower()
    if "no space left" in text or "disk quota" in text:  # torch wraps it in a RuntimeError
        return DISK_FULL, FULL_DISK
    if isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY):
        return NO_MEMORY, f"The training ran out of memory: {_smaller(folder)}."
    if "cuda" in text or "acceleratorerror" in text or "cudnn" in text or "cublas" in text:
        where = layout.at_epoch(folder)
        return ERROR, f"The graphics card reported an error {where}; press Resume to go on from there."
    where = layout.at_epoch(folder)
    return ERROR, f"The training ended with an unexpected error {where} (details in the run's log)."


OUT_OF_MEMORY = ("outofmemory", "out of memory", "can't allocate memory", "cannot allocate memory")


def final_fields(folder: Path, state: str, error: str | None, now: float, size: int) -> dict[str, Any]:
    """The fields of status.json that a run ends with."""
    return {"state": state, "error": error, "finished": now, "bytes": size, "pid": None, "runner": None}
