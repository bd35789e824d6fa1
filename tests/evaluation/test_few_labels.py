"""Few-label curves: the same draws for every encoder, figures of the probe itself, intervals that cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from engine.data.progress import Stopped
from engine.errors import UserError
from engine.evaluation.few_labels import few_labels, few_of, mean_interval
from engine.evaluation.metrics import wilson_interval
from engine.evaluation.probe import linear_probe

CLASSES = 4


def blobs(n: int, spread: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    y = np.arange(n) % CLASSES
    return np.eye(CLASSES, 6)[y] * 2 + spread * random.standard_normal((n, 6)), y


TRAIN, TEST = blobs(400), blobs(200, seed=1)


def test_so_many_of_every_class_are_drawn_and_more_labels_keep_the_fewer() -> None:
    y = np.repeat([0, 1, 2], [50, 8, 1])
    for each in (1, 5, 20):
        assert np.bincount(y[few_of(y, each, 0)]).tolist() == [min(each, n) for n in (50, 8, 1)]
    few, more = set(few_of(y, 5, 3).tolist()), set(few_of(y, 20, 3).tolist())
    assert few < more
    assert few_of(y, 5, 3).tolist() != few_of(y, 5, 4).tolist()


def test_each_draw_is_the_linear_probe_on_those_rows() -> None:
    points = few_labels(*TRAIN, *TEST, CLASSES, (2, 10), 3, seed=7)
    assert [(p.labels, len(p.draws), p.train_n) for p in points] == [(2, 3, 8), (10, 3, 40), (None, 1, 400)]
    for point in points[:2]:
        for draw, accuracy in enumerate(point.draws):
            rows = few_of(TRAIN[1], int(point.labels or 0), 7 + draw)
            alone = linear_probe(TRAIN[0][rows], TRAIN[1][rows], *TEST, CLASSES, seed=7)
            assert accuracy == alone.accuracy
        assert point.mean == pytest.approx(sum(point.draws) / 3)
    whole = linear_probe(*TRAIN, *TEST, CLASSES, seed=7)
    assert (points[-1].mean, points[-1].low, points[-1].high) == (whole.accuracy, whole.low, whole.high)


def test_a_draw_reads_what_scikit_learn_reads_from_it() -> None:
    (point, _) = few_labels(*TRAIN, *TEST, CLASSES, (10,), 2, seed=0)
    for draw, accuracy in enumerate(point.draws):
        rows = few_of(TRAIN[1], 10, draw)
        cost = linear_probe(TRAIN[0][rows], TRAIN[1][rows], *TEST, CLASSES, seed=0).cost
        scaler = StandardScaler().fit(TRAIN[0][rows])
        model = LogisticRegression(C=cost, max_iter=500).fit(scaler.transform(TRAIN[0][rows]), TRAIN[1][rows])
        assert accuracy == pytest.approx(model.score(scaler.transform(TEST[0]), TEST[1]), abs=0.015)


def test_more_labels_read_more_and_numbers_that_would_be_all_are_left_out() -> None:
    points = few_labels(*blobs(80, 1.6), *blobs(300, 1.6, 2), CLASSES, (1, 5, 20, 100), 6)
    assert [p.labels for p in points] == [1, 5, None]  # twenty a class are all of them
    assert points[0].mean < points[1].mean < points[-1].mean


def test_the_interval_joins_the_draws_and_the_judging_images() -> None:
    draws, n = [0.5, 0.6, 0.7, 0.6], 100
    mean, spread = 0.6, math.sqrt(sum((a - 0.6) ** 2 for a in draws) / 3)
    low, high = wilson_interval(60, n)
    reach = t.ppf(0.975, 3) * spread / 2
    assert mean_interval(draws, n) == pytest.approx(
        (mean - math.sqrt((mean - low) ** 2 + reach**2), mean + math.sqrt((high - mean) ** 2 + reach**2))
    )
    assert mean_interval([0.6], n) == pytest.approx((low, high))
    assert mean_interval([0.6, 0.6, 0.6], n) == pytest.approx((low, high)), "equal draws add no doubt"
    assert mean_interval([0.0, 1.0], 10)[0] == 0 and mean_interval([0.0, 1.0], 10)[1] == 1


def test_ninety_five_percent_of_the_intervals_hold_the_truth() -> None:
    """Draws whose true accuracy scatters, judged by the same images: the interval must cover the middle."""
    random = np.random.default_rng(0)
    middle, spread, n, k, rounds = 0.6, 0.05, 150, 5, 2000
    held = 0
    for _ in range(rounds):
        shared = random.binomial(n, middle) / n - middle  # these images are a little easier, or harder
        draws = np.clip(random.normal(middle, spread, k) + shared, 0, 1)
        low, high = mean_interval(draws.tolist(), n)
        held += low <= middle <= high
    assert 0.93 <= held / rounds <= 0.995


def test_a_class_with_one_image_and_one_label_a_class_are_no_error() -> None:
    x, y = TRAIN
    keep = np.flatnonzero(y != 3).tolist() + [3]
    points = few_labels(x[keep], y[keep], *TEST, CLASSES, (1, 5), 2)
    assert [p.train_n for p in points] == [4, 16, 301]
    assert all(0 < p.mean <= 1 and p.low <= p.mean <= p.high for p in points)


def test_it_tells_how_far_it_is_and_stops() -> None:
    told: list[tuple[int, int]] = []
    few_labels(*TRAIN, *TEST, CLASSES, (1, 2), 2, tell=lambda done, total: told.append((done, total)))
    assert told == [(0, 5), (1, 5), (2, 5), (3, 5)]
    with pytest.raises(Stopped):
        few_labels(*TRAIN, *TEST, CLASSES, (1, 2), 2, stop=lambda: True)
    with pytest.raises(UserError, match="at least two classes"):
        few_labels(TRAIN[0], TRAIN[1] * 0, *TEST, CLASSES, (1,), 2)
