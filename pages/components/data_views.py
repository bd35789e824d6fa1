"""Augmented views beside their originals: what a network that trains with them really sees."""

from __future__ import annotations

import html

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset
from engine.errors import UserError
from pages.components.arrays import picture_url
from pages.components.background import ask
from pages.components.images import spread
from pages.components.text import md

ORIGINALS, COPIES = 6, 5
SHOWN_SIDE = 160
LINES = {
    "light": "Slight crops, never mirrored: a 2 stays a 2. For digits, signs and drawn shapes.",
    "standard": "Random crops and mirroring, as most ImageNet networks were trained.",
    "strong": "Crops, mirroring, colour changes, loss of colour and blur: the views of contrastive learning.",
}


def views(dataset: Dataset) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control(
            "Strength", list(LINES), default="standard", required=True, format_func=str.capitalize,
            key="data.views.kind", label_visibility="collapsed",
        )  # fmt: skip
        if st.button("Draw again", icon=":material/casino:"):
            st.session_state["data.views.seed"] = st.session_state.get("data.views.seed", 0) + 1
    seed = int(st.session_state.get("data.views.seed", 0))
    st.caption(
        f"{LINES[str(kind)]} Each row: the original, then {COPIES} views of it drawn with seed {seed}."
    )
    st.fragment(_board, run_every=None)(dataset, str(kind), seed)


def _board(dataset: Dataset, kind: str, seed: int) -> None:
    try:
        done, rows = ask(
            ("views", dataset.fingerprint, kind, seed), lambda: drawn(dataset, kind, seed), patience=8.0
        )
    except UserError as error:
        st.error(md(error))
        return
    if not done:
        st.caption("Drawing; the first time takes a few seconds while the network library loads.")
        if st.button("Show", key="data.views.wait"):
            st.rerun()
        return
    small = " rl-small" if max(dataset.sizes[0]) < 80 else ""
    body = "".join(
        f'<img alt="{"original" if place == 0 else "view"}" src="{html.escape(source)}">'
        for row in rows
        for place, source in enumerate(row)
    )
    st.html(f'<div class="rl-views{small}" style="--n:{COPIES + 1}">{body}</div>')


def drawn(dataset: Dataset, kind: str, seed: int) -> list[list[str]]:
    """ORIGINALS rows of one original and COPIES views, as data addresses; loads torch."""
    import torch

    from engine.data.augment import VIEWS, augment, stored_size

    size = int(min(SHOWN_SIDE, max(32, int(np.median(dataset.sizes.min(axis=1))))))
    stored = stored_size(size)
    originals = np.stack([square(dataset, i, stored) for i in spread(dataset.n, ORIGINALS)])
    generator = torch.Generator().manual_seed(seed)
    batch = torch.from_numpy(originals)
    made = [
        augment(batch, VIEWS[kind], size, generator) for _ in range(COPIES)
    ]  # COPIES of (n, 3, size, size)
    copies = [(view.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy() for view in made]
    return [
        [picture_url(originals[i]), *(picture_url(copy[i]) for copy in copies)] for i in range(len(originals))
    ]


def square(dataset: Dataset, index: int, side: int) -> np.ndarray:
    """(side, side, 3) uint8: the middle of an image."""
    from PIL import ImageOps

    return np.asarray(ImageOps.fit(dataset.image(index, at_least=side), (side, side)))
