"""What a map was made from, and the map to take home."""

from __future__ import annotations

import streamlit as st

from engine.data.dataset import Dataset
from engine.evaluation.map_result import LatentMap
from engine.export.code import command_line, map_command
from engine.export.map_formats import MAP_FORMATS
from engine.runs.summary import RunSummary
from pages.components.recipe_card import recipe_card

ICON = ":material/download:"
FIRST = {".html": "map.html", ".csv": "map.csv", ".png": "map.png"}
MORE = {".svg": "map.svg", ".parquet": "map.parquet", ".npz": "map.npz"}


def recipe_part(summary: RunSummary, found: LatentMap, dataset: Dataset) -> None:
    """Downloads, the recipe, and the same from the command line."""
    _downloads(summary, found)
    left, right = st.columns(2, gap="large")
    with left:
        recipe_card(found.recipe, few=12)
    with right:
        st.markdown("##### The same from the command line")
        st.code(_command(summary, found), language="bash", wrap_lines=True)
        st.caption(f"The ending of the file says what is written: {', '.join(MAP_FORMATS)}.")


def _command(summary: RunSummary, found: LatentMap) -> str:
    """The line that asks for this map; one that names no encoder is repeated from its recipe's file."""
    recipe = found.recipe
    return map_command(recipe) if recipe.backbone else command_line(recipe, summary.id)


def _downloads(summary: RunSummary, found: LatentMap) -> None:
    """The files most people want, and a fold with the others; of a map without a panel only the recipe."""
    with st.container(horizontal=True):
        if found.done:
            for ending, name in FIRST.items():
                _link(summary, ending, name)
            with st.popover("More formats", icon=ICON):
                for ending, name in MORE.items():
                    _link(summary, ending, name, folded=True)
                    st.caption(MAP_FORMATS[ending].line)
                st.caption("TensorBoard's folder takes longer: make it below, under 'Take it home'.")
        st.download_button(
            "Recipe (JSON)", found.recipe.to_json(), f"recipe-{summary.id}.json", "application/json",
            icon=ICON, on_click="ignore",
        )  # fmt: skip


def _link(summary: RunSummary, ending: str, name: str, folded: bool = False) -> None:
    known = MAP_FORMATS[ending]
    words = None if folded else known.line
    st.link_button(known.title, f"/lab/runs/{summary.id}/{name}", icon=ICON, help=words)
