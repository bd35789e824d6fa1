"""What can be done with a data set as a whole: rename, download, delete."""

from __future__ import annotations

from functools import partial

import streamlit as st

from engine import access
from engine.access import CHANGE
from engine.data.dataset import Dataset, rename_dataset, set_private
from engine.errors import UserError
from engine.removal import keeps_pictures, remove_data
from engine.runs.summary import RunSummary
from engine.settings import PROJECT_ROOT
from pages.components.owner import privacy
from pages.components.picker import REMEMBERED
from pages.components.store import run_store
from pages.components.text import count_text, md, size_text

MENU = "data.menu.opened"  # a menu of another number is another menu, and shut
ASKED = "data.delete.asked"


def menu(dataset: Dataset) -> None:
    with st.container(horizontal=True, width="content", gap="small"):
        if len(dataset.classes) > 1 and st.button("Train", type="primary", icon=":material/model_training:"):
            st.switch_page(PROJECT_ROOT / "pages" / "transfer_learning.py", query_params={"data": dataset.id})
        with st.popover(
            "",
            icon=":material/more_vert:",
            help="Rename, download, delete",
            key=f"data.menu.{st.session_state.get(MENU, 0)}",
        ):
            mine = access.may(CHANGE, dataset.ownership)
            if mine:
                with st.form("data.rename", border=False):
                    name = st.text_input("Name", value=dataset.name, max_chars=120)
                    if st.form_submit_button("Rename", icon=":material/edit:", width="stretch"):
                        rename(dataset, name)
                privacy(dataset.ownership, f"data.private.{dataset.id}", partial(set_private, dataset.id))
            st.link_button(
                "Download as zip", f"/lab/datasets/{dataset.id}/download.zip", icon=":material/download:",
                width="stretch", help="Folders of splits and classes, without camera data such as places.",
            )  # fmt: skip
            if mine:
                st.button(
                    "Delete", icon=":material/delete:", width="stretch", key="data.delete",
                    on_click=close_menu, args=(dataset.id,),
                )  # fmt: skip
    if st.session_state.get(ASKED) == dataset.id:
        confirm_delete(dataset)


def close_menu(delete: str | None = None) -> None:
    """Begin the next page run with the menu shut and, if asked, the question before deleting open."""
    st.session_state[MENU] = st.session_state.get(MENU, 0) + 1
    st.session_state[ASKED] = delete


def rename(dataset: Dataset, name: str) -> None:
    try:
        rename_dataset(dataset.id, name)
    except UserError as error:
        st.error(md(error))
        return
    close_menu()
    st.rerun()


def answered() -> None:
    st.session_state[ASKED] = None


def _what_stays(runs: list[RunSummary]) -> str:
    """What the runs that learned from the set keep of it, in sentences."""
    if not runs:
        return ""
    words = (
        f" {count_text(len(runs), 'run')} trained on it will stay without its images: curves, results, "
        "weights, maps and the images' names."
    )
    pictured = sum(map(keeps_pictures, runs))
    if pictured:
        words += f" {pictured} of them keep small pictures of a few images from while they learned."
    return f"{words} Files to take home that were made of them are deleted too."


@st.dialog("Delete this data set?", on_dismiss=answered)
def confirm_delete(dataset: Dataset) -> None:
    """Ask once more, telling what goes and what stays."""
    runs = [run for run in run_store().list() if run.dataset == dataset.id]
    st.text(dataset.name)
    st.caption(
        f"{count_text(dataset.n, 'image')}, {size_text(int(dataset.info.get('bytes', 0)))}, are deleted from "
        f"this machine for good, with all that was computed of them.{_what_stays(runs)}"
    )
    with st.container(horizontal=True):
        if st.button("Delete", type="primary", icon=":material/delete:", key="data.delete.yes"):
            try:
                remove_data(dataset.id)
            except UserError as error:
                st.error(md(error))
                return
            answered()
            st.session_state.pop(REMEMBERED, None)
            st.query_params.pop("data", None)
            st.session_state["data.goto"] = "Data sets"
            st.rerun()
        if st.button("Keep it", key="data.delete.no"):
            answered()
            st.rerun()
