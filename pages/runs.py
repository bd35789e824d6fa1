"""Runs: everything that was trained here; filter, compare, open, tidy up, hand on."""

from __future__ import annotations

from functools import partial

import streamlit as st

from engine.runs.summary import RunSummary
from pages.components import store
from pages.components.compare_curves import compare_curves
from pages.components.run_import import import_part, tell_imported
from pages.components.run_pack import pack_part
from pages.components.run_table import filters, run_table
from pages.components.run_view import confirm_delete, show_run
from pages.components.text import md, size_text


def main() -> None:
    st.title("Runs", anchor=False)
    run = store.open_run_id()
    if run is not None:
        show_run(run)
        return
    tell_imported()
    runs = store.run_store().list()
    if not runs:
        empty()
        import_part()
        return
    headline(runs)
    shown = filters(runs)
    picked = run_table(shown)
    if picked:
        actions(picked)
        compare_curves(picked)
    else:
        st.caption("Tick runs to compare, open, stop, resume, rename, pack or delete them.")
    pack_part(runs, picked)
    import_part()


def empty() -> None:
    with st.container(border=True, horizontal_alignment="center"):
        st.space("small")
        st.markdown("### :material/model_training:", width="content")
        st.markdown("##### Nothing has been trained yet", width="content")
        st.caption(
            "Every training appears here with its curves and results, and stays until you delete it.",
            width="content",
        )
        if st.button("Train a first classifier", type="primary", icon=":material/arrow_forward:"):
            st.switch_page(store.page_of("classification"))
        st.space("small")


def headline(runs: list[RunSummary]) -> None:
    active = sum(run.state in store.ACTIVE for run in runs)
    used = sum(run.bytes or 0 for run in runs)
    text = f"{len(runs):,} run{'s' if len(runs) != 1 else ''} · {size_text(used)} on disk"
    st.caption(text + (f" · {active} queued or running" if active else ""))


def actions(picked: list[RunSummary]) -> None:
    """What can be done with the ticked runs."""
    one = picked[0] if len(picked) == 1 else None
    mine = [run for run in picked if store.run_store().may_change(run.id)]
    stoppable = [run for run in mine if run.state in store.ACTIVE]
    resumable = [run for run in mine if run.state in store.RESUMABLE]
    removable = [run for run in mine if run.state in store.FINAL]
    with st.container(horizontal=True, vertical_alignment="center", key="run-actions"):
        if one and st.button("Open", type="primary", icon=":material/open_in_full:", key="runs.open"):
            store.go_to_run(one)
        if stoppable and st.button(
            _counted("Stop", stoppable), icon=":material/stop_circle:", key="runs.stop"
        ):
            for run in stoppable:
                store.attempt(partial(store.stop, run.id))
            st.rerun()
        if resumable and st.button(
            _counted("Resume", resumable), icon=":material/play_arrow:", key="runs.resume"
        ):
            for run in resumable:
                store.attempt(partial(store.resume, run.id))
            st.rerun()
        if one and mine:
            rename(one)
        if removable and st.button(
            _counted("Delete…", removable), icon=":material/delete:", key="runs.delete"
        ):
            confirm_delete(removable)
        st.space("stretch")
        st.text(one.name if one else f"{len(picked)} runs ticked")
    if one and one.error:
        st.caption(md(one.error))


def rename(run: RunSummary) -> None:
    with st.popover("Rename", icon=":material/edit:"), st.form("runs.rename", border=False):
        name = st.text_input("Name", value=run.name, max_chars=240, key=f"runs.name.{run.id}")
        if st.form_submit_button("Rename"):
            store.attempt(lambda: store.run_store().rename(run.id, name))
            st.rerun()


def _counted(word: str, runs: list[RunSummary]) -> str:
    return word if len(runs) == 1 else f"{word} ({len(runs)})"


main()
