"""Imports under way: a card each with progress and Stop; they live on disk, so a reload finds them again."""

from __future__ import annotations

import contextlib
import time

import streamlit as st

from engine import access
from engine.data.catalog import CATALOG
from engine.data.imports import ImportStatus, clear_import, list_imports, start_import, stop_import
from engine.errors import UserError
from engine.runs import quotas
from pages.components.picker import remember
from pages.components.text import ago, md

KEPT_SECONDS = 300  # an import that is done, before it is forgotten
UNDER_WAY = ("queued", "running")
SEEN = "data.imports.seen"  # imports that this visit has seen under way
MINE = "data.imports.mine"  # imports that this visit has begun: their set is opened when it is ready


def under_way() -> list[ImportStatus]:
    return [status for status in list_imports() if status.state in UNDER_WAY]


def import_cards() -> None:
    """Draw all imports that are under way or ended badly; the page runs again when one is done."""
    active = bool(under_way())
    st.fragment(_cards, run_every=1.0 if active else None)()


def _cards() -> None:
    seen: set[str] = st.session_state.setdefault(SEEN, set())
    finished = False
    for status in list_imports():
        if status.state in UNDER_WAY:
            seen.add(status.id)
            _running(status)
        elif status.state == "done":
            finished |= status.id in seen
            _done(status, status.id in seen)
        else:
            _ended(status)
            finished |= status.id in seen
            seen.discard(status.id)
    if finished:
        st.rerun()


def _running(status: ImportStatus) -> None:
    with st.container(border=True, key=f"import-{status.id}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{md(title(status))}**", width="stretch")
            may_stop = access.may(access.CHANGE, status.ownership)
            if may_stop and st.button("Stop", key=f"import.stop.{status.id}", icon=":material/stop_circle:"):
                stop_import(status.id)
                st.rerun(scope="fragment")
        st.progress(share(status), text=progress_words(status))


def _done(status: ImportStatus, seen: bool) -> None:
    """Open the new set where its import was begun; the import itself is forgotten later.

    Not at once: another window, or this one in the very next moment, may still have to see that it is done.
    """
    if seen:
        st.session_state[SEEN].discard(status.id)
        st.toast(f"{md(title(status))} is ready.", icon=":material/check_circle:")
        if status.dataset and status.id in mine():
            mine().discard(status.id)
            remember(status.dataset)
            st.session_state["data.goto"] = "Look inside"
    if time.time() - status.started > KEPT_SECONDS:
        forget(status.id)


def forget(import_id: str) -> None:
    with contextlib.suppress(UserError):  # its process is just ending: the next look will do it
        clear_import(import_id)


def _ended(status: ImportStatus) -> None:
    words = {
        "failed": status.error or "It could not be imported.",
        "stopped": "The import was stopped; nothing was kept.",
        "interrupted": status.error or "",
    }
    with st.container(border=True, key=f"import-{status.id}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{md(title(status))}** · {status.state} {ago(status.started)}", width="stretch")
            if st.button(
                "Dismiss", key=f"import.clear.{status.id}", type="tertiary", icon=":material/close:"
            ):
                forget(status.id)
                st.rerun()
        box = st.error if status.state == "failed" else st.warning
        box(md(words.get(status.state, status.state), 300), icon=":material/error:")


def title(status: ImportStatus) -> str:
    entry = CATALOG.get(status.source_name)
    return entry.title if entry else status.source_name


def share(status: ImportStatus) -> float:
    return min(1.0, max(0.0, status.done / status.total)) if status.total else 0.0


def progress_words(status: ImportStatus) -> str:
    if status.state == "queued":
        return "Starting…"
    amount = (
        f" · {status.done:,} of {status.total:,}"
        if status.total
        else f" · {status.done:,}"
        if status.done
        else ""
    )
    note = f" · {md(status.note, 80)}" if status.note else ""
    return f"{md(status.phase.capitalize() or 'Working')}{amount}{note}"


def mine() -> set[str]:
    found: set[str] = st.session_state.setdefault(MINE, set())
    return found


def watch(import_id: str) -> None:
    """This visit has begun an import: tell when it is ready, and open its set."""
    mine().add(import_id)
    st.session_state.setdefault(SEEN, set()).add(import_id)


def begin(source: str, **options: object) -> None:
    """Start an import from the page; what the user can mend is shown at once."""
    try:
        with contextlib.nullcontext() if source in CATALOG else quotas.room(sets=1):  # those are the server's
            import_id = start_import(source, **options)  # type: ignore[arg-type]
    except UserError as error:
        st.session_state["data.problem"] = str(error)
        return
    watch(import_id)


def toast_later(words: str) -> None:
    """Say something after the rerun that is about to happen."""
    st.session_state["data.toast"] = words


def problem() -> None:
    """Show what the last button did, or the reason why it did nothing, once."""
    if words := st.session_state.pop("data.toast", None):
        st.toast(md(words), icon=":material/check_circle:")
    sentence = st.session_state.pop("data.problem", None)
    if sentence:
        st.error(md(sentence, 300), icon=":material/error:")
