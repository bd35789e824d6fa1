"""Adding images of one's own: upload, a folder of the machine, and what a folder must look like."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import streamlit as st

from engine.settings import settings
from pages.components.data_imports import begin, watch
from pages.components.text import size_text
from pages.components.upload import upload_dataset

TREE = """<div class="rl-tree"><b>my-images.zip</b> <i>or a folder</i>
├─ <b>cats</b>         <i>one folder a class</i>
│  ├─ 001.jpg
│  └─ 002.png
└─ <b>dogs</b>
   └─ tom.webp</div>"""
SPLIT_TREE = """<div class="rl-tree"><b>my-images.zip</b>
├─ <b>train</b>        <i>kept as given</i>
│  ├─ cats <i>…</i>
│  └─ dogs <i>…</i>
├─ <b>val</b>
└─ <b>test</b>         <i>optional</i></div>"""


def add_images() -> None:
    """Upload on the left, what it should look like on the right."""
    left, right = st.columns([1.45, 1], gap="large")
    with left:
        options = split_options()
        upload_dataset("data-upload", options, started=watch)
        if settings().mode == "laptop":
            server_folder(options)
    with right:
        layout_help()


def split_options() -> dict[str, Any]:
    with st.popover("Split and seed", icon=":material/tune:", type="tertiary"):
        st.caption(
            "Used where the folders do not say which images are for validation: drawn per class, by the seed."
        )
        val = st.slider("Validation", 5, 50, 20, 5, format="%d %%", key="data.val", persist_state="session")
        test = st.slider("Test", 0, 50, 0, 5, format="%d %%", key="data.test", persist_state="session")
        seed = st.number_input("Seed", 0, 2**31 - 1, 0, key="data.seed", persist_state="session")
    return {"val_fraction": val / 100, "test_fraction": test / 100, "seed": int(seed)}


def server_folder(options: dict[str, Any]) -> None:
    with st.expander("A folder on this machine", icon=":material/folder_open:"):
        st.caption("For large sets: nothing is uploaded, the images are copied into the workspace.")
        with st.form("data.folder", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
            path = st.text_input("Folder", key="data.folder.path", placeholder="/home/me/pictures/birds")
            go = st.form_submit_button("Add", icon=":material/add:")
        if go and path.strip():
            folder = Path(os.path.expanduser(path.strip()))
            begin(str(folder), name=folder.name or "My images", **options)
            st.rerun()


def layout_help() -> None:
    limits = settings()
    st.markdown("**What your folder must look like**")
    st.html(TREE)
    st.caption("The names of the folders become the classes. Or with splits of your own:")
    st.html(SPLIT_TREE)
    st.caption(
        f"JPEG, PNG, GIF, BMP, WebP or TIFF; up to {limits.max_entries:,} files, {limits.max_classes} "
        "classes, "
        f"{size_text(limits.max_unpacked_bytes)} unpacked. Unreadable files are left out and named. Images "
        "without "
        "class folders can be added too, for pages that need no labels."
    )
