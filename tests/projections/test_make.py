"""What the one way to make a map checks, and that every failure is a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.errors import MAX_MESSAGE, UserError
from engine.projections import make, parse_projection
from engine.projections.make import distinct_positions, fit_projection, place, project
from engine.projections.pca import PCA
from engine.projections.points import Points
from engine.projections.projection import CannotProject, Embedding, Stopped, Watch
from tests.projections.shapes import cloud, groups

Outcome = Callable[[PCA, Points, Watch], Any]


def given(monkeypatch: pytest.MonkeyPatch, positions: Any) -> None:
    """PCA answers with these positions, or raises them."""

    def fit(self: PCA, points: Points, watch: Watch) -> Embedding:
        if isinstance(positions, BaseException):
            raise positions
        return Embedding(positions)

    monkeypatch.setattr(PCA, "fit", fit)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("array must not contain infs or NaNs"),
        np.linalg.LinAlgError("SVD did not converge"),
        RuntimeError("Factor is exactly singular"),
        MemoryError(),
        TypeError("k >= N"),
        ZeroDivisionError("x" * 5000),
    ],
)
def test_what_a_library_raises_is_a_sentence(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    given(monkeypatch, error)
    with pytest.raises(CannotProject, match=r"^PCA .*: .*choose") as caught:
        project("pca", Points(cloud()))
    assert str(error) not in str(caught.value) or not str(error)
    assert caught.value.__cause__ is error
    assert len(str(caught.value)) <= MAX_MESSAGE


def test_a_sentence_and_a_stop_pass_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (CannotProject("Too far."), UserError("Too near."), Stopped(), KeyboardInterrupt()):
        given(monkeypatch, error)
        with pytest.raises(type(error)) as caught:
            project("pca", Points(cloud()))
        assert caught.value is error


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        (cloud(200, 3), "position for every point"),
        (cloud(199, 2), "position for every point"),
        (np.full((200, 2), np.nan), "infinity"),
        (cloud(200, 2) * np.float64(1e39), "infinity"),
        (np.zeros((200, 2)), "on 1 spot,"),
        (np.repeat(cloud(4, 2), 50, 0), "200 different points on 4 spots,"),
        (np.repeat(cloud(10, 2), 20, 0), "200 different points on 10 spots,"),
        (np.repeat(cloud(4, 2), 50, 0) + 1e-9 * cloud(200, 2), "on 4 spots,"),
    ],
)
def test_a_map_that_shows_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, positions: np.ndarray, words: str
) -> None:
    given(monkeypatch, positions)
    with np.errstate(over="ignore"), pytest.raises(CannotProject, match=words):
        project("pca", Points(cloud()))


def test_few_different_points_may_lie_on_as_few_spots(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.repeat(cloud(3), 50, 0)
    given(monkeypatch, np.repeat(cloud(3, 2), 50, 0))
    assert project("pca", Points(x)).positions.shape == (150, 2)


def test_positions_are_told_apart_relative_to_the_width_of_the_map() -> None:
    y = cloud(50, 2)
    for scale in (1e-20, 1, 1e12):
        assert distinct_positions(y * np.float32(scale)) == 50
    assert distinct_positions(np.concatenate([y, y])) == 50
    assert distinct_positions(np.ones((9, 2))) == 1


def test_positions_are_float32_whatever_a_method_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, np.asfortranarray(cloud(200, 2).astype(np.float64)))
    found = project("pca", Points(cloud()))
    assert found.positions.dtype == np.float32
    assert found.positions.flags.c_contiguous


def test_wrong_names_dimensions_and_settings_are_sentences() -> None:
    points = Points(cloud())
    with pytest.raises(UserError, match="no projection 'som'; choose among: pca, kernel_pca"):
        project("som", points)
    with pytest.raises(UserError, match="2 or 3 dimensions, got 4"):
        project("pca", points, dimensions=4)
    with pytest.raises(UserError, match="no settings of PCA"):
        project("pca", points, parse_projection("isomap", {}))


def test_new_points_must_fit_the_old_ones() -> None:
    projection, _ = fit_projection("pca", Points(cloud()))
    for wrong in (cloud(5, 3), cloud(5, 11)):
        with pytest.raises(CannotProject, match="PCA"):
            place("pca", projection, wrong)
    for wrong in (np.full((5, 10), np.nan), cloud(1)[0], np.zeros((0, 10))):
        with pytest.raises(CannotProject, match="rows of finite numbers"):
            place("pca", projection, wrong)


def test_a_method_without_a_place_for_new_points_says_so() -> None:
    projection, _ = fit_projection("laplacian_eigenmaps", Points(cloud(50)))
    with pytest.raises(CannotProject, match="cannot place new points"):
        place("laplacian_eigenmaps", projection, cloud(5))


@pytest.mark.parametrize("n", [300, 2300])
def test_small_sets_use_one_thread(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    from threadpoolctl import threadpool_info, threadpool_limits

    seen: list[int] = []

    def fit(self: PCA, points: Points, watch: Watch) -> Embedding:
        seen.extend(library["num_threads"] for library in threadpool_info())
        return Embedding(points.x[:, :2])

    monkeypatch.setattr(PCA, "fit", fit)
    with threadpool_limits(2):
        project("pca", Points(groups(n)))
        after = [library["num_threads"] for library in threadpool_info()]
    assert seen
    assert set(seen) == ({1} if n <= make.SMALL else set(after))
