"""How a method that moves its points step by step came to its map: the frames, with a scrubber."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from engine.data.dataset import Dataset
from engine.evaluation.map_result import LatentMap, Panel
from engine.export.map_figures import COLOURS
from engine.runs.summary import RunSummary

MOST_POINTS, MOST_FRAMES = 2000, 40
STEP_MS = 120


def replay_part(summary: RunSummary, found: LatentMap, dataset: Dataset) -> None:
    """A film of the chosen method."""
    panels = {panel.title: panel for panel in found.done if panel.frames is not None}
    title = st.segmented_control(
        "Method", list(panels), default=next(iter(panels)), required=True, key=f"maps.replay.{summary.id}"
    )
    panel = panels.get(str(title), next(iter(panels.values())))
    if panel.frames is None:
        return
    if panel.frames.shape[2] != 2:
        st.info("The film is for 2-D maps: draw this one in 2-D.", icon=":material/movie:")
        return
    shown = np.unique(np.linspace(0, len(found.index) - 1, MOST_POINTS).astype(int))
    st.plotly_chart(_film(panel, found.label, shown), width="stretch", key=f"maps.film.{summary.id}")
    more = f" {len(shown):,} of {len(found.index):,} points." if len(shown) < len(found.index) else ""
    st.caption(
        "Groups form early and drift apart while the loss falls; where a group ends up says little, and its "
        f"size says nothing.{more}"
    )


def _film(panel: Panel, labels: np.ndarray, shown: np.ndarray) -> go.Figure:
    assert panel.frames is not None
    chosen = np.unique(np.linspace(0, len(panel.frames) - 1, MOST_FRAMES).astype(int))
    frames = panel.frames[chosen][:, shown]
    colour = [COLOURS[label % len(COLOURS)] if label >= 0 else "#888888" for label in labels[shown].tolist()]
    reach = 1.06 * np.abs(frames).max(axis=(1, 2)) + 1e-9

    def points(frame: np.ndarray) -> go.Scattergl:
        x, y = np.round(frame.T, 4)
        return go.Scattergl(x=x, y=y, mode="markers", hoverinfo="skip", marker={"color": colour, "size": 4})

    def axes(i: int) -> dict[str, object]:
        axis = {"range": [-reach[i], reach[i]], "visible": False}
        return {"xaxis": axis, "yaxis": {**axis, "scaleanchor": "x"}}

    steps = [
        {"label": str(i + 1), "method": "animate", "args": [[str(i)], {"mode": "immediate"}]}
        for i in range(len(frames))
    ]
    play = {
        "frame": {"duration": STEP_MS, "redraw": True},
        "fromcurrent": True,
        "transition": {"duration": 0},
    }
    return go.Figure(
        data=[points(frames[-1])],
        layout={
            **axes(len(frames) - 1),
            "height": 460,
            "margin": {"l": 0, "r": 0, "t": 8, "b": 0},
            "showlegend": False,
            "sliders": [{"active": len(frames) - 1, "steps": steps, "currentvalue": {"prefix": "frame "}}],
            "updatemenus": [
                {
                    "type": "buttons",
                    "x": 0,
                    "y": 0,
                    "buttons": [{"label": "Play", "method": "animate", "args": [None, play]}],
                }
            ],
        },
        frames=[
            go.Frame(data=[points(frame)], name=str(i), layout=axes(i)) for i, frame in enumerate(frames)
        ],
    )
