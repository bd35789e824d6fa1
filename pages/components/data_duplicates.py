"""Duplicates: exact ones, also across splits and classes, and bursts of nearly the same picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset, derive
from engine.data.duplicates import Group
from engine.errors import UserError
from engine.runs import quotas
from pages.components.background import ask
from pages.components.data_imports import toast_later
from pages.components.gallery import gallery
from pages.components.images import item
from pages.components.picker import remember
from pages.components.text import count_text, md

MAX_SHOWN = 96


def duplicates(dataset: Dataset) -> None:
    waiting = not _ready(dataset)
    st.fragment(_found, run_every=1.0 if waiting else None)(dataset, waiting)


def _key(dataset: Dataset) -> tuple[str, str]:
    return ("duplicates", dataset.fingerprint)


def _ready(dataset: Dataset) -> bool:
    try:
        return ask(_key(dataset), lambda: search(dataset))[0]
    except UserError:
        return True


@dataclass(frozen=True)
class Found:
    """What is in a set twice; `refusal` says why near duplicates were not looked for."""

    exact: list[Group]
    near: list[Group]
    refusal: str = ""


def search(dataset: Dataset) -> Found:
    from engine.data.duplicates import exact_duplicates, near_duplicates

    exact = exact_duplicates(dataset)
    try:
        return Found(exact, near_duplicates(dataset))
    except UserError as error:
        return Found(exact, [], str(error))


def _found(dataset: Dataset, waiting: bool) -> None:
    try:
        done, found = ask(_key(dataset), lambda: search(dataset))
    except UserError as error:
        st.error(md(error))
        return
    if not done:
        st.caption(
            f"Comparing {count_text(dataset.n, 'image')} with each other; this takes some seconds, once."
        )
        st.skeleton(120)
        return
    if waiting:  # no more need to ask each second
        st.rerun()
    exact_part(dataset, found.exact)
    if found.refusal:
        st.caption(md(found.refusal, 300))
    else:
        near_part(dataset, found.near)


def exact_part(dataset: Dataset, groups: list[Group]) -> None:
    st.markdown("##### The very same picture")
    if not groups:
        st.success("No picture is in this set twice.", icon=":material/check_circle:")
        return
    splits, classes = sum(group.splits for group in groups), sum(group.classes for group in groups)
    extra = sum(len(group.indices) - 1 for group in groups)
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


def dropped(dataset: Dataset, groups: list[Group]) -> np.ndarray:
    """(m,) images to leave out: all but one of each group, all of a group that carries two classes."""
    out: list[int] = []
    for group in groups:
        if group.classes:
            out += group.indices.tolist()
        else:  # splits are train, val, test by code: the latest one is kept, to leave a given test set whole
            kept = group.indices[np.argmax(dataset.split_codes[group.indices])]
            out += [int(i) for i in group.indices if i != kept]
    return np.array(sorted(out), np.int64)


def make(dataset: Dataset, keep: np.ndarray) -> None:
    try:
        with quotas.expecting(sets=1):
            new = derive(dataset, keep, f"{dataset.name} without duplicates"[:120])
    except UserError as error:
        st.error(md(error))
        return
    toast_later(f"{new.name} is ready.")
    remember(new.id)
    st.rerun()


def near_part(dataset: Dataset, groups: list[Group]) -> None:
    st.markdown("##### Nearly the same picture")
    if not groups:
        st.success("No bursts of nearly the same picture were found.", icon=":material/check_circle:")
        return
    splits = sum(group.splits for group in groups)
    st.caption(
        f"{count_text(len(groups), 'burst')} of {sum(len(group.indices) for group in groups):,} images that "
        f"look alike when made very small; {splits:,} of them reach over two splits. They may be frames "
        "of one film or photographs of one moment: look before you trust an accuracy. Small drawn "
        "images can look alike by chance."
    )
    show(dataset, groups, "near")


def show(dataset: Dataset, groups: list[Group], kind: str) -> None:
    """Groups one after another, each image saying which group it is of."""
    entries = []
    for number, group in enumerate(groups, start=1):
        for i in group.indices:
            entry = item(dataset, int(i), 160)
            entries.append({**entry, "value": f"#{number}"})
        if len(entries) >= MAX_SHOWN:
            break
    gallery(entries, key=f"data-{kind}-{dataset.id}")
    if sum(len(group.indices) for group in groups) > len(entries):
        st.caption(f"The first {len(entries)} images of the groups are shown.")
