"""One data set from the inside: its images, counts, duplicates, report, augmented views and factors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset, open_dataset
from engine.errors import UserError
from pages.components.data_counts import counts
from pages.components.data_duplicates import duplicates
from pages.components.data_factors import factors
from pages.components.data_menu import menu
from pages.components.data_report import report
from pages.components.data_views import views
from pages.components.gallery import gallery
from pages.components.images import items, size_words
from pages.components.text import count_text, md, one_line, size_text

PER_PAGE = 24
SPLIT_WORDS = {"train": "Train", "val": "Validation", "test": "Test"}


def look_inside(dataset_id: str | None) -> None:
    try:
        dataset = open_dataset(dataset_id or "")
    except UserError:
        st.info("Choose a data set in the sidebar, or add one.", icon=":material/photo_library:")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(md(dataset.name, 120), anchor=False, width="stretch")
        menu(dataset)
    headline(dataset)
    parts: dict[str, Callable[[Dataset], None]] = {"Images": images, "Counts": counts}
    parts |= {"Duplicates": duplicates, "What was taken": report, "Augmented views": views}
    if dataset.factors:
        parts["Factors"] = factors
    part = st.pills(
        "Part", list(parts), default="Images", required=True, key="data.part", label_visibility="collapsed"
    )
    parts.get(str(part), images)(dataset)


def headline(dataset: Dataset) -> None:
    by_split = {split: len(dataset.indices(split)) for split in SPLIT_WORDS}
    shares = " · ".join(f"{n:,} {SPLIT_WORDS[split].lower()}" for split, n in by_split.items() if n)
    classes = f"{len(dataset.classes)}" if dataset.is_labelled else "none"
    first = one_line(", ".join(dataset.classes[:12]), 60) if dataset.is_labelled else "images without labels"
    width = size_words(dataset.info)
    cells = st.columns(4)
    cells[0].metric(
        "Images",
        f"{dataset.n:,}",
        shares,
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
    )
    cells[1].metric(
        "Classes", classes, md(first), delta_color="off", delta_arrow="off", border=True, height="stretch"
    )
    cells[2].metric(
        "Size",
        width.removeprefix("around "),
        "all the same" if not width.startswith("around") else "the median; they differ",
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
    )
    stored = size_text(int(dataset.info.get("bytes", 0)))
    cells[3].metric(
        "On disk",
        stored,
        "images as added",
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
    )


def images(dataset: Dataset) -> None:
    """The images, a page at a time, of one class or split."""
    chosen = filtered(dataset)
    if not len(chosen):
        st.info("No image is in this class and split.", icon=":material/image_not_supported:")
        return
    pages = -(-len(chosen) // PER_PAGE)
    key = f"data.images.page.{dataset.id}"
    page = min(int(st.session_state.get(key, 1)), pages)
    part = chosen[(page - 1) * PER_PAGE : page * PER_PAGE]
    gallery(items(dataset, part, 160), key=f"data-grid-{dataset.id}")
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        first = (page - 1) * PER_PAGE
        st.caption(
            f"{first + 1:,}–{first + len(part):,} of {count_text(len(chosen), 'image')}", width="content"
        )
        if pages > 1:
            st.pagination(pages, key=key)


def filtered(dataset: Dataset) -> np.ndarray:
    """(m,) the images that the filters leave; class names are plain text in the box."""
    keep = np.ones(dataset.n, bool)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if dataset.is_labelled:
            options = [-1, *range(len(dataset.classes))]
            label = st.selectbox(
                "Class",
                options,
                format_func=lambda i: "All classes" if i < 0 else one_line(dataset.classes[i], 120),
                key=f"data.images.class.{dataset.id}",
                label_visibility="collapsed",
                width=300,
            )
            keep &= (dataset.labels == label) if label is not None and label >= 0 else True
        present = [split for split in SPLIT_WORDS if len(dataset.indices(split))]
        if len(present) > 1:
            split = st.segmented_control(
                "Split",
                ["all", *present],
                default="all",
                required=True,
                format_func=lambda s: SPLIT_WORDS.get(s, "All splits"),
                key=f"data.images.split.{dataset.id}",
                label_visibility="collapsed",
            )
            keep &= (dataset.splits == split) if split != "all" else True
    return mixed(np.flatnonzero(keep))


def mixed(chosen: np.ndarray) -> np.ndarray:
    """(m,) the same images in a fixed shuffled order: a page of a sorted set then shows several classes."""
    return np.random.default_rng(0).permutation(chosen)
