"""What a run sees now: one function per method turns a frame into captioned pictures for the live view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.data.dataset import Dataset
from engine.methods import METHODS
from pages.components.arrays import brightest, heat, picture_url, strip

Frame = dict[str, np.ndarray]
UNSURE_MARGIN = 0.2


def image_url(dataset: str, index: int, size: int = 224) -> str:
    return f"/lab/datasets/{dataset}/images/{index}.jpg?size={size}"


def prediction_item(
    dataset: Dataset, index: int, label: int, probabilities: np.ndarray, size: int = 224
) -> dict[str, Any]:
    """One captioned picture of a prediction; `probabilities` is (C,). All names are plain text."""
    order = np.argsort(-probabilities, kind="stable")
    top = int(order[0])
    margin = float(probabilities[top] - probabilities[order[1]]) if len(order) > 1 else 1.0
    wrong, unsure = label >= 0 and top != label, margin < UNSURE_MARGIN
    truth = dataset.classes[label] if label >= 0 else "unknown"
    ranking = ", ".join(f"{dataset.classes[i]} {float(probabilities[i]):.1%}" for i in order[:5])
    return {
        "images": [image_url(dataset.id, index, size)],
        "label": dataset.classes[top],
        "value": f"{float(probabilities[top]):.0%}",
        "tone": "bad" if wrong else "good",
        "tags": [tag for tag, holds in (("Mistakes", wrong), ("Unsure", unsure)) if holds],
        "title": f"predicted: {ranking}\ntrue class: {truth}\nimage {index}: {dataset.names[index]}",
        "alt": f"{truth}, predicted {dataset.classes[top]}",
        "under": f"true: {truth}" if wrong else "",
    }


def classification(dataset: Dataset, frame: Frame) -> dict[str, Any]:
    """The pinned validation images with their prediction and its confidence."""
    rows = zip(frame["index"], frame["label"], frame["probabilities"], strict=True)
    items = [prediction_item(dataset, int(i), int(label), p) for i, label, p in rows]
    return {
        "caption": f"{len(items)} validation images, the same ones each time; red is a mistake, "
        f"unsure means the two best classes lie within {UNSURE_MARGIN:.0%}",
        "filters": ["Mistakes", "Unsure"],
        "items": items,
    }


def rebuilding(dataset: Dataset, frame: Frame) -> dict[str, Any]:
    """The pinned images: what went in, what came out, and where they differ."""
    errors = heat(frame["error"], brightest(frame["error"]))
    items = []
    for row, index in enumerate(frame["index"]):
        label = int(frame["label"][row])
        name = dataset.classes[label] if label >= 0 else f"image {int(index)}"
        items.append(
            {
                "images": [picture_url(strip([frame["given"][row], frame["made"][row], errors[row]]))],
                "label": name,
                "value": f"{float(frame['score'][row]):.3g}",
                "tags": [],
                "title": f"{name}: input, rebuilt, error; loss {float(frame['score'][row]):.4g}",
                "alt": f"{name}: input, rebuilt image and error",
            }
        )
    return {
        "caption": f"{len(items)} images, the same each time: input | rebuilt | error (bright is wrong), "
        "with the loss of each",
        "filters": [],
        "wide": True,
        "items": items,
    }


QUEUE_SLOTS = 64


def contrast(dataset: Dataset, frame: Frame) -> dict[str, Any]:
    """Two views of each pinned image, how similar those of the last batch are, and the age of queued keys."""
    views, similarity = frame["view"], frame["similarity"].astype(np.float32)
    pairs = len(views)
    items = []
    for row in range(pairs):
        label = int(frame["label"][row])
        name = dataset.classes[label] if label >= 0 else f"image {int(frame['index'][row])}"
        other = row + pairs if len(similarity) > pairs else row
        items.append(
            {
                "images": [picture_url(strip(list(views[row])))],
                "label": name,
                "value": f"{float(similarity[row, other]):.2f}",
                "tags": [],
                "title": f"{name}: two random views; the cosine of their embeddings is "
                f"{float(similarity[row, other]):.3f}",
                "alt": f"{name}: two random views",
            }
        )
    found: dict[str, Any] = {
        "caption": f"two views of {pairs} images, the same each time, with the cosine of their embeddings",
        "filters": [],
        "wide": True,
        "items": items,
        "matrix": _matrix(frame.get("batch_view", views), frame.get("batch_similarity", similarity)),
    }
    if "queue_age" in frame:
        found["queue"] = _queue(frame["queue_age"])
    return found


def _matrix(views: np.ndarray, similarity: np.ndarray) -> dict[str, Any]:
    """Every two views of (p, V, H, W, 3); rows i and i + p of the similarity are the views of one image."""
    pairs = len(views)
    return {
        "values": similarity.astype(np.float32).round(3).tolist(),
        "images": [picture_url(views[i % pairs, i // pairs]) for i in range(len(similarity))],
        "pairs": pairs,
    }


def _queue(age: np.ndarray) -> dict[str, Any]:
    """The queue in at most 64 slots in the order of memory; -1 is a key that is still random."""
    slots = np.array_split(age, min(QUEUE_SLOTS, len(age)))
    return {
        "ages": [float(slot.mean()) if (slot >= 0).all() else -1.0 for slot in slots],
        "keys": len(age),
        "oldest": int(age.max()) if len(age) else 0,
        "random": int((age < 0).sum()),
    }


# method -> what its frames show; a method that is missing here simply has no pictures
PICTURES: dict[str, Callable[[Dataset, Frame], dict[str, Any]]] = {
    "classification": classification,
    **{name: rebuilding for name, entry in METHODS.items() if entry.page == "autoencoders"},
    **{name: contrast for name, entry in METHODS.items() if entry.page == "self-supervised"},
}
