"""Data: the sets that are here, what is in them, and how to add one's own."""

from __future__ import annotations

import streamlit as st

from engine.data.dataset import DatasetSummary, list_datasets
from pages.components.data_add import add_images
from pages.components.data_cards import LOOK, TAB, cards, offers
from pages.components.data_imports import import_cards, problem
from pages.components.data_look import look_inside
from pages.components.picker import chosen_id
from pages.components.text import count_text, size_text

SETS, ADD = "Data sets", "Add images"
TABS = [SETS, LOOK, ADD]


def main() -> None:
    sets = list_datasets()
    head(sets)
    goto = st.session_state.pop("data.goto", None)
    st.session_state[TAB] = goto or st.session_state.get(TAB) or (SETS if sets else ADD)
    view = st.segmented_control("View", TABS, key=TAB, required=True, label_visibility="collapsed")
    problem()
    import_cards()
    if view == ADD:
        add_images()
    elif view == LOOK:
        look_inside(chosen_id())
    else:
        overview(sets)


def head(sets: list[DatasetSummary]) -> None:
    st.title("Data", anchor=False)
    images, used = sum(summary.n for summary in sets), sum(summary.bytes for summary in sets)
    if sets:
        st.caption(
            f"{count_text(len(sets), 'set')} · {count_text(images, 'image')} · {size_text(used)} on this "
            "machine"
        )
    else:
        st.caption("Take a set that is ready, or bring a folder of images of your own.")


def overview(sets: list[DatasetSummary]) -> None:
    if not sets:
        st.info(
            "No set is here yet. Make or download one below, or add your own.",
            icon=":material/photo_library:",
        )
    cards(sets)
    offers({summary.id for summary in sets})


main()
