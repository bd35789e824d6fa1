"""Self-supervised learning: train an encoder without labels, and see why it works or fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset
from engine.methods import METHODS, config_class, method_entry
from engine.runs.recipe import Recipe
from pages.components import store
from pages.components.backbone import Backbone, choose_backbone, choose_weights, remember_backbone
from pages.components.breakage import breakage
from pages.components.compose import Composer, choose_method, start_button
from pages.components.forms import put
from pages.components.loss_bench import loss_bench
from pages.components.picker import chosen_dataset
from pages.components.places import choose_place
from pages.components.recent import recent_runs
from pages.components.run_view import show_run
from pages.components.text import md
from pages.components.views_preview import views_preview

KINDS = [name for name, entry in METHODS.items() if entry.page == "self-supervised"]
CHOSEN = "self_supervised.kind"
VIEW = "self_supervised.view"
PLACES = {"train": "Train", "bench": "Loss bench"}


def main() -> None:
    st.title("Self-supervised learning", anchor=False)
    run = store.open_run_id()
    if run is not None:
        show_run(run, again=run_again)
        return
    st.caption(
        "Learn to see without labels: two random views of one image should look alike to the network, views "
        "of different images should not."
    )
    if choose_place(PLACES, VIEW) == "bench":
        loss_bench(finished_runs())
        return
    dataset = chosen_dataset()
    if dataset is not None:
        compose(dataset)


def finished_runs() -> list[tuple[str, str]]:
    """(id, name) of the runs whose embeddings the bench can show."""
    runs = store.run_store().list()
    return [(run.id, run.name) for run in runs if run.method in KINDS and run.state == "done"]


def compose(dataset: Dataset) -> None:
    """The recipe on the left; the views that it draws, and what to watch for, on the right."""
    left, right = st.columns([1, 1.6], gap="large")
    with left, st.container(border=True, key="recipe-form"):
        kind = choose_method("Method", KINDS, CHOSEN)
        config = config_class(kind)
        composer = Composer(kind, begin=config.suggested(len(dataset.indices("train")), dataset.factors))
        composer.presets()
        backbone = choose_backbone(int(np.median(dataset.sizes.max(axis=1))))
        encoder = choose_weights(backbone)
        values = composer.form.draw()
        side = usual_side(dataset, backbone)
        size, seed = composer.size_and_seed(side, backbone.info.min_size, backbone.info.check_size)
        recipe = None if encoder is None else composer.recipe(dataset, values, encoder, size, seed)
    with right:
        title = method_entry(kind).title
        with st.container(border=True, key="start"):
            st.markdown(in_words(dataset, title, backbone, values, size))
            start_button(recipe, composer, f"{title} · {backbone.info.title} · {dataset.name}")
        breakage(config, values)
        if recipe is not None:
            views_preview(dataset, recipe, composer)
        recent_runs("self-supervised")


def usual_side(dataset: Dataset, backbone: Backbone) -> int:
    """Small networks read small images as they are; others what they were made for."""
    longest = int(np.median(dataset.sizes.max(axis=1)))
    if backbone.info.small and not backbone.trained:
        return min(64, max(32, longest)) if longest <= 64 else backbone.image_size
    return backbone.image_size


def in_words(dataset: Dataset, title: str, backbone: Backbone, values: dict[str, Any], size: int) -> str:
    """The recipe as one line."""
    images = len(dataset.indices("train"))
    return (
        f"**{title}** on **{md(backbone.info.title)}**, {values.get('epochs', '?')} epochs over {images:,} "
        f"images of **{md(dataset.name)}** at {size} px; no label is used"
    )


def run_again(run: str) -> None:
    """Fill the form with the recipe of a run and show it."""
    recipe: Recipe = store.run_store().recipe(run)
    composer = Composer(recipe.method)
    composer.prefill(dict(recipe.config))
    remember_backbone(recipe.backbone or "")
    composer.remember_size(recipe.image_size)
    put(composer.form.key("seed"), recipe.seed)
    st.session_state[f"{CHOSEN}.kept"] = recipe.method
    put(CHOSEN, recipe.method)
    del st.query_params["run"]


main()
