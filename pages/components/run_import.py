"""Taking in runs from another installation: a zip is dropped, checked, and its runs stand in the list."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from engine.errors import UserError
from engine.export import taking_in
from engine.export.making import UNDER_WAY
from engine.export.run_import import Imported
from engine.settings import settings
from pages.components.take_home import EVERY, making_share, making_words
from pages.components.text import count_text, md
from pages.components.upload import upload
from pages.components.upload_routes import discard_upload

ENDINGS = (".zip",)
TOLD = "runs.imported"  # what the last zip brought, told once after the page has run again
JOB = "runs.import.job"  # the import that this visit has begun
STOPPED = "The import was stopped; nothing was taken in."
COUNT = "runs.import.count"  # zips that have arrived: each gets a drop zone of its own


def import_part() -> None:
    """A fold with the drop zone, or how far the zip is that was dropped."""
    number = st.session_state.setdefault(COUNT, 0)
    with st.expander("Import runs", icon=":material/upload:", key="runs.import.fold"):
        st.caption(
            "A zip that Take it home or Pack runs has made, here or elsewhere. A run finds its images here "
            "by their fingerprint; data sets that were packed along come with it where they are not here yet."
        )
        if JOB in st.session_state:
            st.fragment(_watch, run_every=EVERY)(st.session_state[JOB])
            return
        path = upload(f"runs.import.{number}", ENDINGS, "Drop the zip of a run here")
        if path is None:
            return
        _begin(path)
    st.session_state[COUNT] = number + 1
    st.rerun()


def _begin(path: Path) -> None:
    """Hand the zip to a process of its own."""
    name = path.name.partition(".")[0]
    try:
        st.session_state[JOB] = taking_in.start(path)
    except UserError as error:
        st.session_state[TOLD] = str(error)
        discard_upload(name)
    (settings().uploads / f"{name}.json").unlink(missing_ok=True)


def _watch(job: str) -> None:
    """How far it is; the page runs again when it has ended."""
    status = taking_in.taking_in(job)
    if status.state in UNDER_WAY:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(making_share(status), text=making_words(status), width="stretch")
            st.button(
                "Stop",
                icon=":material/stop_circle:",
                key="runs.import.stop",
                on_click=taking_in.stop,
                args=(job,),
            )
        return
    ended = {"done": list(status.runs), "stopped": STOPPED}
    st.session_state[TOLD] = ended.get(status.state, status.error or taking_in.CUT_OFF)
    st.session_state.pop(JOB, None)
    taking_in.clear(job)
    st.rerun()


def tell_imported() -> None:
    """What came of the last zip, once."""
    found: list[Imported] | str | None = st.session_state.pop(TOLD, None)
    if found is None:
        return
    if isinstance(found, str):
        if found == STOPPED:
            st.info(found, icon=":material/stop_circle:")
        else:
            st.error(md(found, 300), icon=":material/error:")
        return
    names = ", ".join(md(run.name, 60) for run in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    st.success(f"{count_text(len(found), 'run')} taken in: {names}{more}.", icon=":material/check_circle:")
    if brought := list(dict.fromkeys(run.data for run in found if run.brought)):
        names = ", ".join(md(name, 60) for name in brought[:5])
        st.info(
            f"{count_text(len(brought), 'data set')} came along: {names}.", icon=":material/photo_library:"
        )
    for sentence in dict.fromkeys(run.missing for run in found if run.missing):
        st.warning(md(sentence, 300), icon=":material/folder_off:")
