"""What would noise look like: the same number of Gaussian points on the same maps, beside the real ones."""

from __future__ import annotations

import streamlit as st

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.evaluation.map_result import LatentMap, read_map
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.summary import RunSummary
from pages.components import store
from pages.components.map_stage import draw_panels, seen_of, watch_map
from pages.components.map_trust import trust_table
from pages.components.text import md


def noise_part(summary: RunSummary, found: LatentMap, dataset: Dataset) -> None:
    """The same maps of noise: found, or drawn at the press of a button."""
    st.caption(
        f"{len(found.index):,} points of Gaussian noise, every number with the mean and spread it has in the "
        "real points, drawn with the same settings and seed. Groups that noise has too are no finding."
    )
    recipe = noise_recipe(found.recipe)
    states = frozenset({*store.ACTIVE, "done"})
    run = store.run_store().find(recipe.digest(), states=states)
    if run is None:
        if st.button("Draw noise of the same size", icon=":material/grain:", key="maps.noise"):
            _start(recipe, f"{summary.name} · noise")
        return
    seen = seen_of(run)
    noise = read_map(run, store.run_store())
    if store.run_store().status(run).state in store.ACTIVE:
        watch_map(run, seen)
    if noise is not None:
        draw_panels(run, noise)
        if noise.done:
            trust_table(noise)


def noise_recipe(recipe: Recipe) -> Recipe:
    """The recipe of the same map of noise."""
    fields = recipe.model_dump()
    return check_recipe(make_recipe({**fields, "config": {**fields["config"], "noise": True}}))


def _start(recipe: Recipe, name: str) -> None:
    try:
        store.start(recipe, name)
    except UserError as error:
        st.error(md(str(error)), icon=":material/error:")
        return
    st.rerun()
