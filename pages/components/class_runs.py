"""The class's runs that are running or wait, with a button each to stop them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import streamlit as st

from engine import classroom
from engine.classroom import ActiveRun
from engine.runs.expected import place_words
from pages.components import store
from pages.components.text import ago, md

MOST = 40  # rows; the rest are counted


def runs_part(names: Mapping[str, str]) -> None:
    """One row a run, in the order in which they have and get their turns.

    Args:
        names: What people call each person, by id.
    """
    runs = classroom.active_runs()
    st.subheader("Running and waiting", anchor=False)
    if not runs:
        st.caption("Nothing is running and nothing waits.")
        return
    for run in runs[:MOST]:
        _row(run, names.get(run.owner) or "somebody who has left")
    if len(runs) > MOST:
        st.caption(f"{MOST} of {len(runs)}; the Runs page has all.")


def _row(run: ActiveRun, owner: str) -> None:
    running = run.state == "running"
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"class-run-{run.id}"):
        with st.container(gap=None, width="stretch"):
            st.markdown(f"**{md(owner, 60)}** · {md(run.name, 80)}")
            st.caption(_words(run))
        st.badge(
            "stopping" if run.stopping else run.state,
            icon=":material/progress_activity:" if running else ":material/hourglass_top:",
            color="orange" if run.stopping else "blue" if running else "gray",
        )
        if st.button("Open", key=f"class.open.{run.id}", type="tertiary", icon=":material/open_in_full:"):
            store.go_to_run(store.run_store().get(run.id))
        tip = "Finished epochs are kept." + (" Press again to end it at once." if running else "")
        if st.button("Stop", key=f"class.stop.{run.id}", icon=":material/stop_circle:", help=tip):
            store.attempt(partial(store.stop, run.id, force=run.stopping))
            st.rerun()


def _words(run: ActiveRun) -> str:
    if run.state == "running":
        return f"since {ago(run.since)}"
    return f"{place_words(run.place, run.starts_in)} · asked {ago(run.since)}"
