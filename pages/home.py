"""Home: what this is, the next sensible step, and what is here already."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from engine.data.dataset import DatasetSummary, list_datasets
from engine.runs.summary import is_mine
from engine.settings import PROJECT_ROOT
from pages.components.data_cards import card, grid
from pages.components.data_imports import import_cards
from pages.components.home_machine import machine
from pages.components.home_next import latest_runs, next_step, steps
from pages.components.store import run_store

READY = 3


def main() -> None:
    sets, runs = list_datasets(), [run for run in run_store().list() if is_mine(run)]
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
    draws: list[Callable[[], None]] = [partial(card, summary) for summary in sets[:READY]]
    grid([*draws, own_images] if len(sets) < READY else draws)


def own_images() -> None:
    """The place of the next set: the visitor's own."""
    st.html('<div class="rl-strip rl-empty"><span></span><span></span><span></span><span></span></div>')
    with st.container(height="stretch", gap="xxsmall"):
        st.markdown("**Your own images**")
        st.caption("A zip or a folder, with one sub-folder a class.")
    with st.container(horizontal=True):
        if st.button("Add images", key="home.own", icon=":material/add_photo_alternate:"):
            st.session_state["data.goto"] = "Add images"
            st.switch_page(PROJECT_ROOT / "pages" / "data.py")


main()
