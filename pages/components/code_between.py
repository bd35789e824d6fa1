"""What lies between images: from one to another, the difference of two classes, and pictures nobody took."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset, open_dataset
from engine.runs.summary import RunSummary
from pages.components.arrays import picture_url, strip
from pages.components.choose import candidates, pick
from pages.components.code_walk import STRANGE
from pages.components.text import md

AMOUNTS = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5])
NEW = 32


def _row(title: str, pictures: np.ndarray, alt: str) -> str:
    url = picture_url(strip(list(pictures)))
    return f'<div class="rl-row"><span>{title}</span><img alt="{alt}" src="{url}"></div>'


def _choices(summary: RunSummary, name: str) -> tuple[Dataset, np.ndarray, int]:
    """The data set, the images with codes, and the seed of the candidates, with a button for others."""
    from engine.training.look import latent_space

    space, key = latent_space(summary.id), f"{name}.seed.{summary.id}"
    if st.button("Other images", icon=":material/casino:", key=f"{name}.other.{summary.id}"):
        st.session_state[key] = st.session_state.get(key, 0) + 1
    return open_dataset(summary.dataset), space.index, int(st.session_state.get(key, 0))


def interpolation(summary: RunSummary, found: dict[str, Any]) -> None:
    """Two images and the way from one to the other, through codes and through pixels."""
    from engine.training.look import interpolate

    dataset, index, seed = _choices(summary, "between")
    left, right = st.columns(2)
    with left:
        first = pick("From", dataset, candidates(dataset, index, None, 2 * seed), f"between.a.{summary.id}")
    with right:
        second = pick(
            "To", dataset, candidates(dataset, index, None, 2 * seed + 1), f"between.b.{summary.id}"
        )
    if first is None or second is None:
        return
    made = interpolate(summary.id, first, second)
    st.html(
        f'<div class="rl-rows">{_row("Through the codes", made["codes"], "decoded codes on the way")}'
        f"{_row('Through the pixels', made['pixels'], 'cross-fade of the pixels')}</div>"
    )
    far = float(made["strangeness"].max())
    st.caption(
        "A cross-fade shows both images at once, like a double exposure; a code half way is decoded into one "
        f"picture. The strangest code on the way lies {far:.1f} usual distances from the nearest image"
        + (
            ": a gap that no image fills, so do not expect a sensible picture there."
            if far > STRANGE
            else "."
        )
    )


def arithmetic(summary: RunSummary, found: dict[str, Any]) -> None:
    """An image plus the difference of two classes' mean codes."""
    from engine.training.look import add_difference

    dataset = open_dataset(summary.dataset)
    names = {i: row["name"] for i, row in enumerate(found["classes"])}
    present = [list(dataset.classes).index(name) for name in names.values() if name in dataset.classes]
    a, b, c = st.columns([1, 1, 1], vertical_alignment="bottom")
    key = f"arithmetic.{summary.id}"
    show = dataset.classes
    plus = a.selectbox(
        "Add the mean of", present, min(1, len(present) - 1), format_func=lambda i: show[i], key=f"{key}.plus"
    )
    minus = b.selectbox(
        "Take away the mean of", present, 0, format_func=lambda i: show[i], key=f"{key}.minus"
    )
    with c:
        dataset, index, seed = _choices(summary, "arithmetic")
    shown = candidates(dataset, index, int(minus), seed)
    image = pick("Start from an image", dataset, shown, f"{key}.image")
    if image is None:
        return
    made = add_difference(summary.id, int(plus), int(minus), image, AMOUNTS)
    words = f"{md(show[int(minus)], 24)} → {md(show[int(plus)], 24)}"
    left, right = st.columns([3, 1])
    with left:
        st.markdown(f"**{words}**, added 0 to 1.5 times")
        st.html(f'<div class="rl-row rl-narrow"><img alt="the image with the difference added" '
                f'src="{picture_url(strip(list(made["made"])))}"></div>')  # fmt: skip
    with right:
        st.markdown("The two means, decoded")
        st.html(f'<div class="rl-row rl-narrow"><img alt="decoded means of both classes" '
                f'src="{picture_url(strip(list(made["means"][::-1])))}"></div>')  # fmt: skip
    st.caption(
        "The code of the image, plus the mean code of one class less that of the other. It works as far "
        "as the two "
        "classes differ in one direction; position, colour and background should stay those of the image. "
        "Beyond "
        f"1 it is an exaggeration, at 1.5 {made['strangeness'][-1]:.1f} usual distances from the nearest "
        "image."
    )


def sampling(summary: RunSummary, found: dict[str, Any]) -> None:
    """Pictures decoded from random codes."""
    from engine.training.look import sample

    variational = summary.method == "variational_autoencoder"
    key = f"sample.{summary.id}"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        temperature = st.slider(
            "Spread of the draws", 0.0, 2.0, 1.0, 0.1, key=f"{key}.spread",
            help="1 draws as training meant it; below, pictures are more alike and safer; above, stranger.",
        )  # fmt: skip
        if st.button("Draw again", icon=":material/casino:", key=f"{key}.again"):
            st.session_state[f"{key}.seed"] = st.session_state.get(f"{key}.seed", 0) + 1
    seed = int(st.session_state.get(f"{key}.seed", 0))
    pictures = sample(summary.id, NEW, seed, float(temperature))
    half = NEW // 2
    rows = "".join(
        f'<div class="rl-row rl-narrow"><img alt="new pictures" src="{picture_url(strip(list(part)))}"></div>'
        for part in (pictures[:half], pictures[half:])
    )
    st.html(f'<div class="rl-rows">{rows}</div>')
    told = (
        "Codes drawn from the standard normal that training pulled all codes towards."
        if variational
        else "Codes drawn from a normal distribution fitted to this run's codes. A plain autoencoder was "
        "never told to fill the space between its codes, so many draws fall where nothing was learned; a "
        "variational one was."
    )
    st.caption(f"{told} {NEW} draws with seed {seed}.")
