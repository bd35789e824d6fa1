"""A film strip: one method drawn with several values of the setting that decides its picture."""

from __future__ import annotations

import streamlit as st

from engine.data.dataset import Dataset
from engine.evaluation.map_result import LatentMap
from engine.methods import config_class
from engine.methods.latent_map_config import only
from engine.projections import PROJECTIONS, projection_entry
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.summary import RunSummary
from pages.components.forms import settings_of
from pages.components.map_others import other_maps
from pages.components.map_view import map_view, view_key

WAYS = {"beside": "Side by side", "film": "One after another"}


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
    drawn = other_maps(
        {value: recipe for value, (recipe, _) in recipes.items()},
        lambda value: f"{summary.name} · {projection_entry(str(method)).title}, {title.lower()} {value}",
        "Draw the strip",
        ":material/movie:",
        "maps.strip.draw",
    )
    if drawn:
        _show(summary, list(drawn.values()), str(method), field)


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


def _show(summary: RunSummary, runs: list[str], method: str, field: str) -> None:
    """The maps of a strip beside each other, or as a film."""
    ways = list(WAYS) if len(runs) > 1 else ["beside"]
    way = st.segmented_control(
        "Shown as", ways, default="beside", required=True, key=f"maps.strip.way.{summary.id}",
        format_func=lambda way: WAYS[way], label_visibility="collapsed",
    )  # fmt: skip
    film = way == "film" and "film" in ways
    if film:
        st.caption(
            "Each map is turned onto the one before and drawn as large, so what moves has moved. Only at a "
            "stop is it a map; between two of them the points are on their way."
        )
    asked = f"runs={','.join(runs)}&method={method}&by={field}{'&film=1' if film else ''}"
    key = f"maps.strip.view.{method}.{runs[0]}"
    map_view(f"/lab/maps/spaces.bin?{asked}", key, group=view_key(summary.id), film=film)
