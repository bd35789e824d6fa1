"""One point of a map: its image and its nearest neighbours in the space that was mapped; a click walks on."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset
from engine.evaluation.map_result import LatentMap, Panel
from engine.projections.quality import among_nearest, trust_sentence
from engine.runs.summary import RunSummary
from pages.components.gallery import gallery
from pages.components.images import item
from pages.components.map_view import view_key
from pages.components.text import count_text, md

ROW = "maps.row.{}"  # of a run: the point that is looked at
TRAIL = "maps.trail.{}"
LIT = "maps.lit.{}"  # rows that stay bright on the maps
SHOWN = 12


def neighbours_part(summary: RunSummary, found: LatentMap, dataset: Dataset) -> None:
    """The clicked point beside its true neighbours, and how many of those each map keeps near it."""
    row = st.session_state.get(ROW.format(summary.id))
    if not isinstance(row, int) or not 0 <= row < len(found.index):
        st.info(
            "Click a point on any map: its true nearest neighbours show up here.", icon=":material/ads_click:"
        )
        return
    if not found.neighbours.shape[1]:
        st.caption("Its neighbours are being looked for: a moment.")
        return
    trail = _trail(summary.id, row)
    left, right = st.columns([1, 4.4], gap="medium")
    with left:
        st.markdown(f"###### The image{f', step {len(trail)}' if len(trail) > 1 else ''}")
        gallery([item(dataset, int(found.index[row]))], f"maps.asked.{summary.id}")
        if len(trail) > 1:
            st.button(
                "Back", icon=":material/arrow_back:", on_click=_back, args=(summary.id,), key="maps.back"
            )
    with right:
        _neighbours(summary, found, dataset, row)
        for panel in found.done:
            if panel.kept is not None:
                st.caption(f"**{md(panel.title)}**: {trust_sentence(int(panel.kept[row]), _k(found, panel))}")


def _k(found: LatentMap, panel: Panel) -> int:
    """The neighbours by which a panel was judged."""
    return int(panel.quality.get("k") or found.settings.neighbours)


def _neighbours(summary: RunSummary, found: LatentMap, dataset: Dataset, row: int) -> None:
    near = found.neighbours[row][:SHOWN]
    metric = {"cosine": "chord of the unit sphere", "euclidean": "Euclidean"}[found.settings.metric]
    label, labels = found.label[row], found.label[near]
    words = f": {int((labels == label).sum())} of {len(near)} of its class" if label >= 0 else ""
    st.markdown(
        f"###### Nearest in the original space{words}",
        help=f"Distance: {metric}. A map keeps a neighbour if it lies among the "
        f"{found.settings.neighbours} nearest there too.",
    )
    kept = kept_by(found, row, near)
    pictures = [
        {
            **_picture(dataset, int(found.index[other]), titles, len(found.done)),
            "id": int(other),
            "value": f"{distance:.3g}",
            "tone": _tone(int(label), int(found.label[other])),
        }
        for other, distance, titles in zip(near, found.distances[row], kept, strict=False)
    ]

    def walk(other: int) -> None:
        st.session_state[ROW.format(summary.id)] = other

    gallery(pictures, f"maps.near.{summary.id}", choose=walk, lights=view_key(summary.id))
    st.caption("Point at one: it is ringed on every map. Click it to walk on.")
    lit = st.toggle("Light them all up on the maps", key=f"maps.light.{summary.id}")
    wanted = [row, *map(int, near)] if lit else []
    if st.session_state.get(LIT.format(summary.id), []) != wanted:
        st.session_state[LIT.format(summary.id)] = wanted
        st.rerun()


def kept_by(found: LatentMap, row: int, near: np.ndarray) -> list[list[str]]:
    """For each of a point's true neighbours the titles of the maps on which it is near too."""
    kept: list[list[str]] = [[] for _ in near]
    for panel in found.done:
        if panel.positions is not None:
            for titles, here in zip(
                kept, among_nearest(panel.positions, row, near, _k(found, panel)), strict=True
            ):
                titles += [panel.title] if here else []
    return kept


def _picture(dataset: Dataset, index: int, kept: list[str], maps: int) -> dict[str, Any]:
    """A neighbour for `gallery`, and which maps keep it."""
    shown = item(dataset, index, 96)
    words = f"kept on {', '.join(kept)}" if kept else "kept on no map"
    under = f"kept on {len(kept)} of {count_text(maps, 'map')}"
    return {**shown, "under": under, "title": f"{shown['title']}\n{words}"}


def _tone(label: int, other: int) -> str:
    return "" if label < 0 else "good" if other == label else "bad"


def _trail(run: str, row: int) -> list[int]:
    """The points walked over so far; the last is the one that is looked at."""
    trail: list[int] = st.session_state.setdefault(TRAIL.format(run), [])
    if not trail or trail[-1] != row:
        trail.append(row)
    return trail


def _back(run: str) -> None:
    trail: list[int] = st.session_state[TRAIL.format(run)]
    del trail[-1:]
    st.session_state[ROW.format(run)] = trail[-1] if trail else None
