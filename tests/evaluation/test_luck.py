"""The best of several measurements, against a simulation and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from engine.evaluation.luck import best_of


@pytest.mark.parametrize(("n", "accuracy", "times"), [(10, 0.5, 3), (153, 0.955, 15), (1, 0.2, 4)])
def test_chances_agree_with_a_simulation(n: int, accuracy: float, times: int) -> None:
    random = np.random.default_rng(0)
    drawn = random.binomial(n, accuracy, (200_000, times)).max(1)
    simulated = np.bincount(drawn, minlength=n + 1) / len(drawn)
    assert best_of(n, accuracy, times) == pytest.approx(simulated, abs=0.006)


def test_one_image_that_is_never_right_in_times_measurements() -> None:
    assert best_of(1, 0.25, 4)[0] == pytest.approx(0.75**4)


def test_looking_once_is_the_binomial() -> None:
    assert best_of(2, 0.5, 1) == pytest.approx([0.25, 0.5, 0.25])


@pytest.mark.parametrize(("accuracy", "sure"), [(0.0, 0), (1.0, 5)])
def test_certainty_stays_certain(accuracy: float, sure: int) -> None:
    assert best_of(5, accuracy, 9)[sure] == 1.0


def test_more_looks_promise_more() -> None:
    means = [best_of(100, 0.8, times) @ np.arange(101) for times in (1, 5, 25)]
    assert means[0] == pytest.approx(80) and means[0] < means[1] < means[2]


@pytest.mark.parametrize("wrong", [(0, 0.5, 1), (5, 1.5, 1), (5, 0.5, 0)])
def test_impossible_questions_are_refused(wrong: tuple[int, float, int]) -> None:
    with pytest.raises(ValueError, match="n >= 1"):
        best_of(*wrong)
