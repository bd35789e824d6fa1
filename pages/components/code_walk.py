"""Walk the latent space: a pad over the map of codes and sliders along the axes, decoded while you move."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset, open_dataset
from engine.runs.summary import RunSummary
from pages.components.arrays import picture_url, strip
from pages.components.charts import COLOURS
from pages.components.images import item, spread
from pages.components.live import asset

POINTS = 2000  # of the map behind the pad
BASES = 15  # images to start from
STEPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
STRANGE = 3.0  # usual distances to the nearest image beyond which nothing was there to learn from


@cache
def _component() -> Any:
    return st.components.v2.component(
        "replab_walk", html='<div class="walk"></div>', css=asset("walk.css"), js=asset("walk.js")
    )


def walk(summary: RunSummary, found: dict[str, Any]) -> None:
    """The pad with its sliders, and below it what each axis does on its own."""
    from engine.training.look import autoencoder, latent_space

    autoencoder(summary.id)  # loaded now, so that the first move is as quick as the others
    space = latent_space(summary.id)
    if space.is_point:
        st.info("Every image has the same code, so there is nowhere to walk.", icon=":material/block:")
        return
    st.caption(
        "Each axis is a direction in which codes differ most, in units of their spread. Drag on the map, "
        "move a "
        "slider, or start from an image; hatched places have no image near them, and what is drawn there was "
        "never learned from anything."
    )
    _component()(key=f"walk.{summary.id}", data=_data(summary, space))
    _axes(summary, space)


def _data(summary: RunSummary, space: Any) -> dict[str, Any]:
    from engine.evaluation.latent import GRID, REACH

    dataset = open_dataset(summary.dataset)
    some = np.array(spread(len(space.codes), POINTS))
    bases = np.array(spread(len(space.codes), BASES))
    return {
        "url": f"/lab/runs/{summary.id}/walk.png",
        "reach": REACH,
        "grid": GRID,
        "empty": "".join("1" if cell else "0" for cell in space.empty_places().ravel())
        if space.width > 1
        else "",
        "points": space.map[some, :2].round(3).tolist() if space.width > 1 else [],
        "labels": space.label[some].tolist(),
        "classes": list(dataset.classes[: len(COLOURS)]),
        "shares": [round(float(share), 4) for share in space.shares],
        "strange": STRANGE,
        "colours": COLOURS,
        "bases": [_base(dataset, space, int(row)) for row in bases],
    }


def _base(dataset: Dataset, space: Any, row: int) -> dict[str, Any]:
    known = item(dataset, int(space.index[row]), 96)
    at = space.map[row].round(4).tolist()
    return {"index": int(space.index[row]), "url": known["images"][0], "alt": known["alt"], "at": at}


def _axes(summary: RunSummary, space: Any) -> None:
    """One row of pictures an axis, all others at the mean."""
    from engine.training.look import decode

    count = len(space.axes)
    positions = np.zeros((count * len(STEPS), count), np.float32)
    for axis in range(count):
        positions[axis * len(STEPS) : (axis + 1) * len(STEPS), axis] = STEPS
    pictures = decode(summary.id, space.at(positions)).reshape(count, len(STEPS), -1)
    side = int((pictures.shape[-1] // 3) ** 0.5)
    rows = "".join(
        f'<div class="rl-row"><span>Axis {axis + 1} · {space.shares[axis]:.0%}</span>'
        f'<img alt="from {STEPS[0]:g} to {STEPS[-1]:g} spreads along axis {axis + 1}" '
        f'src="{picture_url(strip(list(pictures[axis].reshape(-1, side, side, 3))))}"></div>'
        for axis in range(count)
    )
    with st.expander("What each axis does on its own", icon=":material/view_column:", expanded=True):
        st.html(f'<div class="rl-rows">{rows}</div>')
        st.caption(
            "From −3 to +3 spreads around the mean code, one axis at a time; the share is of the codes' "
            "variance. "
            f"Axes are the principal components of the {len(space.codes):,} codes: no label was used, and "
            "no axis "
            "need mean one thing only."
        )
