"""Plotly figures of a comparison: accuracies with intervals, few-label curves, accuracy against cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from engine.evaluation.comparison_result import Comparison, EncoderRow
from engine.evaluation.published import PUBLISHED
from pages.components.charts import COLOURS, DASHES, QUIET, blank, escape

MEASURES = {"linear": "linear probe", "knn": "nearest neighbours", "fine_tuned": "fine-tuned"}
MEASURE_COLOURS = {"linear": COLOURS[0], "knn": COLOURS[1], "fine_tuned": COLOURS[3]}
INTERVAL = "%{customdata[0]}: %{x:.1%}, 95 % interval %{customdata[1]:.1%} to %{customdata[2]:.1%}, "


def bars_figure(found: Comparison, title: str) -> go.Figure:
    """Accuracy of every encoder by every measure, with 95 % intervals; the floors are drawn pale."""
    rows = found.measured
    shown = [name for name in MEASURES if any(row.figure(name) for row in rows)]
    band = 34 + 20 * len(shown)  # pixels an encoder, its name above its bars
    figure = blank(title, 130 + band * len(rows), barmode="group", bargap=34 / band)
    for name in shown:
        _bars(figure, rows, name)
    for i, row in enumerate(rows):
        figure.add_annotation(
            x=0, y=i, text=escape(row.title, 60), xanchor="left", yshift=10 * len(shown) + 10,
            showarrow=False, font={"size": 12},
        )  # fmt: skip
    chance = found.setup.get("chance")
    if isinstance(chance, (int, float)):
        _line(figure, chance, f"always the commonest class {chance:.0%}", "bottom")
    if found.ceiling:
        _line(figure, found.ceiling["accuracy"], f"supervised {found.ceiling['accuracy']:.1%}", "top")
    figure.update_xaxes(tickformat=".0%", range=[0, 1.01], zeroline=False)
    figure.update_yaxes(visible=False, range=[len(rows) - 0.5, -0.6])
    below = -40 / (130 + band * len(rows))  # under the ticks
    figure.update_layout(
        legend={"traceorder": "normal", "y": below, "yanchor": "top", "x": 0, "xanchor": "left"}
    )
    return figure


def _bars(figure: go.Figure, rows: Sequence[EncoderRow], name: str) -> None:
    points = [(i, row, told) for i, row in enumerate(rows) if (told := row.figure(name))]
    figure.add_bar(
        x=[told["accuracy"] for _, _, told in points], y=[i for i, _, _ in points], orientation="h",
        name=MEASURES[name],
        marker={
            "color": MEASURE_COLOURS[name], "cornerradius": 4,
            "opacity": [0.4 if row.kind in ("pixels", "random") else 1.0 for _, row, _ in points],
        },
        error_x={
            "type": "data", "symmetric": False, "thickness": 1.6, "width": 4, "color": QUIET,
            "array": [told["high"] - told["accuracy"] for _, _, told in points],
            "arrayminus": [told["accuracy"] - told["low"] for _, _, told in points],
        },
        customdata=[[escape(row.title), told["low"], told["high"], told["n"]] for _, row, told in points],
        hovertemplate=INTERVAL + "n = %{customdata[3]:,}",
    )  # fmt: skip


def _line(figure: go.Figure, x: float, text: str, side: str) -> None:
    figure.add_vline(x=x, line={"dash": "dot", "color": QUIET, "width": 2})
    figure.add_annotation(
        x=x, y=0 if side == "bottom" else 1, yref="paper", text=text, showarrow=False, yanchor="bottom",
        xanchor="left" if x < 0.8 else "right", xshift=4 if x < 0.8 else -4,
        font={"size": 11, "color": QUIET},
    )  # fmt: skip


def few_figure(rows: Sequence[EncoderRow], title: str) -> go.Figure:
    """Accuracy against labels a class, with bands that hold 95 % intervals and a dot for every draw."""
    figure = blank(title, 420 + 22 * len(rows))
    names = [_number(point) for row in rows for point in row.few]
    order = sorted(set(names), key=lambda name: (name == "all", int(name) if name != "all" else 0))
    learned = 0
    for i, row in enumerate(rows):
        floor = row.kind in ("pixels", "random")
        colour = QUIET if floor else COLOURS[learned % len(COLOURS)]
        learned += not floor
        _curve(figure, row, colour, DASHES[i % len(DASHES)] if floor else "solid")
    figure.update_xaxes(
        type="category", categoryorder="array", categoryarray=order, title_text="labels a class"
    )
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", zeroline=False)
    figure.update_layout(legend={"orientation": "v", "y": -0.2, "yanchor": "top", "x": 0, "xanchor": "left"})
    return figure


def _curve(figure: go.Figure, row: EncoderRow, colour: str, dash: str) -> None:
    points, name = row.few, escape(row.title) + (" · has seen all labels" if row.knows_labels else "")
    x = [_number(point) for point in points]
    figure.add_scatter(
        x=x + x[::-1], y=[p["high"] for p in points] + [p["low"] for p in points[::-1]], fill="toself",
        fillcolor=colour, opacity=0.16, line={"width": 0}, mode="lines", hoverinfo="skip", showlegend=False,
        legendgroup=row.encoder,
    )  # fmt: skip
    figure.add_scatter(
        x=[_number(p) for p in points for _ in p["draws"]], y=[a for p in points for a in p["draws"]],
        mode="markers", marker={"size": 4, "color": colour, "opacity": 0.55}, hoverinfo="skip",
        showlegend=False, legendgroup=row.encoder,
    )  # fmt: skip
    figure.add_scatter(
        x=x, y=[point["mean"] for point in points], mode="lines+markers", name=name, legendgroup=row.encoder,
        line={"color": colour, "dash": dash, "width": 2.5}, marker={"size": 8},
        customdata=[[name, p["low"], p["high"], p["train_n"], len(p["draws"])] for p in points],
        hovertemplate="%{customdata[0]}, %{x} a class (%{customdata[3]:,} labels): %{y:.1%}, 95 % interval "
        "%{customdata[1]:.1%} to %{customdata[2]:.1%}, draws: %{customdata[4]}<extra></extra>",
    )  # fmt: skip


def _number(point: dict[str, Any]) -> str:
    return "all" if point.get("labels") is None else str(point["labels"])


def cost_figure(rows: Sequence[EncoderRow], title: str) -> go.Figure:
    """Accuracy against milliseconds an image; raw pixels cost no network, so they are a line."""
    figure = blank(title, 420, showlegend=False)
    reached = [(row, told) for row in rows if (told := row.figure("linear") or row.figure("knn"))]
    learned = 0
    for row, told in reached:
        if row.milliseconds is None:
            figure.add_hline(y=told["accuracy"], line={"dash": "dot", "color": QUIET, "width": 2})
            figure.add_annotation(
                x=1, xref="paper", y=told["accuracy"], text=escape(row.title), showarrow=False,
                xanchor="right", yanchor="bottom", font={"size": 11, "color": QUIET},
            )  # fmt: skip
            continue
        floor = row.kind == "random"
        colour = QUIET if floor else COLOURS[learned % len(COLOURS)]
        learned += not floor
        figure.add_scatter(
            x=[row.milliseconds], y=[told["accuracy"]], mode="markers+text", text=[escape(row.title, 34)],
            textposition="middle right", cliponaxis=False,
            marker={"size": 13, "color": colour, "symbol": "circle-open" if floor else "circle"},
            error_y={
                "type": "data", "symmetric": False, "thickness": 1.6, "width": 5, "color": QUIET,
                "array": [told["high"] - told["accuracy"]], "arrayminus": [told["accuracy"] - told["low"]],
            },
            hovertemplate=f"{escape(row.title)}: %{{y:.1%}}, %{{x:.3g}} ms an image<extra></extra>",
        )  # fmt: skip
    times = [row.milliseconds for row, _ in reached if row.milliseconds] or [1.0]
    edges = math.log10(min(times)) - 0.25, math.log10(max(times)) + 0.6  # room for the last name
    ticks = [step * 10**power for power in range(-3, 5) for step in (1, 2, 5)]
    figure.update_xaxes(
        type="log", title_text="ms an image, on this machine", range=edges, zeroline=False,
        tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks],
    )  # fmt: skip
    figure.update_yaxes(tickformat=".0%", title_text="accuracy", zeroline=False)
    return figure


def published_figure(title: str) -> go.Figure:
    """What papers tell of ImageNet; an axis of its own, since nothing here can be held against it."""
    rows = PUBLISHED[::-1]
    figure = blank(title, 260, bargap=0.4, showlegend=False)
    figure.add_bar(
        x=[one.accuracy for one in rows], y=[one.method for one in rows], orientation="h",
        text=[f"{one.accuracy:.1%}" for one in rows], textposition="inside", insidetextanchor="end",
        marker={"color": [QUIET if one.supervised else COLOURS[4] for one in rows], "cornerradius": 4},
        customdata=[[one.how, one.source] for one in rows],
        hovertemplate="%{y}: %{x:.1%}, %{customdata[0]} (%{customdata[1]})<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(
        tickformat=".0%", range=[0, 1], title_text="top-1 accuracy on ImageNet", zeroline=False
    )
    return figure
