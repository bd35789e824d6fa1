"""What a runner does for its worker: passes on Stop, holds it to its limits, notices when it falls silent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError
from engine.runs import layout
from engine.settings import settings

WORKER = (sys.executable, "-m", "engine.runs.worker")
LOG_LIMIT = 16 * 1024**2
LOG_KEPT = 1024**2
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass(frozen=True)
class Options:
    """How the runner does its work; seconds."""

    command: tuple[str, ...] = WORKER  # the run's folder is put behind it
    term_after: float = 2.5  # after Stop, if the worker does not end by itself
    kill_after: float = 4.5
    tidy_after: float = 30.0  # instead of both, while the worker says that it evaluates or saves
    hang_after: float = 1800.0  # without any sign of life

    def to_json(self) -> str:
        return json.dumps({**vars(self), "command": list(self.command)})

    @classmethod
    def from_json(cls, text: str) -> Options:
        fields = json.loads(text)
        return cls(**{**fields, "command": tuple(fields["command"])})


@dataclass(frozen=True)
class Allowance:
    """The most that one run may take; 0 = as much as it likes."""

    seconds: int = 0  # on the clock, of one attempt
    bytes: int = 0  # of resident memory


def allowance() -> Allowance:
    """What the settings allow."""
    try:
        here = settings()
    except UserError:
        return Allowance()
    return Allowance(here.max_run_seconds, here.max_run_bytes)


class Watch:
    """Looks after a worker: passes on Stop, asks it to stop at its time limit, ends it at its memory limit.

    It notices silence too, and keeps the log from growing without end.
    """

    def __init__(
        self, folder: Path, child: subprocess.Popen[bytes], options: Options, most: Allowance | None = None
    ) -> None:
        self.folder, self.child, self.options = folder, child, options
        self.most = most or Allowance()
        self.asked: float | None = None
        self.silent_for = 0.0
        self.over_memory = False
        self._terminated = self._killed = False
        self._sign: tuple[int, ...] = ()
        self._heard = self._looked = self._began = time.monotonic()

    def look(self) -> None:
        now = time.monotonic()
        if self.asked is None and self.most.seconds and now - self._began >= self.most.seconds:
            self._time_is_up()
        if self.asked is None and (self.folder / layout.STOP).exists():
            self.asked = now
        if self.asked is not None:
            self._press(now - self.asked)
        if now - self._looked >= 1.0:
            self._looked = now
            cut_log(self.folder / layout.LOG)
            self._listen(now)
            if self.most.bytes and not self._killed and group_bytes(self.child.pid) > self.most.bytes:
                self.over_memory = self._killed = True
                signal_group(self.child, hard=True)

    def _time_is_up(self) -> None:
        """Ask as Stop does, saying why: whoever reads the file later can tell it from a person's wish."""
        with contextlib.suppress(OSError), open(self.folder / layout.STOP, "x", encoding="ascii") as file:
            file.write(str(self.most.seconds))

    def _press(self, seconds: float) -> None:
        options, tidying = self.options, False
        if not (self.folder / layout.FORCE).exists():
            if seconds < options.term_after:
                return
            phase = layout.load_json(self.folder / layout.PROGRESS)[0].get("phase")
            tidying = phase in ("evaluating", "saving") and seconds < options.tidy_after
            if tidying:
                return
            if not self._terminated:
                self._terminated = True
                signal_group(self.child, hard=False)
            if seconds < options.kill_after:
                return
        if not self._killed:
            self._killed = True
            signal_group(self.child, hard=True)

    def _listen(self, now: float) -> None:
        sign = tuple(_changed(self.folder / name) for name in (layout.PROGRESS, layout.METRICS, layout.LOG))
        if sign != self._sign:
            self._sign, self._heard = sign, now
        elif now - self._heard > self.options.hang_after and not self._killed:
            self.silent_for = now - self._heard
            self._killed = True
            signal_group(self.child, hard=True)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def cut_log(path: Path) -> None:
    """Keep the end of a log that grew too long; its writers append, so they go on behind it."""
    with contextlib.suppress(OSError):
        size = path.stat().st_size
        if size > LOG_LIMIT:
            with open(path, "r+b") as file:
                file.seek(size - LOG_KEPT)
                end = file.read()
                file.seek(0)
                file.write(b"(the beginning was cut)\n" + end)
                file.truncate()


def group_bytes(group: int) -> int:
    """Resident memory of a process group's members together, as /proc tells; 0 where there is no /proc."""
    pages = 0
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()  # a command may hold blanks and brackets
                    if int(fields[2]) == group:
                        pages += int(fields[21])
    return pages * PAGE


def signal_group(child: subprocess.Popen[bytes], hard: bool) -> None:
    if os.name == "nt":
        if hard:
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(child.pid)], capture_output=True, check=False)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL if hard else signal.SIGTERM)
