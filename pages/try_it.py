"""Try it: a picture of yours through any finished classifier, a whole folder, and a look under the hood."""

from __future__ import annotations

import streamlit as st

from engine.runs.summary import RunSummary
from pages.components import store
from pages.components.backbone import remember_backbone
from pages.components.compose import Composer
from pages.components.forms import put
from pages.components.picker import chosen_dataset, chosen_id
from pages.components.places import choose_place
from pages.components.try_answer import answer_part
from pages.components.try_depth import METHOD, show_depth
from pages.components.try_inside import inside_part
from pages.components.try_many import arrived_folder, many_part
from pages.components.try_models import begin_with, choose_model, choose_other, classifiers, its_images
from pages.components.try_source import choose_picture

VIEW = "try.view"
PLACES = {"picture": "One picture", "folder": "A folder or zip", "inside": "Under the hood"}


def main() -> None:
    st.title("Try it", anchor=False)
    run = store.open_run_id()
    if run is not None and store.run_store().get(run).method == METHOD:
        show_depth(run, run_again)
        return
    st.caption(
        "Show a trained network something new: what it says, how sure it may be, where it looks, and whether "
        "it has ever seen anything like it."
    )
    place = choose_place(PLACES, VIEW)
    if place == "inside":
        dataset = chosen_dataset()
        if dataset is not None:
            inside_part(dataset)
        return
    runs = classifiers()
    if not runs:
        nothing_yet()
    elif place == "folder":
        folder(runs)
    else:
        picture(runs)


def nothing_yet() -> None:
    st.info("No classifier has finished yet: train one, and try it here.", icon=":material/model_training:")
    if st.button("Train a classifier", type="primary", icon=":material/arrow_forward:", key="try.train"):
        st.switch_page(store.page_of("classification"))


def picture(runs: dict[str, RunSummary]) -> None:
    """Model and picture on the left, the answer on the right; of two models, both answers below."""
    left, right = st.columns([1, 2.1], gap="large")
    with left, st.container(border=True, key="recipe-form"):
        first = choose_model(runs, begin_with(runs, chosen_id()), "try.model")
        second = choose_other(runs, first.id, "try.other")
        given = choose_picture("try", its_images(first))
        look_inside(first)
    if given is None:
        right.caption("Choose a picture.")
    elif second is None:
        with right:
            answer_part(first, given, "try.a")
    else:
        for column, run, name in zip(
            st.columns(2, gap="large"), (first, second), ("try.a", "try.b"), strict=True
        ):
            with column:
                answer_part(run, given, name)


def look_inside(run: RunSummary) -> None:
    """A button that opens this model's encoder under the hood."""
    st.button(
        "Look inside this model",
        icon=":material/search:",
        type="tertiary",
        key="try.inside",
        on_click=open_inside,
        args=(run.id,),
    )


def open_inside(run: str) -> None:
    remember_backbone(f"run:{run}")
    put(VIEW, "inside")


def folder(runs: dict[str, RunSummary]) -> None:
    """One model, and everything in a folder."""
    left, right = st.columns([1, 2.1], gap="large")
    with left, st.container(border=True, key="recipe-form"):
        run = choose_model(runs, begin_with(runs, chosen_id()), "try.model")
    with right:
        arrived = arrived_folder(run, "try.many")
    if arrived is not None:
        many_part(run, arrived[0], "try.many")


def run_again(run: str) -> None:
    """Fill the form with the recipe of a probe by depth and show it."""
    recipe = store.run_store().recipe(run)
    composer = Composer(METHOD)
    composer.prefill(dict(recipe.config))
    remember_backbone(recipe.backbone or "")
    composer.remember_size(recipe.image_size)
    put(composer.form.key("seed"), recipe.seed)
    put(VIEW, "inside")
    put("try.inside.part", "depth")
    del st.query_params["run"]


main()
