"""Curves of several runs in one chart."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.errors import UserError
from engine.runs.summary import RunSummary
from pages.components import charts
from pages.components.store import run_store

MOST = 10  # runs in one chart: as many as there are colours


def compare_curves(runs: list[RunSummary]) -> None:
    """Draw one quantity of the ticked runs over their epochs."""
    curves = [curve for run in runs[:MOST] if (curve := _curve(run)) is not None]
    quantities = sorted({name for curve in curves for row in curve["epochs"] for name in _quantities(row)})
    if not quantities:
        st.caption("No curves yet: no epoch has been finished.")
        return
    default = "accuracy" if "accuracy" in quantities else quantities[0]
    with st.container(border=True):
        chosen = st.segmented_control(
            "Quantity", quantities, default=default, required=True, key="runs.quantity",
            label_visibility="collapsed",
            format_func=lambda name: name.replace("_", " ").capitalize(),
        )  # fmt: skip
        title = f"{chosen} per epoch of {len(curves)} runs"
        charts.draw(charts.compare_figure(curves, str(chosen)), "runs-compare", title)
        if len(runs) > MOST:
            st.caption(f"The first {MOST} of {len(runs)} ticked runs are drawn.")
        _same_data(runs)


def _same_data(runs: list[RunSummary]) -> None:
    if len({run.dataset for run in runs}) > 1:
        st.caption(
            ":material/info: These runs learned from different data sets: do not compare their accuracies."
        )


def _curve(run: RunSummary) -> dict[str, Any] | None:
    try:
        return {"name": _name(run), "epochs": run_store().curve(run.id)["epochs"]}
    except UserError:
        return None  # deleted in another tab since the list was read


def _name(run: RunSummary) -> str:
    return f"{run.name} · from random weights" if (run.backbone or "").startswith("random:") else run.name


def _quantities(row: dict[str, Any]) -> set[str]:
    return {
        key.partition("_")[2]
        for key, value in row.items()
        if key.startswith(("train_", "val_")) and value is not None
    }
