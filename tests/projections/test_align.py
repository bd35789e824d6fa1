"""Maps laid over each other: known turns are undone, and SciPy finds the same disparity."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes as scipys
from scipy.stats import ortho_group

from engine.errors import UserError
from engine.projections.align import disparity, in_turn, procrustes

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_known_turn_scale_mirror_and_move_are_undone(dimensions: int, mirrored: bool) -> None:
    reference = RNG.standard_normal((60, dimensions)) * [3, 1, 0.5][:dimensions] + 10
    turn = ortho_group.rvs(dimensions, random_state=1)
    if (np.linalg.det(turn) < 0) != mirrored:
        turn[0] *= -1
    moved = 0.02 * reference @ turn - 7
    assert procrustes(reference, moved) == pytest.approx(reference, abs=2e-6)
    assert disparity(reference, moved) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_disparity_is_scipys_and_the_same_from_both_sides(dimensions: int) -> None:
    for noise in (0.1, 1, 10):
        one = RNG.standard_normal((40, dimensions))
        other = one + noise * RNG.standard_normal((40, dimensions))
        assert disparity(one, other) == pytest.approx(scipys(one, other)[2], abs=1e-12)
        assert disparity(other, one) == pytest.approx(disparity(one, other), abs=1e-12)


def test_what_is_left_after_fitting_is_the_disparity_and_no_other_fit_leaves_less() -> None:
    one = RNG.standard_normal((50, 2))
    other = one @ [[0, 1], [-1, 0]] + 0.4 * RNG.standard_normal((50, 2))
    fitted = procrustes(one, other).astype(np.float64)
    left = ((one - fitted) ** 2).sum()
    assert left / ((one - one.mean(0)) ** 2).sum() == pytest.approx(disparity(one, other), abs=1e-6)
    about = fitted - fitted.mean(0)
    for angle, scale in [(0.05, 1), (-0.05, 1), (0, 1.05), (0, 0.95)]:
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        assert ((one - one.mean(0) - scale * about @ turn) ** 2).sum() > left


def test_unlike_maps_have_nearly_nothing_in_common() -> None:
    assert disparity(RNG.standard_normal((500, 2)), RNG.standard_normal((500, 2))) > 0.95


def test_all_points_on_one_spot_are_only_moved() -> None:
    cloud, spot = RNG.standard_normal((30, 2)) + 4, np.full((30, 2), 0.1)
    assert procrustes(cloud, spot) == pytest.approx(np.tile(cloud.mean(0), (30, 1)), abs=1e-6)
    moved = procrustes(spot, cloud)
    assert moved.mean(0) == pytest.approx(spot[0], abs=1e-6)
    assert np.ptp(moved, axis=0) == pytest.approx(np.ptp(cloud, axis=0), abs=1e-5)
    assert (disparity(cloud, spot), disparity(spot, spot)) == (1, 0)


def test_points_on_a_line_are_laid_over_a_line() -> None:
    steps = np.linspace(0, 1, 20)
    flat, steep = np.stack([steps, 0 * steps], 1), np.stack([0 * steps, 5 * steps], 1)
    assert procrustes(flat, steep) == pytest.approx(flat, abs=1e-6)


def test_maps_that_cannot_be_laid_over_each_other_are_a_sentence() -> None:
    flat = np.zeros((10, 2))
    with pytest.raises(UserError, match="flat map and one in space"):
        procrustes(flat, np.zeros((10, 3)))
    with pytest.raises(UserError, match="10 points"):
        disparity(flat, np.zeros((9, 2)))
    with pytest.raises(UserError, match="no finite numbers"):
        procrustes(flat, np.full((10, 2), np.inf))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_maps_in_turn_are_turned_onto_the_one_before_and_all_of_one_size(dimensions: int) -> None:
    random = np.random.default_rng(3)
    maps = [random.standard_normal((40, dimensions)) + 5]
    for size in (0.01, 300, 2):
        moved = maps[-1] + 0.3 * maps[-1].std() * random.standard_normal((40, dimensions))
        maps.append(size * moved @ ortho_group.rvs(dimensions, random_state=int(size * 100)) - 3)
    found = in_turn(maps)
    assert found[0] == pytest.approx(maps[0], abs=1e-6)
    middle = maps[0].mean(0)
    spread = np.linalg.norm(maps[0] - middle)
    for before, positions, given in zip(found[:-1], found[1:], maps[1:], strict=True):
        about = given - given.mean(0)
        turn, _ = orthogonal_procrustes(about, before.astype(np.float64) - middle)
        assert positions == pytest.approx(middle + about @ turn * spread / np.linalg.norm(about), abs=1e-5)


def test_a_film_through_a_spot_stays_a_spot_there() -> None:
    cloud, spot = RNG.standard_normal((20, 2)), np.full((20, 2), 7.0)
    first, second, third = in_turn([cloud, spot, cloud])
    assert np.ptp(second, axis=0).max() < 1e-6 and second.mean(0) == pytest.approx(first.mean(0), abs=1e-6)
    assert np.isfinite(third).all()
    with pytest.raises(UserError, match="flat map and one in space"):
        in_turn([cloud, np.zeros((20, 3))])
