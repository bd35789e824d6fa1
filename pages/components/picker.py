"""The data set everybody works on: chosen in the sidebar, kept in the address as ?data=<id>."""

from __future__ import annotations

import streamlit as st

from engine.data.dataset import Dataset, DatasetSummary, list_datasets, open_dataset
from engine.errors import UserError
from pages.components.text import count_text

PARAMETER = "data"
WIDGET = "shell.data"
REMEMBERED = "shell.data.last"
FIRST_CHOICES = ("shapes", "digits")
BALANCED_UP_TO = 1.5  # the largest class holds at most this many times the images of the smallest


def pick_dataset() -> None:
    """Draw the picker with what matters about the chosen set; the address is the truth."""
    sets = {summary.id: summary for summary in list_datasets()}
    if not sets:
        st.session_state.pop(REMEMBERED, None)
        st.caption("No data set yet. The built-in ones are being drawn, or add your own on the Data page.")
        return
    chosen = resolve(st.query_params.get(PARAMETER), st.session_state.get(REMEMBERED), sets)
    remember(chosen)
    st.session_state[WIDGET] = chosen
    st.selectbox(
        "Data set",
        list(sets),
        format_func=lambda dataset: labels(sets)[dataset],
        key=WIDGET,
        icon=":material/folder_open:",
        on_change=lambda: remember(st.session_state[WIDGET]),
    )
    with st.container(horizontal=True, gap="xsmall"):
        badges(sets[chosen])


def resolve(asked: str | None, remembered: str | None, sets: dict[str, DatasetSummary]) -> str:
    """The set to work on: the address's, else the last one chosen, else a built-in, else the newest."""
    for candidate in (asked, remembered, *FIRST_CHOICES):
        if candidate in sets:
            return candidate
    return next(iter(sets))


def remember(dataset: str) -> None:
    st.session_state[REMEMBERED] = dataset
    if st.query_params.get(PARAMETER) != dataset:
        st.query_params[PARAMETER] = dataset


def chosen_id() -> str | None:
    """The id of the chosen set; None while there is no set at all."""
    return st.query_params.get(PARAMETER)


def chosen_dataset() -> Dataset | None:
    """The chosen set, opened; where there is none the page says what to do."""
    try:
        return open_dataset(chosen_id() or "")
    except UserError:
        st.info(
            "Choose a data set in the sidebar, or add your own on the Data page.",
            icon=":material/photo_library:",
        )
        return None


def labels(sets: dict[str, DatasetSummary]) -> dict[str, str]:
    """What the list shows; sets that share a name are told apart by their id."""
    names = [summary.name for summary in sets.values()]
    return {
        dataset: summary.name if names.count(summary.name) == 1 else f"{summary.name} · {dataset[:6]}"
        for dataset, summary in sets.items()
    }


def badges(summary: DatasetSummary) -> None:
    st.badge(count_text(summary.n, "image"), icon=":material/image:", color="violet")
    if not summary.labelled:
        st.badge(
            "no labels", icon=":material/label_off:", color="gray", help="Usable where no classes are needed."
        )
        return
    st.badge(count_text(len(summary.classes), "class", "classes"), color="gray")
    ratio = imbalance(summary)
    if ratio <= BALANCED_UP_TO:
        st.badge("balanced", icon=":material/balance:", color="green", help=balance_help(ratio))
    else:
        st.badge(f"1 : {ratio:.1f}", icon=":material/balance:", color="orange", help=balance_help(ratio))


def balance_help(ratio: float) -> str:
    return f"In the training images the largest class has {ratio:.1f} times as many as the smallest."


def imbalance(summary: DatasetSummary) -> float:
    """Largest class over smallest, counted in the training images."""
    counts = summary.counts.get("train") or next((c for c in summary.counts.values() if c), {})
    sizes = [counts.get(name, 0) for name in summary.classes]
    return max(sizes) / max(1, min(sizes)) if sizes else 1.0
