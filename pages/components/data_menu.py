"""What can be done with a data set as a whole: rename, download, delete."""

from __future__ import annotations

import streamlit as st

from engine.data.dataset import Dataset, remove_dataset, rename_dataset
from engine.errors import UserError
from engine.settings import PROJECT_ROOT
from pages.components.picker import REMEMBERED
from pages.components.store import ACTIVE, run_store
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
            with st.form("data.rename", border=False):
                name = st.text_input("Name", value=dataset.name, max_chars=120)
                if st.form_submit_button("Rename", icon=":material/edit:", width="stretch"):
                    rename(dataset, name)
            st.link_button(
                "Download as zip", f"/lab/datasets/{dataset.id}/download.zip", icon=":material/download:",
                width="stretch", help="Folders of splits and classes, without camera data such as places.",
            )  # fmt: skip
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


@st.dialog("Delete this data set?", on_dismiss=answered)
def confirm_delete(dataset: Dataset) -> None:
    """Ask once more, telling what goes and what stays."""
    runs = [run for run in run_store().list() if run.dataset == dataset.id]
    st.text(dataset.name)
    stays = (
        f" {count_text(len(runs), 'run')} trained on it will stay, but without its images." if runs else ""
    )
    st.caption(
        f"{count_text(dataset.n, 'image')}, {size_text(int(dataset.info.get('bytes', 0)))}, are deleted "
        "from this "
        f"machine for good.{stays}"
    )
    with st.container(horizontal=True):
        if st.button("Delete", type="primary", icon=":material/delete:", key="data.delete.yes"):
            try:
                remove_dataset(dataset.id, in_use=any(run.state in ACTIVE for run in runs))
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
