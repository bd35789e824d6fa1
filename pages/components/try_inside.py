"""Under the hood of any encoder: first filters, activations for a picture, accuracy by depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from PIL import Image

from engine.data.dataset import Dataset
from engine.errors import UserError
from pages.components.arrays import heat, picture_url
from pages.components.backbone import choose_backbone, choose_weights
from pages.components.compose import Composer
from pages.components.gallery import gallery
from pages.components.text import md
from pages.components.try_depth import depth_form
from pages.components.try_source import Picture, choose_picture, stored_picture
from pages.components.try_work import Job, follow

if TYPE_CHECKING:
    from engine.evaluation.inside import Filters, Layer, Tap

CHANNELS = 48  # of a layer that are shown
MOST_FILTERS = 256
SIDE = 88  # px of an enlarged map
MOST_SIDE = 96  # px of a larger one that is shrunk
GRID = "grid-template-columns:repeat(auto-fill,minmax(3.4rem,1fr));gap:.4rem"
PARTS = {"filters": "Filters", "maps": "Activations", "depth": "By depth"}
NAME = "try.inside"


@dataclass(frozen=True)
class ShownLayer:
    """What the page shows of a block.

    Attributes:
        tap: Where it was read.
        items: The most active channels for the gallery; none where the block knows no places.
        numbers: (C,) activations there; empty where it knows places.
    """

    tap: Tap
    items: list[dict[str, Any]]
    numbers: np.ndarray


def inside_part(dataset: Dataset) -> None:
    """Choose an encoder and a picture on the left; what goes on inside, on the right."""
    left, right = st.columns([1, 1.9], gap="large")
    composer = Composer("depth_probe")
    with left:
        with st.container(border=True, key="recipe-form"):
            backbone = choose_backbone(int(np.median(dataset.sizes.max(axis=1))))
            encoder = choose_weights(backbone)
            info = backbone.info
            size, seed = composer.size_and_seed(backbone.image_size, info.min_size, info.check_size)
        part = str(
            st.segmented_control(
                "Look at", list(PARTS), format_func=lambda part: PARTS[part], default="filters",
                required=True, key=f"{NAME}.part", width="stretch",
            )
        )  # fmt: skip
        picture = choose_picture(NAME, dataset) if part == "maps" else None
    with right:
        if encoder is None or "image_size" in composer.form.problems:
            st.caption("Choose weights that are here, and a size that the encoder can read.")
        elif part == "depth":
            depth_form(dataset, composer, encoder, info.title, size, seed)
        elif part == "maps" and picture is None:
            st.caption("Choose a picture.")
        else:
            _look(encoder, size, seed, picture)


def _look(encoder: str, size: int, seed: int, picture: Picture | None) -> None:
    """The first filters, or what a picture wakes up."""

    def work(job: Job) -> list[ShownLayer] | Filters:
        from engine.evaluation.inside import first_filters, look_inside
        from engine.models.encoder import build_encoder
        from engine.training.machine import choose_device

        job.tell("looking inside", 0, 0)
        built = build_encoder(encoder, size, seed)
        if picture is None:
            return first_filters(built)
        found = look_inside(built.to(choose_device()), stored_picture(picture, size))
        return [shown_layer(layer) for layer in found.layers]

    question = ("inside", encoder, size, seed, picture.digest if picture else None)
    try:
        found = follow(question, work, f"{NAME}.look")
    except UserError as error:
        st.error(md(str(error)), icon=":material/error:")
        return
    if found is None:
        return
    if encoder.startswith("random:"):
        st.caption(f":orange[:material/casino: Random weights, seed {seed}: nothing has been learned.]")
    if picture is None:
        _filters(found)
    else:
        _activations(found)


def _filters(found: Filters) -> None:
    count, side = len(found.pictures), found.pictures.shape[1]
    shown = found.pictures[:MOST_FILTERS]
    of = f"{len(shown):,} of {count:,}" if len(shown) < count else f"{count:,}"
    st.markdown(f"##### {of} filters of {side} × {side} px, layer {md(found.layer, 60)}")
    images = "".join(f'<img alt="filter {n}" src="{picture_url(one)}">' for n, one in enumerate(shown))
    st.html(f'<div class="rl-pairs" style="{GRID}">{images}</div>')
    st.caption(
        "What the layer that reads the image looks for: mid-grey is a weight of 0, brighter adds and darker "
        "takes away, each filter scaled by its own largest weight. Edges and colours are a sign of "
        "training, noise that nothing was learned there. engine.evaluation.inside.first_filters"
    )


def _activations(found: list[ShownLayer]) -> None:
    """The channels of one layer, most active first."""
    names = [layer.tap.block for layer in found]
    number = int(
        st.select_slider(
            "Layer", range(len(names)), value=0, format_func=lambda i: names[i],
            key=f"{NAME}.layer.{len(names)}",
            help="Blocks from the image on the left to the features on the right.",
        )
    )  # fmt: skip
    layer = found[number]
    tap = layer.tap
    if tap.places == 1:
        st.markdown(f"##### {md(tap.block, 60)}: {tap.channels:,} numbers, no places")
        st.bar_chart(layer.numbers, height=260, x_label="number", y_label="activation")
        return
    grid = f"{tap.height} × {tap.width} places"
    st.markdown(f"##### {md(tap.block, 60)}: {len(layer.items)} of {tap.channels:,} channels, {grid}")
    gallery(layer.items, f"{NAME}.maps")
    st.caption(
        "Where each channel is active, the most active channels first, with its mean. Black is the least of "
        "those shown, bright the most. Early layers follow edges and colours, late ones the parts of things. "
        "engine.evaluation.inside.block_maps"
    )


def shown_layer(layer: Layer) -> ShownLayer:
    """What the page shows of a block, and nothing of its other channels."""
    if layer.tap.places == 1:
        return ShownLayer(layer.tap, [], layer.maps[:, 0, 0])
    return ShownLayer(layer.tap, channel_items(layer, layer.order[:CHANNELS]), np.empty(0))


def channel_items(layer: Layer, shown: np.ndarray) -> list[dict[str, Any]]:
    """Maps for the gallery, all on one scale of brightness, none larger than `MOST_SIDE`."""
    low, high = float(layer.maps[shown].min()), float(layer.maps[shown].max())
    items: list[dict[str, Any]] = []
    for channel in shown:
        share = shrunk((layer.maps[channel] - low) / max(high - low, 1e-9))
        times = max(1, SIDE // max(share.shape))
        picture = heat(np.square(share), 1.0).repeat(times, axis=0).repeat(times, axis=1)
        mean = float(layer.maps[channel].mean())
        items.append(
            {
                "images": [picture_url(picture)],
                "label": f"channel {int(channel)}",
                "value": f"{mean:.2g}",
                "under": "",
                "tone": "",
                "title": f"channel {int(channel)} of {layer.tap.block}\nmean {mean:.4g}",
                "alt": f"channel {int(channel)}",
            }
        )
    return items


def shrunk(share: np.ndarray) -> np.ndarray:
    """(H, W) float32 with its longer side at most `MOST_SIDE`, by the mean of neighbouring places."""
    most = max(share.shape)
    if most <= MOST_SIDE:
        return share
    height, width = (max(1, side * MOST_SIDE // most) for side in share.shape)
    small = Image.fromarray(share.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    return np.asarray(small)
