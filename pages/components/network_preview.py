"""What a recipe means for the network, before anything is trained: what learns, and the layers."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.errors import UserError
from pages.components.network import layer_table, learns_chart
from pages.components.text import md


@st.cache_data(max_entries=64, show_spinner=False)
def described(arch: str, classes: int, mode: str, size: int) -> dict[str, Any]:
    """{"learns", "layers"} of `arch` with a head for so many classes; loads torch the first time."""
    from engine.models.heads import describe_network

    return describe_network(arch, classes, mode, size)


def preview(arch: str, classes: int, mode: str, size: int, random_weights: bool) -> None:
    """Draw what learns under `mode` and the table of layers."""
    place = st.container()
    with place:
        holder = st.empty()
        with holder.container():
            st.skeleton(220)
        try:
            network = described(arch, classes, mode, size)
        except UserError as error:
            holder.warning(md(str(error)), icon=":material/error:")
            return
        with holder.container(border=True):
            learns_chart(network["learns"], mode, "preview", "from random weights" if random_weights else "")
    with st.expander("Layers, shapes and parameters", icon=":material/layers:"):
        layer_table(network["layers"])
