"""Work that a page follows: in a thread of the server, asked for by key, with progress and Stop meanwhile."""

from __future__ import annotations

import dataclasses
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import streamlit as st

from engine.access import as_me
from engine.data.progress import Stopped
from engine.errors import UserError
from engine.logs import fault
from pages.components.background import FAILED
from pages.components.text import md

MAX_KEPT = 48  # answers that are remembered
MAX_BYTES = 256 * 2**20  # and what they may hold together when a new question is asked
HEARD = 10.0  # seconds after which a page that asks no more is taken to be gone
GONE = 150.0  # and after which its work is given up; a hidden tab asks once a minute
SESSION = "try.session"
PATIENCE = 0.25  # seconds before a page says "not yet"
POLL_SECONDS = 0.4
# what takes a second or two never waits for what takes minutes
_quick = ThreadPoolExecutor(max_workers=1, thread_name_prefix="try-quick")
_long = ThreadPoolExecutor(max_workers=1, thread_name_prefix="try-long")
_jobs: OrderedDict[object, Job] = OrderedDict()
_lines: dict[bool, list[Job]] = {False: [], True: []}  # quick and long work in the order in which it came
_guard = threading.RLock()  # whoever gives a job up holds it when the job leaves its line


@dataclass(eq=False)
class Job:
    """A piece of work and how far it is; its thread writes, pages read.

    Attributes:
        phase: What is going on.
        done: Steps done.
        total: Steps in all; 0 if unknown.
        stopping: Nobody wants it any more.
        answer: What it gives.
        size: Bytes of the answer; 0 while there is none.
        heard: When each session asked for it last; seconds of a steady clock.
        left: Sessions that have pressed Stop.
        began: Its turn has come.
    """

    phase: str = "waiting for its turn"
    done: int = 0
    total: int = 0
    stopping: bool = False
    answer: Future[Any] = field(default_factory=Future)
    size: int = 0
    heard: dict[str, float] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    began: bool = False

    def tell(self, phase: str, done: int, total: int) -> None:
        """How far it is; as `engine.evaluation.encoding.Tell`."""
        self.phase, self.done, self.total = phase, done, total

    def stop(self) -> bool:
        """Whether to give up: somebody said so, or nobody has asked for a long time."""
        return self.stopping or bool(self.heard) and not self.awaited(GONE)

    def give_up(self) -> None:
        """Stop it, or take it out of the queue."""
        self.stopping = True
        self.answer.cancel()

    def awaited(self, within: float | None = None) -> bool:
        """Whether a page has asked for it in the last seconds (`HEARD`, if None)."""
        seconds = HEARD if within is None else within
        return any(time.monotonic() - then < seconds for then in list(self.heard.values()))


Work = Callable[[Job], Any]


def follow(key: object, work: Work, name: str, long: bool = False) -> Any:
    """The answer of `work`; None while there is none, with its progress and Stop on the page.

    Args:
        key: Names the question, with all that its answer depends on.
        work: Called once, in a thread; it must not use st. None says that it was stopped.
        name: Of the controls; no two on one page are alike.
        long: It may take minutes.

    Raises:
        UserError: `work` failed; the next question starts it anew.
    """
    session = str(st.session_state.setdefault(SESSION, secrets.token_hex(8)))
    job = _job(key, work, long, session)
    if not _ended(job):
        if job.stopping or session not in job.left:
            st.fragment(_watch, run_every=POLL_SECONDS)(job, name, session)
        else:
            _stopped(key, name, session)  # others go on waiting
        return None
    try:
        found = job.answer.result()
    except (Stopped, CancelledError):
        found = None
    except UserError:
        forget(key)
        raise
    except Exception as error:
        forget(key)
        raise UserError(FAILED.format(fault("work that a page follows", error))) from None
    if found is None:
        _stopped(key, name, session)
    return found


def forget(key: object) -> None:
    """Let the next question start the work anew."""
    with _guard:
        _jobs.pop(key, None)


def forget_about(part: object) -> None:
    """Give up and forget every question whose key, a tuple, holds `part`."""
    with _guard:
        for key in [key for key in _jobs if isinstance(key, tuple) and part in key]:
            _jobs.pop(key).give_up()


def size_of(found: object) -> int:
    """About how many bytes an answer holds: its arrays and texts, wherever they lie in it."""
    if isinstance(found, np.ndarray):
        return found.nbytes
    if isinstance(found, (str, bytes)):
        return len(found)
    if isinstance(found, Mapping):
        return sum(size_of(one) for one in found.values())
    if isinstance(found, (list, tuple)):
        return sum(size_of(one) for one in found)
    if dataclasses.is_dataclass(found):
        return sum(size_of(getattr(found, one.name)) for one in dataclasses.fields(found))
    return 0


def _job(key: object, work: Work, long: bool, session: str) -> Job:
    """The work of a question; begun anew where only others have stopped it."""
    with _guard:
        job = _jobs.get(key)
        if job is None or (job.stopping and session not in job.left):
            job = _jobs[key] = Job(left=set(job.left) if job else set())
            job.answer = (_long if long else _quick).submit(as_me(_measured), work, job)
            _lines[long].append(job)
            job.answer.add_done_callback(lambda _: _leave(job))
            _jobs.move_to_end(key)
            _shrink()
        if session not in job.left:
            job.heard[session] = time.monotonic()
        _jobs.move_to_end(key)
        return job


def _leave(job: Job) -> None:
    """Take a job that has ended out of its line, with its answer."""
    with _guard:
        for line in _lines.values():
            line[:] = [one for one in line if one is not job]


def place_in_line(job: Job) -> int:
    """How many questions are worked on or wait before this one; 0 once its turn has come."""
    with _guard:
        line = next((line for line in _lines.values() if job in line), [])
        before = line[: line.index(job)] if line and not job.began else []
        return sum(not one.answer.done() for one in before)


def _measured(work: Work, job: Job) -> Any:
    job.began = True
    if job.stop():
        raise Stopped
    found = work(job)
    job.size = size_of(found)
    return found


def _shrink() -> None:
    """Drop the oldest past the bounds, never the newest nor what a page waits for."""
    size = sum(job.size for job in _jobs.values())
    for key, job in list(_jobs.items())[:-1]:
        if size <= MAX_BYTES and len(_jobs) <= MAX_KEPT:
            return
        if job.answer.done() or not job.awaited():
            del _jobs[key]
            size -= job.size
            job.give_up()


def _ended(job: Job) -> bool:
    """Whether the answer is there, or comes in a moment."""
    try:
        job.answer.exception(timeout=PATIENCE)
    except TimeoutError:
        return False
    except CancelledError:
        pass
    return True


def _watch(job: Job, name: str, session: str) -> None:
    if job.answer.done() or (session in job.left and not job.stopping):
        st.rerun()
    with _guard:
        job.heard[session] = time.monotonic()
    share = min(1.0, job.done / job.total) if job.total else 0.0
    place = place_in_line(job)
    count = f": {job.done:,} of {job.total:,}" if job.total else f": number {place} in line" if place else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(share, text=f"{md(job.phase).capitalize()}{count} …", width="stretch")
        st.button(
            "Stopping…" if job.stopping else "Stop",
            icon=":material/stop_circle:",
            disabled=job.stopping,
            key=f"{name}.stop",
            on_click=_stop,
            args=(job, session),
        )


def _stop(job: Job, session: str) -> None:
    """Let a session wait no more; the work ends with the last one."""
    with _guard:
        job.left.add(session)
        job.heard.pop(session, None)
        if not job.awaited():
            job.give_up()


def _again(key: object, session: str) -> None:
    """Join those who still wait, or start the work anew."""
    with _guard:
        job = _jobs.get(key)
        if job is not None and not job.stopping and not job.answer.done():
            job.left.discard(session)
        else:
            _jobs.pop(key, None)


def _stopped(key: object, name: str, session: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(":material/stop_circle: Stopped.", width="content")
        st.button("Start again", key=f"{name}.again", on_click=_again, args=(key, session), type="tertiary")
