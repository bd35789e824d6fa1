"""The figures that papers publish for ImageNet, in a panel of their own."""

from __future__ import annotations

import streamlit as st

from engine.evaluation.comparison_result import Comparison
from engine.evaluation.published import BACKBONE, IMAGES, PUBLISHED
from engine.runs.summary import RunSummary
from pages.components import charts
from pages.components.compare_charts import published_figure


def published_part(summary: RunSummary, found: Comparison) -> None:
    """Draw them with their sources."""
    st.info(
        "Not measured here. Other images, other classes, a larger network and hundreds of GPU hours: none of "
        "these figures can be held against one of yours.",
        icon=":material/menu_book:",
    )
    title = f"Published: {BACKBONE} on ImageNet, {IMAGES:,} images"
    charts.draw(published_figure(title), f"compare-published-{summary.id}", title)
    st.caption(
        "The share of ImageNet's validation images whose first answer is right, by a linear probe on frozen "
        "features; the supervised bar is the whole network, trained with all labels. "
        + " · ".join(f"{one.method}: [{one.source}]({one.address})" for one in PUBLISHED)
    )
