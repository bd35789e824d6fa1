"""Work that a page follows: in a thread of the server, asked for by key, with progress and Stop meanwhile."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from engine.data.progress import Stopped
from engine.errors import UserError
from pages.components.background import FAILED
from pages.components.text import md

MAX_KEPT = 48  # answers that are remembered
PATIENCE = 0.25  # seconds before a page says "not yet"
POLL_SECONDS = 0.4
# what takes a second or two never waits for what takes minutes
_quick = ThreadPoolExecutor(max_workers=1, thread_name_prefix="try-quick")
_long = ThreadPoolExecutor(max_workers=1, thread_name_prefix="try-long")
_jobs: OrderedDict[object, Job] = OrderedDict()
_guard = threading.Lock()


@dataclass
class Job:
    """A piece of work and how far it is; its thread writes, pages read.

    Attributes:
        phase: What is going on.
        done: Steps done.
        total: Steps in all; 0 if unknown.
        stopping: Somebody has pressed Stop.
        answer: What it gives.
    """

    phase: str = "waiting for its turn"
    done: int = 0
    total: int = 0
    stopping: bool = False
    answer: Future[Any] = field(default_factory=Future)

    def tell(self, phase: str, done: int, total: int) -> None:
        """How far it is; as `engine.evaluation.encoding.Tell`."""
        self.phase, self.done, self.total = phase, done, total

    def stop(self) -> bool:
        """Whether to give up."""
        return self.stopping


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
    job = _job(key, work, long)
    if not _ended(job):
        st.fragment(_watch, run_every=POLL_SECONDS)(job, name)
        return None
    try:
        found = job.answer.result()
    except Stopped:
        found = None
    except UserError:
        forget(key)
        raise
    except Exception:
        forget(key)
        logging.getLogger("replab").exception("work of the Try it page")
        raise UserError(FAILED) from None
    if found is None:
        _stopped(key, name)
    return found


def forget(key: object) -> None:
    """Let the next question start the work anew."""
    with _guard:
        _jobs.pop(key, None)


def _job(key: object, work: Work, long: bool) -> Job:
    with _guard:
        job = _jobs.get(key)
        if job is None:
            job = _jobs[key] = Job()
            job.answer = (_long if long else _quick).submit(work, job)
            while len(_jobs) > MAX_KEPT:
                _, old = _jobs.popitem(last=False)
                old.stopping = True
                old.answer.cancel()
        _jobs.move_to_end(key)
        return job


def _ended(job: Job) -> bool:
    """Whether the answer is there, or comes in a moment."""
    try:
        job.answer.exception(timeout=PATIENCE)
    except TimeoutError:
        return False
    return True


def _watch(job: Job, name: str) -> None:
    if job.answer.done():
        st.rerun()
    share = min(1.0, job.done / job.total) if job.total else 0.0
    count = f": {job.done:,} of {job.total:,}" if job.total else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(share, text=f"{md(job.phase).capitalize()}{count} …", width="stretch")
        st.button(
            "Stopping…" if job.stopping else "Stop",
            icon=":material/stop_circle:",
            disabled=job.stopping,
            key=f"{name}.stop",
            on_click=_stop,
            args=(job,),
        )


def _stop(job: Job) -> None:
    job.stopping = True


def _stopped(key: object, name: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(":material/stop_circle: Stopped.", width="content")
        st.button("Start again", key=f"{name}.again", on_click=forget, args=(key,), type="tertiary")
