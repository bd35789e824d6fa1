"""What an autoencoder will get to see of these images, before anything is trained."""

from __future__ import annotations

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset, open_dataset
from engine.errors import UserError
from engine.runs.recipe import Recipe
from pages.components.arrays import picture_url, strip
from pages.components.images import spread
from pages.components.text import md

SHOWN = 6


def code_preview(dataset: Dataset, recipe: Recipe) -> None:
    """A few images: what goes in, and what must come out of it."""
    try:
        pairs, figures = _pairs(dataset.id, dataset.fingerprint, recipe.to_json())
    except UserError as error:
        st.warning(md(str(error)), icon=":material/error:")
        return
    pictures = "".join(f'<img alt="goes in, must come out" src="{url}">' for url in pairs)
    with st.container(border=True):
        st.markdown("##### What goes in, and what must come out")
        st.html(f'<div class="rl-pairs">{pictures}</div>')
        st.caption(figures)


@st.cache_data(max_entries=64, show_spinner=False)
def _pairs(dataset: str, fingerprint: str, recipe_json: str) -> tuple[list[str], str]:
    """Addresses of the pairs, and a sentence on sizes; the fingerprint is part of the cache's key."""
    from engine.training.look import preview

    recipe = Recipe.from_json(recipe_json)
    chosen = open_dataset(dataset)
    index = np.array(spread(len(chosen), SHOWN))
    found = preview(recipe, chosen, index)
    pairs = [picture_url(strip([a, b])) for a, b in zip(found.given, found.wanted, strict=True)]
    inputs, code = found.inputs, found.latent
    shrink = inputs / code
    words = f"{inputs / code:.0f}× fewer" if shrink >= 2 else f"only {shrink:.1f}× fewer"
    return pairs, (
        f"An image has {inputs:,} numbers, its code {code:,}: {words}. The network has "
        f"{found.encoder:,} parameters before the code and {found.decoder:,} after it."
    )
