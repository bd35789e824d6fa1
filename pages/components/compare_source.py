"""Choosing what to compare: what finished runs learned, weights at hand, random ones, brought vectors."""

from __future__ import annotations

import streamlit as st

from engine.data.dataset import Dataset
from engine.evaluation.at_hand import at_hand, vectors_at_hand
from engine.methods.comparison_config import MOST_ENCODERS
from engine.models.backbones import BACKBONES
from pages.components import store
from pages.components.forms import initial, put
from pages.components.text import one_line

KEY = "compare.encoders"
USUAL = 4  # runs on the chosen data set that are offered at first


def remember_encoder(encoder: str) -> None:
    """Put an encoder first among those that will be compared."""
    kept = [name for name in st.session_state.get(f"{KEY}.kept", []) if name != encoder]
    st.session_state[f"{KEY}.kept"] = [encoder, *kept][:MOST_ENCODERS]
    put(KEY, st.session_state[f"{KEY}.kept"])


def remember_encoders(encoders: list[str]) -> None:
    """Choose exactly these, where they are still here."""
    st.session_state[f"{KEY}.kept"] = list(encoders)
    put(KEY, list(encoders))


def choose_encoders(dataset: Dataset) -> list[str]:
    """The encoders' names in a recipe, in the order in which they were chosen."""
    words = options(dataset)
    kept = [name for name in st.session_state.get(f"{KEY}.kept", usual(dataset, words)) if name in words]
    if any(name not in words for name in st.session_state.get(KEY, [])):  # a run was deleted
        put(KEY, [name for name in st.session_state[KEY] if name in words])
    chosen = st.multiselect(
        "Encoders",
        list(words),
        format_func=lambda name: words[name],
        key=KEY,
        max_selections=MOST_ENCODERS,
        placeholder="Runs, weights, vectors",
        help="Raw pixels and random weights are always measured too. The random ones have the architecture "
        "of the first encoder here.",
        **initial(KEY, kept, "default"),
    )
    st.session_state[f"{KEY}.kept"] = list(chosen)
    return list(chosen)


def options(dataset: Dataset) -> dict[str, str]:
    """Every encoder that can be chosen, and its words; names of runs that are alike are told apart."""
    found = {**at_hand(store.run_store()), **vectors_at_hand(dataset)}
    found |= {
        f"random:{info.arch}": f"{info.title}, random weights" for info in BACKBONES.values() if info.front
    }
    seen: set[str] = set()
    for name, title in found.items():
        words = one_line(title, 80)
        found[name] = words if words not in seen else f"{words} ({name.rpartition(':')[2][:6]})"
        seen.add(words)
    return found


def usual(dataset: Dataset, words: dict[str, str]) -> list[str]:
    """The newest runs on this data set; the newest of any where there are none."""
    runs = [f"run:{run.id}" for run in store.run_store().list() if run.dataset == dataset.id]
    mine = [name for name in runs if name in words] or [name for name in words if name.startswith("run:")]
    return mine[:USUAL]
