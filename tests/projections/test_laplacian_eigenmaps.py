"""Laplacian eigenmaps against scikit-learn and on a ring, whose slowest waves are known."""

from __future__ import annotations

import numpy as np
import pytest

from engine.projections import parse_projection
from engine.projections.make import project
from engine.projections.neighbour_graph import linked
from engine.projections.points import Points
from tests.projections.shapes import apart, cloud, groups


@pytest.mark.parametrize("n", [150, 800])
def test_the_map_is_scikit_learns_of_the_same_graph(n: int) -> None:
    from sklearn.manifold import SpectralEmbedding

    points = Points(groups(n))
    links = (linked(points, 10)[0].toarray() > 0).astype(float)
    wanted = SpectralEmbedding(2, affinity="precomputed", random_state=0).fit_transform(links)
    assert apart(project("laplacian_eigenmaps", points).positions, wanted) < 1e-6


def test_heat_weights_solve_the_generalised_problem() -> None:
    from scipy.linalg import eigh

    points = Points(cloud(90, 3))
    lengths = linked(points, 6)[0].toarray()
    near = lengths > 0
    weights = np.where(near, np.exp(-(lengths**2) / np.median(lengths[near] ** 2)), 0)
    degrees = np.diag(weights.sum(1))
    wanted = eigh(degrees - weights, degrees)[1][:, 1:3]
    config = parse_projection("laplacian_eigenmaps", {"n_neighbors": 6, "weights": "heat"})
    found = project("laplacian_eigenmaps", points, config).positions
    turn = np.sign((wanted * found).sum(0))
    scale = np.sqrt(degrees.sum())
    assert np.allclose(found, wanted * turn * scale, atol=1e-4)


def test_an_even_ring_is_a_circle() -> None:
    angle = np.arange(100) * 2 * np.pi / 100
    ring = np.column_stack([np.cos(angle), np.sin(angle), 0 * angle])
    config = parse_projection("laplacian_eigenmaps", {"n_neighbors": 4})
    positions = project("laplacian_eigenmaps", Points(ring), config).positions
    radius = np.linalg.norm(positions, axis=1)
    assert np.allclose(radius, radius.mean(), rtol=1e-3)
    assert apart(positions, ring[:, :2]) < 1e-6


@pytest.mark.parametrize("n", [600, 3000])
def test_a_long_chain_waves_once_and_twice(n: int) -> None:
    chain = np.column_stack([np.arange(n), np.zeros(n)])
    config = parse_projection("laplacian_eigenmaps", {"n_neighbors": 2})
    positions = project("laplacian_eigenmaps", Points(chain), config).positions.astype(np.float64)
    place = (np.arange(n) + 0.5) / n
    for axis, waves in enumerate((np.cos(np.pi * place), np.cos(2 * np.pi * place))):
        assert abs(np.corrcoef(positions[:, axis], waves)[0, 1]) > 0.999


def test_pieces_are_joined_with_a_note() -> None:
    x = np.concatenate([cloud(50, 3), cloud(50, 3, 1) + 100])
    found = project("laplacian_eigenmaps", Points(x))
    assert "2 pieces" in found.notes[0]
    first = found.positions[:, 0]
    assert (np.sign(first[:50]) == np.sign(first[0])).all() and first[0] * first[-1] < 0


def test_the_largest_entry_of_every_axis_is_positive() -> None:
    positions = project("laplacian_eigenmaps", Points(groups(200)), dimensions=3).positions
    assert (positions.max(0) >= -positions.min(0)).all()
