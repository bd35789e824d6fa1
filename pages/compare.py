"""Compare: how well classes can be read from any set of encoders, beside raw pixels and random weights."""

from __future__ import annotations

import streamlit as st

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.evaluation.at_hand import at_hand
from engine.evaluation.comparison_parts import all_parts
from engine.methods.comparison_config import MOST_ENCODERS, QUICK
from engine.models.codes import usual_side
from engine.runs.recipe import Recipe
from pages.components import store
from pages.components.compare_run import show_comparison
from pages.components.compare_source import choose_encoders, remember_encoders
from pages.components.compare_start import METHOD, measures, start
from pages.components.compose import Composer
from pages.components.forms import put
from pages.components.picker import chosen_dataset
from pages.components.places import choose_place
from pages.components.recent import recent_runs
from pages.components.text import count_text, md

VIEW = "compare.view"
PLACES = {"choose": "Compare encoders", "quick": "Best backbone in a minute"}
FEW_FIELDS = ("few_most", "draws")


def main() -> None:
    st.title("Compare", anchor=False)
    run = store.open_run_id()
    if run is not None:
        show_comparison(run, again=run_again)
        return
    st.caption(
        "How well can the classes of a data set be read from what encoders make of its images? Raw pixels "
        "and random weights are always there, so that learning has something to beat."
    )
    place = choose_place(PLACES, VIEW)
    dataset = labelled()
    if dataset is None:
        return
    if place == "quick":
        quick(dataset)
    else:
        compose(dataset)


def labelled() -> Dataset | None:
    """The chosen data set, if its classes can be read; else the reason is on the page."""
    dataset = chosen_dataset()
    if dataset is not None and len(dataset.classes) < 2:
        st.info(
            f"{md(dataset.name)} has {'one class' if dataset.classes else 'no labels'}: there is nothing to "
            "read. Choose another data set in the sidebar.",
            icon=":material/label_off:",
        )
        return None
    if dataset is not None:
        try:
            all_parts(dataset, "test")
        except UserError as error:
            st.info(md(str(error), 400), icon=":material/label_off:")
            return None
    return dataset


def compose(dataset: Dataset) -> None:
    """What to compare on the left; the recipe in words, and Start, on the right."""
    left, right = st.columns([1, 1.6], gap="large")
    composer = Composer(METHOD)
    with left, st.container(border=True, key="recipe-form"):
        composer.presets()
        encoders = choose_encoders(dataset)
        memory = composer.form.memory
        values = composer.form.draw(
            hide=lambda field: field in FEW_FIELDS and not memory.get("few_labels", True)
        )
        side = usual_side(dataset.sizes)
        if values["sizes"] == "same":
            side, seed = composer.size_and_seed(side, 8, lambda side: None)
        else:
            seed = composer.seed()
    with right:
        start(dataset, composer, {**values, "encoders": ",".join(encoders)}, side, seed)
        measures()
        recent_runs("compare")


def quick(dataset: Dataset) -> None:
    """Every encoder at hand, each embedded once and probed on a sample."""
    words = at_hand(store.run_store())
    names = list(words)[:MOST_ENCODERS]
    if not names:
        st.info(
            "No weights are at hand: finish a run, add a weights file or download pretrained ones on "
            "Transfer learning.",
            icon=":material/inventory_2:",
        )
        recent_runs("compare")
        return
    st.caption(
        f"{len(names)} of {count_text(len(words), 'encoder')} at hand: pretrained backbones, weights of "
        f"yours and what finished runs learned. Each is embedded once, on {QUICK['images']:,} training and "
        f"{QUICK['asked']:,} judging images at most, and read by a linear probe, before anybody trains."
    )
    composer = Composer(METHOD)
    left, right = st.columns([1, 1.6], gap="large")
    with left, st.container(border=True, key="recipe-form"):
        seed = composer.seed()
        st.text("\n".join(words[name] for name in names))
    with right:
        values = {**QUICK, "encoders": ",".join(names)}
        start(dataset, composer, values, usual_side(dataset.sizes), seed, "Find the best backbone")
        recent_runs("compare")


def run_again(run: str) -> None:
    """Fill the form with the recipe of a run and show it."""
    recipe: Recipe = store.run_store().recipe(run)
    composer = Composer(METHOD)
    composer.prefill(dict(recipe.config))
    remember_encoders([name for name in str(recipe.config.get("encoders") or "").split(",") if name])
    composer.remember_size(recipe.image_size)
    put(composer.form.key("seed"), recipe.seed)
    put(VIEW, "choose")
    del st.query_params["run"]


main()
