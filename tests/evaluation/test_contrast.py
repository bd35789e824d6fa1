"""The losses against their papers' formulas written as loops, closed forms, symmetries and differences."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from engine.errors import UserError
from engine.evaluation.contrast import (
    COLDEST,
    HOTTEST,
    PRESETS,
    arrange,
    arrange_queue,
    best_on_a_circle,
    circle,
    contrast,
    on_the_circle,
)

A = np.array([[1, 2, 3, 4], [-1, 0, 2, 1], [0.5, -1.5, 1, 0], [2, 1, -1, 0.5]])
B = np.array([[1, 2, 2, 4], [-1, 1, 2, 1], [0, -1, 1, 0.5], [2, 0, -1, 1]])
Z = np.vstack([A, B])
QUEUE = np.vstack([np.eye(4), [1, 1, 1, 1], [1, -1, 1, -1]])


def random_views(n: int = 5, width: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(2 * n, width))


def cosine(u: np.ndarray, v: np.ndarray) -> float:
    return float(u @ v / math.sqrt(u @ u) / math.sqrt(v @ v))


def nt_xent_in_loops(z: np.ndarray, tau: float) -> list[float]:
    n = len(z) // 2
    losses = []
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        below = sum(math.exp(cosine(z[i], z[k]) / tau) for k in range(2 * n) if k != i)
        losses.append(-math.log(math.exp(cosine(z[i], z[j]) / tau) / below))
    return losses


def info_nce_in_loops(z: np.ndarray, queue: np.ndarray, tau: float) -> list[float]:
    n = len(z) // 2
    losses = []
    for i in range(n):
        above = math.exp(cosine(z[i], z[i + n]) / tau)
        losses.append(-math.log(above / (above + sum(math.exp(cosine(z[i], k) / tau) for k in queue))))
    return losses


@pytest.mark.parametrize(
    ("tau", "expected"), [(0.07, 0.036480), (0.1, 0.095953), (0.5, 0.934928), (1, 1.352992)]
)
def test_nt_xent_of_known_tensors(tau: float, expected: float) -> None:  # T1
    assert contrast(Z, tau).mean == pytest.approx(expected, abs=1e-6)


def test_each_anchor_has_its_own_loss_and_the_loss_is_their_mean() -> None:  # T1
    found = contrast(Z, 0.5)
    known = [1.113072, 1.136193, 0.735336, 0.617996, 1.055442, 1.083715, 1.045837, 0.691834]
    np.testing.assert_allclose(found.losses, known, atol=1e-6)
    assert found.mean == pytest.approx(np.mean(found.losses)) != pytest.approx(1.869856)


@pytest.mark.parametrize("tau", [COLDEST, 0.1, 0.5, HOTTEST])
@pytest.mark.parametrize("n", [2, 3, 8])
def test_the_losses_are_the_papers_formulas(n: int, tau: float) -> None:
    z, queue = random_views(n, seed=n), random_views(4, seed=n + 1)
    np.testing.assert_allclose(contrast(z, tau).losses, nt_xent_in_loops(z, tau), rtol=1e-9, atol=1e-12)
    found = contrast(z, tau, "info_nce", queue)
    np.testing.assert_allclose(found.losses, info_nce_in_loops(z, queue, tau), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("tau", "expected"), [(0.1, 0.000272), (0.5, 0.594438), (1, 1.165422)])
def test_same_views_of_orthogonal_images(tau: float, expected: float) -> None:  # T2
    found = contrast(np.vstack([np.eye(4)] * 2), tau).mean
    assert found == pytest.approx(expected, abs=1e-6)
    assert found == pytest.approx(-1 / tau + math.log(math.exp(1 / tau) + 6))


@pytest.mark.parametrize(("n", "expected"), [(2, 1.098612), (4, 1.945910), (32, 4.143135), (256, 6.236370)])
def test_collapse_and_orthogonality_cost_the_same_and_only_the_spread_tells(
    n: int, expected: float
) -> None:  # T3
    collapsed = contrast(np.ones((2 * n, 3)), 0.5)
    apart = contrast(np.eye(2 * n), 0.5)
    for found in (collapsed, apart):
        assert found.mean == pytest.approx(expected, abs=1e-6) == found.chance
    assert collapsed.spread == pytest.approx(0, abs=1e-12) and apart.spread > 0.8


def simplex(n: int) -> np.ndarray:
    return np.eye(n) - 1 / n


@pytest.mark.parametrize(("n", "expected"), [(2, 0.035976), (4, 0.348472)])
def test_a_simplex_reaches_the_floor(n: int, expected: float) -> None:  # T4
    found = contrast(np.vstack([simplex(n)] * 2), 0.5)
    assert found.mean == pytest.approx(expected, abs=1e-6)
    assert found.mean == pytest.approx(found.floor, abs=1e-12)


@pytest.mark.parametrize("tau", [COLDEST, 0.1, 0.5, HOTTEST])
def test_nothing_goes_below_the_floor(tau: float) -> None:  # T4
    for seed in range(40):
        z = np.vstack([simplex(4)] * 2) + random_views(4, 4, seed) * 10.0 ** -(seed % 8)
        found = contrast(z, tau)
        assert found.mean >= found.floor * (1 - 1e-9)
        for queue in (None, -z[:1], random_views(3, 4, seed)):
            found = contrast(z, tau, "info_nce", queue)
            assert found.mean >= found.floor * (1 - 1e-9)


@pytest.mark.parametrize("tau", [0.05, 0.5, HOTTEST])
@pytest.mark.parametrize("n", [3, 5, 8])
def test_going_downhill_on_the_circle_ends_no_lower_than_spread_evenly(n: int, tau: float) -> None:
    from scipy.optimize import minimize

    def value(angles: np.ndarray) -> tuple[float, np.ndarray]:
        z, found = circle(angles), contrast(circle(angles), tau)
        pull = (found.gradient + found.gradient.T) / (2 * n) @ z
        return found.mean, pull[:, 1] * z[:, 0] - pull[:, 0] * z[:, 1]

    best = best_on_a_circle(n, tau)
    ends = [minimize(value, arrange("Random", n, seed), jac=True, method="L-BFGS-B").fun for seed in range(4)]
    assert min(ends) >= best * (1 - 1e-9)
    assert min(ends) == pytest.approx(best, rel=0.02, abs=1e-4)
    assert best >= contrast(circle(arrange("Random", n, 0)), tau).floor


def test_what_leaves_the_loss_alone_and_what_does_not() -> None:  # T5
    random = np.random.default_rng(3)
    loss = contrast(Z, 0.5).mean
    rotation, _ = np.linalg.qr(random.normal(size=(4, 4)))
    order = np.array([2, 0, 3, 1])
    same = [
        Z * random.uniform(0.1, 9, (8, 1)),
        Z @ rotation,
        np.vstack([B, A]),
        np.vstack([A[order], B[order]]),
    ]
    for z in same:
        assert contrast(z, 0.5).mean == pytest.approx(loss, abs=1e-12)
    assert contrast(np.vstack([A, B[order]]), 0.5).mean > loss + 0.1


def test_the_gradient_on_similarities() -> None:  # T6
    found = contrast(Z, 0.5)
    known = [0, 0.174954, 0.050424, 0.070885, 0.328548, 0.208727, 0.094934, 0.071528]
    np.testing.assert_allclose(found.probabilities[0], known, atol=1e-6)
    assert found.gradient[0, 4] == pytest.approx(-1.342904, abs=1e-6)
    rows = np.arange(8)
    of_truth = found.probabilities[rows, found.positive]
    np.testing.assert_allclose(found.gradient[rows, found.positive], -(1 - of_truth) / 0.5, atol=1e-12)
    pushed = found.gradient.copy()
    pushed[rows, found.positive] = 0
    np.testing.assert_allclose(pushed, found.shares * pushed.sum(1, keepdims=True), atol=1e-12)
    np.testing.assert_allclose(found.gradient.sum(1), 0, atol=1e-12)
    np.testing.assert_allclose(found.shares.sum(1), 1, atol=1e-12)


def loss_of(similarities: np.ndarray, positive: np.ndarray, tau: float, itself: bool) -> np.ndarray:
    """Losses of a table of similarities, for differences."""
    logits = similarities / tau
    if itself:
        np.fill_diagonal(logits, -np.inf)
    rows = np.arange(len(logits))
    return np.log(np.exp(logits).sum(1)) - logits[rows, positive]


@pytest.mark.parametrize(("loss", "queue"), [("nt_xent", None), ("info_nce", QUEUE), ("info_nce", None)])
def test_the_gradient_is_what_finite_differences_say(loss: str, queue: np.ndarray | None) -> None:  # T6
    tau, step = 0.3, 1e-6
    found = contrast(Z, tau, loss, queue)
    for i, j in itertools.product(*(range(size) for size in found.similarities.shape)):
        moved = []
        for sign in (1, -1):
            similarities = found.similarities.copy()
            similarities[i, j] += sign * step
            moved.append(loss_of(similarities, found.positive, tau, loss == "nt_xent")[i])
        assert found.gradient[i, j] == pytest.approx((moved[0] - moved[1]) / (2 * step), abs=1e-7)


def test_the_gradient_on_vectors_is_at_right_angles_to_them() -> None:  # T6
    step = 1e-6
    for i in range(8):
        slope = np.zeros(4)
        for k in range(4):
            up, down = Z.copy(), Z.copy()
            up[i, k] += step
            down[i, k] -= step
            slope[k] = (contrast(up, 0.5).mean - contrast(down, 0.5).mean) / (2 * step)
        assert slope @ Z[i] == pytest.approx(0, abs=1e-7) and np.abs(slope).max() > 1e-3


def test_an_anchor_is_not_its_own_candidate() -> None:  # T7
    found = contrast(Z, COLDEST)  # e^(1 / 0.02) of the anchor itself would drown the rest
    assert not np.diag(found.probabilities).any() and not np.diag(found.gradient).any()
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(found.losses, nt_xent_in_loops(Z, COLDEST), atol=1e-9)
    unlike = found.similarities.copy() + 1e6 * np.eye(8)
    np.testing.assert_allclose(loss_of(unlike, found.positive, COLDEST, True), found.losses, atol=1e-9)


@pytest.mark.parametrize(
    ("tau", "expected"), [(0.07, 0.247248), (0.1, 0.363496), (0.2, 0.645220), (1, 1.461609)]
)
def test_info_nce_with_a_queue(tau: float, expected: float) -> None:  # T8
    found = contrast(Z, tau, "info_nce", QUEUE)
    assert found.mean == pytest.approx(expected, abs=1e-6)
    assert found.similarities.shape == found.probabilities.shape == found.gradient.shape == (4, 7)
    assert not found.positive.any()


def test_chance_of_a_queue_is_log_of_its_keys_and_one() -> None:  # T8
    apart = np.eye(14)
    found = contrast(apart[:8], 0.5, "info_nce", apart[8:])
    assert found.mean == pytest.approx(1.945910, abs=1e-6) == found.chance == pytest.approx(math.log(7))


def test_opposite_keys_reach_the_floor_of_a_queue() -> None:  # T8
    z, queue = np.tile([1.0, 0], (4, 1)), np.tile([-1.0, 0], (6, 1))
    found = contrast(z, 0.2, "info_nce", queue)
    assert found.mean == pytest.approx(found.floor) == pytest.approx(math.log(1 + 6 * math.exp(-10)))


def test_products_without_normalising_within_the_batch() -> None:  # T10
    found = contrast(Z, 1, "info_nce", normalise=False)
    assert found.mean == pytest.approx(0.429384, abs=1e-6)
    assert found.similarities.shape == (4, 4) and found.chance == pytest.approx(math.log(4))
    np.testing.assert_array_equal(found.positive, np.arange(4))


def test_half_the_temperature_gives_more_of_the_push_to_the_hardest_negative() -> None:
    for seed in range(5):
        z = circle(arrange("Random", 8, seed))
        warm, cold = contrast(z, 0.5), contrast(z, 0.25)
        hardest = warm.shares.argmax(1)
        rows = np.arange(16)
        np.testing.assert_array_equal(hardest, cold.shares.argmax(1))
        assert (cold.shares[rows, hardest] > warm.shares[rows, hardest]).all()


@pytest.mark.parametrize("tau", [COLDEST, HOTTEST])
@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_are_pairs_on_the_circle_and_stay_finite(name: str, tau: float) -> None:
    for n in (2, 3, 16):
        angles = arrange(name, n, 1)
        assert angles.shape == (2 * n,) and (np.abs(angles) <= np.pi).all()
        np.testing.assert_allclose(np.linalg.norm(circle(angles), axis=1), 1)
        for found in (
            contrast(circle(angles), tau),
            contrast(circle(angles), tau, "info_nce", circle(arrange_queue(name, 5, 1))),
        ):
            arrays = (found.probabilities, found.gradient, found.losses, found.shares)
            assert all(np.isfinite(array).all() for array in arrays)


def test_presets_show_what_their_names_say() -> None:
    losses = {name: contrast(circle(arrange(name, 6, 0)), 0.5) for name in PRESETS}
    chance = losses["Random"].chance
    assert losses["Collapsed"].mean == pytest.approx(chance)
    assert losses["Collapsed"].spread == pytest.approx(0, abs=1e-12)
    assert losses["Spread evenly"].mean == min(found.mean for found in losses.values())
    assert losses["Views apart"].mean > chance > losses["Random"].mean


def test_a_seed_repeats_points_and_the_spread_is_that_of_the_views() -> None:
    np.testing.assert_array_equal(on_the_circle(7, 5, 0.2), on_the_circle(7, 5, 0.2))
    assert not np.array_equal(on_the_circle(7, 5, 0.2), on_the_circle(7, 6, 0.2))
    together = on_the_circle(7, 5, 0)
    np.testing.assert_allclose(together[:7], together[7:])


WRONG: list[tuple[Any, dict[str, Any]]] = [
    (np.full((4, 2), np.nan), {}),
    (np.full((4, 2), np.inf), {}),
    (np.full((4, 2), 1e300), {}),
    (np.zeros((4, 2)), {}),
    (np.ones((5, 2)), {}),
    (np.ones((2, 2)), {}),
    (np.ones((2000, 2)), {}),
    (np.ones(8), {}),
    (np.ones((0, 2)), {}),
    ([["a", "b"]] * 4, {}),
    (Z, {"temperature": 0}),
    (Z, {"temperature": -1}),
    (Z, {"temperature": 3}),
    (Z, {"temperature": math.nan}),
    (Z, {"loss": "barlow"}),
    (Z, {"queue": QUEUE}),
    (Z, {"loss": "info_nce", "queue": np.ones((3, 5))}),
    (Z, {"loss": "info_nce", "queue": np.zeros((3, 4))}),
    (Z, {"loss": "info_nce", "queue": np.ones((0, 4))}),
]


@pytest.mark.parametrize(("z", "given"), WRONG)
def test_what_cannot_be_compared_is_refused_in_a_sentence(z: Any, given: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^[A-Z][^\n]*\.$"):
        contrast(z, **{"temperature": 0.5, **given})


@pytest.mark.parametrize("call", [
    lambda: on_the_circle(1, 0), lambda: on_the_circle(17, 0), lambda: arrange("Square", 4, 0),
    lambda: arrange("Collapsed", 1, 0), lambda: circle(np.array([0, np.nan])),
    lambda: circle(np.ones((2, 2))), lambda: on_the_circle(4, 0, np.nan), lambda: on_the_circle(4, 0, -1),
])  # fmt: skip
def test_what_cannot_be_arranged_is_refused_in_a_sentence(call: Any) -> None:
    with pytest.raises(UserError, match=r"^[A-Z][^\n]*\.$"):
        call()


def test_contrast_needs_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, engine.evaluation.contrast; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
