"""Locally linear embedding on sheets whose map is known, against scikit-learn, and by landmarks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.errors import UserError
from engine.projections import lle, parse_projection
from engine.projections.landmarks import barycentric_weights
from engine.projections.make import fit_projection, place, project
from engine.projections.points import Points
from tests.projections.shapes import affine_fit, apart, cloud, groups, roll, sheet

FORMS = ["standard", "modified", "hessian", "ltsa"]


def configured(**values: Any) -> Any:
    return parse_projection("lle", values)


def test_weights_solve_their_equations_and_sum_to_one() -> None:
    x = cloud(40, 6)
    index = Points(x).graph(9).index
    weights = barycentric_weights(x, x, index, 1e-3)
    for i in range(40):
        apart_ = x[index[i]].astype(np.float64) - x[i]
        products = apart_ @ apart_.T
        products += 1e-3 * np.trace(products) * np.eye(9)
        wanted = np.linalg.solve(products, np.ones(9))
        assert np.allclose(weights[i], wanted / wanted.sum(), atol=1e-9)


@pytest.mark.parametrize("n", [300, 1200])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_standard_map_is_scikit_learns(n: int, dimensions: int) -> None:
    from sklearn.manifold import LocallyLinearEmbedding

    x = groups(n)
    found = project("lle", Points(x), dimensions=dimensions).positions
    reference = LocallyLinearEmbedding(n_neighbors=10, n_components=dimensions, eigen_solver="dense")
    assert apart(found, reference.fit_transform(x.astype(np.float64))) < 1e-6


def test_the_modified_map_is_scikit_learns() -> None:
    from sklearn.manifold import LocallyLinearEmbedding

    x = groups(200)
    found = project("lle", Points(x), configured(method="modified")).positions
    reference = LocallyLinearEmbedding(n_neighbors=10, method="modified", eigen_solver="dense")
    assert apart(found, reference.fit_transform(x.astype(np.float64))) < 1e-6


@pytest.mark.parametrize("form", FORMS)
def test_a_flat_sheet_is_drawn_exactly_but_for_an_affine_map(form: str) -> None:
    x, flat = sheet()
    config = configured(method=form, n_neighbors=12, regularisation=1e-9)
    assert affine_fit(project("lle", Points(x), config).positions, flat) > 0.9999


@pytest.mark.parametrize("form", ["modified", "hessian", "ltsa"])
def test_a_roll_is_unrolled(form: str) -> None:
    x, places = roll(1000)
    found = project("lle", Points(x), configured(method=form, n_neighbors=12)).positions
    assert affine_fit(found, places) > 0.98
    assert affine_fit(project("pca", Points(x)).positions, places) < 0.5


@pytest.mark.parametrize("form", ["hessian", "ltsa"])
def test_a_point_that_is_nobodys_neighbour_does_not_take_an_axis(form: str) -> None:
    from sklearn.manifold import LocallyLinearEmbedding

    x = cloud(200)
    listed = np.unique(Points(x).graph(10).index)
    assert len(listed) < 200
    theirs = LocallyLinearEmbedding(n_neighbors=10, method=form, eigen_solver="dense").fit_transform(x)
    ours = project("lle", Points(x), configured(method=form)).positions

    def spots(positions: np.ndarray) -> int:
        return len(np.unique(np.round(positions / np.ptp(positions), 4), axis=0))

    assert spots(theirs) < 20 < 150 < spots(ours)


@pytest.mark.parametrize("form", FORMS)
def test_copies_and_constant_columns_do_not_change_the_map(form: str) -> None:
    x = groups(120)
    config = configured(method=form, n_neighbors=8)
    alone = project("lle", Points(x), config).positions
    padded = np.column_stack([x, np.full(120, 7, np.float32)])
    found = project("lle", Points(np.concatenate([padded, padded[:50]])), config).positions
    assert apart(found[:120], alone) < 1e-6
    assert np.array_equal(found[120:], found[:50])


def test_two_groups_are_noted_and_more_than_the_axes_hold_are_a_sentence() -> None:
    blobs = [cloud(60, 4, seed) + 500 * seed for seed in range(4)]
    two = project("lle", Points(np.concatenate(blobs[:2])))
    assert "2 groups" in two.notes[0]
    first = two.positions[:, 0]
    assert abs(two.positions.mean(0)).max() < 1e-6  # not mixed with the constant vector, which draws nothing
    assert np.ptp(first[:60]) < 1e-6 and np.ptp(first[60:]) < 1e-6 and np.ptp(first) > 0.01
    with pytest.raises(UserError, match="4 groups of points .* neighbours above 10"):
        project("lle", Points(np.concatenate(blobs)))


def test_neighbours_are_raised_to_what_a_form_needs() -> None:
    config = configured(method="hessian", n_neighbors=4)
    found = project("lle", Points(sheet()[0]), config, dimensions=3)
    assert "9 were taken" in found.notes[0]
    with pytest.raises(UserError, match="only 8 points are different"):
        project("lle", Points(cloud(8)), config, dimensions=3)


@pytest.mark.parametrize("form", ["modified", "hessian", "ltsa"])
def test_points_on_a_line_of_one_number_need_the_standard_form(form: str) -> None:
    with pytest.raises(UserError, match="standard"):
        project("lle", Points(cloud(50, 1)), configured(method=form))


def test_many_points_are_placed_among_landmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lle, "ALL", 800)
    monkeypatch.setattr(lle, "LANDMARKS", 400)
    x, flat = sheet(1000)
    found = project("lle", Points(x), configured(regularisation=1e-9))
    assert found.landmarks == 400
    assert "400 landmarks, the other 600" in found.notes[0]
    assert affine_fit(found.positions, flat) > 0.999


@pytest.mark.parametrize("form", FORMS)
def test_new_points_of_a_sheet_are_placed_on_it(form: str) -> None:
    x, flat = sheet(500)
    config = configured(method=form, n_neighbors=12, regularisation=1e-9)
    projection, found = fit_projection("lle", Points(x[:400]), config)
    assert np.allclose(place("lle", projection, x[:50]), found.positions[:50], atol=1e-3)
    together = np.concatenate([found.positions, place("lle", projection, x[400:])])
    assert affine_fit(together, flat) > 0.999


@pytest.mark.parametrize("form", FORMS)
def test_the_largest_entry_of_every_axis_is_positive(form: str) -> None:
    positions = project("lle", Points(groups(200)), configured(method=form), dimensions=3).positions
    assert (positions.max(0) >= -positions.min(0)).all()
