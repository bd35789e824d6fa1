"""What can be read from the features of a self-supervised run: classes, and the known factors of Shapes."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from engine.runs.summary import RunSummary
from pages.components import charts
from pages.components.charts_learned import factors_figure, known_share, probes_figure
from pages.components.text import md


def probes_part(summary: RunSummary, found: dict[str, Any]) -> None:
    """Accuracy of features, embedding and baselines by neighbours and linear probes."""
    study = found["study"]
    rows = [row for row in study["rows"] if row.get("knn")]
    if not rows:
        st.info(
            "This set has no labels, so nothing can be scored. Neighbours show what the encoder finds alike.",
            icon=":material/label_off:",
        )
        return
    chance, few = study["majority"], rows[0].get("few", {}).get("labels", 0)
    title = f"How well classes can be read, {study['asked']:,} images"
    charts.draw(probes_figure(rows, chance, few, title), f"probes-{summary.id}", title)
    st.caption(
        "h is what the encoder gives and what is kept; z comes after the head and is what the loss sees. "
        f"Probes learn from {study['learned']:,} training images; {study['asked']:,} others judge them. "
        f"Bars are 95 % intervals, for few labels the least and most of five draws of {few} images a class. "
        "Where the bars of two rows overlap, they have not been told apart. Computed by "
        "engine.training.study."
    )
    for row in rows:
        if row.get("problem"):
            st.caption(f":material/info: {md(row['title'])}: {md(row['problem'])}")
    with st.expander("The numbers", type="compact"):
        st.dataframe(table(rows), hide_index=True)


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows of the study for reading."""
    lines = []
    for row in rows:
        knn, linear, few = row["knn"], row.get("linear"), row.get("few")
        lines.append(
            {
                "representation": row["title"],
                "numbers": row["width"],
                f"neighbours (k = {knn['k']}, T = {knn['temperature']:g})": _told(knn),
                "linear probe": _told(linear) if linear else "–",
                "few labels": f"{few['mean']:.1%} ({few['low']:.1%} – {few['high']:.1%})" if few else "–",
            }
        )
    return pd.DataFrame(lines)


def _told(found: dict[str, Any]) -> str:
    return f"{found['accuracy']:.1%} ({found['low']:.1%} – {found['high']:.1%})"


def factors_part(summary: RunSummary, found: dict[str, Any]) -> None:
    """What is known of each factor before and after the head, beside pixels and the untrained encoder."""
    study = found["study"]
    rows, titles = study["factors"], {row["space"]: row["title"] for row in study["rows"]}
    title = "What a linear probe reads from each representation"
    charts.draw(factors_figure(rows, titles, title), f"factors-{summary.id}", title)
    st.markdown(in_words(rows))
    st.caption(
        "0 % is what needs no features, 100 % is everything: R² for numbers and angles, accuracy above "
        "that of the commonest answer for kinds. Rotation is hard to read for anyone: most shapes look the "
        "same after part of a turn. Computed by engine.evaluation.probe."
    )


def in_words(rows: list[dict[str, Any]]) -> str:
    """Which factor the head lost most of, and which the views left alone; nothing where no head is."""
    both = [row for row in rows if {"feature", "embedding"} <= row["scores"].keys()]
    if not both:
        return ""

    def lost(row: dict[str, Any]) -> float:
        before, after = (known_share(row["scores"][s], row["chance"]) for s in ("feature", "embedding"))
        return before - after

    most = max(both, key=lost)
    before, after = (known_share(most["scores"][s], most["chance"]) for s in ("feature", "embedding"))
    name = md(most["factor"].replace("_", " "))
    if before - after < 0.02:
        return "The head has lost no factor: z tells as much as h."
    return (
        f"Most is lost of **{name}**: {before:.0%} can be read from h, {after:.0%} from z, after the head. "
        "What the views change, the loss asks z to forget; h, one step before, still has part of it. "
        "That is why the head is thrown away."
    )
