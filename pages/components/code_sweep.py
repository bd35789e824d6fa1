"""How large must the code be? Small runs with codes of 1 to 64 numbers beside PCA with as many components."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from engine.errors import UserError
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.summary import RunSummary
from pages.components import charts, store
from pages.components.text import count_text, md

SIZES = (1, 2, 4, 8, 16, 32, 64)


def sweep(summary: RunSummary, found: dict[str, Any]) -> None:
    """The chart of error against code size, and a button that trains what is missing on it."""
    recipe = store.run_store().recipe(summary.id)
    if "latent_size" not in recipe.config:
        st.info("This kind has no code size of its own to vary.")
        return
    _board(summary, found, recipe)


@st.fragment(run_every=None)
def _board(summary: RunSummary, found: dict[str, Any], recipe: Recipe) -> None:
    runs = {size: find(variant(recipe, size)) for size in SIZES}
    own = int(recipe.config["latent_size"] or 0)
    runs[own] = summary
    points = {
        size: error_of(run) for size, run in sorted(runs.items()) if run is not None and run.state == "done"
    }
    pca = {int(size): float(error) for size, error in found["pca"].items()}
    title = "Squared error a pixel against numbers in the code, validation images"
    figure = charts.sweep_figure({k: v for k, v in points.items() if v is not None}, pca, own, title)
    charts.draw(figure, f"sweep-{summary.id}", title)
    st.caption(
        f"PCA's components come from {found.get('baseline_images', 0):,} training images. Below PCA, the "
        "network has "
        "found something that is no straight line; above it, it has not learned long enough or has too "
        "little "
        "room elsewhere. All runs share this recipe but for the code."
    )
    missing = [size for size in SIZES if runs.get(size) is None]
    waiting = {size: run for size, run in runs.items() if run is not None and run.state in store.ACTIVE}
    if waiting:
        words = ", ".join(f"{size} ({run.state})" for size, run in sorted(waiting.items()))
        st.info(
            f"On their way: codes of {words}. They go on when you leave.", icon=":material/hourglass_top:"
        )
        if st.button("Stop them", icon=":material/stop_circle:", key=f"sweep.stop.{summary.id}"):
            for run in waiting.values():
                store.attempt(partial(store.stop, run.id))
            st.rerun()
        _refresh(summary.id, tuple(sorted(waiting)))
    elif missing:
        seconds = found.get("seconds") or 0
        about = f", about {max(1, round(len(missing) * seconds / 60))} min" if seconds else ""
        label = f"Train the other {count_text(len(missing), 'size')}{about}"
        if st.button(label, icon=":material/play_arrow:", type="primary", key=f"sweep.start.{summary.id}"):
            start(recipe, missing, summary.name)
            st.rerun()


@st.fragment(run_every=3.0)
def _refresh(run: str, waiting: tuple[int, ...]) -> None:
    """Draw the page anew as soon as one of the runs has ended."""
    recipe = store.run_store().recipe(run)
    still = []
    for size in waiting:
        found = find(variant(recipe, size))
        if found is not None and found.state in store.ACTIVE:
            still.append(size)
    if tuple(still) != waiting:
        st.rerun()


def variant(recipe: Recipe, size: int) -> Recipe | None:
    """The same recipe with another code size; None where the images have no more numbers than that."""
    try:
        changed = {**recipe.model_dump(), "config": {**recipe.config, "latent_size": size}}
        return check_recipe(make_recipe(changed))
    except UserError:
        return None


def find(recipe: Recipe | None) -> RunSummary | None:
    """The newest run of a recipe that is done or on its way."""
    if recipe is None:
        return None
    states = frozenset({"done", *store.ACTIVE})
    run = store.run_store().find(recipe.digest(), states=states)
    return store.run_store().get(run) if run else None


def error_of(run: RunSummary) -> float | None:
    """A finished run's squared error on validation images."""
    found = store.run_store().results(run.id) or {}
    value = found.get("splits", {}).get("val", {}).get("squared_error")
    return float(value) if isinstance(value, (int, float)) else None


def start(recipe: Recipe, sizes: list[int], name: str) -> None:
    """Queue a run a size."""
    for size in sizes:
        wanted = variant(recipe, size)
        if wanted is None:
            continue
        try:
            store.start(wanted, f"Code of {size} · {name}"[:200])
        except UserError as error:
            st.error(md(str(error)), icon=":material/error:")
            return
