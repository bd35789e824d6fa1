"""Plotly figures in the look of the app: transparent, theme colours, every user-made name escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

COLOURS = [  # those of the theme
    *("#5B5BD6", "#12A594", "#E5484D", "#F5A623", "#8E4EC6"),
    *("#0091FF", "#46A758", "#D6409F", "#A18072", "#697177"),
]
DASHES = ["solid", "dot", "dash", "dashdot"]
QUIET = "#8B8D98"  # readable on light and on dark
CONFIG = {"displaylogo": False, "displayModeBar": False, "showSendToCloud": False, "plotlyServerURL": ""}
MODE_TITLES = {"extract": "Extract features", "last_block": "Last block", "everything": "Everything"}


def escape(text: object, limit: int = 60) -> str:
    """User text for Plotly, which reads a subset of HTML in labels; shortened for the eye, not for keys."""
    shown = str(text).replace("\n", " ")
    return html.escape(shown if len(shown) <= limit else shown[: limit - 1] + "…")


def draw(figure: go.Figure, key: str, alt: str) -> None:
    st.plotly_chart(figure, key=key, config=CONFIG, alt=alt)


def blank(title: str, height: int, **layout: Any) -> go.Figure:
    """A figure with nothing in it yet."""
    figure = go.Figure()
    figure.update_layout(
        title={"text": title, "x": 0, "font_size": 14},
        height=height,
        margin={"l": 8, "r": 8, "t": 44, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        **layout,
    )
    return figure


def class_errors_figure(rows: list[dict[str, Any]], title: str) -> go.Figure:
    """Mean error of each class, largest first, with 95 % intervals of the mean."""
    names = [escape(row["name"], 24) for row in rows][::-1]
    spread = [1.96 * (row["spread"] or 0) for row in rows][::-1]
    counts = [row["n"] for row in rows][::-1]
    figure = blank(title, max(220, 60 + 26 * len(rows)), bargap=0.4)
    figure.add_bar(
        y=list(range(len(names))), x=[row["error"] for row in rows][::-1], orientation="h", customdata=counts,
        error_x={"array": spread, "color": QUIET, "thickness": 1.2},
        marker={"color": COLOURS[0], "cornerradius": 4},
        hovertemplate="%{x:.5f}, n = %{customdata:,}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names)
    figure.update_xaxes(title="squared error a pixel", rangemode="tozero")
    return figure


def sweep_figure(ours: dict[int, float], pca: dict[int, float], own: int, title: str) -> go.Figure:
    """Error against code size, both axes logarithmic; the run at hand is ringed."""
    figure = blank(title, 340)
    figure.add_scatter(
        x=list(pca), y=list(pca.values()), mode="lines+markers", name="PCA",
        line={"color": QUIET, "dash": "dot"},
        hovertemplate="PCA, %{x} components: %{y:.5f}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=list(ours), y=list(ours.values()), mode="lines+markers", name="autoencoder",
        line={"color": COLOURS[0], "width": 2.5}, marker={"size": 8},
        hovertemplate="code of %{x}: %{y:.5f}<extra></extra>",
    )  # fmt: skip
    if own in ours:
        ring = {"size": 16, "symbol": "circle-open", "color": COLOURS[2], "line": {"width": 2}}
        figure.add_scatter(
            x=[own], y=[ours[own]], mode="markers", name="this run", marker=ring, hoverinfo="skip"
        )
    sizes = sorted({*ours, *pca})
    figure.update_xaxes(
        type="log", title="numbers in the code", tickvals=sizes, ticktext=[str(s) for s in sizes]
    )
    figure.update_yaxes(type="log", title="squared error a pixel", tickformat="~g")
    return figure


def errors_figure(errors: np.ndarray, edge: float, title: str) -> go.Figure:
    """A histogram of all images' errors; those from `edge` on are drawn strong."""
    counts, edges = np.histogram(errors, bins=60)
    middle = (edges[1:] + edges[:-1]) / 2
    figure = blank(title, 200, bargap=0.06, showlegend=False)
    colours = [COLOURS[2] if right >= edge else QUIET for right in edges[1:]]
    figure.add_bar(
        x=middle, y=counts, marker_color=colours, hovertemplate="%{y:,} images near %{x:.4f}<extra></extra>"
    )
    figure.add_vline(x=edge, line={"color": COLOURS[2], "width": 1, "dash": "dot"})
    figure.update_xaxes(title="squared error a pixel")
    figure.update_yaxes(title="images")
    return figure


def parameters_text(count: int) -> str:
    """A number of parameters for reading: 8,194 · 11.2 M."""
    return f"{count:,}" if count < 1_000_000 else f"{count / 1e6:,.1f} M"


def learns_figure(learns: dict[str, int], chosen: str, title: str) -> go.Figure:
    """How many parameters learn and how many stay, for each mode; the chosen mode is drawn strong.

    Args:
        learns: Parameters that learn under each mode, and "total".
        chosen: The mode chosen now.
        title: Of the chart.
    """
    modes = [mode for mode in MODE_TITLES if mode in learns]
    total = learns["total"]
    learning = [learns[mode] for mode in modes]
    labels = [f"<b>{MODE_TITLES[mode]}</b>" if mode == chosen else MODE_TITLES[mode] for mode in modes]
    strength = [1.0 if mode == chosen else 0.45 for mode in modes]
    figure = blank(title, 235, barmode="stack", bargap=0.42)
    figure.add_bar(
        y=labels, x=learning, orientation="h", name="learns",
        marker={"color": COLOURS[0], "opacity": strength, "cornerradius": 4},
        hovertemplate="%{x:,} parameters learn<extra></extra>",
    )  # fmt: skip
    figure.add_bar(
        y=labels, x=[total - count for count in learning], orientation="h", name="stays as it is",
        marker={"color": QUIET, "opacity": [0.32 * value for value in strength], "cornerradius": 4},
        hovertemplate="%{x:,} parameters stay<extra></extra>",
    )  # fmt: skip
    for label, count in zip(labels, learning, strict=True):
        share = count / total if total else 0.0
        of_all = f"{share:.3%}" if share < 0.01 else f"{share:.0%}"
        text = f"{parameters_text(count)} of {parameters_text(total)} · {of_all}"
        figure.add_annotation(
            y=label, x=0, text=text, xanchor="left", yshift=21, showarrow=False, font_size=11
        )
    figure.update_yaxes(autorange="reversed", ticks="", showgrid=False)
    figure.update_xaxes(visible=False, range=[0, max(1, total)])
    figure.update_layout(
        legend={"y": -0.02, "yanchor": "top", "x": 0, "xanchor": "left", "traceorder": "normal"}
    )
    return figure


def intervals_figure(rows: Sequence[dict[str, Any]], majority: float | None, title: str) -> go.Figure:
    """Accuracy per split with its 95 % interval; rows are {"label", "accuracy", "low", "high", "n"}."""
    figure = blank(title, 92 + 44 * len(rows), showlegend=False)
    figure.add_scatter(
        x=[row["accuracy"] for row in rows],
        y=[f"{row['label']}<br><span style='font-size:11px'>n = {row['n']:,}</span>" for row in rows],
        mode="markers",
        marker={"size": 11, "color": COLOURS[: len(rows)]},
        error_x={
            "type": "data", "symmetric": False, "thickness": 2.5, "width": 7, "color": QUIET,
            "array": [row["high"] - row["accuracy"] for row in rows],
            "arrayminus": [row["accuracy"] - row["low"] for row in rows],
        },
        customdata=[[row["low"], row["high"]] for row in rows],
        hovertemplate="%{x:.1%}, 95 % interval %{customdata[0]:.1%} to %{customdata[1]:.1%}<extra></extra>",
    )  # fmt: skip
    low = min([row["low"] for row in rows] + ([majority] if majority is not None else []))
    if majority is not None:
        figure.add_vline(x=majority, line={"dash": "dot", "color": QUIET, "width": 2})
        figure.add_annotation(
            x=majority,
            y=1,
            yref="paper",
            text=f"always the commonest class: {majority:.1%}",
            showarrow=False,
            yanchor="bottom",
            xanchor="left" if majority < 0.6 else "right",
            font={"size": 11, "color": QUIET},
        )
    figure.update_xaxes(tickformat=".0%", range=[max(-0.01, low - 0.06), 1.01], zeroline=False)
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="")
    return figure


def luck_figure(n: int, best: float, shares: np.ndarray, chances: np.ndarray, epochs: int) -> go.Figure:
    """What the best of several epochs would show by luck alone; `shares` and `chances` are (k,)."""
    figure = blank(f"Best of {epochs} epochs if nothing improved after the middle one", 215, showlegend=False)
    figure.add_bar(
        x=shares, y=chances, marker={"color": COLOURS[0], "opacity": 0.75, "line_width": 0}, width=0.9 / n,
        hovertemplate="best of %{x:.1%}: chance %{y:.1%}<extra></extra>",
    )  # fmt: skip
    figure.add_vline(x=best, line={"color": COLOURS[2], "width": 2})
    font = {"color": COLOURS[2], "size": 12}
    figure.add_annotation(
        x=best, y=1, yref="paper", text=f"kept: {best:.1%}", showarrow=False, yanchor="bottom", font=font
    )
    figure.update_xaxes(
        tickformat=".0%" if np.ptp(shares) > 0.05 else ".1%", title_text="validation accuracy"
    )
    figure.update_yaxes(tickformat=".0%", title_text="chance", rangemode="tozero")
    return figure


def compare_figure(curves: Sequence[dict[str, Any]], quantity: str) -> go.Figure:
    """The same quantity of several runs over epochs, training dotted, validation solid.

    Args:
        curves: {"name", "epochs": rows} per run, in the order of their colours.
        quantity: "loss", "accuracy": what is drawn.
    """
    share = any(word in quantity for word in ("accuracy", "top1", "share"))
    figure = blank(f"{quantity.replace('_', ' ').capitalize()} per epoch", 380, hovermode="x unified")
    for i, curve in enumerate(curves):
        colour = COLOURS[i % len(COLOURS)]
        for split, label, dash, width in (
            ("train", "training", "dot", 1.5),
            ("val", "validation", "solid", 2.5),
        ):
            key = f"{split}_{quantity}"
            points = [(row["epoch"], row[key]) for row in curve["epochs"] if row.get(key) is not None]
            if points:
                xs, ys = zip(*points, strict=True)
                figure.add_scatter(
                    x=xs, y=ys, name=f"{escape(curve['name'], 40)} · {label}", legendgroup=str(i),
                    mode="lines+markers" if len(points) < 3 else "lines",
                    line={"color": colour, "dash": dash, "width": width},
                    hovertemplate="%{y:.1%}" if share else "%{y:.4~g}",
                )  # fmt: skip
    legend = {"orientation": "v", "y": -0.22, "yanchor": "top", "x": 0, "xanchor": "left"}
    figure.update_layout(legend=legend, height=400 + 40 * len(curves))
    figure.update_yaxes(tickformat=".0%" if share else None, zeroline=False)
    longest = max((row["epoch"] for curve in curves for row in curve["epochs"]), default=0)
    figure.update_xaxes(
        title_text="epoch", rangemode="tozero", zeroline=False, dtick=1 if longest <= 10 else None
    )
    return figure
