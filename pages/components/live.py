"""The live view of one run: a component that polls the server's own route, so that watching costs little."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

from engine.settings import PROJECT_ROOT

ASSETS = PROJECT_ROOT / "assets"
COLOURS = [
    "#5B5BD6",
    "#12A594",
]  # training, validation: the first two of the theme, readable on light and dark
WATCHERS_SPREAD_MS = 1500
FORCE_AFTER_MS = 15_000


def asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


@cache
def _component() -> Any:
    return st.components.v2.component(
        "replab_live",
        html='<div class="rl-live"></div>',
        css=asset("live.css"),
        js=asset("live_contrast.js") + asset("live.js"),
        isolate_styles=False,  # Plotly puts its own rules into the document's head
    )


def live_view(run: str, state: str, stopping: bool = False, suffix: str = "", compact: bool = False) -> None:
    """Draw the live view of `run`; the page runs again once the run's state has become a final one.

    Args:
        run: Id of the run.
        state: Its state as this page run knows it; the component asks for a rerun when it is no longer true.
        stopping: Whether Stop has been pressed.
        suffix: Words that every chart title ends in, such as "random weights".
        compact: Draw the curves and fold the rest away, since the results tell it better.
    """
    _component()(
        key=f"live-{run}",
        data={
            "run": run,
            "state": state,
            "stopping": stopping,
            "suffix": suffix,
            "compact": compact,
            "url": f"/lab/runs/{run}/metrics",
            "plotly": "/lab/plotly.min.js",
            "colours": COLOURS,
            "jitter": WATCHERS_SPREAD_MS,
            "patience": FORCE_AFTER_MS,
        },
        on_final_change=lambda: None,
    )
