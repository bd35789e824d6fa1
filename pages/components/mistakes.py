"""Where a classifier errs: the matrix, the images behind its cells, confident mistakes, the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from engine.data.dataset import Dataset, open_dataset
from engine.errors import UserError
from engine.runs.store import RunStore
from pages.components.gallery import confusion_matrix, gallery
from pages.components.pictures import UNSURE_MARGIN, prediction_item
from pages.components.store import run_store
from pages.components.text import count_text

MODES = {"count": "Images", "row": "% of the true class", "column": "% of the predicted class"}
SPLITS = {"val": "Validation", "test": "Test", "train": "Training"}
CODES = ("train", "val", "test")
PAIRS = 8


@st.fragment
def confusion(run: str, found: dict[str, Any]) -> None:
    """The confusion matrix on the validation images; a click on a cell shows the images behind it."""
    names, counts = [entry["name"] for entry in found["classes"]], found["confusion"]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("##### True class against predicted class")
        st.space("stretch")
        mode = st.segmented_control(
            "Show", list(MODES), format_func=lambda mode: MODES[mode], default="count", required=True,
            key=f"confusion-mode-{run}", label_visibility="collapsed",
        )  # fmt: skip
    split = str(found.get("confusion_split", "val"))
    total = int(np.sum(counts))
    right = int(np.trace(np.asarray(counts)))
    st.caption(
        f"{total:,} {SPLITS[split].lower()} images; the {right:,} on the diagonal are right. "
        "Click a cell for its images."
    )
    cell = confusion_matrix(names, counts, mode or "count", f"confusion-{run}")
    _pairs(names, counts)
    if cell is not None:
        _cell(run, names, split, *cell)


def _pairs(names: list[str], counts: list[list[int]]) -> None:
    """The largest off-diagonal cells as a table: the way in when there are many classes."""
    matrix = np.asarray(counts)
    wrong = [(int(matrix[i, j]), i, j) for i, j in np.argwhere(matrix) if i != j]
    if len(names) <= 4 or not wrong:
        return
    wrong.sort(reverse=True)
    rows = [
        {"true": names[i], "predicted": names[j], "images": n, "of the true class": n / matrix[i].sum()}
        for n, i, j in wrong[:PAIRS]
    ]
    with st.expander(
        f"Most confused pairs ({min(PAIRS, len(wrong))} of {len(wrong)})", icon=":material/swap_horiz:"
    ):
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            column_config={"of the true class": st.column_config.NumberColumn(format="percent")},
        )


def _cell(run: str, names: list[str], split: str, true: int, predicted: int) -> None:
    dataset, data = _predictions(run)
    if dataset is None or data is None:
        return
    top = data["probabilities"].argmax(axis=1)
    rows = np.flatnonzero(_in_split(data, split) & (data["label"] == true) & (top == predicted))
    many = count_text(len(rows), "image")
    st.text(f"True class {names[true]}, predicted {names[predicted]}: {many}, most confident first")
    if len(rows):
        gallery(
            _items(dataset, data, rows[np.argsort(-data["probabilities"][rows, predicted])]), f"cell-{run}"
        )


@st.fragment
def mistakes(run: str) -> None:
    """Mistakes with the most confident first, and the images between two classes."""
    dataset, data = _predictions(run)
    if dataset is None or data is None:
        return
    here = [name for name in SPLITS if _in_split(data, name).any()]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        which = st.segmented_control(
            "Images",
            ["Mistakes", "Unsure", "All"],
            default="Mistakes",
            required=True,
            key=f"mistakes-which-{run}",
        )
        split = st.segmented_control(
            "Split",
            here,
            format_func=lambda split: SPLITS[split],
            default=here[0],
            required=True,
            key=f"mistakes-split-{run}",
        )
    rows = np.flatnonzero(_in_split(data, split or here[0]))
    p = data["probabilities"][rows]
    top, confidence = p.argmax(axis=1), p.max(axis=1)
    margin = _margin(p)
    if which == "Mistakes":
        rows, order = rows[top != data["label"][rows]], -confidence[top != data["label"][rows]]
        told = (
            "Most confident mistakes first: look here for wrong labels and for what the network really reads."
        )
    elif which == "Unsure":
        rows, order = rows[margin < UNSURE_MARGIN], margin[margin < UNSURE_MARGIN]
        told = f"Least sure first: the two best classes lie within {UNSURE_MARGIN:.0%} of each other."
    else:
        order, told = -confidence, "Most confident first."
    st.caption(f"{len(rows):,} of {len(p):,} {SPLITS[split or here[0]].lower()} images. {told}")
    if len(rows):
        gallery(_items(dataset, data, rows[np.argsort(order, kind="stable")]), f"mistakes-{run}")
    else:
        st.info("None: nothing to see here.", icon=":material/check_circle:")


def _margin(probabilities: np.ndarray) -> np.ndarray:
    """How far the best class lies before the second; (m, C) to (m,)."""
    if probabilities.shape[1] < 2:
        return np.ones(len(probabilities))
    best = np.partition(probabilities, -2, axis=1)[:, -2:]
    return best[:, 1] - best[:, 0]


def _items(dataset: Dataset, data: dict[str, np.ndarray], rows: np.ndarray) -> list[dict[str, Any]]:
    return [
        prediction_item(dataset, int(data["index"][row]), int(data["label"][row]), data["probabilities"][row])
        for row in rows[:480]
    ]


def _in_split(data: dict[str, np.ndarray], split: str) -> np.ndarray:
    codes = data["split"]
    return codes == (split if codes.dtype.kind in "US" else CODES.index(split))


def _predictions(run: str) -> tuple[Dataset | None, dict[str, np.ndarray] | None]:
    store: RunStore = run_store()
    data = store.predictions(run)
    if data is None or not len(data["index"]):
        st.info("This run has kept no predictions.")
        return None, None
    try:
        return open_dataset(store.recipe(run).dataset), data
    except UserError:
        st.info("The data set of this run has been deleted, so its images cannot be shown.")
        return None, None


def classes_table(found: dict[str, Any]) -> None:
    """Precision and recall of each class with the counts behind them."""
    frame = pd.DataFrame(found["classes"])
    split = SPLITS[str(found.get("confusion_split", "val"))].lower()
    percent: dict[str, Any] = {"format": "percent", "min_value": 0, "max_value": 1}
    st.dataframe(
        frame[["name", "n", "predicted", "correct", "precision", "recall", "f1"]],
        hide_index=True,
        height=min(560, 38 + 35 * max(1, len(frame))),
        column_config={
            "name": st.column_config.TextColumn("Class"),
            "n": st.column_config.NumberColumn("Images", help="Images of this class."),
            "predicted": st.column_config.NumberColumn("Predicted", help="Times this class was answered."),
            "correct": st.column_config.NumberColumn(
                "Right", help="Images of this class that were recognised."
            ),
            "precision": st.column_config.ProgressColumn(
                "Precision",
                help="Of the images answered as this class, the share that is: right / predicted.",
                **percent,
            ),
            "recall": st.column_config.ProgressColumn(
                "Recall", help="Of this class's images, the share that was found: right / images.", **percent
            ),
            "f1": st.column_config.NumberColumn(
                "F1", format="%.3f", help="Harmonic mean of precision and recall, from 0 to 1."
            ),
        },
    )
    st.caption(
        f"Measured on the {split} images. Precision is empty for a class that was never answered; where a "
        "class has few images, one of them moves its share a lot."
    )
