"""Latent maps: lay out what an encoder makes of the images, by several methods, side by side."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.data.dataset import Dataset
from engine.methods.latent_map_config import USUAL, only
from engine.projections import PROJECTIONS
from engine.runs.recipe import Recipe
from pages.components import store
from pages.components.compose import Composer, start_button
from pages.components.forms import initial, put
from pages.components.map_run import show_map, title_of
from pages.components.map_source import choose_encoder, remember_encoder
from pages.components.map_spaces import every_space
from pages.components.picker import chosen_dataset
from pages.components.places import choose_place
from pages.components.recent import recent_runs
from pages.components.text import md

METHOD = "latent_map"
CHOSEN = "maps.methods"
VIEW = "maps.view"
PLACES = {"draw": "Draw maps", "spaces": "Same images, every space"}


def main() -> None:
    head = st.container()
    run = store.open_run_id()
    head.title(title_of(run), anchor=False)
    if run is not None:
        show_map(run, again=run_again)
        return
    st.caption(
        "Every image is a point among hundreds of numbers. A map lays the points out on a plane; no map can "
        "keep everything, so look at several, and at how far each can be trusted."
    )
    place = choose_place(PLACES, VIEW)
    dataset = chosen_dataset()
    if dataset is None:
        return
    if place == "spaces":
        every_space(dataset)
    else:
        compose(dataset)


def compose(dataset: Dataset) -> None:
    """What to map on the left; the methods in words, and Start, on the right."""
    left, right = st.columns([1, 1.6], gap="large")
    composer = Composer(METHOD, skip=tuple(PROJECTIONS))
    with left, st.container(border=True, key="recipe-form"):
        encoder, title, size, seed = choose_encoder(dataset, composer)
        chosen = choose_methods()
        values = composer.form.draw(hide=lambda field: not_wanted(field, chosen))
    with right:
        with st.container(border=True, key="start"):
            st.markdown(in_words(dataset, title, chosen, values))
            recipe = None
            if encoder is not None and chosen:
                recipe = composer.recipe(dataset, {**values, **only(chosen)}, encoder, size, seed)
            start_button(recipe, composer, f"{title} · {dataset.name}", "Draw the maps")
        for name in chosen:
            entry = PROJECTIONS[name]
            st.markdown(f"**{entry.title}** {entry.line} :gray[{entry.beware}]")
        recent_runs("maps")


def choose_methods() -> list[str]:
    """Which methods, in the registry's order."""
    begin = st.session_state.get(f"{CHOSEN}.kept", list(USUAL))
    found = st.pills(
        "Methods",
        list(PROJECTIONS),
        format_func=lambda name: PROJECTIONS[name].title,
        selection_mode="multi",
        key=CHOSEN,
        help="One panel each, of the same points; up to six are shown at once.",
        **initial(CHOSEN, begin, "default"),
    )
    st.session_state[f"{CHOSEN}.kept"] = found
    if not found:
        st.caption(":red[:material/error: Choose at least one method.]")
    return [name for name in PROJECTIONS if name in found]


def not_wanted(field: str, chosen: list[str]) -> bool:
    """Whether a setting belongs to a method that is not drawn."""
    return any(field.startswith(f"{name}_") for name in PROJECTIONS if name not in chosen)


def in_words(dataset: Dataset, title: str, chosen: list[str], values: dict[str, Any]) -> str:
    """The recipe as one line."""
    split = str(values.get("split", "all"))
    there = len(dataset) if split == "all" else len(dataset.indices(split))
    points = min(int(values.get("points") or 0), there)
    return (
        f"**{md(title)}**: {points:,} of {there:,} images of **{md(dataset.name)}** on "
        f"{len(chosen)} {values.get('dimensions', '2')}-D map{'s' if len(chosen) != 1 else ''}"
    )


def run_again(run: str) -> None:
    """Fill the form with the recipe of a run and show it."""
    recipe: Recipe = store.run_store().recipe(run)
    composer = Composer(METHOD, skip=tuple(PROJECTIONS))
    composer.prefill(dict(recipe.config))
    remember_encoder(recipe.backbone or "pixels")
    composer.remember_size(recipe.image_size)
    put(composer.form.key("seed"), recipe.seed)
    chosen = [name for name in PROJECTIONS if recipe.config.get(name)]
    st.session_state[f"{CHOSEN}.kept"] = chosen
    put(CHOSEN, chosen)
    del st.query_params["run"]


main()
