"""The latest runs of a page, one click away."""

from __future__ import annotations

import streamlit as st

from engine.methods import METHODS
from pages.components import store


def recent_runs(page: str, most: int = 5) -> None:
    """Draw them; `page` is what the registry of methods calls it."""
    mine = {name for name, entry in METHODS.items() if entry.page == page}
    runs = [run for run in store.run_store().list() if run.method in mine][:most]
    if not runs:
        return
    st.markdown("##### Latest runs")
    for run in runs:
        with st.container(horizontal=True, vertical_alignment="center", border=True):
            st.text(run.name, width="stretch")
            st.caption(store.outcome(run))
            if st.button("Open", key=f"recent.{run.id}", type="tertiary", icon=":material/arrow_forward:"):
                store.go_to_run(run)
