"""Transfer learning: a backbone, your classes, and what it learns to tell apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset, open_dataset
from engine.errors import UserError
from pages.components import store
from pages.components.backbone import Backbone, choose_backbone, choose_weights, remember_backbone
from pages.components.compose import Composer, start_button
from pages.components.forms import put
from pages.components.network_preview import preview
from pages.components.recent import recent_runs
from pages.components.run_view import show_run
from pages.components.text import md

METHOD = "classification"
MODES = {"extract": "Extract", "last_block": "Last block", "everything": "Everything"}
MODE_WORDS = {
    "extract": "only the head learns",
    "last_block": "the last block learns",
    "everything": "all of it learns",
}
WEIGHTS = {
    "random": "random weights",
    "torchvision": "ImageNet weights",
    "file": "weights of yours",
    "run": "weights of a finished run",
}
MODE_LINES = {
    "extract": "The backbone stays frozen and runs once per image; only a new head learns. Fast.",
    "last_block": "The head and the last block learn; earlier blocks keep what they know.",
    "everything": "All parameters learn: the most it can fit, the slowest, and the easiest to overfit.",
}


def main() -> None:
    st.title("Transfer learning", anchor=False)
    run = store.open_run_id()
    if run is not None:
        show_run(run, again=run_again)
        return
    st.caption(
        "Take a network that has seen other images, teach it your classes, and see what it gets wrong."
    )
    dataset = chosen()
    if dataset is not None:
        compose(dataset)


def chosen() -> Dataset | None:
    """The shell's data set, if one can learn classes from it; else the reason is on the page."""
    try:
        dataset = open_dataset(st.query_params.get("data") or "")
    except UserError:
        st.info(
            "Choose a data set in the sidebar, or add your own on the Data page.",
            icon=":material/photo_library:",
        )
        return None
    if len(dataset.classes) < 2:
        st.info(
            f"{md(dataset.name)} has {'one class' if dataset.classes else 'no labels'}: a classifier needs "
            "images of at least two classes. Choose another data set in the sidebar.",
            icon=":material/label_off:",
        )
        return None
    return dataset


def compose(dataset: Dataset) -> None:
    """The recipe on the left; what it means for the network on the right."""
    composer = Composer(METHOD, skip=("mode",))
    left, right = st.columns([1, 1.6], gap="large")
    with left, st.container(border=True, key="recipe-form"):
        composer.presets()
        backbone = choose_backbone(int(np.median(dataset.sizes.max(axis=1))))
        info, encoder = backbone.info, choose_weights(backbone)
        mode = choose_mode(composer, backbone)
        values = composer.form.draw(hide=lambda name: name == "augmented_copies" and mode != "extract")
        size, seed = composer.size_and_seed(backbone.image_size, info.min_size, info.check_size)
        recipe = None
        if encoder is not None:
            recipe = composer.recipe(dataset, {**values, "mode": mode}, encoder, size, seed)
    with right:
        with st.container(border=True, key="start"):
            st.markdown(in_words(dataset, backbone, encoder, mode, values))
            start_button(recipe, composer, f"{info.title} · {MODES[mode].lower()} · {dataset.name}")
        preview(
            info.arch,
            len(dataset.classes),
            mode,
            backbone.image_size if composer.form.problems else size,
            f"random:{info.arch}" == encoder,
        )
        recent_runs("transfer")


def in_words(
    dataset: Dataset, backbone: Backbone, encoder: str | None, mode: str, values: dict[str, Any]
) -> str:
    """The recipe as one line."""
    origin = WEIGHTS.get((encoder or "").partition(":")[0], "no weights yet")
    images = len(dataset.indices("train"))
    return (
        f"**{md(backbone.info.title)}**, {origin}, {MODE_WORDS[mode]}, "
        f"{values.get('epochs', '?')} epochs over {images:,} images of **{md(dataset.name)}**"
    )


def choose_mode(composer: Composer, backbone: Backbone) -> str:
    """What learns; what has learned already starts frozen, and so do networks that are slow to train."""
    frozen = bool(backbone.trained) or not backbone.info.small
    variant = "trained" if backbone.trained else "small" if backbone.info.small else "large"
    key, begin = composer.own_choice("mode", variant, "extract" if frozen else "everything")
    mode = st.segmented_control(
        "What learns",
        list(MODES),
        format_func=lambda mode: MODES[mode],
        key=key,
        width="stretch",
        required=True,
        **begin,
    )
    mode = str(mode)
    composer.remember_choice(key, mode)
    st.caption(MODE_LINES[mode])
    return mode


def run_again(run: str) -> None:
    """Fill the form with the recipe of a run and show it."""
    recipe = store.run_store().recipe(run)
    composer = Composer(METHOD, skip=("mode",))
    composer.prefill(dict(recipe.config))
    remember_backbone(recipe.backbone or "")
    composer.remember_size(recipe.image_size)
    put(composer.form.key("seed"), recipe.seed)
    del st.query_params["run"]


main()
