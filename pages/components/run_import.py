"""Taking in runs from another installation: a zip is dropped, checked, and its runs stand in the list."""

from __future__ import annotations

import streamlit as st

from engine.errors import UserError
from engine.export.run_import import Imported, import_runs
from pages.components.text import count_text, md
from pages.components.upload import upload
from pages.components.upload_routes import discard_upload

ENDINGS = (".zip",)
TOLD = "runs.imported"  # what the last zip brought, told once after the page has run again
COUNT = "runs.import.count"  # zips that have arrived: each gets a drop zone of its own


def import_part() -> None:
    """A fold with the drop zone."""
    number = st.session_state.setdefault(COUNT, 0)
    with st.expander("Import runs", icon=":material/upload:", key="runs.import.fold"):
        st.caption(
            "A zip that Take it home has made, here or elsewhere. Data sets are not in it: a run finds the "
            "same images here by their fingerprint."
        )
        path = upload(f"runs.import.{number}", ENDINGS, "Drop the zip of a run here")
        if path is None:
            return
        try:
            with st.spinner("Checking the zip…"):
                st.session_state[TOLD] = import_runs(path)
        except UserError as error:
            st.session_state[TOLD] = str(error)
        finally:
            discard_upload(path.name.partition(".")[0])
    st.session_state[COUNT] = number + 1
    st.rerun()


def tell_imported() -> None:
    """What came of the last zip, once."""
    found: list[Imported] | str | None = st.session_state.pop(TOLD, None)
    if found is None:
        return
    if isinstance(found, str):
        st.error(md(found, 300), icon=":material/error:")
        return
    names = ", ".join(md(run.name, 60) for run in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    st.success(f"{count_text(len(found), 'run')} taken in: {names}{more}.", icon=":material/check_circle:")
    for sentence in dict.fromkeys(run.missing for run in found if run.missing):
        st.warning(md(sentence, 300), icon=":material/folder_off:")
