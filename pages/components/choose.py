"""Two small components: choose one picture of a row, and draw a rectangle on a picture."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset
from pages.components.images import item
from pages.components.live import asset

Rectangle = tuple[float, float, float, float]  # left, top, width, height as shares of the side
MIDDLE: Rectangle = (0.3, 0.3, 0.4, 0.4)


@cache
def _picker() -> Any:
    return st.components.v2.component(
        "replab_pick", html='<div class="pick"></div>', css=asset("pick.css"), js=asset("pick.js")
    )


@cache
def _rectangle() -> Any:
    return st.components.v2.component(
        "replab_rectangle",
        html='<div class="area"></div>',
        css=asset("rectangle.css"),
        js=asset("rectangle.js"),
    )


def candidates(
    dataset: Dataset, index: np.ndarray, label: int | None, seed: int, count: int = 16
) -> np.ndarray:
    """(c,) places of a few images to choose from, drawn by the seed.

    Args:
        dataset: Whose images.
        index: (n,) those that may be chosen.
        label: Of this class only; None takes all.
        seed: Another one draws others.
        count: How many at most.
    """
    if label is not None:
        index = index[dataset.labels[index] == label]
    return np.random.default_rng(seed).permutation(index)[:count]


def pick(title: str, dataset: Dataset, index: np.ndarray, key: str, first: int = 0) -> int | None:
    """Draw the pictures and return the place in the data set of the chosen one; None if there is none.

    Args:
        title: What is being chosen, in a few words.
        dataset: Whose images.
        index: (c,) places of those to choose from.
        key: Of the component; it changes with the candidates.
        first: Which of them is chosen to begin with.
    """
    if not len(index):
        st.caption("There is no image to choose from.")
        return None
    begin = int(index[min(first, len(index) - 1)])
    pictures = [{"id": int(i), **item(dataset, int(i), 96)} for i in index]
    key = f"{key}.{hash(tuple(int(i) for i in index))}"
    chosen = (st.session_state.get(key) or {}).get("chosen", begin)
    result = _picker()(
        key=key,
        data={"title": title, "items": pictures, "chosen": chosen},
        default={"chosen": begin},
        on_chosen_change=lambda: None,
    )
    found = getattr(result, "chosen", None)
    return int(found) if isinstance(found, (int, float)) and int(found) in index else begin


def rectangle(url: str, key: str) -> Rectangle:
    """Draw a picture and return the rectangle that was drawn on it.

    Args:
        url: Address of the picture.
        key: Of the component.
    """
    shown = (st.session_state.get(key) or {}).get("rectangle", MIDDLE)
    result = _rectangle()(
        key=key,
        data={"url": url, "rectangle": list(shown)},
        default={"rectangle": list(MIDDLE)},
        on_rectangle_change=lambda: None,
    )
    found = getattr(result, "rectangle", None)
    if not isinstance(found, (list, tuple)) or len(found) != 4:
        return MIDDLE
    left, top, width, height = (min(1.0, max(0.0, float(part))) for part in found)
    return left, top, width, height
