"""New pictures on a finished map: dropped, placed on every panel, and judged by their nearest images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from engine.data.dataset import Dataset
from engine.data.pixels import fitted
from engine.errors import UserError
from engine.evaluation.map_result import LatentMap
from engine.evaluation.new_pictures import MOST_PICTURES, Pictures
from engine.evaluation.new_points import FAR_PERCENTILE, VOTERS, NewPoints, PlacedPanel, refuse_closed
from engine.evaluation.placing import (
    PlacingStatus,
    clear_placing,
    placing_status,
    read_found,
    start_placing,
    stop_placing,
)
from engine.runs.summary import RunSummary
from pages.components import store
from pages.components.arrays import picture_url
from pages.components.charts import COLOURS, QUIET, blank, draw, escape
from pages.components.gallery import gallery
from pages.components.map_neighbours import LIT
from pages.components.text import count_text, md, one_line
from pages.components.upload import upload
from pages.components.upload_routes import ARCHIVES, discard_upload

PLACING = "maps.placing"  # (run, id of the placing that is under way)
PLACED = "maps.new"  # (run, what the map says of the pictures that were dropped last)
POLL_SECONDS = 0.5
TYPES = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"]
MOST_GREY = 3000  # points of the map behind the new ones; of more, so many are drawn
SIDE = 64  # px of the pictures in the table
FIGURES = 3  # beside each other
WAYS = {"files": "Pictures", "archive": "A zip or tar"}
FAR = "far from anything seen"


def new_part(summary: RunSummary, found: LatentMap, dataset: Dataset) -> None:
    """Drop pictures, and see where they belong."""
    if store.run_store().status(summary.id).state in store.ACTIVE:
        st.info("New images can join once all panels are drawn.", icon=":material/hourglass:")
        return
    run = summary.id
    try:
        refuse_closed(found)
    except UserError as error:
        st.error(md(str(error)), icon=":material/error:")
        return
    _in_words(lambda: _follow(run))
    if _under_way(run) is None:
        _in_words(lambda: _begin(run))
    of, new = st.session_state.get(PLACED, (None, None))
    if of == run and isinstance(new, NewPoints):
        _show(summary, found, dataset, new)


def _in_words(action: Callable[[], None]) -> None:
    """Do something; what stands in its way is told in place of what was placed before."""
    try:
        action()
    except UserError as error:
        st.session_state.pop(PLACED, None)
        st.error(md(str(error)), icon=":material/error:")


def _begin(run: str) -> None:
    placing = _dropped(run)
    if placing is not None:
        st.session_state[PLACING] = run, placing
        st.rerun()


def _under_way(run: str) -> str | None:
    of, placing = st.session_state.get(PLACING, (None, None))
    return str(placing) if of == run else None


def _follow(run: str) -> None:
    """How far the placing under way is, with Stop; once it has ended, what it found.

    Raises:
        UserError: It failed.
    """
    placing = _under_way(run)
    if placing is None:
        return
    status = placing_status(placing)
    if status.state == "running":
        st.fragment(_progress, run_every=POLL_SECONDS)(placing)
        return
    del st.session_state[PLACING]
    try:
        if status.state == "done":
            st.session_state[PLACED] = run, read_found(placing)
        elif status.state == "stopped":
            st.info("Stopped: these pictures were not placed.", icon=":material/stop_circle:")
        else:
            raise UserError(status.error or "These pictures could not be placed: try others.")
    finally:
        clear_placing(placing)


def _progress(placing: str) -> None:
    status = placing_status(placing)
    if status.state != "running":
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(*_how_far(status), width="stretch")
        st.button(
            "Stopping …" if status.stopping else "Stop", icon=":material/stop_circle:", key="maps.new.stop",
            on_click=stop_placing, args=(placing,), disabled=status.stopping, help="Nothing is placed then.",
        )  # fmt: skip


def _how_far(status: PlacingStatus) -> tuple[float, str]:
    words = md(status.phase.capitalize() or "Starting", 80)
    if status.total:
        return min(1.0, status.done / status.total), f"{words}: {status.done} of {status.total} …"
    return 0.0, f"{words}{f': {status.done}' if status.done else ''} …"


def _dropped(run: str) -> str | None:
    """The id of the placing of pictures that have just arrived.

    Raises:
        UserError: They cannot be placed.
    """
    way = st.segmented_control(
        "New images", list(WAYS), format_func=lambda way: WAYS[way], default="files", required=True,
        key=f"maps.new.way.{run}", label_visibility="collapsed",
    )  # fmt: skip
    if way == "archive":
        path = upload(f"maps.new.archive.{run}", ARCHIVES, "Drop a zip of pictures here")
        try:
            return None if path is None else start_placing(run, path)
        finally:
            if path is not None:
                discard_upload(path.name.partition(".")[0])
    with st.form(f"maps.new.form.{run}", border=False, clear_on_submit=True):
        given = st.file_uploader(
            f"One picture or several, up to {MOST_PICTURES}",
            type=TYPES,
            accept_multiple_files=True,
            key=f"maps.new.files.{run}",
            help="They stay on this machine and are not kept.",
        )
        pressed = st.form_submit_button("Place them", type="primary", icon=":material/add_location:")
    if not pressed:
        return None
    if not given:
        raise UserError("No picture was chosen: drop one or several into the field first.")
    return start_placing(run, [(file.name, file.getvalue()) for file in given])


def _show(summary: RunSummary, found: LatentMap, dataset: Dataset, new: NewPoints) -> None:
    count, far = len(new.pictures.names), int(new.far.sum())
    metric = {"cosine": "chord of the unit sphere", "euclidean": "Euclidean"}[found.settings.metric]
    st.markdown(
        f"##### {count_text(count, 'new image')}, {far:,} of them {FAR}",
        help=f"Its nearest image is further than {new.far_beyond:.3g}: {FAR_PERCENTILE:g} % of the map's own "
        f"images have one nearer than that. Distance: {metric}.",
    )
    _left_out(new.pictures)
    _panels(summary, found, new)
    left, right = st.columns([1, 2], gap="large")
    with left:
        gallery(items(dataset, new), f"maps.new.gallery.{summary.id}")
    with right:
        _table(found, dataset, new)
        st.button(
            "Light up their nearest images on the maps",
            icon=":material/flare:",
            on_click=_light,
            args=(summary.id, sorted({int(row) for row in new.neighbours[:, 0]})),
            key=f"maps.new.light.{summary.id}",
        )


def _light(run: str, rows: list[int]) -> None:
    st.session_state[LIT.format(run)] = rows


def _left_out(pictures: Pictures) -> None:
    if pictures.more:
        st.caption(f"Only the first {MOST_PICTURES} pictures were read.")
    if pictures.skipped:
        names = ", ".join(f"{md(name, 60)} ({md(reason, 100)})" for name, reason in pictures.skipped[:5])
        more = len(pictures.skipped) - 5
        st.caption(f"Left out: {names}{f' and {more} more' if more > 0 else ''}.")


def _panels(summary: RunSummary, found: LatentMap, new: NewPoints) -> None:
    """A small figure for each panel, and how the new ones got onto it."""
    grey = grey_rows(len(found.index))
    if len(grey) < len(found.index):
        st.caption(f"In grey {len(grey):,} of the map's {len(found.index):,} points.")
    aligned = found.aligned()
    for start in range(0, len(new.panels), FIGURES):
        columns = st.columns(FIGURES)
        for column, placed in zip(columns, new.panels[start : start + FIGURES], strict=False):
            with column:
                figure = placed_figure(aligned[placed.method][grey], placed, new)
                alt = f"{count_text(len(new.pictures.names), 'new image')} on the map by {placed.title}"
                draw(figure, f"maps.new.figure.{placed.method}.{summary.id}", alt)
                st.caption(md(placed.how))


def grey_rows(n: int) -> np.ndarray:
    """(m,) the points that are drawn behind the new ones, the same ones each time."""
    if n <= MOST_GREY:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, MOST_GREY, replace=False))


def placed_figure(old: np.ndarray, placed: PlacedPanel, new: NewPoints) -> go.Figure:
    """Points of the map in grey, new pictures as stars, hollow where they are far from all.

    Args:
        old: (n, 2 or 3) positions as the maps above show them.
        placed: Where the new ones are.
        new: What else is known of them.
    """
    figure = blank(placed.title, 300, showlegend=False)
    names = [
        escape(name) + (f"<br>{FAR}" if far else "")
        for name, far in zip(new.pictures.names, new.far, strict=True)
    ]
    flat = old.shape[1] == 2
    star, hollow = ("star", "star-open") if flat else ("diamond", "diamond-open")
    marks = {
        "size": 13 if flat else 6,
        "color": COLOURS[2],
        "symbol": [hollow if far else star for far in new.far],
    }
    dots = {"size": 4 if flat else 2, "color": QUIET, "opacity": 0.45}
    kind = go.Scattergl if flat else go.Scatter3d
    for at, marker, more in (
        (old, dots, {"hoverinfo": "skip"}),
        (placed.beside, marks, {"text": names, "hovertemplate": "%{text}<extra></extra>"}),
    ):
        axes = dict(zip("xyz", at.T, strict=False))
        figure.add_trace(kind(**axes, mode="markers", marker=marker, **more))
    if flat:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False, scaleanchor="x")
    else:
        figure.update_scenes(**{f"{axis}axis_visible": False for axis in "xyz"}, aspectmode="data")
    return figure


def items(dataset: Dataset, new: NewPoints) -> list[dict[str, Any]]:
    """The new pictures for `gallery`, with the class of their neighbours and how far the nearest is."""
    found = []
    for row, name in enumerate(new.pictures.names):
        label, far = _class(dataset, int(new.label[row])), bool(new.far[row])
        found.append(
            {
                "images": [picture_url(new.pictures.pixels[row])],
                "label": label or "no class",
                "value": f"{float(new.distances[row, 0]):.3g}",
                "under": FAR if far else one_line(name, 60),
                "tone": "bad" if far else "",
                "title": f"{one_line(name)}\nnearest image at {float(new.distances[row, 0]):.4g}",
                "alt": one_line(name, 60),
            }
        )
    return found


def _class(dataset: Dataset, label: int) -> str:
    return one_line(dataset.classes[label], 60) if label >= 0 else ""


def table_rows(found: LatentMap, dataset: Dataset, new: NewPoints) -> list[dict[str, Any]]:
    """What is known of each new picture, for people to read."""
    rows = []
    for row, name in enumerate(new.pictures.names):
        nearest = int(found.index[new.neighbours[row, 0]])
        small = fitted(dataset.image(nearest, at_least=SIDE), SIDE)
        vote = _class(dataset, int(new.label[row]))
        rows.append(
            {
                "file": one_line(name, 120),
                "nearest image": picture_url(np.asarray(small)),
                "its name": one_line(dataset.names[nearest], 120),
                "class of the neighbours": f"{vote} ({int(new.votes[row])} of {new.neighbours.shape[1]})"
                if vote
                else "",
                "distance": float(new.distances[row, 0]),
                "note": FAR if new.far[row] else "",
            }
        )
    return rows


def _table(found: LatentMap, dataset: Dataset, new: NewPoints) -> None:
    columns = {
        "nearest image": st.column_config.ImageColumn(width="medium"),
        "distance": st.column_config.NumberColumn(format="%.4g", help="To the nearest image of the map."),
        "class of the neighbours": st.column_config.TextColumn(
            help=f"The commonest class among its {VOTERS} nearest images; of two as common, the nearer one's."
        ),
    }
    st.dataframe(
        pd.DataFrame(table_rows(found, dataset, new)), hide_index=True, column_config=columns, width="stretch"
    )
