"""How a run or a write ended, in a state and one sentence; standard library only: the runner needs it too."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.files import NO_SPACE
from engine.runs import layout

# exit codes of a worker
OK, ERROR, STOPPED, DISK_FULL, NO_MEMORY, ORPHANED = 0, 1, 3, 4, 5, 7

FULL_DISK = "The disk is full: delete runs or data sets that are no longer needed, then press Resume."


@dataclass(frozen=True)
class Ending:
    """What a runner saw of its worker's end."""

    code: int  # exit code; minus the signal's number if one ended it
    asked: bool = False  # the user had pressed Stop
    out_of_memory: bool = False  # the kernel ended a process for want of memory meanwhile
    silent_for: float = 0.0  # seconds without a sign of life, after which the runner ended it
    over_bytes: int = 0  # the memory it may use, if the runner ended it for using more


def verdict(folder: Path, ending: Ending) -> tuple[str, str | None]:
    """(state, sentence or None) of a run whose worker has ended."""
    code, where = ending.code, layout.at_epoch(folder)
    if code == OK:
        return layout.DONE, None
    if code in (ERROR, DISK_FULL, NO_MEMORY):
        return layout.FAILED, _told(folder, code)
    if ending.over_bytes:
        return (
            layout.FAILED,
            f"The training ran out of the memory a run may use here ({ending.over_bytes / 1e9:.3g} GB): "
            "try a smaller batch or smaller images.",
        )
    if ending.asked and (code < 0 or code == STOPPED):
        return layout.STOPPED, stopped_sentence(folder)
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


def stopped_sentence(folder: Path) -> str:
    """Why a run that was asked to stop has stopped: somebody wished it, or its time was up."""
    where = layout.at_epoch(folder)
    try:
        told = (folder / layout.STOP).read_bytes()[:20].decode("ascii", "replace").strip()
    except OSError:
        told = ""
    if not told.isdigit():
        return f"Stopped by you {where}."
    return f"Stopped after {span(int(told))}, the longest a run may take here, {where}; Resume goes on."


def span(seconds: int) -> str:
    """A limit in words: '2 hours', '90 minutes', '1 second'."""
    for size, word in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            count = seconds // size
            return f"{count} {word}{'' if count == 1 else 's'}"
    return ""


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


def explain(error: BaseException, folder: Path, mark: str = "") -> tuple[int, str]:
    """(exit code, sentence) for an exception out of a training; the sentence never quotes an unknown one.

    Args:
        error: What was raised.
        folder: Of the run.
        mark: Under which the run's log has it.
    """
    if isinstance(error, UserError):
        return ERROR, str(error)
    behind: BaseException | None = error
    while behind is not None:  # torch raises another error while it closes the file that could not grow
        if isinstance(behind, OSError) and behind.errno in NO_SPACE:
            return DISK_FULL, FULL_DISK
        behind = behind.__cause__ or behind.__context__
    text = f"{type(error).__name__}: {error}".lower()
    if any(words in text for words in ("no space left", "disk quota", "file too large")):  # safetensors
        return DISK_FULL, FULL_DISK
    if isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY):
        return NO_MEMORY, f"The training ran out of memory: {_smaller(folder)}."
    if "cuda" in text or "acceleratorerror" in text or "cudnn" in text or "cublas" in text:
        where = layout.at_epoch(folder)
        return ERROR, f"The graphics card reported an error {where}; press Resume to go on from there."
    where, under = layout.at_epoch(folder), f" under {mark}" if mark else ""
    return ERROR, f"The training ended with an unexpected error {where} (details in the run's log{under})."


OUT_OF_MEMORY = ("outofmemory", "out of memory", "can't allocate memory", "cannot allocate memory")


def final_fields(folder: Path, state: str, error: str | None, now: float, size: int) -> dict[str, Any]:
    """The fields of status.json that a run ends with."""
    return {"state": state, "error": error, "finished": now, "bytes": size, "pid": None, "runner": None}


@contextmanager
def written() -> Iterator[None]:
    """Say in one sentence why something could not be written.

    Raises:
        UserError: It could not.
    """
    try:
        yield
    except OSError as error:
        raise UserError(why_not_written(error)) from error


def why_not_written(error: OSError) -> str:
    """That sentence."""
    if error.errno in NO_SPACE:
        return "The disk is full: delete runs or data sets that are no longer needed, then try again."
    return "The workspace folder cannot be written to: check who owns it and its free space."
