"""Executors: who carries out a run. `inline` in this process, `local` in a detached process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from engine.environment import drop_scratch
from engine.errors import UserError
from engine.files import tree_bytes
from engine.lock import release, try_lock
from engine.runs import layout, outcome, quotas, tickets
from engine.runs.store import RunStore, check_space
from engine.runs.watch import Options
from engine.runs.worker import CarryOut, carry
from engine.runs.writer import RunWriter
from engine.settings import PROJECT_ROOT, settings


class Executor(Protocol):
    """Carries out the runs of a store."""

    def submit(self, run_id: str) -> None:
        """Carry out a run, or resume one that did not get done; harmless if it is active."""

    def stop(self, run_id: str, force: bool = False) -> None:
        """Ask a run to end; `force` ends it at once. Finished epochs are kept either way."""

    def reconcile(self) -> dict[str, str]:
        """Put right what a crash left behind; gives the true state of every run."""


class LocalExecutor:
    """One detached runner process a run, `slots` of them training at a time, the others in line."""

    name = "local"

    def __init__(
        self, store: RunStore | None = None, slots: int | None = None, options: Options | None = None
    ) -> None:
        self.store = store or RunStore()
        self.slots = slots or settings().slots
        self.options = options or Options()

    def submit(self, run_id: str) -> None:
        """Start the run's runner and return at once.

        Raises:
            UserError: There is no such run, its recipe is damaged, or the disk is nearly full.
        """
        _reap()
        if not _prepare(self.store, run_id):
            return
        try:
            _started.append(self._spawn(self.store.folder(run_id)))
        except OSError:
            sentence = "The run could not be started: the computer has no room for another process."
            layout.write_status(self.store.folder(run_id), state=layout.INTERRUPTED, error=sentence)
            raise UserError(sentence) from None

    def stop(self, run_id: str, force: bool = False) -> None:
        """Ask the run to end; returns at once, the run ends within seconds."""
        self.store.request_stop(run_id, force)
        _reap()

    def reconcile(self) -> dict[str, str]:
        """Mark lost runs interrupted and give queued ones a new runner; call at start and now and then."""
        _reap()
        return _reconcile(self.store, self.submit)

    def _spawn(self, folder: Path) -> subprocess.Popen[bytes]:
        extra: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            extra = {
                "creationflags": subprocess.DETACHED_PROCESS
                | subprocess.CREATE_NEW_PROCESS_GROUP
                | subprocess.CREATE_BREAKAWAY_FROM_JOB
            }
        arguments = [os.fspath(folder.resolve()), str(self.slots), self.options.to_json()]
        with open(folder / layout.RUNNER_LOG, "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "engine.runs.supervisor", *arguments],
                cwd=PROJECT_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **extra,
            )


class InlineExecutor:
    """Carries out a run in this process, before `submit` returns: for tests and notebooks."""

    name = "inline"

    def __init__(self, store: RunStore | None = None, carry_out: CarryOut | None = None) -> None:
        self.store = store or RunStore()
        self.carry_out = carry_out

    def submit(self, run_id: str) -> None:
        """Carry out the run; how it ended is in its status.

        Raises:
            UserError: There is no such run, its recipe is damaged, or the disk is nearly full.
        """
        if not _prepare(self.store, run_id):
            return
        folder = self.store.folder(run_id)
        lock = try_lock(folder / layout.LOCK, wait=2.0)
        if lock is None:
            return
        try:
            tickets.drop_ticket(self.store.root, run_id)
            (folder / layout.ERROR).unlink(missing_ok=True)
            attempt = int(layout.number(layout.read_status(folder).get("attempt"))) + 1
            layout.write_status(
                folder,
                state=layout.RUNNING,
                started=time.time(),
                attempt=attempt,
                pid=os.getpid(),
                runner=os.getpid(),
                host=layout.host(),
                error=None,
            )
            writer = RunWriter(folder, attempt)
            code = carry(writer, self.carry_out)
            asked = (folder / layout.STOP).exists()
            state, error = outcome.verdict(folder, outcome.Ending(code, asked))
            fields = outcome.final_fields(folder, state, error, time.time(), tree_bytes(folder))
            layout.write_status(folder, **fields)
        finally:
            release(lock)

    def stop(self, run_id: str, force: bool = False) -> None:
        """Ask the run to end (from another thread: this one is busy with it)."""
        self.store.request_stop(run_id, force)

    def reconcile(self) -> dict[str, str]:
        """Mark lost runs interrupted; a queued one is carried out now."""
        return _reconcile(self.store, self.submit)


EXECUTORS: dict[str, Callable[[RunStore | None], Executor]] = {
    "inline": InlineExecutor,
    "local": LocalExecutor,
}


def executor(store: RunStore | None = None) -> Executor:
    """The executor that `REPLAB_EXECUTOR` names.

    Raises:
        UserError: It names none of `EXECUTORS`.
    """
    name = settings().executor
    if name not in EXECUTORS:
        known = ", ".join(EXECUTORS)
        raise UserError(f"REPLAB_EXECUTOR is {name}, which is not here yet: choose one of {known}.")
    return EXECUTORS[name](store)


_started: list[subprocess.Popen[bytes]] = []  # runners this process started, so that none stays a zombie


def _reap() -> None:
    _started[:] = [process for process in _started if process.poll() is None]


def _prepare(store: RunStore, run_id: str) -> bool:
    """Put the run in line; False if it is there already or done."""
    folder = store.own_folder(run_id)
    store.recipe(run_id)
    with layout.store_lock(store.root):
        status = layout.true_status(folder)
        if status["state"] == layout.DONE or status["state"] == layout.RUNNING:
            return False
        if status["state"] == layout.QUEUED and status.get("submitted"):
            return False  # waiting, or its runner is on its way
        check_space(store.root)
        if status["state"] in layout.FINAL:  # a new run had to ask when it was made
            quotas.require_room(runs=1)
        for name in (layout.STOP, layout.FORCE):
            (folder / name).unlink(missing_ok=True)
        status.pop("lost", None)
        fields = {"state": layout.QUEUED, "submitted": time.time(), "error": None, "finished": None}
        with outcome.written():
            layout.write_status(folder, **fields)
            tickets.take_ticket(store.root, run_id, status.get("owner", ""))
        return True


def _reconcile(store: RunStore, submit: Callable[[str], None]) -> dict[str, str]:
    states = {}
    for run in store.list():
        states[run.id] = run.state
        if run.state != layout.INTERRUPTED:
            continue
        with contextlib.suppress(UserError, OSError):  # of one run; the next look tries it again
            if _settle(store, run.id) == layout.QUEUED:
                submit(run.id)
        states[run.id] = layout.true_status(store.folder(run.id))["state"]
    return states


def _settle(store: RunStore, run_id: str) -> str:
    """Write down what became of a run whose runner died; gives the state that was written before."""
    folder = store.folder(run_id)
    lock = try_lock(folder / layout.LOCK)
    if lock is None:
        return layout.RUNNING
    try:
        status = layout.read_status(folder)
        state = str(status["state"])
        stopped = (folder / layout.STOP).exists()
        if state == layout.RUNNING or (state == layout.QUEUED and stopped):
            sentence = layout.lost_sentence(folder, status)
            if stopped:
                sentence = outcome.stopped_sentence(folder)
            final = layout.STOPPED if stopped else layout.INTERRUPTED
            fields = outcome.final_fields(folder, final, sentence, time.time(), tree_bytes(folder))
            layout.write_status(folder, **fields)
            drop_scratch(folder)
            return final
        return state
    finally:
        release(lock)
