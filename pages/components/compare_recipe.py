"""What a comparison was made from, its table to take home, and the same from the command line."""

from __future__ import annotations

import streamlit as st

from engine.evaluation.comparison_result import Comparison
from engine.evaluation.comparison_table import comparison_csv
from engine.export.code import comparison_command
from engine.runs.summary import RunSummary
from pages.components.recipe_card import recipe_card

ICON = ":material/download:"


def recipe_part(summary: RunSummary, found: Comparison) -> None:
    """Downloads, the recipe, and the command."""
    with st.container(horizontal=True):
        st.download_button(
            "Table (CSV)", comparison_csv(found), f"comparison-{summary.id}.csv", "text/csv", icon=ICON,
            on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Recipe (JSON)", found.recipe.to_json(), f"recipe-{summary.id}.json", "application/json",
            icon=ICON, on_click="ignore",
        )  # fmt: skip
    left, right = st.columns(2, gap="large")
    with left:
        recipe_card(found.recipe, few=12)
    with right:
        st.markdown("##### The same from the command line")
        st.code(comparison_command(found.recipe), language="bash", wrap_lines=True)
