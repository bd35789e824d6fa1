"""UMAP: its graph and its steps against umap-learn's own, and its maps against known shapes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.sparse.linalg import ArpackError
from sklearn.datasets import load_digits, make_blobs
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier

from engine.errors import UserError
from engine.projections import parse_projection, umap_layout
from engine.projections import umap as ours
from engine.projections.points import Neighbours, Points, nearest_of
from engine.projections.projection import Embedding, Stopped, Watch
from engine.projections.umap import UMAP, UMAPConfig
from engine.projections.umap_graph import fuzzy_graph, placing_strengths
from engine.projections.umap_layout import Curve, lay_out

X, BLOB = make_blobs(240, 8, centers=4, cluster_std=1.0, center_box=(-20, 20), random_state=0)
X = X.astype(np.float32)
FITTED, NEW = slice(0, 200), slice(200, 240)
DIGITS = load_digits().data[:400].astype(np.float32)
SHORT = UMAPConfig(epochs=30)


def fit(x: np.ndarray, config: UMAPConfig = SHORT, dimensions: int = 2, seed: int = 0) -> Embedding:
    return UMAP(config, dimensions, seed).fit(Points(x), Watch())


@pytest.fixture(scope="module")
def library() -> Any:
    """The library's own map of the digits, over exact neighbours, each point first among its own."""
    found = Points(DIGITS).graph(14)
    index = np.column_stack([np.arange(len(DIGITS)), found.index])
    distance = np.column_stack([np.zeros(len(DIGITS), np.float32), found.distance])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import umap

        method = umap.UMAP(n_epochs=200, init="pca", random_state=0, precomputed_knn=(index, distance))
        return method.fit(DIGITS)


@pytest.fixture(scope="module")
def blobs() -> tuple[UMAP, Embedding, list[float], list[np.ndarray]]:
    """A map of the first 200 points, and what was told while it was made."""
    shares: list[float] = []
    frames: list[np.ndarray] = []
    method = UMAP(UMAPConfig())
    return method, method.fit(Points(X[FITTED]), Watch(shares.append, frames.append)), shares, frames


def test_the_graph_and_the_curve_are_the_librarys(library: Any) -> None:
    graph = fuzzy_graph(Points(DIGITS).graph(14))
    assert abs(ours._pruned(graph, 200) - library.graph_).max() < 1e-4
    method = UMAP(UMAPConfig(epochs=10))
    method.fit(Points(DIGITS), Watch())
    assert method.curve.a == pytest.approx(library._a) and method.curve.b == pytest.approx(library._b)


def test_what_a_point_holds_adds_up_to_the_logarithm_of_its_neighbourhood() -> None:
    distance = np.sort(np.random.default_rng(0).uniform(1, 5, (50, 14)).astype(np.float32), axis=1)
    beyond = distance - distance[:, :1]
    one_way = fuzzy_graph(Neighbours(np.tile(np.arange(60, 74), (74, 1)), np.tile(distance[:1], (74, 1))))
    assert one_way[:60, 60:].sum(1) == pytest.approx(np.log2(15), abs=1e-4)
    strengths = placing_strengths(Neighbours(np.zeros((50, 14), np.int64), beyond))
    assert strengths[:, 1:].sum(1) == pytest.approx(np.log2(14), abs=1e-4)
    assert (strengths[:, 0] == 1).all() and (np.diff(strengths, axis=1) <= 0).all()


def test_new_points_hold_their_neighbours_as_the_library_has_it() -> None:
    from umap.umap_ import compute_membership_strengths, smooth_knn_dist

    found = nearest_of(DIGITS[:300], DIGITS[280:], 15)  # copies among them
    width, nearest = smooth_knn_dist(found.distance, 15.0, local_connectivity=0.0)
    peer = compute_membership_strengths(found.index, found.distance, width, nearest, bipartite=True)[2]
    np.testing.assert_allclose(placing_strengths(found), peer.reshape(-1, 15), atol=1e-4)


def test_copies_hold_each_other_wholly() -> None:
    graph = fuzzy_graph(Points(np.repeat(X[:20], 3, axis=0)).graph(5)).toarray()
    assert np.allclose(graph, graph.T) and graph.max() == 1 and not graph.diagonal().any()
    assert all(graph[3 * i, 3 * i + 1] == 1 for i in range(20))


@pytest.mark.parametrize("together", [True, False])
def test_the_steps_are_the_librarys(together: bool, library: Any) -> None:
    from umap.layouts import optimize_layout_euclidean

    graph = ours._pruned(library.graph_, 200)
    begin = np.random.default_rng(0).uniform(0, 10, (len(DIGITS), 2)).astype(np.float32)
    other = np.random.default_rng(1).uniform(0, 10, (len(DIGITS), 2)).astype(np.float32)
    mine, peer = begin.copy(), begin.copy()
    fixed = other.copy()
    random = np.random.RandomState(3)
    lay_out(mine, mine if together else fixed, graph, Curve(1.5, 0.9), 0.25, 5, random, lambda epoch: None)
    stream = np.random.RandomState(3).randint(-(2**31), 2**31 - 1, 3).astype(np.int64)
    every = graph.data.max() / graph.data.astype(np.float64)
    ends = (peer, peer if together else other, graph.row, graph.col)
    optimize_layout_euclidean(
        *ends, 5, len(DIGITS), every, 1.5, 0.9, stream, initial_alpha=0.25, move_other=together
    )
    np.testing.assert_allclose(mine, peer, atol=2e-3)
    assert np.abs(mine - begin).max() > 0.5
    assert np.array_equal(fixed, other)


def test_a_map_is_as_trustworthy_as_the_librarys(library: Any) -> None:
    mine = fit(DIGITS, UMAPConfig()).positions
    peer = trustworthiness(DIGITS, library.embedding_, n_neighbors=10)
    assert trustworthiness(DIGITS, mine, n_neighbors=10) > peer - 0.01


def test_well_separated_blobs_stay_apart(blobs: Any) -> None:
    positions = blobs[1].positions
    assert positions.shape == (200, 2) and positions.dtype == np.float32 and not blobs[1].notes
    assert KNeighborsClassifier(10).fit(positions, BLOB[FITTED]).score(positions, BLOB[FITTED]) == 1


def test_the_same_seed_gives_the_identical_map_and_another_seed_another() -> None:
    before = X.copy()
    for how in ("pca", "spectral"):
        config = SHORT.model_copy(update={"initialization": how})
        first = fit(X, config).positions
        assert np.array_equal(first, fit(X, config).positions)
        assert not np.array_equal(first, fit(X, config, seed=1).positions)
    assert np.array_equal(X, before)


def test_three_dimensions_keep_blobs_apart_too() -> None:
    positions = fit(X, UMAPConfig(epochs=100), dimensions=3).positions
    assert positions.shape == (240, 3) and (np.ptp(positions, axis=0) > 1).all()
    assert KNeighborsClassifier(10).fit(positions, BLOB).score(positions, BLOB) == 1


def test_a_low_min_dist_draws_clumps() -> None:
    gaps = []
    for min_dist in (0.0, 0.9):
        map_points = Points(fit(X, UMAPConfig(min_dist=min_dist)).positions)
        gaps.append(float(np.median(map_points.graph(1).distance) / np.ptp(map_points.x)))
    assert gaps[0] < 0.7 * gaps[1]


@pytest.mark.parametrize("n", [5, 6, 10, 14])
@pytest.mark.parametrize("how", ["pca", "spectral"])
def test_few_points_have_smaller_neighbourhoods_and_a_note(n: int, how: str) -> None:
    for dimensions in (2, 3):
        found = fit(X[:n], UMAPConfig(epochs=20, initialization=how), dimensions)  # type: ignore[arg-type]
        assert found.positions.shape == (n, dimensions) and np.isfinite(found.positions).all()
        assert found.notes[0] == f"Neighbourhoods of {n} instead of 15: there are no more points."


@pytest.mark.parametrize("how", ["pca", "spectral"])
def test_copies_and_nearly_identical_points_have_a_finite_map(how: str) -> None:
    alike = np.ones((60, 6), np.float32)
    alike[7] = 2
    hardly = (1 + 1e-6 * np.random.default_rng(0).normal(size=(60, 6))).astype(np.float32)
    config = UMAPConfig(epochs=20, initialization=how)  # type: ignore[arg-type]
    for x in (alike, hardly, np.repeat(X[:30], 2, axis=0), np.repeat(X[:2], 30, axis=0), X[:60, :1]):
        method = UMAP(config)
        positions = method.fit(Points(x), Watch()).positions
        assert np.isfinite(positions).all() and len(np.unique(positions, axis=0)) > 50
        assert np.isfinite(method.transform(x[:9] + np.float32(0.5))).all()


def test_a_spectrum_that_is_not_found_gives_another_start_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*args: Any, **others: Any) -> np.ndarray:
        raise ArpackError(-9999)

    monkeypatch.setattr("umap.spectral.spectral_layout", fails)
    found = fit(X, SHORT.model_copy(update={"initialization": "spectral"}))
    assert np.isfinite(found.positions).all() and "principal axes" in found.notes[0]


def test_points_closer_than_groups_may_be_is_a_sentence() -> None:
    with pytest.raises(UserError, match="min_dist must be at most spread, 0.6, got 0.9"):
        parse_projection("umap", {"min_dist": 0.9, "spread": 0.6})


def test_nothing_of_the_library_warns_anybody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(X[:8])
        fit(X, UMAPConfig(epochs=10, initialization="spectral"))


def test_progress_rises_to_1_and_the_last_frame_is_the_map(blobs: Any) -> None:
    _, found, shares, frames = blobs
    assert shares[0] == 0 and shares[-1] == 1 and len(shares) > 100
    assert all(before <= after for before, after in zip(shares, shares[1:], strict=False))
    assert len(frames) == ours.FRAMES
    assert all(frame.shape == (200, 2) and frame.dtype == np.float32 for frame in frames)
    assert np.array_equal(frames[-1], found.positions) and not np.shares_memory(frames[-1], found.positions)
    assert not np.array_equal(frames[0], frames[1])


def test_a_stop_ends_it_at_the_next_epoch() -> None:
    asked: list[bool] = []

    def stopped() -> bool:
        asked.append(len(asked) + 1 >= 30)
        return asked[-1]

    with pytest.raises(Stopped):
        UMAP(UMAPConfig()).fit(Points(X), Watch(stopped=stopped))
    assert asked.count(True) == 1 and len(asked) == 30


def test_fitted_points_are_placed_near_where_they_lie(blobs: Any) -> None:
    method, found = blobs[:2]
    placed = method.transform(X[FITTED])
    assert placed.shape == (200, 2) and placed.dtype == np.float32
    off = np.linalg.norm(placed - found.positions, axis=1)
    assert np.median(off) < 0.05 * np.ptp(found.positions, axis=0).max()


def test_new_members_are_placed_in_their_blob_the_same_way_each_time(blobs: Any) -> None:
    method, found = blobs[:2]
    before = method.positions.copy()
    placed = method.transform(X[NEW])
    assert KNeighborsClassifier(5).fit(found.positions, BLOB[FITTED]).score(placed, BLOB[NEW]) == 1
    assert np.array_equal(placed, method.transform(X[NEW]))
    assert method.transform(X[:0]).shape == (0, 2)
    assert np.array_equal(method.positions, before), "the map stays where it is"


def test_after_prewarming_nothing_is_left_to_compile() -> None:
    ours.prewarm()
    compiled = len(umap_layout.step.signatures)
    method = UMAP(UMAPConfig(epochs=10), dimensions=3)
    method.fit(Points(X), Watch())
    method.transform(X[:7])
    assert len(umap_layout.step.signatures) == compiled > 0
