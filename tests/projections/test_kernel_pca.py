"""Kernel PCA against PCA, scikit-learn and the definition, and how wide its kernel is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.errors import UserError
from engine.projections import parse_projection
from engine.projections.kernel_pca import median_gamma
from engine.projections.make import fit_projection, place, project
from engine.projections.points import Points
from tests.projections.shapes import apart, cloud, groups


def configured(**values: Any) -> Any:
    return parse_projection("kernel_pca", values)


def likeness(x: np.ndarray, gamma: float) -> np.ndarray:
    """RBF kernel between all pairs of different points."""
    from scipy.spatial.distance import pdist

    return np.asarray(np.exp(-gamma * pdist(x.astype(np.float64), "sqeuclidean")))


def test_a_linear_kernel_is_pca_up_to_sign() -> None:
    from sklearn.decomposition import KernelPCA

    x = groups(300)
    straight = project("pca", Points(x), dimensions=3).positions
    kernel = project("kernel_pca", Points(x), configured(kernel="linear"), dimensions=3).positions
    assert np.allclose(np.abs(kernel), np.abs(straight), atol=1e-4)
    middle = x.astype(np.float64) - x.mean(0, dtype=np.float64)
    left, values, _ = np.linalg.svd(middle, full_matrices=False)
    exact = KernelPCA(3, kernel="linear", eigen_solver="dense").fit_transform(x.astype(np.float64))
    assert np.allclose(np.abs(exact), np.abs(left[:, :3] * values[:3]), atol=1e-10)
    assert np.allclose(np.abs(kernel), np.abs(exact), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("d", [2, 10, 100])
@pytest.mark.parametrize("scale", [1e-3, 1, 50])
def test_the_median_rule_keeps_likeness_in_its_middle_range(d: int, scale: float) -> None:
    x = cloud(400, d) * np.float32(scale)
    assert 0.2 < likeness(x, median_gamma(x, 0)).mean() < 0.6


def test_scikit_learns_own_gamma_puts_unscaled_latents_on_one_spot_and_ours_does_not() -> None:
    from sklearn.decomposition import KernelPCA

    x = cloud(400) * 6
    theirs = KernelPCA(2, kernel="rbf").fit_transform(x.astype(np.float64))
    ours = project("kernel_pca", Points(x)).positions

    def on_one_spot(positions: np.ndarray) -> float:
        """Share of the points within a hundredth of the map's width of its middle point."""
        away = np.abs(positions - np.median(positions, axis=0)).max(1)
        return float((away < 0.01 * np.ptp(positions, axis=0).max()).mean())

    assert likeness(x, 1 / 10).mean() < 0.01
    assert on_one_spot(theirs) > 0.9
    assert on_one_spot(ours) < 0.1


@pytest.mark.parametrize("kernel", ["rbf", "polynomial", "cosine", "sigmoid"])
def test_few_points_get_scikit_learns_map(kernel: str) -> None:
    from sklearn.decomposition import KernelPCA

    x = groups(260)
    found = project("kernel_pca", Points(x), configured(kernel=kernel, gamma=0.002))
    name = "poly" if kernel == "polynomial" else kernel
    wanted = KernelPCA(2, kernel=name, gamma=0.002, eigen_solver="dense").fit_transform(x.astype(np.float64))
    assert apart(found.positions, wanted) < 1e-8
    assert found.landmarks == 0 and found.facts == {"gamma": 0.002}


@pytest.mark.parametrize("kernel", ["rbf", "linear", "polynomial", "cosine"])
def test_landmarks_come_close_to_the_whole_matrix(kernel: str) -> None:
    x = groups(2300)
    few = project("kernel_pca", Points(x), configured(kernel=kernel))
    every = project("kernel_pca", Points(x), configured(kernel=kernel, exact=True))
    assert (few.landmarks, every.landmarks) == (300, 0)
    assert "300 landmarks" in few.notes[0] and not every.notes
    assert apart(few.positions, every.positions) < 1e-4
    assert np.allclose(few.positions.std(0), every.positions.std(0), rtol=0.01)


def test_landmarks_that_hold_every_different_point_are_the_whole_matrix() -> None:
    points = Points(np.concatenate([cloud(30, 3)] * 70))  # 300 of 2,100 points miss none of 30
    few = project("kernel_pca", points)
    every = project("kernel_pca", points, configured(exact=True))
    assert few.landmarks == 300
    assert np.allclose(few.positions, every.positions, atol=1e-5)


@pytest.mark.parametrize("n", [300, 2200])
@pytest.mark.parametrize("kernel", ["rbf", "polynomial"])
def test_new_points_come_where_they_would_have_been(n: int, kernel: str) -> None:
    x = groups(n)
    projection, found = fit_projection("kernel_pca", Points(x), configured(kernel=kernel))
    width = np.ptp(found.positions, axis=0).max()
    assert np.abs(place("kernel_pca", projection, x[:50]) - found.positions[:50]).max() < 1e-4 * width


def test_the_largest_entry_of_every_axis_is_positive() -> None:
    for n in (300, 2200):
        positions = project("kernel_pca", Points(groups(n)), dimensions=3).positions
        assert (positions.max(0) >= -positions.min(0)).all()


def test_half_of_the_points_on_one_spot_still_have_a_gamma() -> None:
    x = np.concatenate([cloud(100), np.repeat(cloud(1, seed=5), 900, 0)])
    found = project("kernel_pca", Points(x)).facts
    assert found is not None
    assert found["gamma"] == pytest.approx(median_gamma(cloud(100), 0), rel=0.2)


def test_a_kernel_too_narrow_for_a_map_is_a_sentence() -> None:
    with pytest.raises(UserError, match="Kernel PCA"):
        project("kernel_pca", Points(cloud(100)), configured(gamma=1e9))


def test_too_many_points_for_the_whole_matrix_are_a_sentence() -> None:
    with pytest.raises(UserError, match="at most 5,000 points, or switch exact off"):
        project("kernel_pca", Points(cloud(5001, 2)), configured(exact=True))
