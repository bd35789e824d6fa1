"""Figures of a map's quality against scikit-learn, SciPy, plain loops, and maps whose quality is known."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from engine.errors import UserError
from engine.projections.points import Points
from engine.projections.quality import (
    FEW,
    SAMPLE,
    among_nearest,
    kept_neighbours,
    map_quality,
    neighbourhood_hit,
    shepard_correlation,
    trust_sentence,
)
from engine.projections.ranks import nearest_rows

RNG = np.random.default_rng(0)
TURN = np.linalg.qr(RNG.standard_normal((2, 2)))[0]


def cloud(n: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def shadow(x: np.ndarray) -> np.ndarray:
    """The first two columns, with noise: a map that is neither perfect nor worthless."""
    return x[:, :2] + 0.3 * cloud(len(x), 2, seed=9)


def loop_trust(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """The formula over points without ties, rank by rank."""
    n, lost = len(x), 0
    for i in range(n):
        true = [j for j in np.argsort(((x - x[i]) ** 2).sum(1)) if j != i]
        drawn = [j for j in np.argsort(((y - y[i]) ** 2).sum(1)) if j != i]
        lost += sum(max(0, true.index(j) + 1 - k) for j in drawn[:k])
    return 1 - 2 * lost / (n * k * (2 * n - 3 * k - 1))


@pytest.mark.parametrize(("n", "width", "k"), [(60, 3, 5), (1100, 8, 10), (700, 40, 3), (40, 784, 19)])
def test_trust_and_continuity_are_scikit_learns_in_both_directions(n: int, width: int, k: int) -> None:
    x = cloud(n, width)
    found = map_quality(Points(x), shadow(x), k=k)
    assert found.trustworthiness == pytest.approx(trustworthiness(x, shadow(x), n_neighbors=k), abs=1e-6)
    assert found.continuity == pytest.approx(trustworthiness(shadow(x), x, n_neighbors=k), abs=1e-6)
    assert found.trustworthiness_half_width == found.continuity_half_width == 0
    assert (found.n_sampled, found.k) == (n, k) and not found.sampled


def test_trust_is_its_formula_written_as_loops() -> None:
    x = cloud(50, 4)
    found = map_quality(Points(x), shadow(x), k=7)
    assert found.trustworthiness == pytest.approx(loop_trust(x, shadow(x), 7), abs=1e-12)
    assert found.continuity == pytest.approx(loop_trust(shadow(x), x, 7), abs=1e-12)


def test_a_map_in_space_is_measured_too() -> None:
    x = cloud(200, 6)
    found = map_quality(Points(x), x[:, :3], k=10)
    assert found.trustworthiness == pytest.approx(trustworthiness(x, x[:, :3], n_neighbors=10), abs=1e-6)


@pytest.mark.parametrize("gap", [10, 1e3])
def test_two_tight_clusters_far_apart_lose_no_digits(gap: float) -> None:
    x = cloud(300, 20) * np.float32(0.1)
    x[150:] += gap
    y = shadow(cloud(300, 2))
    found = map_quality(Points(x), y, k=10)
    from_differences = squareform(pdist(x.astype(np.float64)))
    true = trustworthiness(from_differences, y, n_neighbors=10, metric="precomputed")
    assert found.trustworthiness == pytest.approx(true, abs=1e-6)


def test_one_wild_point_does_not_cost_the_others_their_digits() -> None:
    x = cloud(200, 20)
    tame = map_quality(Points(x), x[:, :2])
    x[0] = 1e9
    wild = map_quality(Points(x), x[:, :2])
    assert wild.trustworthiness == pytest.approx(tame.trustworthiness, abs=0.02)


@pytest.mark.parametrize("copies", [1, 2, 25])
def test_a_flat_space_agrees_with_itself_turned_mirrored_and_scaled_copies_and_all(copies: int) -> None:
    x = np.repeat(cloud(100, 2), copies, axis=0)
    for y in (x, 7.5 * x @ TURN + 3, x * [1, -1]):
        found = map_quality(Points(x), y, k=10)
        assert found.trustworthiness == found.continuity == 1
        assert found.shepard == pytest.approx(1, abs=1e-6)
        assert (kept_neighbours(Points(x), y, 10) == 10).all()


def test_a_lattice_agrees_with_itself_whoever_of_equally_far_neighbours_is_listed() -> None:
    x = np.stack(np.meshgrid(np.arange(15.0), np.arange(15.0)), -1).reshape(-1, 2)
    found = map_quality(Points(x), x, k=6)
    assert found.trustworthiness == found.continuity == 1


def test_shuffled_rows_are_chance() -> None:
    x = cloud(600, 2)
    found = map_quality(Points(x), np.random.default_rng(1).permutation(x), labels=np.arange(600) % 5)
    assert 0.45 < found.trustworthiness < 0.6 and 0.45 < found.continuity < 0.6
    assert found.shepard == pytest.approx(0, abs=0.05)
    assert found.hit == pytest.approx(found.hit_chance, abs=0.03)
    assert found.hit_chance == pytest.approx(5 * 120 * 119 / (600 * 599))


def test_a_map_of_one_spot_earns_nothing_though_points_come_class_by_class() -> None:
    x, labels = cloud(400, 5) + 5 * np.repeat(np.arange(4), 100)[:, None], np.repeat(np.arange(4), 100)
    found = map_quality(Points(x), np.zeros((400, 2)), labels, k=10)
    assert found.trustworthiness < 0.7 and found.continuity < 0.6 and found.shepard == 0
    assert found.hit is not None and found.hit < 0.5
    assert kept_neighbours(Points(x), np.zeros((400, 2)), 10).mean() < 1


def test_who_of_a_spot_is_a_neighbour_is_drawn_by_lot_not_by_row() -> None:
    labels = np.repeat([0, 1], [40, 360])
    hit, chance = neighbourhood_hit(np.zeros((400, 2)), labels, k=50)
    assert hit == pytest.approx(chance, abs=0.06)  # were the first 50 rows everybody's neighbours: 0.26


def test_equally_far_rows_count_half_as_if_drawn_by_lot() -> None:
    x = np.array([[0.0], [1], [2], [4], [8], [16]])
    y = np.array([[0.0, 0], [9, 0], [9, 0], [9, 0], [9, 0], [50, 0]])
    found = map_quality(Points(x), y, k=1)
    # The first point's neighbour ties with three false ones: 1 + 3 / 2. The second's is behind three.
    worked_out_by_hand = [2.5, 4, 2, 2, 2, 2.5]
    assert found.continuity == pytest.approx(1 - 2 * sum(r - 1 for r in worked_out_by_hand) / (6 * 1 * 8))


def test_tearing_a_pair_apart_costs_continuity_what_the_formula_says() -> None:
    x = np.stack([np.arange(100.0) ** 1.01, np.zeros(100)], 1)  # unequal steps: no ties
    y = x.copy()
    y[99] = [-50.5, 0]  # the last point is torn from its neighbour and put before the first
    found = map_quality(Points(x), y, k=1)
    assert found.continuity == pytest.approx(loop_trust(y, x, 1), abs=1e-12) and found.continuity < 1
    # Only point 99 lists a neighbour that has gone far: it now stands at rank 99 of 99.
    assert found.continuity == pytest.approx(1 - 2 * 98 / (100 * 1 * 196), abs=1e-12)


def test_a_sample_is_close_to_all_and_says_how_close() -> None:
    x = cloud(FEW + 1000, 6)
    points, y = Points(x), shadow(x)
    all_of_them, some = map_quality(points, y, exact=True), map_quality(points, y)
    assert some.sampled and some.n_sampled == SAMPLE and not all_of_them.sampled
    for figure in ("trustworthiness", "continuity"):
        width = getattr(some, figure + "_half_width")
        assert 0 < width < 0.005
        assert abs(getattr(some, figure) - getattr(all_of_them, figure)) < 2 * width
    assert map_quality(points, y) == some != map_quality(points, y, seed=1)


def test_the_interval_of_sampled_pairs_holds_the_truth_nineteen_times_of_twenty() -> None:
    x = cloud(400, 5)
    truth = spearmanr(pdist(x), pdist(shadow(x))).statistic
    found = [shepard_correlation(Points(x), shadow(x), seed) for seed in range(60)]
    assert np.mean([abs(rho - truth) <= width for rho, width, _ in found]) >= 0.87
    assert np.mean([abs(rho - truth) <= width / 4 for rho, width, _ in found]) < 0.7  # and is not too wide


def test_few_distances_are_all_compared_as_scipy_does_ties_included() -> None:
    x = np.round(cloud(120, 3))
    y = np.round(shadow(x))
    rho, width, pairs = shepard_correlation(Points(x), y)
    assert pairs == 120 * 119 // 2 and width == 0
    assert rho == pytest.approx(spearmanr(pdist(x), pdist(y)).statistic, abs=1e-9)


def test_the_shepard_correlation_of_noise_is_none_and_of_a_scaled_copy_is_one() -> None:
    x = cloud(500, 2)
    assert shepard_correlation(Points(x), cloud(500, 2, seed=5))[0] == pytest.approx(0, abs=0.03)
    assert shepard_correlation(Points(x), 1e-3 * x)[0] == pytest.approx(1, abs=1e-6)
    assert shepard_correlation(Points(np.eye(30)), cloud(30, 2))[0] == 0  # all equally far apart


def test_a_map_of_pure_classes_hits_always_whatever_has_no_label() -> None:
    labels = np.array([0, 1, 2, -1] * 20)
    y = np.where(labels[:, None] >= 0, labels[:, None] * 100, 100) + RNG.random((80, 2))
    assert neighbourhood_hit(y, labels, 10)[0] == 1
    assert neighbourhood_hit(y, np.full(80, -1)) == (None, None)
    lonely = np.where(np.arange(80) < 78, -1, np.arange(80))
    assert neighbourhood_hit(y, lonely, 10) == (0.0, 0.0)


def test_hit_is_a_count_over_the_neighbours() -> None:
    x, labels = cloud(90, 2), RNG.integers(0, 3, 90)
    shares = []
    for i in range(90):
        near = [j for j in np.argsort(((x - x[i]) ** 2).sum(1)) if j != i][:5]
        shares.append(np.mean(labels[near] == labels[i]))
    assert neighbourhood_hit(x, labels, 5)[0] == pytest.approx(np.mean(shares))
    assert map_quality(Points(x), x, k=5).hit is None


def test_kept_neighbours_are_the_common_ones_of_both_lists() -> None:
    x = cloud(300, 20)
    y, points = shadow(x), Points(x)
    near = nearest_rows(y, np.arange(300), 10)
    true = points.graph(10).index
    common = [len(set(near[i]) & set(true[i])) for i in range(300)]
    assert kept_neighbours(points, y, 10).tolist() == common
    assert 0 < np.mean(common) < 10


@pytest.mark.parametrize("width", [6, 40])
def test_the_nearest_of_some_rows_are_those_of_the_graph(width: int) -> None:
    x, rows = cloud(2300, width), np.array([0, 5, 1023, 1024, 2299])
    near = nearest_rows(x, rows, 7)
    for row, found in zip(rows, near, strict=True):
        far = ((x - x[row]) ** 2).sum(1)
        assert set(found) == set(np.argsort(far)[1:8])


def test_counts_become_sentences() -> None:
    assert trust_sentence(4, 10) == "6 of its 10 true neighbours are elsewhere on this map."
    assert trust_sentence(9, 10) == "1 of its 10 true neighbours is elsewhere on this map."
    assert trust_sentence(10, 10).startswith("All 10") and trust_sentence(10, 10).count("near it") == 1
    assert trust_sentence(0, 10) == "All 10 of its true neighbours are elsewhere on this map."
    assert "elsewhere" in trust_sentence(0, 1) and "near" in trust_sentence(1, 1)


def test_few_points_clamp_k_and_figures_become_json() -> None:
    x = cloud(5, 3)
    found = map_quality(Points(x), x[:, :2], k=10)
    assert found.k == 2 and 0 <= found.trustworthiness <= 1
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert told["hit"] is None and told["trustworthiness"] == found.trustworthiness
    assert all(value is None or type(value) in (int, float) for value in found.as_dict().values())


def test_what_is_no_map_of_these_points_is_a_sentence() -> None:
    points = Points(cloud(20, 3))
    for wrong in (cloud(19, 2), cloud(20, 4), np.zeros(20)):
        with pytest.raises(UserError, match="2 or 3 coordinates"):
            map_quality(points, wrong)
    with pytest.raises(UserError, match="no finite numbers"):
        map_quality(points, np.full((20, 2), np.nan))
    with pytest.raises(UserError, match="one label a point"):
        map_quality(points, cloud(20, 2), labels=np.zeros(19, int))
    with pytest.raises(UserError, match="at least 1"):
        map_quality(points, cloud(20, 2), k=0)


def test_memory_stays_bounded_by_the_block_not_by_the_points() -> None:
    points = Points(cloud(6000, 100))
    y = points.x[:, :2].copy()
    tracemalloc.start()
    map_quality(points, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64e6


@pytest.mark.parametrize(("n", "k"), [(30, 1), (80, 10), (12, 50)])
def test_points_among_the_nearest_are_those_that_scikit_learn_finds(n: int, k: int) -> None:
    positions, others = cloud(n, 2, seed=4), np.arange(1, n)
    fitted = NearestNeighbors(n_neighbors=min(k, (n - 1) // 2)).fit(positions[1:])
    wanted = np.isin(others - 1, fitted.kneighbors(positions[:1])[1])
    assert np.array_equal(among_nearest(positions, 0, others, k), wanted)


def test_all_that_lie_as_near_as_the_last_are_among_the_nearest() -> None:
    positions = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [5, 5], [6, 5], [7, 5]], np.float32)
    found = among_nearest(positions, 0, np.array([3, 4, 1, 2]), k=2)
    assert found.tolist() == [True, False, True, True]
