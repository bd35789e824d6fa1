"""Pictures of a data set: strips on cards, and the items of the sample grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset, DatasetSummary
from engine.files import check_id
from pages.components.pictures import image_url
from pages.components.text import count_text, one_line

SMALL = 80  # px; smaller pictures are enlarged with hard edges


def strip(summary: DatasetSummary, pictures: int = 4) -> None:
    """A few images of a set beside each other; its address holds only the checked id, no user text."""
    dataset = check_id(summary.id)
    median = summary.info.get("sizes", {}).get("median", [SMALL, SMALL])
    indices = spread(summary.n, pictures)
    images = "".join(
        f'<img loading="lazy" decoding="async" alt="" src="{image_url(dataset, i, 160)}">' for i in indices
    )
    small = " rl-small" if max(median) < SMALL else ""
    st.html(f'<div class="rl-strip{small}" style="--n:{pictures}">{images}</div>')


def spread(n: int, count: int) -> list[int]:
    """`count` indices in ascending order, the same ones each time, not in step with any order of classes."""
    return sorted(np.random.default_rng(n).choice(n, min(n, count), replace=False).tolist())


def items(dataset: Dataset, indices: Sequence[int] | np.ndarray, size: int = 224) -> list[dict[str, Any]]:
    """Pictures for `gallery`, captioned with class and split; all text is plain text there."""
    return [item(dataset, int(i), size) for i in indices]


def item(dataset: Dataset, index: int, size: int = 224) -> dict[str, Any]:
    label = int(dataset.labels[index])
    name = dataset.classes[label] if label >= 0 else "no label"
    width, height = (int(side) for side in dataset.sizes[index])
    split = {"train": "train", "val": "validation", "test": "test"}[str(dataset.splits[index])]
    return {
        "images": [image_url(dataset.id, index, size)],
        "large": image_url(dataset.id, index, 640),
        "label": one_line(name),
        "value": "",
        "under": split,
        "tone": "",
        "title": f"{one_line(name)} · {split}\n{width} × {height} px · image "
        f"{index}\n{one_line(dataset.names[index])}",
        "alt": one_line(name),
    }


def size_words(info: dict[str, Any]) -> str:
    """The sizes of a set's images: '64 × 64 px', or 'around 500 × 375 px'."""
    sizes = info.get("sizes") or {}
    if not sizes:
        return "–"
    width, height = sizes["median"]
    same = sizes["min"] == sizes["max"]
    return f"{width} × {height} px" if same else f"around {width} × {height} px"


def summary_line(summary: DatasetSummary) -> str:
    classes = count_text(len(summary.classes), "class", "classes") if summary.labelled else "no labels"
    return f"{count_text(summary.n, 'image')} · {classes} · {size_words(summary.info)}"
