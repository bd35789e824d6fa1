"""The known factors of a drawn set: how each is spread, and how it goes with the class."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from engine.data.dataset import Dataset
from pages.components.charts import COLOURS, draw, escape
from pages.components.gallery import gallery
from pages.components.images import items

SHOWN = 8


def factors(dataset: Dataset) -> None:
    st.caption(
        "These images are drawn, so what varies in them is known exactly: the factors below are stored "
        "with each image."
    )
    names = sorted(dataset.factors)
    name = st.selectbox("Factor", names, key=f"data.factor.{dataset.id}", width=300)
    values = np.asarray(dataset.factors[name])
    numeric = values.dtype.kind in "fiu"
    figure = go.Figure()
    if numeric:
        figure.add_histogram(
            x=values, nbinsx=40, marker_color=COLOURS[0], hovertemplate="%{x}: %{y:,}<extra></extra>"
        )
    else:
        kinds, numbers = np.unique(values.astype(str), return_counts=True)
        figure.add_bar(x=[escape(kind) for kind in kinds], y=numbers, marker_color=COLOURS[0])
    figure.update_layout(
        height=230,
        margin={"l": 8, "r": 8, "t": 12, "b": 8},
        bargap=0.08,
        xaxis_title=escape(name),
        yaxis_title="images",
    )
    draw(
        figure, key=f"data-factor-{dataset.id}-{name}", alt=f"How {name} is spread over {dataset.n:,} images"
    )
    order = np.argsort(values.astype(str) if not numeric else values, kind="stable")
    along = order[np.linspace(0, dataset.n - 1, SHOWN).astype(int)]
    st.caption(
        f"{SHOWN} images from the lowest to the highest {name}:"
        if numeric
        else f"{SHOWN} images along {name}:"
    )
    row = items(dataset, along, 160)
    for entry, i in zip(row, along, strict=True):
        entry["under"] = f"{name} {values[i]:.2f}" if numeric else str(values[i])
    gallery(row, key=f"data-factor-grid-{dataset.id}-{name}")
