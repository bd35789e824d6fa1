"""PCA against the eigenvectors of the covariance."""

from __future__ import annotations

import numpy as np
import pytest

from engine.projections import parse_projection
from engine.projections.make import fit_projection, place, project
from engine.projections.points import Points
from tests.projections.shapes import cloud, groups, sheet


@pytest.mark.parametrize("dimensions", [2, 3])
def test_axes_are_the_leading_eigenvectors_of_the_covariance(dimensions: int) -> None:
    x = groups(300)
    found = project("pca", Points(x), dimensions=dimensions)
    middle = x.astype(np.float64) - x.mean(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(middle.T @ middle)
    wanted = middle @ vectors[:, ::-1][:, :dimensions]
    turn = np.sign((wanted * found.positions).sum(0))
    assert np.allclose(found.positions, wanted * turn, atol=1e-4)
    assert found.facts is not None
    share = values[::-1][:dimensions].sum() / values.sum()
    assert found.facts["explained_variance"] == pytest.approx(share, rel=1e-6)


def test_a_flat_sheet_keeps_its_distances() -> None:
    x, flat = sheet()
    positions = project("pca", Points(x)).positions
    apart = np.linalg.norm(positions[:50] - positions[50:100], axis=1)
    assert np.allclose(apart, np.linalg.norm(flat[:50] - flat[50:100], axis=1), atol=1e-4)


def test_whitened_axes_have_the_same_spread() -> None:
    config = parse_projection("pca", {"whiten": True})
    positions = project("pca", Points(groups(300)), config).positions
    assert np.allclose(positions.std(0, ddof=1), 1, atol=1e-4)


def test_points_of_one_number_lie_on_a_line_with_a_note() -> None:
    found = project("pca", Points(cloud(30, 1)))
    assert (found.positions[:, 1] == 0).all()
    assert "line" in found.notes[0]


def test_new_points_come_where_they_would_have_been() -> None:
    x = groups(300)
    projection, found = fit_projection("pca", Points(x))
    assert np.allclose(place("pca", projection, x[:40]), found.positions[:40], atol=1e-4)
