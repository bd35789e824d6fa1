"""Latent maps: up to six linked panels of the same points, drawn by a component from a pack that it fetches.

    figures = [("trustworthiness", ".97 ±.01", "Share of neighbours that are true ones, 0 to 1")]
    panels = [Panel("PCA", positions, "done", "", ["Distances are kept."], figures)]
    panels += [Panel("t-SNE", None, "working", "iteration 120 of 750"), Panel("UMAP", None, "waiting")]
    colours = [ColourField("class", "class", labels, dataset.classes)]
    data = pack(panels, colours, names, pictures_of(dataset, index))  # served at an own address
    map_view(f"/lab/maps/{run}.bin?v={digest}", "map", chosen=remember, clicked=look)

A row is a point's place in the pack. The browser keeps what a person set up (selection, colours, hidden
classes, zoom) by `key`: a rerun sends nothing anew, and a new address of the same points loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import streamlit as st

from pages.components.live import asset

SCRIPTS = (
    "latent_map_pack.js",
    "latent_map_sprites.js",
    "latent_map_draw.js",
    "latent_map_marks.js",
    "latent_map_select.js",
    "latent_map_head.js",
    "latent_map_link.js",
    "latent_map_film.js",
    "latent_map.js",
)


@dataclass(frozen=True)
class Wanted:
    """Rows that a page wants to be selected.

    Attributes:
        turn: Another for every wish: the browser fulfils each once, and the person goes on from there.
        rows: Ascending.
    """

    turn: str
    rows: tuple[int, ...]


@cache
def _component() -> Any:
    return st.components.v2.component(
        "replab_latent_map",
        html='<div class="latent-map"></div>',
        css=asset("latent_map.css"),
        js="".join(asset(name) for name in SCRIPTS),
        isolate_styles=False,  # Plotly puts its own rules into the document's head
    )


def map_view(
    pack_url: str,
    key: str,
    *,
    chosen: Callable[[list[int]], None] | None = None,
    clicked: Callable[[int], None] | None = None,
    ring: Sequence[int] = (),
    lit: Sequence[int] = (),
    wanted: Wanted | None = None,
    height: int | None = None,
    group: str | None = None,
    film: bool = False,
) -> None:
    """Draw the panels of a pack; without a callback nothing is sent back and the page does not run again.

    Args:
        pack_url: Where the bytes of `map_pack.pack` are; another address for other content.
        key: Of the component; another key is another map.
        chosen: Called with the selected rows, ascending, before the rerun; an empty list when it is cleared.
        clicked: Called with the row of a point or gallery image that was clicked, before the rerun.
        ring: Rows that are ringed in every panel.
        lit: Rows that stay bright, outlined, while the rest is dimmed, beside whatever is selected.
        wanted: Rows to be selected in place of those that are; like a person's own selection, it comes back
            to `chosen`.
        height: Pixels of a plot; where None, by the number of panels.
        group: Key of another map of the same points on the page: they share what is selected and pointed at.
        film: One large panel whose points move from each panel of the pack to the next.
    """

    def tell_chosen() -> None:
        if chosen is not None:
            chosen(selected_rows(key))

    def tell_clicked() -> None:
        row = (st.session_state.get(key) or {}).get("clicked")
        if clicked is not None and isinstance(row, (int, float)):
            clicked(int(row))

    _component()(
        key=key,
        data={
            "key": key,
            "url": pack_url,
            "plotly": "/lab/plotly.min.js",
            "ring": [int(row) for row in ring],
            "lit": [int(row) for row in lit],
            "wanted": wanted and asdict(wanted),
            "height": height,
            "group": group or key,
            "film": film,
            "tellChosen": chosen is not None,
            "tellClicked": clicked is not None,
            "known": len(selected_rows(key)),
        },
        default={"selection": []},
        on_selection_change=tell_chosen,
        on_clicked_change=tell_clicked,
    )


def selected_rows(key: str) -> list[int]:
    """The rows selected in the map with this key, ascending; empty before it is drawn."""
    found = (st.session_state.get(key) or {}).get("selection")
    return [int(row) for row in found] if isinstance(found, (list, tuple)) else []


def view_key(run: str) -> str:
    """The key of a run's panels, under which their selection is kept."""
    return f"map.{run}"
