"""Cards of data sets: those that are here, and those that can be had."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from engine.data.catalog import CATALOG, CatalogEntry
from engine.data.dataset import DatasetSummary
from engine.data.imports import list_imports
from engine.settings import PROJECT_ROOT
from pages.components.data_imports import UNDER_WAY, begin
from pages.components.images import strip, summary_line
from pages.components.owner import owner_line
from pages.components.picker import remember
from pages.components.text import count_text, md, size_text

PER_PAGE = 12
COLUMNS = 3
TAB = "data.tab"
LOOK = "Look inside"


def cards(sets: list[DatasetSummary]) -> None:
    """The sets that are here, a page of them at a time, with a filter once there are many."""
    if len(sets) > PER_PAGE:
        text = st.text_input(
            "Find",
            key="data.find",
            placeholder="Find by name",
            icon=":material/search:",
            label_visibility="collapsed",
        )
        sets = [summary for summary in sets if text.lower() in summary.name.lower()] if text else sets
        if not sets:
            st.caption("No set has this in its name.")
    pages = -(-len(sets) // PER_PAGE)
    page = st.session_state.get("data.page", 1) if pages > 1 else 1
    start = (min(page, pages) - 1) * PER_PAGE
    grid([partial(card, summary) for summary in sets[start : start + PER_PAGE]])
    if pages > 1:
        st.pagination(pages, key="data.page")


def grid(draws: list[Callable[[], None]]) -> None:
    """Draw cards of equal height, COLUMNS beside each other."""
    for start in range(0, len(draws), COLUMNS):
        for column, draw in zip(st.columns(COLUMNS), draws[start : start + COLUMNS], strict=False):
            with column, st.container(border=True, height="stretch", gap="small"):
                draw()


def card(summary: DatasetSummary) -> None:
    strip(summary)
    with st.container(height="stretch", gap="xxsmall"):
        st.markdown(f"**{md(summary.name, 80)}**")
        whose = owner_line(summary.ownership)
        st.caption(f"{summary_line(summary)} · {whose}" if whose else summary_line(summary))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if st.button("Look inside", key=f"data.open.{summary.id}", icon=":material/visibility:"):
            open_set(summary.id)
        if len(summary.classes) > 1 and st.button(
            "Train", key=f"data.train.{summary.id}", type="tertiary", icon=":material/model_training:"
        ):
            remember(summary.id)
            st.switch_page(PROJECT_ROOT / "pages" / "transfer_learning.py", query_params={"data": summary.id})


def open_set(dataset: str) -> None:
    remember(dataset)
    st.session_state["data.goto"] = LOOK
    st.rerun()


def offers(here: set[str]) -> None:
    """Sets of the catalog that are not here yet, each with its size and one button."""
    missing = [entry for entry in CATALOG.values() if entry.name not in here]
    if not missing:
        return
    st.subheader("More sets", anchor=False)
    st.caption(
        "Drawn on this machine, or downloaded from their makers when you press the button; nothing else is."
    )
    busy = {status.source_name for status in list_imports() if status.state in UNDER_WAY}
    grid([partial(offer, entry, entry.name in busy) for entry in missing])


def offer(entry: CatalogEntry, busy: bool) -> None:
    with st.container(height="stretch", gap="xxsmall"):
        st.markdown(f"**{md(entry.title)}**")
        st.caption(md(entry.description, 200))
        st.caption(f"{count_text(entry.images, 'image')} · {count_text(entry.classes, 'class', 'classes')}")
    if busy:
        st.badge("on its way", icon=":material/hourglass_top:", color="blue")
        return
    label, icon, tip = "Make it", "draw", "Made on this machine in seconds; needs no network."
    if entry.needs_network:
        size = f" {size_text(entry.download_bytes)}" if entry.download_bytes else ""
        label, icon, tip = f"Download{size}", "download", f"From {entry.source}. Needs the network."
    if st.button(label, key=f"data.get.{entry.name}", icon=f":material/{icon}:", help=md(tip)):
        begin(entry.name)
        st.rerun()
