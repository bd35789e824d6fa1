"""PCA against the eigenvectors of the covariance, and scikit-learn's."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from engine.projections import parse_projection
from engine.projections.make import fit_projection, place, project
from engine.projections.points import Points
from engine.projections.principal import principal_axes
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


def layers(n: int, d: int) -> np.ndarray:
    """Points whose numbers hang together, as an encoder's do, far from the origin."""
    rng = np.random.default_rng(0)
    return (rng.standard_normal((n, 30)) * np.linspace(4, 1, 30) @ rng.standard_normal((30, d)) + 7).astype(
        np.float32
    )


@pytest.mark.parametrize(("n", "d"), [(300, 12), (40, 450), (150, 700), (300, 900), (3000, 20)])
@pytest.mark.parametrize("whiten", [False, True])
def test_the_map_is_scikit_learns(n: int, d: int, whiten: bool) -> None:
    from sklearn.decomposition import PCA

    x = layers(n, d)
    projection, found = fit_projection("pca", Points(x), parse_projection("pca", {"whiten": whiten}))
    theirs = PCA(2, whiten=whiten, svd_solver="full").fit(x.astype(np.float64))
    wanted = theirs.transform(x.astype(np.float64))
    assert np.abs(found.positions - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert found.facts is not None
    assert found.facts["explained_variance"] == pytest.approx(
        theirs.explained_variance_ratio_.sum(), rel=1e-6
    )
    new = layers(n + 20, d)[-20:]
    assert np.abs(place("pca", projection, new) - theirs.transform(new)).max() < 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("d", [8, 600])
def test_a_second_axis_that_is_not_there_is_no_noise(d: int) -> None:
    x = np.outer(cloud(80, 1)[:, 0], np.arange(1, d + 1)).astype(np.float32)
    for whiten in (False, True):
        found = project("pca", Points(x), parse_projection("pca", {"whiten": whiten})).positions
        assert np.ptp(found[:, 1]) < 1e-4 * np.ptp(found[:, 0])
    assert principal_axes(x, 2).variances[1] < 1e-10 * principal_axes(x, 2).variances[0]


def test_drawing_the_map_loads_no_scikit_learn() -> None:
    code = (
        "import sys, numpy as np\n"
        "from engine.projections.make import project\n"
        "from engine.projections.points import Points\n"
        "project('pca', Points(np.random.default_rng(0).standard_normal((50, 9))))\n"
        "print([name for name in ('torch', 'sklearn', 'scipy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
