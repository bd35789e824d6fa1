"""Rebuilt images beside their originals, and which classes are rebuilt worse than others."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset, open_dataset
from engine.runs.summary import RunSummary
from pages.components import charts
from pages.components.arrays import brightest, heat, picture_url, strip
from pages.components.gallery import gallery
from pages.components.images import item
from pages.components.store import run_store
from pages.components.text import count_text

SPLITS = {"val": "Validation", "test": "Test", "train": "Training"}
CODES = ("train", "val", "test")
SHOWN = 48
ORDERS = {"worst": "Worst first", "best": "Best first", "any": "As they come"}


def reconstructions(summary: RunSummary, found: dict[str, Any]) -> None:
    """Images with what came out of the network, ordered by their error."""
    data = run_store().predictions(summary.id)
    dataset = open_dataset(summary.dataset)
    if data is None or not len(data["index"]):
        st.info("This run has kept no predictions.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        order = st.segmented_control(
            "Order", list(ORDERS), format_func=lambda name: ORDERS[name], default="any", required=True,
            key=f"rebuilt.order.{summary.id}",
        )  # fmt: skip
        here = [name for name in SPLITS if (data["split"] == CODES.index(name)).any()]
        split = st.segmented_control(
            "Images", here, format_func=lambda name: SPLITS[name], default=here[0], required=True,
            key=f"rebuilt.split.{summary.id}",
        )  # fmt: skip
    rows = np.flatnonzero(data["split"] == CODES.index(str(split)))
    rows = ordered(rows, data["error"][rows], str(order))[:SHOWN]
    many = int((data["split"] == CODES.index(str(split))).sum())
    columns = "original | went in | rebuilt | error" if damages(summary) else "original | rebuilt | error"
    st.caption(
        f"{len(rows)} of {count_text(many, SPLITS[str(split)].lower() + ' image')}: {columns}. Bright is "
        "wrong, on "
        "one scale for all that are shown; the number is the squared error a pixel."
    )
    gallery(items(summary, dataset, data, rows), f"rebuilt.{summary.id}.{split}.{order}", wide=True)


def damages(summary: RunSummary) -> bool:
    """Whether what goes in is not the original."""
    return summary.method not in (
        "autoencoder",
        "linear_autoencoder",
        "variational_autoencoder",
        "split_brain",
    )


def ordered(rows: np.ndarray, errors: np.ndarray, order: str) -> np.ndarray:
    """(m,) rows by their errors: "worst" first, "best" first, or spread over all of them."""
    if order == "any":
        return rows[np.unique(np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).astype(int))]
    sign = -1 if order == "worst" else 1
    return rows[np.argsort(sign * errors, kind="stable")]


def items(
    summary: RunSummary, dataset: Dataset, data: dict[str, np.ndarray], rows: np.ndarray
) -> list[dict[str, Any]]:
    """Strips for the gallery, one an image."""
    from engine.training.look import rebuild

    made = rebuild(summary.id, data["index"][rows])
    errors = heat(made["error"], brightest(made["error"]))
    names = ["original", "given", "made"] if damages(summary) else ["original", "made"]
    found = []
    for at, row in enumerate(rows):
        known = item(dataset, int(data["index"][row]))
        url = picture_url(strip([*(made[name][at] for name in names), errors[at]]))
        error = float(data["error"][row])
        found.append(
            {**known, "images": [url], "large": url, "value": f"{error:.4f}",
             "title": f"{known['title']}\nsquared error a pixel {error:.5f}"}
        )  # fmt: skip
    return found


def by_class(summary: RunSummary, found: dict[str, Any]) -> None:
    """Mean error of each class with its uncertainty."""
    classes = sorted(found["classes"], key=lambda row: -row["error"])
    where = SPLITS[found.get("errors_on", "val")].lower()
    title = f"Squared error a pixel by class, {where} images"
    charts.draw(charts.class_errors_figure(classes, title), f"class-errors-{summary.id}", title)
    st.caption(
        "Bars are means over each class's images; the whiskers are 95 % intervals of the mean. A class is "
        "high "
        "because its images hold more detail, or because there were few to learn from: the picture alone "
        "does "
        "not tell which. The labels took no part in training."
    )
