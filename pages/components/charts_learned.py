"""Plotly figures of what an encoder has learned: probes of several representations beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from pages.components.charts import COLOURS, QUIET, blank, escape

PROBES = {"linear": "linear probe", "knn": "nearest neighbours", "few": "linear probe, few labels"}
SPACE_COLOURS = {
    "feature": COLOURS[0],
    "embedding": COLOURS[3],
    "pixels": QUIET,
    "untrained": COLOURS[1],
}


def probes_figure(rows: Sequence[dict[str, Any]], chance: float, few: int, title: str) -> go.Figure:
    """Accuracy of each space by each probe; a row is a row of the study.

    Args:
        rows: With "title" and, by the names in PROBES, "accuracy", "low" and "high".
        chance: Share of the commonest class.
        few: Labels a class of the few-label probe.
        title: Of the chart.
    """
    figure = blank(title, 150 + 62 * len(rows))
    names = [escape(row["title"]) for row in rows]
    for place, (probe, words) in enumerate(PROBES.items()):
        points = [(i, row[probe]) for i, row in enumerate(rows) if row.get(probe)]
        if not points:
            continue
        shift = (place - 1) * 0.2
        middle = [found.get("accuracy", found.get("mean")) for _, found in points]
        figure.add_scatter(
            x=middle, y=[i + shift for i, _ in points], mode="markers",
            name=f"{words} ({few} a class)" if probe == "few" else words,
            marker={"size": 10, "color": COLOURS[(0, 1, 3)[place]]},
            error_x={
                "type": "data", "symmetric": False, "thickness": 2, "width": 5,
                "array": [found["high"] - m for m, (_, found) in zip(middle, points, strict=True)],
                "arrayminus": [m - found["low"] for m, (_, found) in zip(middle, points, strict=True)],
            },
            customdata=[[names[i], found["low"], found["high"]] for i, found in points],
            hovertemplate="%{customdata[0]}: %{x:.1%} (%{customdata[1]:.1%} to %{customdata[2]:.1%})",
        )  # fmt: skip
    figure.add_vline(x=chance, line={"dash": "dot", "color": QUIET, "width": 2})
    figure.add_annotation(
        x=chance, y=0, yref="paper", text=f"chance {chance:.0%}", showarrow=False, yanchor="bottom",
        xanchor="left", xshift=4, font={"size": 11, "color": QUIET},
    )  # fmt: skip
    figure.update_xaxes(tickformat=".0%", range=[0, 1.01], zeroline=False)
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=names, range=[len(rows) - 0.5, -0.5], showgrid=False
    )
    return figure


def factors_figure(rows: Sequence[dict[str, Any]], titles: dict[str, str], title: str) -> go.Figure:
    """How much of each known factor can be read from each space: 0 is nothing, 1 is everything.

    Args:
        rows: With "factor", "chance" and "scores" by space, as the study has them.
        titles: Of the spaces, in the order in which they are drawn.
        title: Of the chart.
    """
    figure = blank(title, 130 + 34 * len(rows))
    factors = [escape(row["factor"].replace("_", " ")) for row in rows]
    for space, words in titles.items():
        points = [(i, row) for i, row in enumerate(rows) if space in row["scores"]]
        known = [known_share(row["scores"][space], row["chance"]) for _, row in points]
        figure.add_scatter(
            x=known, y=[i for i, _ in points], mode="markers", name=words,
            marker={
                "size": 12 if space == "feature" else 10,
                "color": SPACE_COLOURS.get(space, COLOURS[4]),
                "symbol": "circle" if space in ("feature", "embedding") else "circle-open",
                "line": {"width": 2},
            },
            customdata=[[factors[i], row["scores"][space], _measure(row)] for i, row in points],
            hovertemplate="%{customdata[0]}: %{customdata[2]} %{customdata[1]:.3f}",
        )  # fmt: skip
    figure.update_xaxes(range=[-0.02, 1.02], tickformat=".0%", zeroline=False, title_text="known share")
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=factors, range=[len(rows) - 0.5, -0.5], zeroline=False
    )
    return figure


def _measure(row: dict[str, Any]) -> str:
    return "accuracy" if row["kind"] == "class" else "R²"


def known_share(score: float, chance: float) -> float:
    """A score on a scale where `chance` is 0 and a perfect one is 1; below chance counts as 0."""
    return max(0.0, (score - chance) / max(1e-9, 1 - chance))
