"""t-SNE: its gradient against plain loops and slopes, its maps against scikit-learn's and known shapes."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import ArpackError
from sklearn.datasets import load_digits, make_blobs
from sklearn.manifold import TSNE as Peer
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier

from engine.projections import tsne
from engine.projections.points import Points
from engine.projections.projection import CannotProject, Embedding, Stopped, Watch
from engine.projections.tsne import TSNE, TSNEConfig
from engine.projections.tsne_forces import exact_gradient

X, BLOB = make_blobs(240, 8, centers=4, cluster_std=1.0, center_box=(-20, 20), random_state=0)
X = X.astype(np.float32)
FITTED, NEW = slice(0, 200), slice(200, 240)
SHORT = TSNEConfig(iterations=100, early_iterations=50)


def fit(x: np.ndarray, config: TSNEConfig = SHORT, dimensions: int = 2, seed: int = 0) -> Embedding:
    return TSNE(config, dimensions, seed).fit(Points(x), Watch())


def affinities(n: int, seed: int = 0) -> np.ndarray:
    """(n, n) symmetric, half of them 0, in all 1."""
    p = np.random.default_rng(seed).random((n, n)) * (np.random.default_rng(seed + 1).random((n, n)) < 0.5)
    p = p + p.T
    np.fill_diagonal(p, 0)
    return p / p.sum()


def loop_divergence(p: np.ndarray, y: np.ndarray) -> float:
    n = len(y)
    w = [[0.0 if i == j else 1 / (1 + float(((y[i] - y[j]) ** 2).sum())) for j in range(n)] for i in range(n)]
    total = sum(map(sum, w))
    pairs = [(i, j) for i in range(n) for j in range(n) if p[i, j] > 0]
    return sum(p[i, j] * np.log(p[i, j] / (w[i][j] / total)) for i, j in pairs)


def loop_gradient(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    n = len(y)
    w = np.array(
        [[0.0 if i == j else 1 / (1 + ((y[i] - y[j]) ** 2).sum()) for j in range(n)] for i in range(n)]
    )
    q = w / w.sum()
    return np.array([sum((p[i, j] - q[i, j]) * w[i, j] * (y[i] - y[j]) for j in range(n)) for i in range(n)])


@pytest.fixture(scope="module")
def blobs() -> tuple[TSNE, Embedding, list[float], list[np.ndarray]]:
    """A map of the first 200 points, and what was told while it was made."""
    shares: list[float] = []
    frames: list[np.ndarray] = []
    method = TSNE(TSNEConfig())
    return method, method.fit(Points(X[FITTED]), Watch(shares.append, frames.append)), shares, frames


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_gradient_is_its_formula_in_loops(dimensions: int) -> None:
    p, y = affinities(23), np.random.default_rng(3).normal(size=(23, dimensions)) * 3
    error, gradient = exact_gradient(y, csr_matrix(p), should_eval_error=True)
    assert gradient.shape == y.shape and gradient.dtype == np.float64 and gradient.flags.c_contiguous
    np.testing.assert_allclose(gradient, loop_gradient(p, y), rtol=1e-4, atol=1e-7)
    assert error == pytest.approx(loop_divergence(p, y), rel=1e-5)


def test_the_gradient_is_a_quarter_of_the_divergences_slope() -> None:
    p, y = affinities(12), np.random.default_rng(4).normal(size=(12, 2))
    _, gradient = exact_gradient(y, csr_matrix(p))
    for i, d in ((0, 0), (5, 1), (11, 0)):
        step = np.zeros_like(y)
        step[i, d] = 1e-5
        slope = (loop_divergence(p, y + step) - loop_divergence(p, y - step)) / 2e-5
        assert 4 * gradient[i, d] == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_tree_that_skips_nothing_gives_the_same_gradient(dimensions: int) -> None:
    from openTSNE.tsne import kl_divergence_bh

    p, y = csr_matrix(affinities(150)), np.random.default_rng(5).normal(size=(150, dimensions)) * 5
    error, gradient = exact_gradient(y, p, should_eval_error=True)
    peer_error, peer = kl_divergence_bh(y, p, dof=1, bh_params={"theta": 0}, should_eval_error=True)
    np.testing.assert_allclose(gradient, peer, rtol=1e-3, atol=1e-6)
    assert error == pytest.approx(peer_error, rel=1e-5)


def test_well_separated_blobs_stay_apart(blobs: Any) -> None:
    positions = blobs[1].positions
    assert positions.shape == (200, 2) and positions.dtype == np.float32 and not blobs[1].notes
    assert KNeighborsClassifier(10).fit(positions, BLOB[FITTED]).score(positions, BLOB[FITTED]) == 1


def test_the_divergence_told_is_that_of_the_map(blobs: Any) -> None:
    method, found = blobs[:2]
    p = method.fitted.affinities.P.toarray()
    assert p.sum() == pytest.approx(1)
    assert found.facts["kl_divergence"] == pytest.approx(loop_divergence(p, found.positions), rel=1e-3)


def test_a_map_is_as_trustworthy_as_scikit_learns() -> None:
    x = load_digits().data[:450]
    peer = Peer(perplexity=30, init="pca", random_state=0).fit_transform(x)
    ours = fit(x, TSNEConfig()).positions
    assert trustworthiness(x, ours, n_neighbors=10) > trustworthiness(x, peer, n_neighbors=10) - 0.02


def test_the_same_seed_gives_the_identical_map_and_another_seed_another() -> None:
    before = X.copy()
    for how in ("pca", "random", "spectral"):
        config = SHORT.model_copy(update={"initialization": how})
        first = fit(X[:100], config).positions
        assert np.array_equal(first, fit(X[:100], config).positions)
        assert not np.array_equal(first, fit(X[:100], config, seed=1).positions)
    assert np.array_equal(X, before)


def test_three_dimensions_keep_blobs_apart_too() -> None:
    positions = fit(X[:120], dimensions=3).positions
    assert positions.shape == (120, 3) and (np.ptp(positions, axis=0) > 1).all()
    assert KNeighborsClassifier(10).fit(positions, BLOB[:120]).score(positions, BLOB[:120]) == 1


@pytest.mark.parametrize("dimensions", [2, 3])
def test_many_points_are_approximated_as_well(dimensions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, config = load_digits().data[:150], SHORT.model_copy(update={"perplexity": 10.0})
    exact = fit(x, config, dimensions)
    monkeypatch.setattr(tsne, "EXACT_UP_TO", 100)
    close = fit(x, config, dimensions)
    assert not np.array_equal(exact.positions, close.positions)
    assert exact.facts and close.facts
    assert close.facts["kl_divergence"] <= 1.1 * exact.facts["kl_divergence"]  # each ends in its own hollow


def test_a_perplexity_beyond_the_points_is_refused_before_the_library_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    with pytest.raises(
        CannotProject, match="perplexity of 40 needs more than 40 points, here are 40.*at most 13"
    ):
        fit(X[:40], TSNEConfig(perplexity=40))


@pytest.mark.parametrize("n", [5, 6, 20, 60])
def test_the_usual_perplexity_gives_way_to_few_points(n: int) -> None:
    found = fit(X[:n])
    assert found.positions.shape == (n, 2) and np.isfinite(found.positions).all()
    assert found.notes == (f"Perplexity {(n - 1) / 3:.1f} instead of 30: {n} points allow no more.",)


@pytest.mark.parametrize("how", ["pca", "random", "spectral"])
def test_copies_and_nearly_identical_points_have_a_finite_map(how: str) -> None:
    alike = np.ones((60, 6), np.float32)
    alike[7] = 2
    hardly = (1 + 1e-6 * np.random.default_rng(0).normal(size=(60, 6))).astype(np.float32)
    for x in (alike, hardly, np.repeat(X[:30], 2, axis=0), np.repeat(X[:2], 30, axis=0), X[:60, :1]):
        for dimensions in (2, 3):
            config = TSNEConfig(iterations=50, early_iterations=20, initialization=how)  # type: ignore[arg-type]
            positions = fit(x, config, dimensions).positions
            assert np.isfinite(positions).all() and len(np.unique(positions, axis=0)) > 50


def test_a_spectrum_that_is_not_found_gives_a_random_start_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*args: Any, **others: Any) -> np.ndarray:
        raise ArpackError(-9999)

    monkeypatch.setattr("openTSNE.initialization.spectral", fails)
    found = fit(X[:100], SHORT.model_copy(update={"initialization": "spectral"}))
    assert np.isfinite(found.positions).all()
    assert "begin at random" in found.notes[0]


def test_progress_rises_to_1_and_the_last_frame_is_the_map(blobs: Any) -> None:
    _, found, shares, frames = blobs
    assert shares[0] == 0 and shares[-1] == 1 and len(shares) > 100
    assert all(before <= after for before, after in zip(shares, shares[1:], strict=False))
    steps = int(found.facts["iterations"])
    assert len(frames) == pytest.approx(steps / tsne.FRAME_EVERY, abs=1)
    assert all(frame.shape == (200, 2) and frame.dtype == np.float32 for frame in frames)
    assert np.array_equal(frames[-1], found.positions) and not np.shares_memory(frames[-1], found.positions)
    widths = [float(np.ptp(frame)) for frame in frames]
    assert widths[-1] > 3 * widths[0], "the points spread out"


def test_a_stop_ends_it_at_the_next_step() -> None:
    asked: list[bool] = []

    def stopped() -> bool:
        asked.append(len(asked) + 1 >= 30)
        return asked[-1]

    with pytest.raises(Stopped):
        TSNE(TSNEConfig()).fit(Points(X), Watch(stopped=stopped))
    assert asked.count(True) == 1 and len(asked) == 30


def test_a_map_that_has_settled_ends_early_and_is_no_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TSNEConfig(iterations=1500)
    early = fit(X[:150], config).facts
    monkeypatch.setattr(tsne, "STEADY", -np.inf)
    whole = fit(X[:150], config).facts
    assert early and whole and early["iterations"] < 1000 and whole["iterations"] == 1750
    assert early["kl_divergence"] < whole["kl_divergence"] + 0.005


def test_fitted_points_are_placed_near_where_they_lie(blobs: Any) -> None:
    method, found = blobs[:2]
    placed = method.transform(X[FITTED])
    assert placed.shape == (200, 2) and placed.dtype == np.float32
    off = np.linalg.norm(placed - found.positions, axis=1)
    assert np.median(off) < 0.05 * np.ptp(found.positions, axis=0).max()


def test_new_members_are_placed_in_their_blob_the_same_way_each_time(blobs: Any) -> None:
    method, found = blobs[:2]
    placed = method.transform(X[NEW])
    assert KNeighborsClassifier(5).fit(found.positions, BLOB[FITTED]).score(placed, BLOB[NEW]) == 1
    assert np.array_equal(placed, method.transform(X[NEW]))
    assert method.transform(X[:0]).shape == (0, 2)
    assert np.array_equal(np.asarray(method.fitted, np.float32), found.positions), "the map stays where it is"


def test_new_points_have_a_place_on_a_map_in_three_dimensions() -> None:
    method = TSNE(SHORT, dimensions=3)
    positions = method.fit(Points(X[:120]), Watch()).positions
    placed = method.transform(X[120:160])
    assert placed.shape == (40, 3)
    assert KNeighborsClassifier(5).fit(positions, BLOB[:120]).score(placed, BLOB[120:160]) == 1
