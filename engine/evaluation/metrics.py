"""Figures about a classifier's answers, each with the interval or the count that it needs."""

from __future__ import annotations

import math

import numpy as np

Z95 = 1.959963984540054  # two-sided 95 %


def wilson_interval(correct: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's interval for a share: E. B. Wilson 1927, Probable inference, J. Am. Stat. Assoc. 22.

    Args:
        correct: How many succeeded.
        n: Out of how many; 0 knows nothing, so the interval is [0, 1].
        z: Quantile of the normal distribution; the default gives 95 %.
    """
    if not 0 <= correct <= n:
        raise ValueError(f"correct must be within [0, {n}], got {correct}")
    if n == 0:
        return 0.0, 1.0
    share = correct / n
    middle = share + z * z / (2 * n)
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def confusion_matrix(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Counts of images by true class (rows) and answer (columns).

    Args:
        labels: (n,) true class indices.
        answers: (n,) predicted class indices.
        classes: C.

    Returns:
        (C, C) int64.
    """
    return np.bincount(labels * classes + answers, minlength=classes * classes).reshape(classes, classes)


def per_class(confusion: np.ndarray) -> list[dict[str, float | int | None]]:
    """Count, precision, recall and F1 of each class; None where nothing was there to divide by."""
    rows: list[dict[str, float | int | None]] = []
    for k in range(len(confusion)):
        hit, true, said = (int(v) for v in (confusion[k, k], confusion[k].sum(), confusion[:, k].sum()))
        precision = hit / said if said else None
        recall = hit / true if true else None
        f1 = 2 * hit / (true + said) if true + said else None
        rows.append(
            {"n": true, "predicted": said, "correct": hit, "precision": precision, "recall": recall, "f1": f1}
        )
    return rows


def cross_entropy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean of -log of the true class's probability.

    Args:
        labels: (n,) class indices.
        probabilities: (n, C).
    """
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(of_truth, 1e-12)).mean())
