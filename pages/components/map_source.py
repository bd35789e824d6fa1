"""Choosing what a map is of: raw pixels, or any encoder."""

from __future__ import annotations

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset
from engine.evaluation.encoding import PIXELS_SIDE
from engine.models.codes import usual_side
from engine.models.encoder import PIXELS
from pages.components.backbone import choose_backbone, choose_weights, remember_backbone
from pages.components.compose import Composer
from pages.components.forms import initial, put

KEY = "maps.source"
SOURCES = {"pixels": "Raw pixels", "encoder": "An encoder"}


def remember_encoder(encoder: str) -> None:
    """Choose an encoder, or pixels, where it is still here."""
    put(KEY, "pixels" if encoder == PIXELS else "encoder")
    if encoder != PIXELS:
        remember_backbone(encoder)


def choose_encoder(dataset: Dataset, composer: Composer) -> tuple[str | None, str, int, int]:
    """The encoder's name in a recipe (None while it is not here), its title, image size and seed."""
    source = st.segmented_control(
        "What to map",
        list(SOURCES),
        format_func=lambda source: SOURCES[source],
        key=KEY,
        required=True,
        width="stretch",
        help="Raw pixels are the baseline: what can be seen without any network.",
        **initial(KEY, st.session_state.get(f"{KEY}.kept", "pixels"), "default"),
    )
    st.session_state[f"{KEY}.kept"] = source
    if source == "pixels":
        side = min(PIXELS_SIDE, usual_side(dataset.sizes))
        size, seed = composer.size_and_seed(side, 8, lambda side: None)
        return PIXELS, "Raw pixels", size, seed
    backbone = choose_backbone(int(np.median(dataset.sizes.max(axis=1))))
    encoder = choose_weights(backbone)
    info = backbone.info
    size, seed = composer.size_and_seed(backbone.image_size, info.min_size, info.check_size)
    return encoder, backbone.title, size, seed
