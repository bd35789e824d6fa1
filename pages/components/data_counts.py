"""Images by class and split: a chart, a table, and where the splits come from."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from engine.data.dataset import Dataset
from pages.components.charts import COLOURS, draw, escape
from pages.components.text import count_text, md, one_line

SPLIT_WORDS = {"train": "Train", "val": "Validation", "test": "Test"}
MAX_BARS = 40


def counts(dataset: Dataset) -> None:
    if dataset.split_note:
        st.caption(md(dataset.split_note, 300))
    if not dataset.is_labelled:
        total = {SPLIT_WORDS[s]: len(dataset.indices(s)) for s in SPLIT_WORDS if len(dataset.indices(s))}
        st.info("These images have no labels. " + ", ".join(f"{k}: {v:,}" for k, v in total.items()) + ".")
        return
    table = pd.DataFrame(
        {SPLIT_WORDS[split]: pd.Series(found, dtype="int64") for split, found in dataset.counts().items()}
    ).reindex(list(dataset.classes), fill_value=0)
    table["All"] = table.sum(axis=1)
    left, right = st.columns([1.5, 1], gap="large")
    with left:
        chart(table, dataset)
    with right:
        shown = table.copy()
        shown.insert(0, "Class", [one_line(name, 120) for name in table.index])
        st.dataframe(
            shown,
            hide_index=True,
            height=min(420, 38 + 35 * len(shown)),
            alt="Images by class and split",
            column_config={"Class": st.column_config.TextColumn(width="medium")},
        )
    for sentence in remarks(table):
        st.caption(sentence)


def chart(table: pd.DataFrame, dataset: Dataset) -> None:
    """Bars for the classes with the most images; the table beside it has them all."""
    shown = table.sort_values("All", kind="stable", ascending=False).head(MAX_BARS).iloc[::-1]
    labels = [escape(name, 28) for name in shown.index]
    figure = go.Figure()
    for split, colour in zip([c for c in table.columns if c != "All"], COLOURS, strict=False):
        figure.add_bar(
            y=list(range(len(shown))),
            x=shown[split].tolist(),
            name=split,
            orientation="h",
            marker_color=colour,
            customdata=labels,
            hovertemplate="%{customdata}: %{x:,} " + split.lower() + "<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        height=max(200, 70 + 26 * len(shown)),
        margin={"l": 8, "r": 8, "t": 36, "b": 8},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        yaxis={"tickvals": list(range(len(shown))), "ticktext": labels},
        xaxis={"title": None},
        bargap=0.28,
    )
    draw(figure, key=f"data-counts-{dataset.id}", alt="Images by class and split")
    if len(table) > MAX_BARS:
        st.caption(f"The {MAX_BARS} classes with the most images, of {len(table)}; the table has all.")


def remarks(table: pd.DataFrame) -> list[str]:
    """What one should know before training on these counts, in plain sentences."""
    found = []
    for split in table.columns.drop("All"):
        empty = table.index[table[split] == 0]
        if len(empty):
            names = ", ".join(md(name, 40) for name in empty[:3]) + (" and more" if len(empty) > 3 else "")
            found.append(
                f"{count_text(len(empty), 'class has', 'classes have')} no {split.lower()} image: {names}."
            )
    train = table["Train"] if "Train" in table else table["All"]
    if len(train) > 1 and train.min() and train.max() / train.min() >= 3:
        found.append(
            f"The largest class has {train.max() / train.min():.1f} times the training images of the "
            "smallest: always "
            f"answering it would be right for {train.max() / train.sum():.0%} of them. Class balancing can "
            "help."
        )
    return found
