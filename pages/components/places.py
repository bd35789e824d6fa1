"""The few views of one page, side by side; the open one stands in the address, so that a link opens it."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from pages.components.forms import initial


def choose_place(places: Mapping[str, str], key: str) -> str:
    """Which of the page's views is open; the first where nothing is said.

    Args:
        places: Words by name.
        key: Of the control.
    """
    usual = next(iter(places))
    asked = st.query_params.get("view", usual)
    place = st.segmented_control(
        "What to do",
        list(places),
        format_func=lambda place: places[place],
        key=key,
        required=True,
        label_visibility="collapsed",
        **initial(key, asked if asked in places else usual, "default"),
    )
    if place != usual:
        st.query_params["view"] = str(place)
    elif "view" in st.query_params:
        del st.query_params["view"]
    return str(place)
