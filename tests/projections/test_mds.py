"""MDS: the stress never rises, equals scikit-learn's, is nothing where a map is possible; placing by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.projections import mds, parse_projection
from engine.projections.landmarks import landmark_rows
from engine.projections.make import fit_projection, place, project
from engine.projections.mds import _stress_of_each, guttman, least_stress
from engine.projections.points import Points
from engine.projections.principal import principal_start
from engine.projections.projection import Stopped, Watch
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
    wanted, y = distances(x), principal_start(Points(x), 2, 0)
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
    start = principal_start(Points(x), 2, 0)
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
    assert np.allclose(frames[0], principal_start(Points(x), 2, 0), atol=1e-4)
    before = np.abs(frames[0] - found.positions).max()
    assert np.abs(frames[-1] - found.positions).max() < 0.5 * before


def stress_by_scipy(y: np.ndarray, wanted: np.ndarray, among: np.ndarray) -> float:
    """The least Σ (wanted - distance)² that one point can get to from y."""
    from scipy.optimize import minimize

    def of(place: np.ndarray) -> float:
        return float(((wanted - np.linalg.norm(place - among, axis=1)) ** 2).sum())

    return float(minimize(of, y, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}).fun)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_point_comes_where_its_own_stress_is_least(dimensions: int) -> None:
    x, among = cloud(60, 6).astype(np.float64), 2 * cloud(50, dimensions, 1).astype(np.float64)
    wanted, start = distances(x)[:10, 10:], cloud(10, dimensions, 2).astype(np.float64)
    placed = least_stress(start, wanted, among)
    for row in range(10):
        found = ((wanted[row] - np.linalg.norm(placed[row] - among, axis=1)) ** 2).sum()
        around = placed[row] + 1e-4 * np.vstack([np.eye(dimensions), -np.eye(dimensions)])
        beside = ((wanted[row] - np.linalg.norm(around[:, None] - among, axis=2)) ** 2).sum(1)
        assert (found <= beside).all(), "it is a minimum"
        assert found == pytest.approx(stress_by_scipy(placed[row], wanted[row], among), rel=1e-6)
        assert found <= ((wanted[row] - np.linalg.norm(start[row] - among, axis=1)) ** 2).sum()


def test_slope_and_curvature_are_those_of_the_stress() -> None:
    y, among, wanted = (
        cloud(3, 2).astype(float),
        cloud(8, 2, 1).astype(float),
        distances(cloud(11, 5))[:3, 3:],
    )

    def stress(row: int, place: np.ndarray) -> float:
        return float(((wanted[row] - np.linalg.norm(place - among, axis=1)) ** 2).sum())

    squares, slope, bend = _stress_of_each(y, wanted, among)
    step = 1e-4 * np.eye(2)
    for row in range(3):
        place = y[row]
        assert squares[row] == pytest.approx(stress(row, place))
        for i in range(2):
            rise = stress(row, place + step[i]) - stress(row, place - step[i])
            assert 2 * slope[row, i] == pytest.approx(rise / 2e-4, rel=1e-4, abs=1e-4)
            for j in range(2):
                corners = [stress(row, place + a * step[i] + b * step[j]) for a in (1, -1) for b in (1, -1)]
                bent = (corners[0] - corners[1] - corners[2] + corners[3]) / 4e-8
                assert 2 * bend[row, i, j] == pytest.approx(bent, rel=1e-3, abs=1e-3)


def test_many_points_of_a_plane_keep_their_distances() -> None:
    x, flat = sheet(2300)
    found = project("mds", Points(x))
    assert found.landmarks == 1000
    assert found.notes[0].startswith("An approximation: fitted to 1,000 landmarks, the other 1,300 placed by")
    assert found.facts is not None and found.facts["stress"] < 1e-4
    some = np.arange(0, 2300, 5)
    assert np.abs(distances(found.positions[some]) - distances(flat[some])).max() < 1e-3


@pytest.mark.parametrize("dimensions", [2, 3])
def test_landmarks_do_nearly_as_well_as_all_points(monkeypatch: pytest.MonkeyPatch, dimensions: int) -> None:
    x = groups(400)
    wanted, config = distances(x), parse_projection("mds", {"landmarks": 80, "tolerance": 1e-6})

    def stress(y: np.ndarray) -> float:
        return float(np.sqrt(((wanted - distances(y)) ** 2).sum() / (wanted**2).sum()))

    full = project("mds", Points(x), config, dimensions)
    monkeypatch.setattr(mds, "EXACT", 100)
    some = project("mds", Points(x), config, dimensions)
    assert (full.landmarks, some.landmarks) == (0, 80)
    assert stress(full.positions) < stress(some.positions) < 1.1 * stress(full.positions)
    rows = landmark_rows(400, 80, 0)
    apart = np.linalg.norm(some.positions[:, None].astype(np.float64) - some.positions[rows], axis=2)
    told = np.sqrt(((wanted[:, rows] - apart) ** 2).sum() / (wanted[:, rows] ** 2).sum())
    assert some.facts is not None and some.facts["stress"] == pytest.approx(told, rel=1e-4)


@pytest.mark.parametrize("exact", [100, 2000])
def test_a_point_that_was_fitted_or_placed_comes_to_its_own_place(
    monkeypatch: pytest.MonkeyPatch, exact: int
) -> None:
    monkeypatch.setattr(mds, "EXACT", exact)
    x = groups(300, 40)
    config = parse_projection("mds", {"landmarks": 90})
    projection, found = fit_projection("mds", Points(x), config)
    assert np.allclose(place("mds", projection, x), found.positions, atol=1e-4)
    trembling = x + 1e-6 * cloud(300, 40, 1)  # as an encoder's features do from batch to batch
    away = np.linalg.norm(place("mds", projection, trembling) - found.positions, axis=1)
    assert np.quantile(away, 0.99) < 1e-3 * np.ptp(found.positions)
    new = place("mds", projection, groups(600, 40)[300:])
    assert np.linalg.norm(new - place("mds", projection, x[:1]), axis=1).min() > 1e-6 * np.ptp(new)


def test_many_copies_of_few_points_are_a_map() -> None:
    x = np.concatenate([cloud(12, 4), np.repeat(cloud(1, 4, 1), 2100, 0)])
    found = project("mds", Points(x))
    assert found.landmarks == 13
    wanted = project("mds", Points(np.concatenate([x[:12], x[-1:]])))
    assert np.allclose(found.positions[:13], wanted.positions, atol=1e-4)
    assert (found.positions[12:] == found.positions[12]).all()


def test_frames_of_landmarks_show_all_points_on_their_way() -> None:
    frames: list[np.ndarray] = []
    x = groups(2100)
    config = parse_projection("mds", {"landmarks": 200})
    found = project("mds", Points(x), config, watch=Watch(frame=frames.append))
    assert len(frames) > 1 and all(frame.shape == (2100, 2) for frame in frames)
    assert np.abs(frames[-1] - found.positions).max() < 0.5 * np.abs(frames[0] - found.positions).max()
    rows = landmark_rows(2100, 200, 0)
    assert np.allclose(frames[0][rows], principal_start(Points(x[rows]), 2, 0), atol=1e-4)


def test_wide_points_are_measured_in_parts_with_a_look_between_any_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []  # of what was measured since the last look
    most: list[int] = []

    def counted(name: str) -> None:
        real = getattr(mds, name)

        def measured(*given: Any) -> Any:
            x, bank = (given[1], given[0]) if name == "nearest_of" else given[:2]
            sizes.append(len(x) * bank.size)
            return real(*given)

        monkeypatch.setattr(mds, name, measured)

    def look(share: float) -> None:
        told.append(share)
        most.append(sum(sizes))
        sizes.clear()

    for name in ("distances", "nearest_of"):
        counted(name)
    monkeypatch.setattr(mds, "EXACT", 100)
    monkeypatch.setattr(mds, "PRODUCTS", 2**19)
    monkeypatch.setattr(mds, "PART_CELLS", 2**13)
    told: list[float] = []
    config = parse_projection("mds", {"landmarks": 60, "steps": 5})
    whole = project("mds", Points(groups(400, 600)), config, watch=Watch(look))
    assert told == sorted(told) and told[0] == 0 and 0.9 < told[-1] <= 1, "it tells how far it is throughout"
    for low, high in ((0, 0.05), (0.05, mds.FITTING), (mds.FITTING, mds.FINDING), (mds.FINDING, 1)):
        assert len([share for share in told if low < share < high]) > 2, (low, high)
    assert max(most) <= 3 * 2**19, "and never works for long without a look"
    monkeypatch.undo()
    monkeypatch.setattr(mds, "EXACT", 100)
    at_once = project("mds", Points(groups(400, 600)), config)
    assert np.allclose(whole.positions, at_once.positions, atol=1e-3 * np.ptp(at_once.positions))


@pytest.mark.parametrize("exact", [100, 2000])
def test_a_stop_is_heard_at_every_look(monkeypatch: pytest.MonkeyPatch, exact: int) -> None:
    monkeypatch.setattr(mds, "EXACT", exact)
    points, config = Points(groups(200, 600)), parse_projection("mds", {"landmarks": 60, "steps": 5})
    told: list[float] = []
    project("mds", points, config, watch=Watch(told.append))
    for after in range(len(told)):
        heard: list[float] = []
        with pytest.raises(Stopped):
            project("mds", points, config, watch=Watch(heard.append, stopped=lambda: len(heard) >= after))  # noqa: B023
        assert heard == told[:after]
