"""One temperature: closed forms, a scan of all others, and the calibration error as a plain loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import UserError
from engine.evaluation.calibration import (
    COLDEST,
    HOTTEST,
    LEAST,
    calibrate,
    calibration_of,
    expected_calibration_error,
    fit_temperature,
    reliability,
    softened,
)
from engine.runs.recipe import make_recipe
from engine.runs.store import RunStore

Pair = tuple[np.ndarray, np.ndarray]


def three_of_four(n: int = 40) -> Pair:
    """Logits that say 75 % for the first class, and labels of which 75 % are that class."""
    return np.tile([np.log(3.0), 0.0], (n, 1)), (np.arange(n) % 4 == 0).astype(int)


def drawn(n: int, classes: int, sharpness: float, seed: int = 0) -> Pair:
    """Random logits, and labels drawn from the softmax of these logits over `sharpness`."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 2, (n, classes))
    p = softened(z, sharpness)
    return z, np.array([random.choice(classes, p=row) for row in p])


def nll(z: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    total = 0.0
    for row, label in zip(z, labels, strict=True):
        scaled = row / temperature
        total += np.log(np.exp(scaled - scaled.max()).sum()) + scaled.max() - scaled[label]
    return float(total / len(z))


@pytest.mark.parametrize("factor", [0.2, 1.0, 3.7, 15.0])
def test_logits_scaled_by_a_factor_give_that_temperature_back(factor: float) -> None:
    z, labels = three_of_four()
    assert fit_temperature(factor * z, labels) == pytest.approx(factor, rel=1e-9)


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 2.5])
def test_no_other_temperature_is_likelier(sharpness: float) -> None:
    z, labels = drawn(300, 6, sharpness)
    found = fit_temperature(z, labels)
    scan = [nll(z, labels, t) for t in np.geomspace(COLDEST, HOTTEST, 120)]
    assert nll(z, labels, found) <= min(scan) + 1e-9
    assert found == pytest.approx(sharpness, rel=0.25)


def test_it_stays_within_its_range() -> None:
    z, labels = three_of_four()
    assert fit_temperature(z, 1 - labels) == HOTTEST, "wrong three times of four: no confidence is the best"
    sure = np.tile([1.0, 0.0], (40, 1))
    assert fit_temperature(1e-3 * sure, np.zeros(40, int)) == COLDEST
    far = np.tile([500.0, 0.0], (40, 1))
    assert COLDEST <= fit_temperature(far, labels) <= HOTTEST, "logits that saturate do not derail it"


def test_softening_keeps_the_order_and_sums_to_one() -> None:
    z = np.random.default_rng(1).normal(0, 30, (50, 7))
    for temperature in (0.05, 1.0, 20.0):
        p = softened(z, temperature)
        assert p.sum(1) == pytest.approx(np.ones(50)) and np.isfinite(p).all()
        assert (p.argmax(1) == z.argmax(1)).all()
    assert softened(np.log([[0.2, 0.8]]), 1.0) == pytest.approx(np.array([[0.2, 0.8]]))
    assert softened(np.log([[0.2, 0.8]]), 0.5)[0, 1] == pytest.approx(0.64 / 0.68)


def test_the_calibration_error_is_the_one_of_a_plain_loop() -> None:
    z, labels = drawn(500, 4, 2.0)
    p = softened(z, 1.0)
    total, bins = 0.0, 15
    for k in range(bins):
        inside = [i for i in range(500) if k / bins < p[i].max() <= (k + 1) / bins]
        if inside:
            right = np.mean([p[i].argmax() == labels[i] for i in inside])
            total += len(inside) / 500 * abs(right - np.mean([p[i].max() for i in inside]))
    found = reliability(p, labels)
    assert expected_calibration_error(found) == pytest.approx(total, rel=1e-12)
    assert sum(one.n for one in found) == 500


def test_the_error_of_known_answers() -> None:
    p = np.tile([0.9, 0.1], (20, 1))
    half_right = np.arange(20) % 2
    assert expected_calibration_error(reliability(p, half_right)) == pytest.approx(0.4)
    nine_of_ten = (np.arange(20) % 10 == 0).astype(int)
    assert expected_calibration_error(reliability(p, nine_of_ten)) == pytest.approx(0, abs=1e-12)


def test_a_confidence_on_a_border_belongs_to_the_lower_bin() -> None:
    (low, high) = reliability(np.array([[0.5, 0.5], [0.51, 0.49]]), np.zeros(2, int), bins=2)
    assert (low.high, low.n, high.low, high.n) == (0.5, 1, 0.5, 1)
    (last,) = reliability(np.array([[1.0, 0.0]]), np.zeros(1, int))
    assert (last.high, last.accuracy) == (1.0, 1.0)


def test_too_few_images_and_a_perfect_split_are_left_uncalibrated_and_say_so() -> None:
    z, labels = drawn(LEAST - 1, 3, 1.0)
    few = calibrate((z, labels))
    assert not few.fitted and few.temperature == 1 and few.before == few.after
    assert f"only {LEAST - 1} of the {LEAST}" in few.problem
    z, labels = drawn(LEAST, 3, 1.0)
    assert calibrate((z, labels)).fitted
    perfect = calibrate((z, z.argmax(1)))
    assert not perfect.fitted and perfect.temperature == 1 and "right" in perfect.problem
    none = calibrate((z[:0], labels[:0]))
    assert not none.fitted and none.before is None and none.measured == 0


def test_the_error_is_measured_on_test_images_where_there_are_enough() -> None:
    val, test = drawn(2000, 5, 3.0), drawn(1000, 5, 3.0, seed=1)
    found = calibrate(val, test)
    assert (found.split, found.measured, found.n) == ("test", 1000, 2000)
    assert found.before is not None and found.after is not None and found.after < found.before / 3
    few = calibrate(val, (test[0][: LEAST - 1], test[1][: LEAST - 1]))
    assert (few.split, few.measured) == ("val", 2000)


def test_a_run_is_calibrated_from_the_predictions_it_kept(workspace: Path) -> None:
    store = RunStore()
    run = store.create(make_recipe({"dataset": "gone", "method": "classification", "image_size": 32})).id
    with pytest.raises(UserError, match="kept no predictions"):
        calibration_of(run)
    (z, labels), (other, truth) = drawn(200, 4, 2.0), drawn(100, 4, 2.0, seed=2)
    store.writer(run).predictions(
        index=np.arange(300),
        split=np.repeat(np.array([1, 2], np.uint8), [200, 100]),
        label=np.concatenate([labels, truth]),
        probabilities=softened(np.concatenate([z, other]), 1.0).astype(np.float32),
    )
    found = calibration_of(run)
    assert found.temperature == pytest.approx(fit_temperature(z, labels), rel=1e-4)
    assert (found.n, found.split, found.measured) == (200, "test", 100)
