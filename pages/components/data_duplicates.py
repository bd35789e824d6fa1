"""Duplicates: exact ones, also across splits and classes, and bursts of nearly the same picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset, derive
from engine.errors import UserError
from pages.components.background import ask
from pages.components.data_imports import toast_later
from pages.components.gallery import gallery
from pages.components.images import item
from pages.components.picker import remember
from pages.components.text import count_text, md

MAX_SHOWN = 96
Groups = Sequence[Any]


def duplicates(dataset: Dataset) -> None:
    st.fragment(_found, run_every=None if _ready(dataset) else 1.0)(dataset)


def _key(dataset: Dataset) -> tuple[str, str]:
    return ("duplicates", dataset.fingerprint)


def _ready(dataset: Dataset) -> bool:
    try:
        return ask(_key(dataset), lambda: search(dataset))[0]
    except UserError:
        return True


def search(dataset: Dataset) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Exact and near groups, each a list of (k,) indices, largest first."""
    from engine.data.duplicates import exact_duplicates, near_duplicates

    return members(exact_duplicates(dataset)), members(near_duplicates(dataset))


def members(groups: Groups) -> list[np.ndarray]:
    found = [np.asarray(getattr(group, "indices", group), np.int64) for group in groups]
    return sorted(found, key=lambda group: (-len(group), int(group[0])))


def _found(dataset: Dataset) -> None:
    try:
        done, groups = ask(_key(dataset), lambda: search(dataset))
    except UserError as error:
        st.error(md(error))
        return
    if not done:
        st.caption(
            f"Comparing {count_text(dataset.n, 'image')} with each other; this takes some seconds, once."
        )
        st.skeleton(120)
        return
    exact, near = groups
    exact_part(dataset, exact)
    near_part(dataset, near)


def exact_part(dataset: Dataset, groups: list[np.ndarray]) -> None:
    st.markdown("##### The very same picture")
    if not groups:
        st.success("No picture is in this set twice.", icon=":material/check_circle:")
        return
    splits, classes = across(dataset.split_codes, groups), across(dataset.labels, groups)
    extra = sum(len(group) - 1 for group in groups)
    st.caption(
        f"{count_text(len(groups), 'picture')} more than once: {count_text(extra, 'copy', 'copies')}. "
        f"{splits:,} of them lie in two splits, so that a test would see what was learned by heart; "
        f"{classes:,} carry "
        "two classes, so that one of the labels is wrong."
    )
    show(dataset, groups, "exact")
    left = len(dataset) - len(dropped(dataset, groups))
    st.caption(
        "The new set keeps one of each, in the order test, validation, train; a picture with two classes is "
        "left out altogether, since nobody here knows which is right. This set stays as it is."
    )
    if st.button(f"Make a set without them ({left:,} images)", icon=":material/filter_alt:", type="primary"):
        make(dataset, np.setdiff1d(np.arange(dataset.n), dropped(dataset, groups)))


def across(codes: np.ndarray, groups: list[np.ndarray]) -> int:
    """In how many groups the (n,) codes differ."""
    return sum(len(np.unique(codes[group])) > 1 for group in groups)


def dropped(dataset: Dataset, groups: list[np.ndarray]) -> np.ndarray:
    """(m,) images to leave out: all but one of each group, all of a group that carries two classes."""
    out: list[int] = []
    for group in groups:
        if len(np.unique(dataset.labels[group])) > 1:
            out += group.tolist()
        else:  # splits are train, val, test by code: the latest one is kept, to leave a given test set whole
            kept = group[np.argmax(dataset.split_codes[group])]
            out += [int(i) for i in group if i != kept]
    return np.array(sorted(out), np.int64)


def make(dataset: Dataset, keep: np.ndarray) -> None:
    try:
        new = derive(dataset, keep, f"{dataset.name} without duplicates"[:120])
    except UserError as error:
        st.error(md(error))
        return
    toast_later(f"{new.name} is ready.")
    remember(new.id)
    st.rerun()


def near_part(dataset: Dataset, groups: list[np.ndarray]) -> None:
    st.markdown("##### Nearly the same picture")
    if not groups:
        st.success("No bursts of nearly the same picture were found.", icon=":material/check_circle:")
        return
    splits = across(dataset.split_codes, groups)
    st.caption(
        f"{count_text(len(groups), 'burst')} of {sum(len(group) for group in groups):,} images that look "
        "alike when "
        f"made very small; {splits:,} of them reach over two splits. They may be frames of one film or "
        "photographs of "
        "one moment: look before you trust an accuracy measured on them. Small drawn images can look alike "
        "by chance."
    )
    show(dataset, groups, "near")


def show(dataset: Dataset, groups: list[np.ndarray], kind: str) -> None:
    """Groups one after another, each image saying which group it is of."""
    entries = []
    for number, group in enumerate(groups, start=1):
        for i in group:
            entry = item(dataset, int(i), 160)
            entries.append({**entry, "value": f"#{number}"})
        if len(entries) >= MAX_SHOWN:
            break
    gallery(entries, key=f"data-{kind}-{dataset.id}")
    if sum(len(group) for group in groups) > len(entries):
        st.caption(f"The first {len(entries)} images of the groups are shown.")
