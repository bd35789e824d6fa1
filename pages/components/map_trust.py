"""How far each panel of a map can be trusted: figures side by side, and what they mean."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from engine.data.dataset import Dataset
from engine.evaluation.map_result import LatentMap
from engine.export.map_figures import FIGURES
from engine.projections import projection_entry
from engine.runs.summary import RunSummary
from pages.components.text import md


def trust_part(summary: RunSummary, found: LatentMap, dataset: Dataset) -> None:
    """A table of the figures, and the words for reading them."""
    trust_table(found)
    for panel in found.done:
        entry = projection_entry(panel.method)
        notes = " ".join(str(note) for note in panel.row.get("notes", []))
        st.markdown(f"**{md(panel.title)}** {entry.seen} :gray[{entry.beware}] {md(notes, limit=400)}")


def trust_table(found: LatentMap) -> None:
    """The figures of all panels beside each other."""
    rows = [_row(panel.title, panel.method, panel.row) for panel in found.panels]
    columns: dict[str, Any] = {
        title: st.column_config.ProgressColumn(title, min_value=0.0, max_value=1.0, format="%.3f", help=words)
        for _, (title, words) in FIGURES.items()
    }
    columns["seconds"] = st.column_config.NumberColumn(format="%.2f", help="To lay the points out.")
    columns["tutorial"] = st.column_config.NumberColumn(
        "tutorial's s", format="%.3f", help="What the tutorial measured, on fewer points and another machine."
    )
    frame = pd.DataFrame(rows).dropna(axis=1, how="all")
    st.dataframe(frame, hide_index=True, column_config=columns, width="stretch")
    st.caption(_words(found))


def _row(title: str, method: str, told: dict[str, Any]) -> dict[str, Any]:
    quality = told.get("quality") or {}
    figures = {words[0]: quality.get(name) for name, words in FIGURES.items()}
    seconds = told.get("seconds") if not told.get("error") else None
    theirs = projection_entry(method).tutorial_seconds
    return {"map": title, **figures, "seconds": seconds, "tutorial": theirs, "problem": told.get("error")}


def _words(found: LatentMap) -> str:
    first = next(iter(found.done), None)
    quality = first.quality if first else {}
    k, asked = quality.get("k", found.settings.neighbours), quality.get("n_sampled", len(found.index))
    words = f"By {k} nearest neighbours of {asked:,} of {len(found.index):,} points"
    chance = quality.get("hit_chance")
    if isinstance(chance, (int, float)):
        words += f"; a hit of {chance:.2f} is what chance gives"
    return words + ". Trust and continuity look at neighbourhoods, Shepard at large distances."
