"""Two small components: a grid of captioned pictures, and a confusion matrix whose cells can be clicked."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import streamlit as st

from pages.components.live import asset

MAX_ITEMS = 480


@cache
def _gallery() -> Any:
    return st.components.v2.component(
        "replab_gallery",
        html='<div class="gallery"></div>',
        css=asset("gallery.css"),
        js=asset("gallery.js"),
    )


@cache
def _matrix() -> Any:
    return st.components.v2.component(
        "replab_matrix", html='<div class="matrix"></div>', css=asset("matrix.css"), js=asset("matrix.js")
    )


def gallery(
    items: list[dict[str, Any]],
    key: str,
    wide: bool = False,
    choose: Callable[[int], None] | None = None,
    lights: str | None = None,
) -> None:
    """Draw pictures in the order given; each item is what `pictures.prediction_item` returns.

    Args:
        items: What to draw.
        key: Of the component.
        wide: Pictures are strips of several beside each other, drawn with hard edges.
        choose: Called with the "id" of a picture that is clicked, before the rerun; without it a click
            shows the picture large.
        lights: Key of a latent map on the page, where the "id" of a picture is a row: the point of the one
            under the pointer or the keyboard is ringed there at once.
    """

    def clicked() -> None:
        chosen = (st.session_state.get(key) or {}).get("chosen")
        if choose is not None and isinstance(chosen, (int, float)):
            choose(int(chosen))

    shown = items[:MAX_ITEMS]
    mark = f"{key}:{len(items)}:{shown[0]['images'][0] if shown else ''}"
    data = {"items": shown, "mark": mark, "wide": wide, "choose": choose is not None, "lights": lights}
    _gallery()(key=key, data=data, on_chosen_change=clicked)
    if len(items) > len(shown):
        st.caption(f"{len(shown)} of {len(items)} images can be looked at here; the CSV has them all.")


def confusion_matrix(
    names: list[str], counts: list[list[int]], mode: str, key: str
) -> tuple[int, int] | None:
    """Draw the matrix (rows are the true class) and return the cell (true, predicted) that was clicked.

    Args:
        names: The C class names, as plain text.
        counts: (C, C) images.
        mode: "count", "row" (share of the true class) or "column" (share of the predicted class).
        key: Of the component.
    """
    chosen = (st.session_state.get(key) or {}).get("cell")
    result = _matrix()(
        key=key,
        data={"names": names, "counts": counts, "mode": mode, "cell": chosen},
        default={"cell": None},
        on_cell_change=lambda: None,
    )
    cell = getattr(result, "cell", None)
    if not isinstance(cell, (list, tuple)) or len(cell) != 2:
        return None
    true, predicted = (int(value) for value in cell)
    return (true, predicted) if 0 <= true < len(names) and 0 <= predicted < len(names) else None
