"""Home: what this is, the next sensible step, and what is here already."""

from __future__ import annotations

from functools import partial

import streamlit as st

from engine.data.dataset import DatasetSummary, list_datasets
from engine.settings import PROJECT_ROOT
from pages.components.data_cards import card, grid
from pages.components.data_imports import import_cards
from pages.components.home_machine import machine
from pages.components.home_next import latest_runs, next_step, steps
from pages.components.store import run_store

READY = 3


def main() -> None:
    sets, runs = list_datasets(), run_store().list()
    st.title("See how networks learn to represent images", anchor=False)
    st.caption(
        "Take some images, train a network on them, and look at what it has learned. All of it on this "
        "machine."
    )
    next_step(sets, runs)
    import_cards()
    if not runs:
        steps()
    if sets:
        ready(sets)
    if not runs:
        machine(sets, runs)
        return
    left, right = st.columns([1.5, 1])
    with left:
        latest_runs(runs, {summary.id: summary.name for summary in sets})
    with right:
        machine(sets, runs)


def ready(sets: list[DatasetSummary]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Ready to use", anchor=False, width="stretch")
        if len(sets) > READY:
            st.page_link(
                PROJECT_ROOT / "pages" / "data.py",
                label=f"All {len(sets)} sets",
                icon=":material/arrow_forward:",
            )
    grid([partial(card, summary) for summary in sets[:READY]])


main()
