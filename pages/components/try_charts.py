"""Figures of the Try it page: likeliest classes, distances, how honest confidence is, accuracy by depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from pages.components.charts import COLOURS, QUIET, blank, escape

if TYPE_CHECKING:
    from engine.evaluation.calibration import Bin

BARS = 40  # of the histogram of distances


def top_figure(names: Sequence[str], shares: np.ndarray, plain: np.ndarray, title: str) -> go.Figure:
    """The likeliest classes as bars, and what the network said before calibration as a mark on each.

    Args:
        names: Of the classes shown, likeliest first.
        shares: (k,) calibrated.
        plain: (k,) as they were.
        title: Of the chart.
    """
    figure = blank(title, 78 + 32 * len(names), showlegend=False, bargap=0.35)
    places = list(range(len(names)))
    figure.add_bar(
        y=places, x=shares, orientation="h", marker={"color": COLOURS[0], "cornerradius": 4},
        hovertemplate="%{x:.2%}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(  # beyond the mark too, where that lies further out
        y=places, x=np.maximum(shares, plain) + 0.008, mode="text", text=[f"{share:.1%}" for share in shares],
        textposition="middle right", cliponaxis=False, hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(
        y=places, x=plain, mode="markers", marker={"symbol": "line-ns-open", "size": 16, "color": QUIET},
        hovertemplate="before calibration %{x:.2%}<extra></extra>",
    )  # fmt: skip
    labels = [escape(name, 22) for name in names]
    figure.update_yaxes(tickvals=places, ticktext=labels, autorange="reversed", ticks="", showgrid=False)
    figure.update_xaxes(range=[0, 1.16], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1])
    return figure


def distances_figure(
    held_out: np.ndarray, other: np.ndarray | None, threshold: float, here: float, words: Mapping[str, str]
) -> go.Figure:
    """Where held-out images, those of another set and this picture lie, and the threshold between.

    Args:
        held_out: (m,) distances.
        other: (k,) distances; None leaves them out.
        threshold: Beyond it a picture is unlike anything seen.
        here: The picture's own distance.
        words: What "held" and "other" are called, and the "title".
    """
    figure = blank(words["title"], 250, barmode="overlay", bargap=0.05)
    parts = [("held", held_out, COLOURS[0])] + ([("other", other, COLOURS[3])] if other is not None else [])
    edges = np.linspace(0, max(here, *(float(p.max(initial=0)) for _, p, _ in parts), 1e-3) * 1.02, BARS)
    for name, values, colour in parts:
        counts, _ = np.histogram(values, bins=edges)
        figure.add_bar(
            x=(edges[1:] + edges[:-1]) / 2, y=counts / max(1, len(values)), name=escape(words[name], 40),
            marker_color=colour, opacity=0.65, width=np.diff(edges),
            hovertemplate="%{y:.1%} near %{x:.3f}<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=threshold, line={"color": QUIET, "width": 1.5, "dash": "dash"})
    figure.add_vline(
        x=here, line={"color": COLOURS[2], "width": 2.5},
        annotation={"text": "this picture", "font": {"color": COLOURS[2]}, "y": 1, "yanchor": "bottom"},
    )  # fmt: skip
    figure.update_layout(legend={"y": -0.32, "yanchor": "top", "x": 0, "xanchor": "left"})
    figure.update_xaxes(title="distance to the nearest training image", rangemode="tozero")
    figure.update_yaxes(tickformat=".0%", title="share of images")
    return figure


def reliability_figure(before: Sequence[Bin], after: Sequence[Bin], title: str) -> go.Figure:
    """How often answers of each confidence are right; honest ones lie on the diagonal."""
    figure = blank(title, 300)
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": QUIET, "dash": "dot"}, name="honest",
        hoverinfo="skip",
    )  # fmt: skip
    for bins, name, colour in ((before, "before", QUIET), (after, "after", COLOURS[0])):
        figure.add_scatter(
            x=[one.confidence for one in bins], y=[one.accuracy for one in bins], mode="lines+markers",
            name=name, line={"color": colour}, customdata=[one.n for one in bins],
            hovertemplate="said %{x:.1%}, right %{y:.1%}, n = %{customdata:,}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="confidence", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(title="share that is right", tickformat=".0%", range=[0, 1.02])
    return figure


def depth_figure(
    rows: Mapping[str, list[dict[str, Any]]], names: Mapping[str, str], majority: float | None, title: str
) -> go.Figure:
    """Accuracy after each block with its 95 % interval.

    Args:
        rows: Of "own" and perhaps "twin", from the image to the features.
        names: What these are called.
        majority: Share of the commonest class.
        title: Of the chart.
    """
    figure = blank(title, 380, hovermode="x unified")
    for (which, mine), colour in zip(rows.items(), (COLOURS[0], QUIET), strict=False):
        values = [row["accuracy"] for row in mine]
        figure.add_scatter(
            x=[escape(row["block"], 24) for row in mine], y=values, mode="lines+markers",
            name=escape(names[which], 60), line={"color": colour, "width": 2.5},
            error_y={
                "type": "data", "symmetric": False, "color": colour, "thickness": 1.2, "width": 4,
                "array": [row["high"] - row["accuracy"] for row in mine],
                "arrayminus": [row["accuracy"] - row["low"] for row in mine],
            },
            hovertemplate="%{y:.1%}",
        )  # fmt: skip
    if majority is not None:
        figure.add_hline(
            y=majority, line={"color": QUIET, "dash": "dot", "width": 1},
            annotation={"text": "always the commonest class", "font_size": 11},
            annotation_position="bottom right",
        )  # fmt: skip
    figure.update_layout(legend={"y": -0.12, "yanchor": "top", "x": 0, "xanchor": "left"})
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02], title="accuracy")
    figure.update_xaxes(type="category")
    return figure
