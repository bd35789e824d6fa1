"""Points that check themselves, and neighbours against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import UserError
from engine.projections import points
from engine.projections.points import Points, nearest_of, neighbours_within
from tests.projections.shapes import cloud


def looped(bank: np.ndarray, x: np.ndarray, k: int, others: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows and distances of the nearest, one point at a time in double precision."""
    index, distance = [], []
    for i, point in enumerate(x.astype(np.float64)):
        lengths = np.sqrt(((bank.astype(np.float64) - point) ** 2).sum(1))
        order = [j for j in np.argsort(lengths, kind="stable") if not (others and j == i)][:k]
        index.append(order)
        distance.append(lengths[order])
    return np.array(index), np.array(distance)


@pytest.mark.parametrize("width", [2, 10, 40])
def test_neighbours_are_those_of_a_loop(width: int) -> None:
    x = cloud(150, width)
    found = Points(x).graph(7)
    index, distance = looped(x, x, 7, others=True)
    assert np.array_equal(found.index, index)
    assert np.allclose(found.distance, distance, rtol=1e-5)


@pytest.mark.parametrize("width", [3, 40])
def test_nearest_rows_of_a_bank_are_those_of_a_loop(width: int) -> None:
    bank, x = cloud(90, width, 1), cloud(30, width, 2)
    for k in (1, 5, 90):
        found = nearest_of(bank, x, k)
        index, distance = looped(bank, x, k, others=False)
        assert np.array_equal(found.index, index)
        assert np.allclose(found.distance, distance, rtol=1e-5)


@pytest.mark.parametrize("width", [5, 40])
def test_neighbours_do_not_depend_on_where_the_points_lie(width: int) -> None:
    x = cloud(120, width)
    near, far = Points(x).graph(5), Points(x + 300).graph(5)
    assert (near.index == far.index).mean() > 0.98
    assert np.allclose(near.distance, far.distance, rtol=1e-3)


@pytest.mark.parametrize("width", [4, 40])
def test_a_point_is_no_neighbour_of_itself_even_among_its_copies(width: int) -> None:
    x = np.concatenate([cloud(20, width), np.repeat(cloud(1, width, 3), 30, 0)])
    found = Points(x).graph(6)
    assert not (found.index == np.arange(len(x))[:, None]).any()
    assert (found.distance[20:] == 0).all()


def test_the_graph_is_kept_and_cut_for_fewer_neighbours() -> None:
    points = Points(cloud(60))
    large = points.graph(12)
    small = points.graph(4)
    assert np.shares_memory(small.index, large.index)
    assert np.array_equal(small.index, large.index[:, :4])
    assert points.graph(500).index.shape == (60, 59)


def test_copies_are_told_apart_by_value_and_put_back() -> None:
    x = cloud(8, 3)
    twice = np.concatenate([x[[3, 1, 1, 0]], x])
    different, back = Points(twice).without_copies()
    assert len(different) == 8
    assert np.array_equal(different.x[back], twice)
    assert np.array_equal(Points(twice).distinct, [0, 1, 3, 6, 8, 9, 10, 11])


def test_minus_zero_is_zero() -> None:
    x = cloud(6, 2)
    x[0], x[1] = (0.0, 1.0), (-0.0, 1.0)
    assert len(Points(x).distinct) == 5


def test_points_without_copies_are_themselves() -> None:
    points = Points(cloud(30))
    different, back = points.without_copies()
    assert different is points
    assert np.array_equal(back, np.arange(30))


def test_what_is_given_stays_as_it_is_and_what_is_kept_is_read_only() -> None:
    x = cloud(20)
    before = x.copy()
    points = Points(x)
    points.graph(3)
    assert np.array_equal(x, before) and x.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        points.x[0, 0] = 1


def test_cosine_scales_rows_to_length_one_and_leaves_zeros() -> None:
    x = cloud(20)
    x[4] = 0
    lengths = np.linalg.norm(Points(x, metric="cosine").x, axis=1)
    assert lengths[4] == 0
    assert np.allclose(np.delete(lengths, 4), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (cloud(4), "at least 5 points, here are 4"),
        (np.ones((9, 3)), "All points are the same"),
        (np.where(np.eye(9, 3) > 0, np.nan, 1.0), "3 of 9 points"),
        (np.where(np.eye(9, 3) > 0, np.inf, 1.0), "no finite numbers"),
        (cloud(9) * 1e20, "too large"),
        (np.zeros((0, 3)), "here are 0"),
        (np.float32(1), "here are 0"),
    ],
)
def test_points_that_have_no_map_are_a_sentence(x: np.ndarray, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Points(x)


def test_too_few_different_points_are_a_sentence() -> None:
    points = Points(np.repeat(cloud(3), 20, 0))
    with pytest.raises(UserError, match="Only 3 of 60 points are different"):
        points.without_copies()


def test_a_number_of_neighbours_is_clamped_with_a_note() -> None:
    assert neighbours_within(10, 11) == (10, ())
    k, notes = neighbours_within(10, 8)
    assert k == 7 and "7 neighbours" in notes[0]


@pytest.mark.parametrize("gap", [100.0, 1e3, 1e5])
def test_tight_groups_far_apart_keep_their_neighbours(gap: float) -> None:
    random = np.random.default_rng(0)
    x = random.normal(0, 0.1, (200, 20))
    x[100:] += gap
    given = x.astype(np.float32).astype(np.float64)
    apart = ((given[:, None] - given[None]) ** 2).sum(2)
    np.fill_diagonal(apart, np.inf)
    found = Points(x).graph(8)
    nearest = np.sort(np.sqrt(apart), axis=1)[:, :8]
    assert np.take_along_axis(np.sqrt(apart), found.index, 1) == pytest.approx(nearest, rel=1e-6)


@pytest.mark.parametrize("keys", ["its own", "all alike"])
def test_different_points_are_those_that_numpy_finds_even_where_keys_collide(
    monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    x = cloud(300, 40)
    x[7], x[200:230], x[250, 39] = x[290], x[3], 0.0
    x[251] = x[250]
    x[251, 39] = -0.0
    if keys == "all alike":
        monkeypatch.setattr(points, "row_keys", lambda x: np.zeros(len(x), np.uint64))
    monkeypatch.setattr(points, "KEY_CELLS", 100)
    found = Points(x)
    _, first, like = np.unique(x + np.float32(0), axis=0, return_index=True, return_inverse=True)
    assert np.array_equal(found.distinct, np.sort(first))
    _, back = found.without_copies()
    assert np.array_equal(found.distinct[back], first[like.ravel()])
    assert len(found.distinct) == 300 - 1 - 30 - 1
