"""The network as a table and a bar: which parameters learn and which stay as they were."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from pages.components import charts
from pages.components.text import md, size_text


def learns_chart(learns: dict[str, int], mode: str, key: str, suffix: str = "") -> None:
    """Parameters that learn beside those that stay, for the three modes; the chosen one is drawn strong."""
    counts = charts.parameters_text(learns.get(mode, 0)), charts.parameters_text(learns["total"])
    title = f"What learns: {counts[0]} of {counts[1]} parameters"
    title += f" ({suffix})" if suffix else ""
    charts.draw(charts.learns_figure(learns, mode, title), f"learns-{key}", title)
    state = 8 * learns.get(mode, 0)
    st.caption(
        "Parameters that stay need no gradient and no optimiser state: Adam keeps two more numbers for each "
        f"one that learns, {size_text(state)} here."
    )


def layer_table(layers: list[dict[str, Any]]) -> None:
    """All layers with their output shape and parameters; those that learn are ticked."""
    frame = pd.DataFrame(
        {
            "learns": [bool(layer.get("trains")) for layer in layers],
            "layer": [layer["name"] for layer in layers],
            "kind": [layer["type"] for layer in layers],
            "shape": [_shape(layer.get("shape")) for layer in layers],
            "parameters": [layer["parameters"] for layer in layers],
        }
    )
    total = max(1, int(frame["parameters"].sum()))
    frame["share"] = frame["parameters"] / total
    largest = frame.iloc[int(frame["parameters"].argmax())]
    only = st.toggle("Only the layers that learn", key="network.only")
    st.dataframe(
        frame[frame["learns"]] if only else frame,
        hide_index=True,
        height=min(420, 38 + 35 * max(1, len(frame))),
        column_config={
            "learns": st.column_config.CheckboxColumn("Learns", width="small"),
            "layer": st.column_config.TextColumn("Layer"),
            "kind": st.column_config.TextColumn("Kind"),
            "shape": st.column_config.TextColumn("Output shape"),
            "parameters": st.column_config.NumberColumn("Parameters", format="localized"),
            "share": st.column_config.ProgressColumn(
                "Share of all", format="percent", min_value=0, max_value=1
            ),
        },
    )
    st.caption(
        f"{len(frame)} layers. The largest, {md(largest['layer'])}, holds {largest['share']:.0%} of all."
    )


def _shape(shape: Any) -> str:
    if isinstance(shape, (list, tuple)):
        return " × ".join(str(part) for part in shape)
    return "" if shape is None else str(shape)
