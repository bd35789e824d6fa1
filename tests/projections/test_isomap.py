"""Isomap on sheets and lines whose map is known, against scikit-learn, and by landmarks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.errors import UserError
from engine.projections import parse_projection
from engine.projections.make import fit_projection, place, project
from engine.projections.neighbour_graph import linked
from engine.projections.points import Points
from tests.projections.shapes import apart, cloud, distance_correlation, groups, roll, sheet


def configured(**values: Any) -> Any:
    return parse_projection("isomap", values)


def test_a_straight_line_keeps_its_distances() -> None:
    x = np.outer(np.random.default_rng(0).uniform(0, 9, 200), [1, 2, 2])
    positions = project("isomap", Points(x)).positions
    assert distance_correlation(positions, x) > 0.99999
    assert np.ptp(positions[:, 0]) == pytest.approx(np.ptp(x, axis=0)[0] * 3, rel=1e-5)
    assert np.abs(positions[:, 1]).max() < 1e-3 * np.ptp(positions[:, 0])


def test_a_flat_sheet_keeps_its_distances() -> None:
    x, flat = sheet(800)
    positions = project("isomap", Points(x), configured(n_neighbors=15)).positions
    assert distance_correlation(positions, flat) > 0.999


@pytest.mark.parametrize("exact", [True, False])
def test_a_roll_is_unrolled(exact: bool) -> None:
    x, places = roll(2200)
    found = project("isomap", Points(x), configured(exact=exact))
    assert found.landmarks == (0 if exact else 300)
    assert distance_correlation(found.positions, places) > 0.999
    assert distance_correlation(project("pca", Points(x)).positions, places) < 0.7


@pytest.mark.parametrize("n", [120, 700])
def test_few_points_get_scikit_learns_map(n: int) -> None:
    from sklearn.manifold import Isomap

    x = groups(n)
    found = project("isomap", Points(x), configured(n_neighbors=8))
    wanted = Isomap(n_neighbors=8, eigen_solver="dense").fit_transform(x.astype(np.float64))
    assert found.facts == {"pieces": 1}
    assert apart(found.positions, wanted) < 1e-9


def test_landmarks_on_all_points_are_the_exact_map() -> None:
    x = groups(2001)
    points = Points(x)
    exact = project("isomap", points, configured(exact=True))
    few = project("isomap", points, configured(landmarks=2000))
    assert few.landmarks == 2000
    assert apart(few.positions, exact.positions) < 1e-5


def test_pieces_are_joined_by_their_closest_pairs() -> None:
    x = np.concatenate([cloud(40, 3), cloud(50, 3, 1) + 40, cloud(60, 3, 2) - 70])
    points = Points(x)
    graph, pieces = linked(points, 5)
    assert pieces == 3
    parts = [np.arange(40), np.arange(40, 90), np.arange(90, 150)]
    across = {
        (a, b): graph[parts[a]][:, parts[b]].toarray()[graph[parts[a]][:, parts[b]].toarray() > 0]
        for a, b in ((0, 1), (0, 2), (1, 2))
    }
    for pair in ((0, 1), (0, 2)):
        between = np.linalg.norm(x[parts[pair[0]]][:, None] - x[parts[pair[1]]][None], axis=2)
        assert across[pair] == pytest.approx([between.min()], rel=1e-5)
    assert not across[1, 2].size  # one link fewer than pieces is enough
    found = project("isomap", points, configured(n_neighbors=5))
    assert "3 pieces" in found.notes[0] and found.facts == {"pieces": 3}


def test_copies_lie_on_their_originals() -> None:
    x = groups(150)
    found = project("isomap", Points(np.concatenate([x, x[:60], x[:60]])))
    alone = project("isomap", Points(x))
    assert np.array_equal(found.positions[:150], alone.positions)
    assert np.array_equal(found.positions[150:], np.concatenate([alone.positions[:60]] * 2))


@pytest.mark.parametrize("n", [300, 2200])
def test_fitted_points_are_placed_where_they_are(n: int) -> None:
    x = groups(n)
    projection, found = fit_projection("isomap", Points(x))
    placed = place("isomap", projection, x[:80])
    assert np.abs(placed - found.positions[:80]).max() < 1e-3 * np.ptp(found.positions)


def test_new_points_of_a_sheet_are_placed_on_it() -> None:
    x, flat = sheet(900)
    projection, found = fit_projection("isomap", Points(x[:800]), configured(n_neighbors=15))
    together = np.concatenate([found.positions, place("isomap", projection, x[800:])])
    assert distance_correlation(together, flat) > 0.998


def test_the_largest_entry_of_every_axis_is_positive() -> None:
    positions = project("isomap", Points(groups(300)), dimensions=3).positions
    assert (positions.max(0) >= -positions.min(0) * (1 - 1e-6)).all()


def test_too_many_points_for_the_exact_map_are_a_sentence() -> None:
    with pytest.raises(UserError, match="at most 10,000 points, or switch exact off"):
        project("isomap", Points(cloud(10_001, 2)), configured(exact=True))
