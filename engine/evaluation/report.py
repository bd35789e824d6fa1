"""What a finished classification says about itself: results.json, from labels and probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.evaluation.metrics import confusion_matrix, cross_entropy, per_class, wilson_interval


def classification_results(
    classes: Sequence[str], splits: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, Any]:
    """Accuracy with its interval on each split; classes and confusion on the first of val, test, train.

    Args:
        classes: C names.
        splits: Split -> (n,) labels and (n, C) probabilities; empty splits are left out.
    """
    there = {name: pair for name, pair in splits.items() if len(pair[0])}
    shown = next((name for name in ("val", "test", "train") if name in there), None)
    if shown is None:
        return {"splits": {}, "classes": [], "confusion": [], "confusion_split": None, "majority": None}
    labels, probabilities = there[shown]
    confusion = confusion_matrix(labels, probabilities.argmax(1), len(classes))
    return {
        "splits": {name: split_figures(*pair) for name, pair in there.items()},
        "confusion_split": shown,
        "confusion": confusion.tolist(),
        "classes": [{"name": name, **row} for name, row in zip(classes, per_class(confusion), strict=True)],
        "majority": float(confusion.sum(1).max() / len(labels)),
    }


def no_better_than_guessing(found: Mapping[str, Any]) -> str:
    """A hint where the interval of the accuracy reaches down to the commonest class's share; else nothing.

    Args:
        found: As `classification_results` gives it.
    """
    split, majority = found.get("confusion_split"), found.get("majority")
    if split is None or majority is None or found["splits"][split]["interval"][0] > majority:
        return ""
    return (
        f"So far this is not measurably better than always answering the commonest class ({majority:.1%}): "
        "train for longer, or try another learning rate."
    )


def split_figures(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Count, correct, accuracy, Wilson interval and loss of one split."""
    n, correct = len(labels), int((probabilities.argmax(1) == labels).sum())
    return {
        "n": n,
        "correct": correct,
        "accuracy": correct / n,
        "interval": list(wilson_interval(correct, n)),
        "loss": cross_entropy(labels, probabilities),
    }
