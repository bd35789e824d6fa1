"""A map's panels on the page, while they get ready and afterwards."""

from __future__ import annotations

import secrets

import streamlit as st

from engine.evaluation.map_result import LatentMap, map_progress
from engine.projections import PROJECTIONS
from pages.components import store
from pages.components.map_neighbours import LIT, ROW
from pages.components.map_pack import MOST_PANELS
from pages.components.map_panels import map_version
from pages.components.map_routes import map_url
from pages.components.map_view import Wanted, map_view, selected_rows, view_key
from pages.components.text import md

WANTED = "maps.wanted.{}"  # of a run: rows that the browser has still to select
POLL_SECONDS = 0.4  # a look reads a few lines and no array


def draw_panels(run: str, found: LatentMap, asks: bool = False) -> None:
    """The linked panels, at most six of them at once.

    Args:
        run: The map's id.
        found: The map.
        asks: Whether selections and clicks come back to the page.
    """
    names = [panel.method for panel in found.panels]
    if len(names) > MOST_PANELS:
        asked = st.pills(
            "Panels",
            names,
            format_func=lambda name: PROJECTIONS[name].title,
            selection_mode="multi",
            default=names[:MOST_PANELS],
            key=f"maps.shown.{run}",
            help=f"Up to {MOST_PANELS} are shown at once.",
        )
        names = [name for name in names if name in asked][:MOST_PANELS] or names[:MOST_PANELS]
    map_view(
        map_url(run, map_version(run, found.progress, names), names),
        view_key(run),
        chosen=(lambda rows: None) if asks else None,
        clicked=(lambda row: st.session_state.update({ROW.format(run): row})) if asks else None,
        ring=_ringed(run),
        lit=st.session_state.get(LIT.format(run)) or [],
        wanted=_wanted(run) if asks else None,
    )


def _ringed(run: str) -> list[int]:
    row = st.session_state.get(ROW.format(run))
    return [row] if isinstance(row, int) else []


def select_again(run: str, rows: list[int]) -> None:
    """Have these rows selected on the run's panels when the page is drawn next."""
    st.session_state[LIT.format(run)] = []  # else another selection would shine beside it
    st.session_state[WANTED.format(run)] = Wanted(secrets.token_hex(4), tuple(rows))


def _wanted(run: str) -> Wanted | None:
    """What the browser has still to select; nothing any more once it has told that it did."""
    wanted: Wanted | None = st.session_state.get(WANTED.format(run))
    if wanted is not None and list(wanted.rows) == selected_rows(view_key(run)):
        del st.session_state[WANTED.format(run)]
        return None
    return wanted


def seen_of(run: str) -> tuple[str, str]:
    """What decides that the page must be drawn anew: the run's state, and what its panels show.

    Raises:
        UserError: There is no such run, or it is no map.
    """
    state, panels = store.run_store().status(run).state, map_progress(run, store.run_store())
    return state, "" if panels is None else map_version(run, panels, list(PROJECTIONS))


def watch_map(run: str, seen: tuple[str, str]) -> None:
    """The progress of a map that is being drawn; the page runs again when a panel is ready.

    Args:
        run: Its id.
        seen: `seen_of(run)` from before this page run read the map: what comes in between is drawn anew.
    """

    def look() -> None:
        if seen_of(run) != seen:
            st.rerun()
        status = store.run_store().status(run)
        if status.state == "queued":
            st.progress(0.0, text=f"Waiting in the queue: {store.waiting_words(run, status.queue_place)}")
            return
        progress = store.run_store().progress(run)
        phase = str(progress.get("phase") or "starting").capitalize()
        steps = progress.get("steps") or 0
        share = min(1.0, (progress.get("step") or 0) / steps) if steps else 0.0
        st.progress(share, text=f"{md(phase)} …")

    st.fragment(look, run_every=POLL_SECONDS)()
