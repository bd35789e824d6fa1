"""Figures against closed forms, published values and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.metrics import confusion_matrix as reference_confusion
from sklearn.metrics import log_loss, precision_recall_fscore_support

from engine.evaluation.metrics import confusion_matrix, cross_entropy, per_class, wilson_interval
from engine.evaluation.report import classification_results


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        (144, 153, 0.891994, 0.968747),
        (148, 153, 0.925787, 0.985962),
        (150, 153, 0.943943, 0.993310),
    ],
)
def test_wilsons_interval_has_the_known_values(correct: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(correct, n) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize(("correct", "n"), [(0, 5), (1, 7), (9, 10), (10, 10), (500, 1000)])
def test_wilsons_bounds_are_where_the_score_test_just_accepts(correct: int, n: int) -> None:
    """Its definition: the true shares p for which |share - p| equals z standard errors at p."""
    z, share = 1.959963984540054, correct / n
    low, high = wilson_interval(correct, n)

    def score(p: float) -> float:
        return (share - p) ** 2 - z * z * p * (1 - p) / n

    if correct > 0:
        assert low == pytest.approx(brentq(score, 1e-12, share - 1e-9), abs=1e-9)
    else:
        assert low == 0
    if correct < n:
        assert high == pytest.approx(brentq(score, share + 1e-9, 1 - 1e-12), abs=1e-9)
    else:
        assert high == pytest.approx(1)


def test_nothing_seen_means_nothing_known_and_nonsense_is_refused() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="within"):
        wilson_interval(4, 3)


def answers(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, 200)
    probabilities = rng.dirichlet(np.ones(5), 200) + np.eye(5)[labels] * 0.4
    return labels, probabilities / probabilities.sum(1, keepdims=True)


def test_confusion_precision_recall_and_loss_are_scikit_learns() -> None:
    labels, probabilities = answers()
    said = probabilities.argmax(1)
    confusion = confusion_matrix(labels, said, 5)
    assert np.array_equal(confusion, reference_confusion(labels, said, labels=range(5)))
    precision, recall, f1, n = precision_recall_fscore_support(labels, said, labels=range(5))
    rows = per_class(confusion)
    assert [row["precision"] for row in rows] == pytest.approx(list(precision))
    assert [row["recall"] for row in rows] == pytest.approx(list(recall))
    assert [row["f1"] for row in rows] == pytest.approx(list(f1))
    assert [row["n"] for row in rows] == list(n)
    assert cross_entropy(labels, probabilities) == pytest.approx(log_loss(labels, probabilities))


def test_a_class_that_is_not_there_has_no_recall() -> None:
    rows = per_class(confusion_matrix(np.array([0, 0]), np.array([0, 1]), 3))
    assert rows[1]["recall"] is None and rows[1]["precision"] == 0
    assert rows[2]["precision"] is None and rows[2]["f1"] is None


def test_results_are_about_validation_where_there_is_any() -> None:
    labels, probabilities = answers()
    splits = {"train": (labels, probabilities), "val": (labels[:60], probabilities[:60])}
    results = classification_results(list("abcde"), {**splits, "test": (labels[:0], probabilities[:0])})
    assert results["confusion_split"] == "val" and np.sum(results["confusion"]) == 60
    assert set(results["splits"]) == {"train", "val"}
    val = results["splits"]["val"]
    assert val["correct"] == int((probabilities[:60].argmax(1) == labels[:60]).sum())
    assert val["interval"][0] < val["accuracy"] < val["interval"][1]
    assert results["majority"] == np.bincount(labels[:60]).max() / 60
    only = classification_results(list("abcde"), {"train": splits["train"]})
    assert only["confusion_split"] == "train"
