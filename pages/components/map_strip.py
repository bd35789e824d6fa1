"""A film strip: one method drawn with several values of the setting that decides its picture."""

from __future__ import annotations

from functools import partial

import streamlit as st

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.evaluation.map_result import LatentMap
from engine.methods import config_class
from engine.methods.latent_map_config import only
from engine.projections import PROJECTIONS, projection_entry
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.summary import RunSummary
from pages.components import store
from pages.components.forms import settings_of
from pages.components.map_view import map_view
from pages.components.text import md

POLL_SECONDS = 0.7


def strip_part(summary: RunSummary, found: LatentMap, dataset: Dataset) -> None:
    """Choose a method; its strip is found, or drawn at the press of a button."""
    methods = [name for name, entry in PROJECTIONS.items() if entry.strip]
    here = [panel.method for panel in found.done if panel.method in methods]
    method = st.segmented_control(
        "Method",
        methods,
        default=here[-1] if here else methods[0],
        format_func=lambda name: projection_entry(name).title,
        required=True,
        key=f"maps.strip.{summary.id}",
        label_visibility="collapsed",
    )
    recipes = strip_recipes(found.recipe, str(method))
    field = next(iter(recipes.values()))[1]
    title = next(s.title for s in settings_of(config_class("latent_map")) if s.name == field)
    st.caption(
        f"The same points and seed by {projection_entry(str(method)).title}, with {title.lower()} "
        f"{', '.join(recipes)}. What holds in all of them is more likely to be there."
    )
    runs = {value: _run_of(recipe) for value, (recipe, _) in recipes.items()}
    missing = [value for value, run in runs.items() if run is None]
    if missing and st.button("Draw the strip", icon=":material/movie:", key="maps.strip.draw"):
        for value in missing:
            name = f"{summary.name} · {projection_entry(str(method)).title}, {title.lower()} {value}"
            store.attempt(partial(_start, recipes[value][0], name))
        st.rerun()
    _show([run for run in runs.values() if run is not None], str(method), field)


def strip_recipes(recipe: Recipe, method: str) -> dict[str, tuple[Recipe, str]]:
    """The recipes of a strip by the value that differs, and the setting's name in the map's config."""
    setting, values = projection_entry(method).strip or ("", ())
    field, fields = f"{method}_{setting}", recipe.model_dump()
    kind = config_class("latent_map").model_fields[field].annotation
    found = {}
    for value in values:
        config = {**fields["config"], **only([method]), field: kind(value) if kind else value}
        found[f"{value:g}"] = (check_recipe(make_recipe({**fields, "config": config})), field)
    return found


def _start(recipe: Recipe, name: str) -> None:
    store.start(recipe, name)


def _run_of(recipe: Recipe) -> str | None:
    return store.run_store().find(recipe.digest(), states=frozenset({*store.ACTIVE, "done"}))


def _show(runs: list[str], method: str, field: str) -> None:
    """Those that are done; the page runs again when another one is."""
    done = [run for run in runs if store.run_store().status(run).state == "done"]
    if len(done) < len(runs):

        def look() -> None:
            states = [store.run_store().status(run).state for run in runs]
            ready = states.count("done")
            if ready != len(done) or not any(state in store.ACTIVE for state in states):
                st.rerun()
            st.progress(ready / len(runs), text=f"{ready} of {len(runs)} drawn …")

        st.fragment(look, run_every=POLL_SECONDS)()
    if not done:
        return
    try:
        key = f"maps.strip.view.{method}.{runs[0]}"
        map_view(f"/lab/maps/spaces.bin?runs={','.join(done)}&method={method}&by={field}", key)
    except UserError as error:
        st.warning(md(str(error)), icon=":material/error:")
