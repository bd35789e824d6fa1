"""How a method that moves its points step by step came to its map: the frames, with a scrubber."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from engine.data.dataset import Dataset
from engine.evaluation.map_result import LatentMap, read_film
from engine.export.map_figures import COLOURS
from engine.projections import projection_entry
from engine.runs.summary import RunSummary
from pages.components.store import run_store

MOST_POINTS, MOST_FRAMES = 2000, 40
STEP_MS = 120
BESIDE = 0.14  # of the width, left of the scrubber for Play


def replay_part(summary: RunSummary, found: LatentMap, dataset: Dataset) -> None:
    """A film of the chosen method."""
    panels = {panel.title: panel for panel in found.done if panel.has_film}
    title = st.segmented_control(
        "Method", list(panels), default=next(iter(panels)), required=True, key=f"maps.replay.{summary.id}"
    )
    panel = panels.get(str(title), next(iter(panels.values())))
    if found.settings.dimensions != 2:
        st.info("The film is for 2-D maps: draw this one in 2-D.", icon=":material/movie:")
        return
    shown = np.unique(np.linspace(0, len(found.index) - 1, MOST_POINTS).astype(int))
    frames = read_film(summary.id, found, panel.method, run_store())
    chosen = np.unique(np.linspace(0, len(frames) - 1, MOST_FRAMES).astype(int))
    figure = _film(frames[chosen][:, shown], found.label[shown])
    st.plotly_chart(figure, width="stretch", key=f"maps.film.{summary.id}")
    more = f" {len(shown):,} of {len(found.index):,} points." if len(shown) < len(found.index) else ""
    st.caption(f"{projection_entry(panel.method).film}{more}".strip())


def _film(frames: np.ndarray, labels: np.ndarray) -> go.Figure:
    """Frames of (n, 2) places about the middle of the last, each as large as it needs to be."""
    colour = [COLOURS[label % len(COLOURS)] if label >= 0 else "#888888" for label in labels.tolist()]
    middle = (frames[-1].min(axis=0) + frames[-1].max(axis=0)) / 2
    reach = 1.06 * np.abs(frames - middle).max(axis=(1, 2)) + 1e-9

    def points(frame: np.ndarray) -> go.Scattergl:
        x, y = np.round(frame.T, 4)
        return go.Scattergl(x=x, y=y, mode="markers", hoverinfo="skip", marker={"color": colour, "size": 4})

    def axes(i: int) -> dict[str, object]:
        across, up = ([at - reach[i], at + reach[i]] for at in middle.tolist())
        return {
            "xaxis": {"range": across, "visible": False},
            "yaxis": {"range": up, "visible": False, "scaleanchor": "x"},
        }

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
            "height": 520,
            "margin": {"l": 0, "r": 0, "t": 8, "b": 110},
            "showlegend": False,
            "sliders": [
                {
                    "active": len(frames) - 1,
                    "steps": steps,
                    "currentvalue": {"prefix": "frame "},
                    "x": BESIDE,
                    "len": 1 - BESIDE,
                }
            ],
            "updatemenus": [
                {
                    "type": "buttons",
                    "x": 0,
                    "xanchor": "left",
                    "y": 0,
                    "yanchor": "top",
                    "pad": {"t": 24},
                    "showactive": False,  # its colours are for a light page
                    "bgcolor": "rgba(0,0,0,0)",
                    "buttons": [{"label": "Play", "method": "animate", "args": [None, play]}],
                }
            ],
        },
        frames=[
            go.Frame(data=[points(frame)], name=str(i), layout=axes(i)) for i, frame in enumerate(frames)
        ],
    )
