"""Figures of a representation's health against closed forms and loops, and verdicts on known runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.errors import UserError
from engine.evaluation.health import (
    alignment,
    effective_rank,
    participation_ratio,
    uniformity,
    verdict,
    z_std,
)

A = np.array([[1, 2, 3, 4], [-1, 0, 2, 1], [0.5, -1.5, 1, 0], [2, 1, -1, 0.5]])
B = np.array([[1, 2, 2, 4], [-1, 1, 2, 1], [0, -1, 1, 0.5], [2, 0, -1, 1]])
RNG = np.random.default_rng(0)
CLOUD = RNG.standard_normal((4096, 64))
NEARLY_CONSTANT = 1 + 1e-4 * RNG.standard_normal((600, 64))
TURN = np.linalg.qr(RNG.standard_normal((64, 64)))[0]
FIVE = np.repeat(np.concatenate([np.eye(64)[:5], -np.eye(64)[:5]]), 3, axis=0)


def loop_uniformity(z: np.ndarray, t: float = 2) -> float:
    unit = [row / math.sqrt(sum(v * v for v in row)) for row in z]
    pairs = [(unit[i], unit[j]) for i in range(len(z)) for j in range(i)]
    return math.log(sum(math.exp(-t * float(((x - y) ** 2).sum())) for x, y in pairs) / len(pairs))


def test_spread_is_zero_for_constants_and_one_for_an_even_cloud() -> None:
    assert z_std(np.full((50, 8), 3.0)) == pytest.approx(0, abs=1e-12)
    assert z_std(CLOUD) / 8 == pytest.approx(0.125, abs=0.001)
    assert z_std(CLOUD * 1e6) == pytest.approx(z_std(CLOUD))


def test_effective_rank_counts_directions() -> None:
    line = np.outer(np.linspace(-1, 1, 40), np.arange(1, 9))
    assert effective_rank(line) == pytest.approx(1)
    assert effective_rank(FIVE) == pytest.approx(5)
    assert effective_rank(CLOUD) == pytest.approx(63.87, abs=0.01)
    assert effective_rank(CLOUD, normalise=False) == pytest.approx(63.87, abs=0.01)
    assert effective_rank(np.full((30, 4), 0.1, np.float32)) == 0


@pytest.mark.parametrize("shape", [(90, 20), (20, 90)])
def test_rank_is_its_formula_on_singular_values(shape: tuple[int, int]) -> None:
    z = RNG.standard_normal(shape) * np.geomspace(1, 1e-3, shape[1])
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    values = np.linalg.svd(unit - unit.mean(0), compute_uv=False)[: min(shape[0] - 1, shape[1])]
    entropy = -sum(v / values.sum() * math.log(v / values.sum()) for v in values)
    assert effective_rank(z) == pytest.approx(math.exp(entropy), rel=1e-6)
    ratio = (values**2).sum() ** 2 / (values**4).sum()
    assert participation_ratio(z) == pytest.approx(ratio, rel=1e-9)


def test_participation_ratio_counts_directions() -> None:
    line = np.outer(np.linspace(-1, 1, 40), np.arange(1, 9))
    assert participation_ratio(line) == pytest.approx(1)
    assert participation_ratio(FIVE) == pytest.approx(5)
    assert participation_ratio(CLOUD) == pytest.approx(63.0, abs=0.05)
    assert participation_ratio(np.ones((30, 4))) == 0


@pytest.mark.parametrize("figure", [effective_rank, participation_ratio])
def test_rank_does_not_see_scale_rotation_or_translation(figure) -> None:  # type: ignore[no-untyped-def]
    z = CLOUD[:300] * np.linspace(0.1, 2, 64)
    known = figure(z, normalise=False)
    for moved in (z * 7.5, z @ TURN, z + 100 * TURN[0]):
        assert figure(moved, normalise=False) == pytest.approx(known, rel=1e-9)
    assert figure(z * 7.5 @ TURN) == pytest.approx(figure(z), rel=1e-9)


def test_alignment_has_its_known_values() -> None:
    assert alignment(A, A) == 0
    assert alignment(A, -A) == pytest.approx(4)
    assert alignment(A, B) == pytest.approx(0.149631, abs=1e-6)
    assert alignment(A, -A, alpha=1) == pytest.approx(2)
    assert alignment(A * 3, B * 0.2) == pytest.approx(alignment(A, B))


def test_uniformity_has_its_known_values() -> None:
    assert uniformity(A) == pytest.approx(-2.685685, abs=1e-6)
    assert uniformity(np.ones((9, 3))) == pytest.approx(0, abs=1e-12)
    assert uniformity(np.array([[1.0, 2], [-1, -2]])) == pytest.approx(-8)
    assert uniformity(np.eye(4)) == pytest.approx(-4)
    assert uniformity(CLOUD[:600]) == pytest.approx(-3.87, abs=0.02)


def test_uniformity_is_its_formula_and_chunks_do_not_show() -> None:
    z = RNG.standard_normal((60, 5)) + 0.5
    assert uniformity(z, t=1.3) == pytest.approx(loop_uniformity(z, t=1.3), rel=1e-12)
    twice = np.concatenate([CLOUD[:700, :3]] * 2)  # longer than a chunk
    unit = twice / np.linalg.norm(twice, axis=1, keepdims=True)
    kernel = np.exp(-2 * ((unit[:, None] - unit[None]) ** 2).sum(2))
    n = len(twice)
    assert uniformity(twice) == pytest.approx(math.log((kernel.sum() - n) / (n * (n - 1))), rel=1e-9)


def test_a_row_of_zeros_is_no_error_and_too_little_is_a_sentence() -> None:
    assert math.isfinite(z_std(np.array([[0.0, 0], [1, 0], [0, 1]])))
    for figure in (z_std, effective_rank, uniformity):
        with pytest.raises(UserError, match="at least 2 images"):
            figure(np.ones((1, 4)))
        with pytest.raises(UserError, match="no finite numbers"):
            figure(np.array([[1.0, np.nan], [0, 1]]))
    with pytest.raises(UserError, match="both views"):
        alignment(A, B[:2])


def figures(spread: float, rank: float = 25.0) -> dict[str, float]:
    return {"z_std": spread, "effective_rank": rank}


def measured(z: np.ndarray) -> dict[str, float]:
    return {"z_std": z_std(z), "effective_rank": effective_rank(z)}


def test_complete_collapse_is_seen_although_its_rank_is_high() -> None:
    now = measured(NEARLY_CONSTANT)
    assert now["z_std"] < 0.001 and now["effective_rank"] > 50
    assert verdict(now, [figures(0.178, 39.7)], 64).state == "collapsed"
    assert verdict(now, [now, now], 64).state == "collapsed", "staying there counts as well"


def test_random_weights_are_not_called_collapsed() -> None:
    for spread in (0.178, 0.03):
        assert verdict(figures(spread), [], 64).state == "starting"
    assert verdict(figures(0.08), [figures(0.04), figures(0.05)], 64).state == "starting", "it rises"


# end of each run as measured on digits with d = 64, from a random start of .178 and 39.7
@pytest.mark.parametrize(
    ("spread", "rank", "state"),
    [
        (0.98, 15.8, "healthy"),  # SimCLR
        (0.87, 25, "healthy"),  # BYOL
        (0.15, 26, "shrinking"),  # BYOL without predictor
        (0.03, 55.8, "collapsed"),  # neither moving average nor predictor
        (0.004, 23, "collapsed"),  # BYOL without batch normalisation
        (0.9, 5, "shrinking"),  # dimensional collapse
    ],
)
def test_known_runs_get_their_verdict(spread: float, rank: float, state: str) -> None:
    path = [figures(float(s)) for s in np.geomspace(0.178, spread, 20)] + [figures(spread)] * 5
    found = verdict(figures(spread, rank), path, 64)
    assert found.state == state
    assert 20 < len(found.words) < 240 and found.words.endswith(".")


def test_noise_around_collapse_does_not_hide_it() -> None:
    random = np.random.default_rng(1)
    path = [figures(0.03 * float(1 + 0.04 * random.standard_normal())) for _ in range(40)]
    assert {verdict(path[i], path[:i], 64).state for i in range(5, 40)} == {"collapsed"}


def test_a_run_that_spreads_out_is_never_called_ill() -> None:
    path = [figures(float(s)) for s in np.geomspace(0.178, 0.9, 40)]
    states = [verdict(path[i], path[:i], 64).state for i in range(40)]
    assert set(states) == {"starting", "healthy"} and states[-1] == "healthy"


def test_missing_and_broken_figures_are_handled() -> None:
    assert verdict({"z_std": math.nan}, [figures(0.5)], 64).state == "collapsed"
    assert verdict({"z_std": 0.9}, [{}, {"z_std": math.nan}, figures(0.9)], 64).state == "healthy"
