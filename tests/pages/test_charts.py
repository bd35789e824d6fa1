"""Figures: what is drawn equals what is said, and names cannot bring markup."""

from __future__ import annotations

import numpy as np
import pytest

from pages.components import charts

LEARNS = {"extract": 8_194, "last_block": 20_000_000, "everything": 134_268_738, "total": 134_268_738}


def test_what_learns_and_what_stays_add_up_to_the_network() -> None:
    figure = charts.learns_figure(LEARNS, "extract", "t")
    learning, staying = figure.data
    assert list(learning.x) == [8_194, 20_000_000, 134_268_738]
    assert {a + b for a, b in zip(learning.x, staying.x, strict=True)} == {LEARNS["total"]}
    assert learning.y[0] == "<b>Extract features</b>" and learning.y[2] == "Everything"
    assert any("8,194 of 134.3 M · 0.006%" in note.text for note in figure.layout.annotations)


def test_the_arms_of_an_interval_end_at_its_ends() -> None:
    row = {"label": "Validation", "accuracy": 0.9, "low": 0.85, "high": 0.93, "n": 153}
    (trace,) = charts.intervals_figure([row], 0.5, "t").data
    assert trace.x[0] + trace.error_x.array[0] == pytest.approx(0.93)
    assert trace.x[0] - trace.error_x.arrayminus[0] == pytest.approx(0.85)
    assert "n = 153" in trace.y[0]


def test_compared_curves_hold_each_runs_points_and_escape_its_name() -> None:
    rows = [
        {"epoch": 1, "train_loss": 2.0, "val_loss": 2.5},
        {"epoch": 2, "train_loss": 1.0, "val_loss": None},
    ]
    curves = [{"name": "<img src=x>", "epochs": rows}, {"name": "b", "epochs": rows[:1]}]
    figure = charts.compare_figure(curves, "loss")
    assert [list(trace.y) for trace in figure.data] == [[2.0, 1.0], [2.5], [2.0], [2.5]]
    assert figure.layout.title.text == "Loss per epoch"
    assert "<img" not in figure.to_json().replace("\\u003c", "<")
    assert figure.data[0].line.color == figure.data[1].line.color != figure.data[2].line.color


@pytest.mark.parametrize(
    "figure",
    [
        charts.learns_figure(LEARNS, "everything", "t"),
        charts.compare_figure([], "accuracy"),
        charts.luck_figure(153, 0.967, np.array([0.95, 0.96]), np.array([0.4, 0.6]), 15),
    ],
)
def test_figures_are_transparent(figure: object) -> None:
    layout = figure.layout  # type: ignore[attr-defined]
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"


def test_no_chart_offers_to_send_data_away() -> None:
    assert charts.CONFIG["showSendToCloud"] is False and charts.CONFIG["plotlyServerURL"] == ""


def test_long_and_broken_names_are_cut_and_escaped() -> None:
    assert charts.escape("a\n<b>" + "x" * 300).startswith("a &lt;b&gt;")
    assert len(charts.escape("x" * 300)) == 60
