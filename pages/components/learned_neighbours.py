"""Nearest neighbours of an image in features, embedding and pixels; a click walks on to the next image."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset, open_dataset
from engine.runs.summary import RunSummary
from engine.training.look_views import SPACES, Neighbour, first_of, neighbours
from pages.components.choose import pick
from pages.components.gallery import gallery
from pages.components.images import item

SHOWN = 6
METRICS = {"cosine": "Cosine", "euclidean": "Euclidean"}
NOTES = {
    "feature": "what the encoder gives",
    "embedding": "after the head, where the views are made alike",
    "pixels": "the pictures themselves, 16 × 16",
}


def neighbours_part(summary: RunSummary, found: dict[str, Any]) -> None:
    """One image, and the images that lie nearest to it in each space."""
    dataset = open_dataset(summary.dataset)
    begin = pick("Choose an image", dataset, first_of(summary.id), f"near.pick.{summary.id}")
    if begin is None:
        return
    trail = _trail(summary.id, begin)
    with st.container(horizontal=True, vertical_alignment="center"):
        metric = st.segmented_control(
            "Distance", list(METRICS), format_func=lambda name: METRICS[name], default="cosine",
            required=True, key=f"near.metric.{summary.id}", label_visibility="collapsed",
        )  # fmt: skip
        if len(trail) > 1:
            st.button(
                "Back",
                icon=":material/arrow_back:",
                on_click=_back,
                args=(trail,),
                key=f"near.back.{summary.id}",
            )
        st.caption("Click a neighbour to walk on to it.", width="content")
    asked = trail[-1]
    left, right = st.columns([1, 5.2], gap="medium")
    with left:
        st.markdown(f"###### The image{f', step {len(trail)}' if len(trail) > 1 else ''}")
        gallery([item(dataset, asked)], f"near.asked.{summary.id}")
    with right:
        for space, title in SPACES.items():
            near = neighbours(
                summary.id, asked, space, SHOWN, "euclidean" if metric != "cosine" else "cosine"
            )
            st.markdown(f"###### {title}: {agreement(dataset, asked, near)}", help=NOTES[space])
            pictures = [_item(dataset, asked, one) for one in near]
            gallery(pictures, f"near.{space}.{summary.id}", choose=trail.append)


def _trail(run: str, begin: int) -> list[int]:
    """The images walked over so far, from the one that was picked."""
    key = f"near.trail.{run}"
    trail: list[int] = st.session_state.get(key) or []
    if not trail or trail[0] != begin:
        trail = [begin]
    st.session_state[key] = trail
    return trail


def _back(trail: list[int]) -> None:
    del trail[-1:]


def agreement(dataset: Dataset, asked: int, near: list[Neighbour]) -> str:
    """How many neighbours have the image's class."""
    label = dataset.labels[asked]
    if label < 0:
        return f"the {len(near)} nearest"
    same = int((dataset.labels[np.array([one.index for one in near], int)] == label).sum())
    return f"{same} of {len(near)} of its class"


def _item(dataset: Dataset, asked: int, near: Neighbour) -> dict[str, Any]:
    label = int(dataset.labels[asked])
    same = int(dataset.labels[near.index]) == label
    tone = "" if label < 0 else "good" if same else "bad"
    return {
        **item(dataset, near.index, 96),
        "id": near.index,
        "value": f"{near.distance:.3f}",
        "under": "",
        "tone": tone,
    }
