"""A picture of your own, or a held-out one, through a trained autoencoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from engine.data.dataset import open_dataset
from engine.data.decode import open_image
from engine.errors import UserError
from engine.runs.summary import RunSummary
from pages.components.arrays import brightest, heat, picture_url
from pages.components.choose import candidates, pick, rectangle
from pages.components.store import run_store
from pages.components.text import md

TYPES = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"]
LINES = {
    "denoising_autoencoder": "Noise is added, and the network takes it away again.",
    "inpainting": "What you hide is guessed from the rest.",
    "colorization": "Only the light of your picture goes in; the colours are the network's guess.",
    "masked_autoencoder": "Random patches are hidden and guessed from the others.",
}


def own_picture(summary: RunSummary, found: dict[str, Any]) -> None:
    """Choose a picture, damage it as the method does, and show what comes out."""
    from engine.training.look import repair

    st.caption(LINES.get(summary.method, "What comes out is all that the code has kept of it."))
    picture = _picture(summary)
    if picture is None:
        return
    options: dict[str, Any] = {}
    left = right = st.container()
    if summary.method in ("inpainting", "denoising_autoencoder", "masked_autoencoder"):
        left, right = st.columns([1, 2.6], gap="large")
    with left:
        if summary.method == "inpainting":
            whole = repair(summary.id, picture, hole=(0, 0, 0.01, 0.01))["original"]
            options["hole"] = rectangle(picture_url(whole), f"hole.{summary.id}")
        elif summary.method == "denoising_autoencoder":
            level = float(run_store().recipe(summary.id).config.get("noise_level") or 0.0)
            options["noise"] = st.slider(
                "Noise", 0.0, 1.0, level, 0.05, key=f"noise.{summary.id}",
                help=f"Standard deviation, or share of pixels; it learned with {level:g}. 0 gives the "
                "picture as it is.",
            )  # fmt: skip
        if summary.method in ("denoising_autoencoder", "masked_autoencoder"):
            if st.button("Draw again", icon=":material/casino:", key=f"again.{summary.id}"):
                st.session_state[f"repair.{summary.id}"] = st.session_state.get(f"repair.{summary.id}", 0) + 1
            options["seed"] = int(st.session_state.get(f"repair.{summary.id}", 0))
    made = repair(summary.id, picture, **options)
    with right:
        _show(made, summary.method)


def _show(made: dict[str, np.ndarray], method: str) -> None:
    error = made["error"]
    titles = {"original": "Original", "given": "Goes in", "made": "Comes out"}
    pictures = {titles[name]: made[name] for name in titles}
    if method in ("autoencoder", "linear_autoencoder", "variational_autoencoder", "split_brain"):
        del pictures["Goes in"]
    pictures["Error"] = heat(error, brightest(error))
    cells = "".join(
        f'<figure><img alt="{title.lower()}" src="{picture_url(array)}">'
        f"<figcaption>{title}</figcaption></figure>"
        for title, array in pictures.items()
    )
    st.html(f'<div class="rl-figures">{cells}</div>')
    counted = error > 0
    mean = float(error[counted].mean()) if counted.any() else 0.0
    st.caption(f"Squared error a pixel, where it counts: {mean:.4f}. Bright is wrong.")


def _picture(summary: RunSummary) -> Image.Image | None:
    """The uploaded picture, or one of the data set."""
    source = st.segmented_control(
        "Picture", ["From the data set", "Upload"], default="From the data set", required=True,
        key=f"picture.source.{summary.id}", label_visibility="collapsed",
    )  # fmt: skip
    if source == "Upload":
        file = st.file_uploader("A picture", type=TYPES, key=f"picture.file.{summary.id}")
        if file is None:
            st.info("Drop a picture here; it stays on this machine and is not kept.", icon=":material/image:")
            return None
        try:
            return open_image(file.getvalue(), at_least=256)
        except UserError as error:
            st.error(md(f"This picture cannot be used: {error}"), icon=":material/error:")
            return None
    dataset = open_dataset(summary.dataset)
    splits = [split for split in ("test", "val", "train") if len(dataset.indices(split))]
    index = dataset.indices(splits[0])
    chosen = pick(
        "An image that it has not learned from",
        dataset,
        candidates(dataset, index, None, 0),
        f"own.{summary.id}",
    )
    return None if chosen is None else dataset.image(chosen)
