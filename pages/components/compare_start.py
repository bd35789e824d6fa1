"""What a comparison will be in words, its Start button, and what the measures mean."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.data.dataset import Dataset
from engine.evaluation.comparison_parts import all_parts
from engine.evaluation.comparison_result import SPLIT_WORDS
from pages.components.compose import Composer, start_button
from pages.components.text import count_text, md

METHOD = "comparison"
MEASURES = {
    "Linear probe": "A linear classifier on frozen features; held-out training images choose its penalty.",
    "Nearest neighbours": "The nearest training images vote; nothing is fitted.",
    "Few labels": "The linear probe with 1, 2, 5, 10, 50 labels a class: where learning beforehand can pay.",
    "Fine-tuned": "What finished runs of yours reached on this set; the best of them is the ceiling.",
}


def start(
    dataset: Dataset,
    composer: Composer,
    values: dict[str, Any],
    size: int,
    seed: int,
    words: str = "Compare",
) -> None:
    """The recipe as one line, and the button.

    Args:
        dataset: Whose classes are read; it has labelled images that teach and that judge.
        composer: The form.
        values: Of the settings, the encoders among them.
        size: The side of the images, where all encoders share one.
        seed: Of everything random.
        words: On the button.
    """
    whole = all_parts(dataset, str(values.get("split", "test")))
    judging = min(whole.of_asked, int(values.get("asked") or 0))
    names = [name for name in str(values["encoders"]).split(",") if name]
    encoders = count_text(len(names), "encoder")
    with st.container(border=True, key="start"):
        st.markdown(
            f"**{encoders}**, raw pixels and random weights on **{md(dataset.name)}**, judged by "
            f"{judging:,} of {count_text(whole.of_asked, f'{SPLIT_WORDS[whole.split]} image')}"
        )
        if not names:
            st.caption(":red[:material/error: Choose at least one encoder.]")
        recipe = composer.recipe(dataset, values, None, size, seed) if names else None
        start_button(recipe, composer, f"{encoders} · {dataset.name}", words)


def measures() -> None:
    """One line each."""
    for title, line in MEASURES.items():
        st.markdown(f"**{title}** {line}")
