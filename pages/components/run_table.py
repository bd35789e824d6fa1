"""The table of runs and its filters; plain cells, so that any name stays what was typed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pandas as pd
import streamlit as st

from engine.access import me
from engine.data.dataset import list_datasets
from engine.methods import METHODS
from engine.runs.expected import expected_starts, place_words
from engine.runs.summary import RunSummary
from pages.components.owner import in_class, owner_name
from pages.components.store import best_accuracy, best_figure, run_store

STATE_WORDS = {
    "running": "● running",
    "queued": "○ queued",
    "done": "✓ done",
    "failed": "✕ failed",
    "stopped": "■ stopped",
    "interrupted": "! interrupted",
}


def filters(runs: list[RunSummary]) -> list[RunSummary]:
    """Draw the filters and return the runs that pass them, in the order given."""
    names = {dataset.id: dataset.name for dataset in list_datasets()}
    runs = _of_whom(runs)
    search, state_box, data_box, method_box = st.columns([2, 2, 1.4, 1.4])
    text = search.text_input(
        "Search", placeholder="name, backbone, data", icon=":material/search:", key="runs.search"
    )
    states = state_box.multiselect("State", _present(runs, "state"), key="runs.state", placeholder="any")
    data = data_box.multiselect(
        "Data",
        _present(runs, "dataset"),
        format_func=lambda i: names.get(i, i),
        key="runs.data",
        placeholder="any",
    )
    methods = method_box.multiselect(
        "Method", _present(runs, "method"), key="runs.method", placeholder="any",
        format_func=lambda name: METHODS[name].title if name in METHODS else name,
    )  # fmt: skip
    wanted = (text or "").casefold().split()
    return [
        run
        for run in runs
        if (not states or run.state in states)
        and (not data or run.dataset in data)
        and (not methods or run.method in methods)
        and all(word in _haystack(run, names) for word in wanted)
    ]


def _of_whom(runs: list[RunSummary]) -> list[RunSummary]:
    """In a class, one's own runs or everybody's."""
    if not in_class():
        return runs
    choices = ("Everybody's", "Mine")
    chosen = st.segmented_control("Whose", choices, default=choices[0], required=True, key="runs.whose")
    return [run for run in runs if run.owner == me().id] if chosen == "Mine" else runs


def _present(runs: list[RunSummary], name: str) -> list[str]:
    return sorted({getattr(run, name) for run in runs})


def _haystack(run: RunSummary, names: dict[str, str]) -> str:
    return f"{run.id} {run.name} {run.backbone} {names.get(run.dataset, run.dataset)} {run.state}".casefold()


def run_table(runs: list[RunSummary]) -> list[RunSummary]:
    """Draw the table and return the ticked runs."""
    if not runs:
        st.info("No run passes these filters.", icon=":material/filter_alt_off:")
        return []
    names = {dataset.id: dataset.name for dataset in list_datasets()}
    event = st.dataframe(
        _frame(runs, names),
        hide_index=True,
        height=min(520, 38 + 35 * len(runs)),
        key=f"runs.table.{hash(tuple(run.id for run in runs))}",  # ticks belong to rows, so to this very list
        on_select="rerun",
        selection_mode="multi-row",
        column_config={
            "Name": st.column_config.TextColumn(width="medium"),
            "Accuracy": st.column_config.NumberColumn(
                format="percent", width="small", help="Validation accuracy of the kept epoch."
            ),
            "Loss": st.column_config.NumberColumn(
                format="%.4g",
                width="small",
                help="Validation loss of the kept epoch; only runs of one method and data set compare.",
            ),
            "Epochs": st.column_config.TextColumn(width="small"),
            "Seed": st.column_config.NumberColumn(format="%d", width="small"),
            "Size (MB)": st.column_config.NumberColumn(format="%.1f", help="Disk used; empty while it runs."),
            "Created": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
            "Seconds": st.column_config.NumberColumn(format="%.0f", help="From start to end."),
        },
    )
    rows = event["selection"]["rows"] if event else []
    return [runs[row] for row in rows if row < len(runs)]


def _backbone(run: RunSummary) -> str:
    kind, _, name = (run.backbone or "").partition(":")
    return f"{name} · {kind}" if name else kind


def _state(run: RunSummary, starts: Mapping[str, float]) -> str:
    words = STATE_WORDS.get(run.state, run.state)
    return f"{words}, {place_words(run.queue_place, starts.get(run.id))}" if run.queue_place else words


def _frame(runs: list[RunSummary], names: dict[str, str]) -> pd.DataFrame:
    starts = expected_starts(run_store().root) if any(run.queue_place for run in runs) else {}
    whose = {"Owner": [owner_name(run.ownership) for run in runs]} if in_class() else {}
    return pd.DataFrame(
        {
            "State": [_state(run, starts) for run in runs],
            "Name": [run.name for run in runs],
            **whose,
            "Data": [names.get(run.dataset, run.dataset) for run in runs],
            "Backbone": [_backbone(run) for run in runs],
            "Accuracy": [best_accuracy(run) for run in runs],
            "Loss": [best_figure(run, "val_loss") for run in runs],
            "Epochs": [f"{run.epoch} / {run.epochs}" if run.epochs else "" for run in runs],
            "Seed": [run.seed for run in runs],
            "Seconds": [run.seconds for run in runs],
            "Size (MB)": [run.bytes / 1e6 if run.bytes is not None else None for run in runs],
            "Created": [datetime.fromtimestamp(run.created) for run in runs],
        }
    )
