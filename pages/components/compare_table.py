"""The table of a comparison: every figure of every encoder, each with what it means."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import streamlit as st

from engine.evaluation.comparison_result import Comparison
from engine.evaluation.comparison_table import records

SHARES = {
    "linear": "Softmax regression on frozen features with all training labels, on the judging images.",
    "low": "Lower end of the linear probe's 95 % interval (Wilson).",
    "high": "Upper end of the linear probe's 95 % interval (Wilson).",
    "neighbours": "The nearest training images vote, weighted by exp(cosine / T).",
    "fine-tuned": "What a classification run reached that trained this encoder along, on all images of the "
    "same split; of several runs the one that was best on validation images.",
}
FIGURES = {
    "silhouette": ("%.3f", "How well classes stand apart in the features, from -1 to 1; 0 is a heap."),
    "spread": ("%.2f", "Of unit-length features: 1 points everywhere alike, 0 is collapsed."),
    "rank": ("%.0f", "Effective rank: in how many directions the features spread."),
    "uniformity": ("%.2f", "At most 0; lower is more even over all directions (Wang and Isola 2020)."),
    "features": ("%d", "Numbers that describe an image."),
    "parameters": ("compact", "Weights and biases of the encoder, without any head."),
    "ms": ("%.3g", "Milliseconds an image on this machine, in 32 bits: the median of a few batches."),
    "px": ("%d", "Side of the images that it reads."),
    "n": ("%d", "Images that judge."),
}
FEW = re.compile(r"few (\d+)")


def comparison_table(found: Comparison) -> None:
    """Draw it; columns that nothing was measured for are left out."""
    frame = pd.DataFrame(records(found)).dropna(axis=1, how="all")
    st.dataframe(frame, hide_index=True, column_config=_columns(list(frame.columns)), width="stretch")


def _columns(names: list[str]) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "encoder": st.column_config.TextColumn(width="medium", pinned=True),
        "taught by": st.column_config.TextColumn(help="What made its weights."),
        "problem": st.column_config.TextColumn(width="large", help="Why it could not be measured."),
    }
    for name in names:
        few = FEW.fullmatch(name)
        if name in SHARES:
            columns[name] = st.column_config.NumberColumn(format="percent", help=SHARES[name])
        elif few:
            words = f"The linear probe with {few[1]} labels a class, mean over the draws."
            columns[name] = st.column_config.NumberColumn(f"{few[1]} a class", format="percent", help=words)
        elif name in FIGURES:
            form, words = FIGURES[name]
            columns[name] = st.column_config.NumberColumn(format=form, help=words)
    return columns
