"""The random views of a few images as a recipe draws them, before anything is trained."""

from __future__ import annotations

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset, open_dataset
from engine.errors import UserError
from engine.methods import config_class
from engine.methods.self_supervised_config import NUISANCE_VIEWS
from engine.runs.recipe import Recipe
from pages.components.arrays import picture_url
from pages.components.compose import Composer
from pages.components.forms import Setting, put
from pages.components.text import md

SHOWN = 6


def views_preview(dataset: Dataset, recipe: Recipe, composer: Composer) -> None:
    """Two views of each image beside it, switches for every transform, and what the paper used."""
    with st.container(border=True, key="views"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("##### The views it will be shown", width="stretch")
            roll = _dice("views.roll", "New draws", ":material/casino:")
            images = _dice("views.images", "Other images", ":material/photo_library:")
        switches(composer)
        try:
            pictures = _pictures(dataset.id, dataset.fingerprint, recipe.to_json(), roll, images)
        except UserError as error:
            st.warning(md(str(error)), icon=":material/error:")
            return
        st.html(_table(pictures))
        st.caption(_words(recipe))
        varied = [factor.replace("_", " ") for factor in NUISANCE_VIEWS if factor in dataset.factors]
        if varied:
            st.caption(
                f"By default the views vary what {md(dataset.name)} varies whatever the class: "
                f"{', '.join(varied)}. An encoder keeps what its views leave alone."
            )
        paper = getattr(config_class(recipe.method), "PAPER_VIEWS", "")
        if paper:
            st.caption(f":material/menu_book: {md(paper, limit=400)}")


def _dice(key: str, label: str, icon: str) -> int:
    """How often a button was pressed: the seed of what it draws."""
    if st.button(label, icon=icon, type="tertiary", key=f"{key}.button"):
        st.session_state[key] = st.session_state.get(key, 0) + 1
    return int(st.session_state.get(key, 0))


def switches(composer: Composer) -> None:
    """One switch for each transform that has an off; strengths are in the form, under Views."""
    able = {setting.name: setting for setting in composer.form.settings if setting.off is not None}
    on = [name for name in able if composer.form.memory.get(name, able[name].default) != able[name].off]
    key = composer.form.key("switches")
    if st.session_state.get(key) is None or set(st.session_state[key]) != set(on):
        st.session_state[key] = on
    st.pills(
        "Transforms",
        list(able),
        selection_mode="multi",
        format_func=lambda name: able[name].title,
        key=key,
        on_change=_switch,
        args=(composer, able),
        label_visibility="collapsed",
    )


def _switch(composer: Composer, able: dict[str, Setting]) -> None:
    """Carry the switches over into the form; switching on takes the usual strength."""
    wanted = set(st.session_state.get(composer.form.key("switches")) or ())
    memory = composer.form.memory
    for name, setting in able.items():
        before = memory.get(name, setting.default)
        if (before != setting.off) == (name in wanted):
            continue
        usual = setting.default if setting.default != setting.off else 0.5
        value = usual if name in wanted else setting.off
        memory[name] = value
        put(composer.form.key(name), value)


@st.cache_data(max_entries=64, show_spinner=False)
def _pictures(
    dataset: str, fingerprint: str, recipe_json: str, roll: int, images: int
) -> list[tuple[str, list[list[float]], list[str]]]:
    """An image's address, its crops, and its views' addresses; the fingerprint is part of the cache's key."""
    from engine.training.look_views import view_pairs

    recipe, chosen = Recipe.from_json(recipe_json), open_dataset(dataset)
    draws = np.random.default_rng([len(chosen), images])
    index = np.sort(draws.choice(len(chosen), min(SHOWN, len(chosen)), replace=False))
    found = view_pairs(recipe, chosen, index, roll)
    rows = zip(found.plain, found.boxes.tolist(), found.views, strict=True)
    return [
        (picture_url(plain), boxes, [picture_url(view) for view in views]) for plain, boxes, views in rows
    ]


def _table(pictures: list[tuple[str, list[list[float]], list[str]]]) -> str:
    """A figure an image: the original with its crops outlined, and its views. Holds no text of a user."""
    cells = []
    for plain, boxes, views in pictures:
        frames = "".join(
            f'<i class="rl-crop rl-crop-{place}" style="top:{100 * top:.1f}%;left:{100 * left:.1f}%;'
            f'height:{100 * height:.1f}%;width:{100 * width:.1f}%"></i>'
            for place, (top, left, height, width) in enumerate(boxes)
        )
        shown = "".join(
            f'<img class="rl-view-{place}" alt="view {place + 1}" src="{url}">'
            for place, url in enumerate(views)
        )
        original = f'<span><img alt="original" src="{plain}">{frames}</span>'
        cells.append(f'<div class="rl-pair">{original}{shown}</div>')
    return f'<div class="rl-pairs-of-views">{"".join(cells)}</div>'


def _words(recipe: Recipe) -> str:
    least = float(recipe.config.get("crop_min") or 1.0)
    crops = f", here at least {least:.0%} of the area" if least < 1 else ""
    return (
        f"Original with its crops outlined{crops}, then the views that the network gets to see; every step "
        "draws new ones."
    )
