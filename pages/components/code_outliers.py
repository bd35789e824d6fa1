"""Images that the network rebuilds worst: candidates for odd, broken or mislabelled ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from engine.data.dataset import open_dataset
from engine.runs.summary import RunSummary
from pages.components import charts
from pages.components.code_rebuilt import SHOWN, items
from pages.components.gallery import gallery
from pages.components.store import run_store

EVERYTHING = "All classes"


def outliers(summary: RunSummary, found: dict[str, Any]) -> None:
    """Rank all images by error, show the worst, and give the selection away as a table or a zip."""
    data = run_store().predictions(summary.id)
    dataset = open_dataset(summary.dataset)
    if data is None or not len(data["index"]):
        st.info("This run has kept no predictions.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = None
        if dataset.classes:
            names = [EVERYTHING, *dataset.classes]
            place = st.selectbox(
                "Class", range(len(names)), format_func=lambda i: names[i], key=f"outliers.class.{summary.id}"
            )
            label = int(place) - 1 if place else None
        most = int((data["label"] == label).sum()) if label is not None else len(data["index"])
        n = st.number_input(
            "How many", 1, max(1, most), min(24, max(1, most)), key=f"outliers.n.{summary.id}.{label}",
            help="The images with the largest errors, in all splits.",
        )  # fmt: skip
        query = f"n={int(n)}" + (f"&label={label}" if label is not None else "")
        base = f"/lab/runs/{summary.id}/outliers"
        st.link_button("Table (CSV)", f"{base}.csv?{query}", icon=":material/download:")
        st.link_button("Images (zip)", f"{base}.zip?{query}", icon=":material/folder_zip:")
    from engine.export.outliers import hardest

    rows = hardest(data, int(n), label)
    title = "Errors of all images, and where the selection begins"
    chosen = data["error"][rows]
    edge = float(chosen.min()) if len(rows) else 0.0
    charts.draw(charts.errors_figure(data["error"], edge, title), f"errors-{summary.id}", title)
    st.caption(
        f"The {len(rows):,} images with the largest error of {len(data['index']):,}, training images "
        "included. A "
        "large error says that an image is unlike what the network can draw: strange, or only full of detail."
    )
    shown = rows[:SHOWN]
    gallery(items(summary, dataset, data, np.asarray(shown)), f"outliers.{summary.id}.{label}.{n}", wide=True)
