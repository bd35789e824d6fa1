"""Nearest neighbours against loops, known scores, and the leaks that would flatter a representation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.datasets import load_digits

from engine.errors import UserError
from engine.evaluation import neighbours
from engine.evaluation.metrics import wilson_interval
from engine.evaluation.neighbours import knn_accuracy, knn_scores, nearest, normalised, usual_k

BANK = np.array([[1, 0], [0.9, 0.1], [0, 1], [-1, 0.2]])
LABELS = np.array([0, 0, 1, 1])
QUERY = np.array([[0.6, 0.8]])


def loop_scores(
    bank: np.ndarray, labels: np.ndarray, queries: np.ndarray, classes: int, k: int, t: float
) -> np.ndarray:
    scores = np.zeros((len(queries), classes))
    for i, query in enumerate(queries):
        s = [float(query @ b / math.sqrt(query @ query) / math.sqrt(b @ b)) for b in bank]
        best = sorted(range(len(bank)), key=lambda j: -s[j])[:k]
        for j in best:
            scores[i, labels[j]] += math.exp((s[j] - s[best[0]]) / t)
    return scores


def test_known_similarities() -> None:
    expected = [0.6, 0.684675, 0.8, -0.431455]
    assert normalised(BANK) @ normalised(QUERY)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("t", "zero", "one"), [(0.07, 22974.38, 91910.58), (0.1, 1344.25, 2980.97)])
def test_known_scores(t: float, zero: float, one: float) -> None:
    scores = knn_scores(BANK, LABELS, QUERY, 2, k=4, temperature=t)[0].astype(float) * math.exp(0.8 / t)
    assert scores == pytest.approx([zero, one], rel=1e-5)
    assert scores.argmax() == 1
    assert knn_scores(BANK, LABELS, QUERY, 2, k=1, temperature=t).argmax() == 1


def test_scores_are_their_formula_for_any_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    bank, queries = random.standard_normal((40, 6)), random.standard_normal((23, 6))
    labels = random.integers(0, 5, 40)
    expected = loop_scores(bank, labels, queries, 5, 7, 0.2)
    assert knn_scores(bank, labels, queries, 5, 7, 0.2) == pytest.approx(expected, abs=1e-4)
    monkeypatch.setattr(neighbours, "CHUNK_CELLS", 100)
    assert knn_scores(bank, labels, queries, 5, 7, 0.2) == pytest.approx(expected, abs=1e-4)


def test_all_neighbours_at_a_high_temperature_give_the_shares_of_the_classes() -> None:
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [5, 3, 12])
    scores = knn_scores(random.standard_normal((20, 4)), labels, random.standard_normal((6, 4)), 3, 20, 1e9)
    assert scores / scores.sum(1, keepdims=True) == pytest.approx(np.tile([0.25, 0.15, 0.6], (6, 1)))


def test_a_low_temperature_does_not_overflow() -> None:
    scores = knn_scores(BANK, LABELS, QUERY, 2, k=4, temperature=1e-6)
    assert scores.tolist() == [[0, 1]]


@pytest.mark.parametrize(("n", "k"), [(1, 1), (12, 12), (500, 20), (1999, 20), (2000, 40), (50_000, 200)])
def test_the_usual_number_of_neighbours(n: int, k: int) -> None:
    assert usual_k(n) == k


def test_an_image_that_votes_for_itself_is_a_leak_and_leaving_it_out_closes_it() -> None:
    random = np.random.default_rng(2)
    x, y = random.standard_normal((300, 8)).astype(np.float32), random.integers(0, 4, 300)
    leak = knn_accuracy(x, y, x, y, 4, k=1)
    honest = knn_accuracy(x, y, x, y, 4, k=1, leave_one_out=True)
    assert leak.accuracy == 1
    assert honest.accuracy == pytest.approx(0.25, abs=3 * math.sqrt(0.25 * 0.75 / 300))


def test_leaving_one_out_is_the_loop_that_removes_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    y = np.arange(60) % 3
    x = random.standard_normal((60, 5)) + np.eye(5)[y]
    others = [np.delete(np.arange(60), i) for i in range(60)]
    votes = [loop_scores(x[o], y[o], x[i : i + 1], 3, 9, 0.1)[0].argmax() for i, o in enumerate(others)]
    monkeypatch.setattr(neighbours, "CHUNK_CELLS", 7 * 60)
    found = knn_accuracy(x, y, x, y, 3, k=9, leave_one_out=True, centre=False)
    assert found.correct == int((np.array(votes) == y).sum())
    assert (found.low, found.high) == wilson_interval(found.correct, 60)
    assert (found.accuracy, found.n, found.k) == (found.correct / 60, 60, 9)


def test_centring_uses_the_bank_alone_and_makes_pixels_a_fair_baseline() -> None:
    random = np.random.default_rng(4)
    bank, queries = random.standard_normal((80, 6)) + 3, random.standard_normal((40, 6)) + 3
    y, z = random.integers(0, 3, 80), random.integers(0, 3, 40)
    centred = knn_accuracy(bank, y, queries, z, 3)
    by_hand = knn_accuracy(bank - bank.mean(0), y, queries - bank.mean(0), z, 3, centre=False)
    assert centred == by_hand
    assert knn_accuracy(bank + 50, y, queries + 50, z, 3) == centred
    one_by_one = [knn_accuracy(bank, y, queries[i : i + 1], z[i : i + 1], 3).correct for i in range(40)]
    assert sum(one_by_one) == centred.correct, "other queries have no say"


def test_digits_are_told_apart_by_their_pixels() -> None:
    x, y = load_digits(return_X_y=True)
    found = knn_accuracy(x[:1200], y[:1200], x[1200:], y[1200:], 10)
    assert found.k == 20 and found.accuracy > 0.93


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_nearest_are_those_of_a_loop_and_never_the_query(metric: str) -> None:
    random = np.random.default_rng(5)
    bank = random.standard_normal((50, 4)) + 20  # far from the origin, where digits are lost
    if metric == "euclidean":
        apart = np.sqrt(((bank[:, None] - bank[None]) ** 2).sum(2))
    else:
        apart = 1 - normalised(bank) @ normalised(bank).T
    np.fill_diagonal(apart, np.inf)
    rows = np.array([3, 49, 0, 3])
    found, distances = nearest(bank, rows, 5, metric)  # type: ignore[arg-type]
    assert (found == apart[rows].argsort(1)[:, :5]).all()
    assert distances == pytest.approx(np.sort(apart[rows], 1)[:, :5], rel=1e-3, abs=1e-7)


def test_a_copy_of_the_query_is_a_neighbour_at_distance_zero() -> None:
    bank = np.array([[1.0, 2], [3, -1], [1, 2]])
    for metric in ("cosine", "euclidean"):
        found, distances = nearest(bank, np.array([0]), 2, metric)  # type: ignore[arg-type]
        assert found.tolist() == [[2, 1]] and distances[0, 0] == 0


def test_unit_rows_and_zero_rows() -> None:
    x = np.array([[3, 4], [0, 0], [1e-30, 0], [1e30, 0]], np.float32)
    unit = normalised(x)
    assert unit.dtype == np.float32
    assert unit == pytest.approx(np.array([[0.6, 0.8], [0, 0], [1, 0], [1, 0]]))
    assert np.isfinite(knn_scores(x[:2], np.array([0, 1]), np.zeros((1, 2)), 2, 2)).all()


CALLS: dict[str, tuple[Callable[[], object], str]] = {
    "k above n": (lambda: knn_scores(BANK, LABELS, QUERY, 2, 5), "k must be within 1 and 4"),
    "k below 1": (lambda: knn_scores(BANK, LABELS, QUERY, 2, 0), "k must be within 1 and 4"),
    "k = n left out": (
        lambda: knn_accuracy(BANK, LABELS, BANK, LABELS, 2, k=4, leave_one_out=True),
        "k must be within 1 and 3",
    ),
    "left out of others": (
        lambda: knn_accuracy(BANK, LABELS, QUERY, LABELS[:1], 2, leave_one_out=True),
        "images of the bank",
    ),
    "temperature": (lambda: knn_scores(BANK, LABELS, QUERY, 2, 1, 0.0), "temperature must be above 0"),
    "no class": (lambda: knn_scores(BANK, LABELS - 1, QUERY, 2, 1), "labels must be within"),
    "labels missing": (lambda: knn_scores(BANK, LABELS[:3], QUERY, 2, 1), "one label an image"),
    "other width": (lambda: knn_scores(BANK, LABELS, np.ones((1, 3)), 2, 1), "2 features"),
    "not finite": (lambda: knn_scores(BANK * np.nan, LABELS, QUERY, 2, 1), "no finite numbers"),
    "no queries": (lambda: knn_accuracy(BANK, LABELS, BANK[:0], LABELS[:0], 2), "no features"),
    "nearest of all": (lambda: nearest(BANK, np.array([0]), 4), "k must be within 1 and 3"),
    "metric": (lambda: nearest(BANK, np.array([0]), 1, "manhattan"), "cosine or euclidean"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", CALLS)
def test_what_cannot_be_asked_is_one_sentence(case: str) -> None:
    call, part = CALLS[case]
    with pytest.raises(UserError, match=part) as error:
        call()
    assert "\n" not in str(error.value) and str(error.value).endswith(".")
