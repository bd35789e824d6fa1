"""Groups are found where there are some, none where there are none, and noise is like the points."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_moons
from sklearn.metrics import adjusted_rand_score

from engine.projections.grouping import SAMPLE, density_clusters, gaussian_noise_like
from engine.projections.points import Points


def gaussian(n: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width))


def blobs(n: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    of = np.random.default_rng(seed).choice(5, n, p=[0.4, 0.25, 0.15, 0.1, 0.1])
    return 10 * np.eye(5, width)[of] + gaussian(n, width, seed), of


@pytest.mark.parametrize("width", [5, 60])
def test_far_blobs_are_found_the_largest_first(width: int) -> None:
    x, of = blobs(800, width)
    found = density_clusters(Points(x))
    assert (found.method, found.count, found.asked) == ("HDBSCAN", 5, 800)
    assert adjusted_rand_score(of, found.labels) > 0.95
    counts = np.bincount(found.labels[found.labels >= 0])
    assert (np.diff(counts) <= 0).all() and found.labels.dtype == np.int64


def test_two_moons_are_two_though_no_plane_parts_them() -> None:
    x, of = make_moons(600, noise=0.05, random_state=0)
    found = density_clusters(Points(x))
    assert found.count == 2 and adjusted_rand_score(of, found.labels) > 0.95


def test_digits_that_touch_are_parted_by_their_means() -> None:
    x, digit = load_digits(return_X_y=True)
    found = density_clusters(Points(x[:1000]))
    assert found.method == "k-means" and adjusted_rand_score(digit[:1000], found.labels) > 0.5


@pytest.mark.parametrize("width", [2, 10, 64])
def test_noise_has_no_groups(width: int) -> None:
    found = density_clusters(Points(gaussian(800, width)))
    assert (found.method, found.count) == ("none", 0) and (found.labels == -1).all()


def test_neither_a_cigar_nor_an_even_square_has_groups() -> None:
    cigar = gaussian(800, 6) * np.geomspace(10, 0.1, 6)
    squares = (np.random.default_rng(seed).random((800, 2)) for seed in range(3))
    for x in (cigar, *squares):
        assert density_clusters(Points(x)).count == 0


def test_many_points_join_the_nearest_of_a_sample() -> None:
    x, of = blobs(SAMPLE + 1500, 5)
    found = density_clusters(Points(x))
    assert found.asked == SAMPLE and len(found.labels) == SAMPLE + 1500
    assert adjusted_rand_score(of, found.labels) > 0.95


def test_copies_share_their_label_and_make_no_group() -> None:
    x = np.repeat(gaussian(60, 4), 20, axis=0)
    assert density_clusters(Points(x)).count == 0
    y, _ = blobs(300, 5)
    twice = density_clusters(Points(np.concatenate([y, y])))
    assert twice.count == 5 and (twice.labels[:300] == twice.labels[300:]).all()


@pytest.mark.parametrize("n", [5, 12])
def test_a_handful_of_points_is_no_error(n: int) -> None:
    assert density_clusters(Points(gaussian(n, 3))).labels.shape == (n,)
    assert density_clusters(Points(np.arange(n)[:, None] % 2)).labels.shape == (n,)


def test_the_same_seed_gives_the_same_groups() -> None:
    points = Points(load_digits().data[:400])
    assert (density_clusters(points, 3).labels == density_clusters(points, 3).labels).all()


def test_noise_has_the_size_mean_and_spread_of_the_points_and_none_of_their_shape() -> None:
    x, _ = blobs(4000, 6)
    x = x * [1, 2, 3, 4, 5, 0] + 7
    points = Points(x)
    noise = gaussian_noise_like(points, seed=1)
    assert noise.shape == x.shape and noise.dtype == np.float32
    assert (np.abs(noise.mean(0) - x.mean(0)) <= 4 * x.std(0) / np.sqrt(4000)).all()  # standard errors
    assert noise.std(0) == pytest.approx(x.std(0), rel=0.05)
    assert np.abs(np.corrcoef(noise[:, :5].T) - np.eye(5)).max() < 0.06
    assert np.abs(np.corrcoef(x[:, :5].T) - np.eye(5)).max() > 0.2
    assert (gaussian_noise_like(points, 1) == noise).all() and (gaussian_noise_like(points, 2) != noise).any()
    assert density_clusters(Points(noise)).count == 0
