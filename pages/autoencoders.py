"""Autoencoders: squeeze images into a short code, rebuild them, and see what the code kept."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.data.dataset import Dataset
from engine.methods import METHODS, method_entry
from engine.models.codes import LARGEST, SMALLEST, usual_side
from engine.runs.recipe import Recipe
from pages.components import store
from pages.components.code_preview import code_preview
from pages.components.compose import Composer, choose_method, start_button
from pages.components.forms import put
from pages.components.picker import chosen_dataset
from pages.components.recent import recent_runs
from pages.components.run_view import show_run
from pages.components.text import md

KINDS = [name for name, entry in METHODS.items() if entry.page == "autoencoders"]
CHOSEN = "autoencoders.kind"


def main() -> None:
    st.title("Autoencoders", anchor=False)
    run = store.open_run_id()
    if run is not None:
        show_run(run, again=run_again)
        return
    st.caption(
        "Squeeze each image into a few numbers, rebuild it from them, and see what was lost. No labels "
        "needed."
    )
    dataset = chosen_dataset()
    if dataset is not None:
        compose(dataset)


def compose(dataset: Dataset) -> None:
    """The recipe on the left; what it will do to these images on the right."""
    left, right = st.columns([1, 1.6], gap="large")
    with left, st.container(border=True, key="recipe-form"):
        kind = choose_method("Kind", KINDS, CHOSEN)
        entry = method_entry(kind)
        composer = Composer(kind, begin=_suggested(kind, dataset))
        composer.presets()
        values = composer.form.draw()
        side = usual_side(dataset.sizes)
        size, seed = composer.size_and_seed(side, SMALLEST, lambda side: check_size(kind, values, side))
        recipe = composer.recipe(dataset, values, None, size, seed)
    with right:
        with st.container(border=True, key="start"):
            st.markdown(in_words(dataset, entry.title, values, size))
            start_button(recipe, composer, f"{entry.title} · {_code_words(recipe)}{dataset.name}")
        if recipe is not None:
            code_preview(dataset, recipe)
        recent_runs("autoencoders")


def _suggested(kind: str, dataset: Dataset) -> dict[str, Any]:
    from engine.methods import config_class

    return config_class(kind).suggested(len(dataset.indices("train")), dataset.factors)


def check_size(kind: str, values: dict[str, Any], side: int) -> None:
    """Refuse sides that this kind cannot be built for.

    Raises:
        UserError: One sentence.
    """
    from engine.methods import parse_config

    if not SMALLEST <= side <= LARGEST:
        parse_config(kind, {}).check_size(side)
    parse_config(kind, values).check_size(side)


def _code_words(recipe: Recipe | None) -> str:
    latent = recipe.config.get("latent_size") if recipe else None
    return f"code of {latent} · " if latent else ""


def in_words(dataset: Dataset, title: str, values: dict[str, Any], size: int) -> str:
    """The recipe as one line."""
    latent = values.get("latent_size")
    code = f", **{latent} numbers** an image" if latent else ""
    images = len(dataset.indices("train"))
    return (
        f"**{title}**{code}, {values.get('epochs', '?')} epochs over {images:,} images of "
        f"**{md(dataset.name)}** at {size} px"
    )


def run_again(run: str) -> None:
    """Fill the form with the recipe of a run and show it."""
    recipe = store.run_store().recipe(run)
    composer = Composer(recipe.method)
    composer.prefill(dict(recipe.config))
    composer.remember_size(recipe.image_size)
    put(composer.form.key("seed"), recipe.seed)
    st.session_state[f"{CHOSEN}.kept"] = recipe.method
    put(CHOSEN, recipe.method)
    del st.query_params["run"]


main()
