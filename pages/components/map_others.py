"""Further maps that a part of a map asks for: found by their recipes, or drawn with progress and Stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import streamlit as st

from engine.runs.recipe import Recipe
from engine.runs.summary import RunSummary, is_mine
from pages.components import store
from pages.components.text import md

POLL_SECONDS = 0.7


def other_maps(
    recipes: Mapping[str, Recipe], name: Callable[[str], str], button: str, icon: str, key: str
) -> dict[str, str]:
    """Those of some maps that are there; the page runs again when another one is.

    Args:
        recipes: By what tells the maps apart.
        name: What to call the run of one.
        button: Its words; it is shown while some are missing, and draws or resumes them.
        icon: Of the button.
        key: Of the button; the one that stops them ends in ".stop".

    Returns:
        Runs that are done, in the order of the recipes.
    """
    runs = _newest(recipes)
    active = [run.id for run in runs.values() if run is not None and run.state in store.ACTIVE]
    missing = [what for what, run in runs.items() if run is None or run.state in store.RESUMABLE]
    if missing and not active:
        _failures({what: run for what in missing if (run := runs[what]) is not None})
        if st.button(button, icon=icon, key=key):
            for what in missing:
                store.attempt(partial(_draw, recipes[what], name(what), runs[what]))
            st.rerun()
    if active:
        _watch(active, len(recipes), f"{key}.stop")
    return {what: run.id for what, run in runs.items() if run is not None and run.state == "done"}


def _newest(recipes: Mapping[str, Recipe]) -> dict[str, RunSummary | None]:
    """The newest run of each recipe, one that is done before one under way before any other."""
    order = ["done", *store.ACTIVE]
    by_digest: dict[str, RunSummary] = {}
    for run in filter(is_mine, reversed(store.run_store().list())):
        known = by_digest.get(run.digest)
        if known is None or _rank(run, order) <= _rank(known, order):
            by_digest[run.digest] = run
    return {what: by_digest.get(recipe.digest()) for what, recipe in recipes.items()}


def _rank(run: RunSummary, order: list[str]) -> int:
    return order.index(run.state) if run.state in order else len(order)


def _draw(recipe: Recipe, name: str, ended: RunSummary | None) -> None:
    if ended is None:
        store.start(recipe, name)
    else:
        store.resume(ended.id)


def _failures(runs: Mapping[str, RunSummary]) -> None:
    for what, run in runs.items():
        if run.state == "failed":
            sentence = store.run_store().status(run.id).error or "It failed."
            st.caption(f":red[:material/error: {md(what, 60)}: {md(sentence, 300)}]")


def _watch(active: list[str], wanted: int, key: str) -> None:
    """How far the maps under way are, and Stop."""

    def look() -> None:
        states = [store.run_store().status(run) for run in active]
        left = [run for run, status in zip(active, states, strict=True) if status.state in store.ACTIVE]
        if len(left) < len(active):
            st.rerun()
        done = wanted - len(active)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(*_how_far(left, done, wanted), width="stretch")
            stopping = all(status.stopping for status in states)
            st.button(
                "Stop now" if stopping else "Stop", icon=":material/stop_circle:", key=key, on_click=_stop,
                args=(left, stopping), help="Maps that are done stay. Press again to end the others at once.",
            )  # fmt: skip

    st.fragment(look, run_every=POLL_SECONDS)()


def _stop(runs: list[str], force: bool) -> None:
    for run in runs:
        store.attempt(partial(store.stop, run, force=force))


def _how_far(active: list[str], done: int, wanted: int) -> tuple[float, str]:
    share, phase = float(done), "waiting for a free place"
    for run in active:
        told = store.run_store().progress(run)
        if store.run_store().status(run).state == "running":
            phase = str(told.get("phase") or "starting")
            steps = told.get("steps") or 0
            share += min(1.0, (told.get("step") or 0) / steps) if steps else 0.0
    return share / wanted, f"{done} of {wanted} drawn · {md(phase, 80)} …"
