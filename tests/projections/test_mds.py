"""MDS: the stress never rises, equals scikit-learn's, and is nothing where a map is possible."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import UserError
from engine.projections import parse_projection
from engine.projections.make import project
from engine.projections.mds import guttman, principal_positions
from engine.projections.points import Points
from engine.projections.projection import Watch
from tests.projections.shapes import cloud, distance_correlation, groups, sheet


def distances(x: np.ndarray) -> np.ndarray:
    return np.sqrt(((x[:, None].astype(np.float64) - x[None]) ** 2).sum(2))


def test_a_step_is_its_formula() -> None:
    x = cloud(30, 6)
    wanted, y = distances(x), cloud(30, 2, 1).astype(np.float64)
    better, squares = guttman(y, wanted)
    n, apart = 30, distances(y)
    b = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                b[i, j] = -wanted[i, j] / apart[i, j]
    b -= np.diag(b.sum(1))
    assert np.allclose(better, b @ y / n)
    assert squares == pytest.approx(((wanted - apart) ** 2).sum())


def test_the_stress_never_rises() -> None:
    x = groups(150)
    wanted, y = distances(x), principal_positions(x.astype(np.float64), 2)
    stress = []
    for _ in range(40):
        y, squares = guttman(y, wanted)
        stress.append(squares)
    assert (np.diff(stress) <= 1e-9 * stress[0]).all()
    assert stress[-1] < 0.9 * stress[0]


def test_a_flat_sheet_keeps_its_distances() -> None:
    x, flat = sheet(150)
    found = project("mds", Points(x))
    assert distance_correlation(found.positions, flat) > 0.999999
    assert found.facts is not None and found.facts["stress"] < 1e-5


def test_the_stress_told_is_that_of_the_map_and_no_higher_than_scikit_learns() -> None:
    from sklearn.manifold import smacof

    x = groups(150)
    wanted = distances(x)
    start = principal_positions(x.astype(np.float64), 2)
    config = parse_projection("mds", {"steps": 2000, "tolerance": 1e-7})
    found = project("mds", Points(x), config)
    theirs = smacof(
        wanted, init=start, n_init=1, max_iter=2000, eps=1e-9, n_components=2, normalized_stress=False
    )[0]

    def stress(y: np.ndarray) -> float:
        return float(np.sqrt(((wanted - distances(y)) ** 2).sum() / (wanted**2).sum()))

    assert found.facts is not None
    assert found.facts["stress"] == pytest.approx(stress(found.positions), rel=1e-4)
    assert found.facts["stress"] == pytest.approx(stress(theirs), rel=1e-3)


def test_frames_lead_from_the_principal_axes_to_the_map() -> None:
    frames: list[np.ndarray] = []
    x = groups(100)
    found = project("mds", Points(x), watch=Watch(frame=frames.append))
    assert len(frames) > 1
    assert np.allclose(frames[0], principal_positions(x.astype(np.float64), 2), atol=1e-4)
    before = np.abs(frames[0] - found.positions).max()
    assert np.abs(frames[-1] - found.positions).max() < 0.5 * before


def test_too_many_points_are_a_sentence() -> None:
    with pytest.raises(UserError, match="choose at most 2,000 points"):
        project("mds", Points(cloud(2001, 2)))
