"""Unlike anything seen: distances by brute force, shares by plain counting, and sets that are gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.data.dataset import Dataset, remove_dataset
from engine.data.drawn_sets import build_shapes
from engine.errors import UserError
from engine.evaluation.novelty import (
    Seen,
    features_of,
    nearest_seen,
    other_distances,
    scaled,
    separation,
    share_beyond,
    training_images,
    usual_threshold,
)
from engine.evaluation.trial import read_picture, side_of, try_pictures
from engine.training.trained import answer
from tests.evaluation.tried import SIDE, small_shapes, tried_run


@pytest.fixture
def dataset(workspace: Path) -> Dataset:
    return small_shapes()


def unit(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300)


def test_shares_are_plain_counts() -> None:
    distances = np.random.default_rng(0).random(137)
    for threshold in (-1.0, 0.0, 0.25, float(distances[5]), 2.0):
        counted = sum(1 for d in distances if d > threshold)
        found = share_beyond(distances, threshold)
        assert (found.beyond, found.n, found.value) == (counted, 137, counted / 137)
    assert share_beyond(np.zeros(0), 1.0).value == 0


@pytest.mark.parametrize("n", [1, 7, 19, 20, 100, 333])
def test_the_usual_threshold_keeps_at_least_95_of_100_and_none_lower_does(n: int) -> None:
    distances = np.random.default_rng(n).random(n)
    found = usual_threshold(distances)
    assert sum(d <= found for d in distances) >= 0.95 * n
    assert all(sum(d <= lower for d in distances) < 0.95 * n for lower in distances[distances < found])


def test_separation_counts_pairs() -> None:
    random = np.random.default_rng(0)
    held, other = random.integers(0, 9, 40) / 9, random.integers(3, 12, 30) / 9  # with ties
    wanted = np.mean([(o > h) + (o == h) / 2 for o in other for h in held])
    assert separation(held, other) == pytest.approx(wanted)
    assert separation(held, held) == pytest.approx(0.5)
    assert separation(np.zeros(3), np.ones(4)) == 1


def test_the_nearest_are_those_of_brute_force_on_the_sphere() -> None:
    random = np.random.default_rng(1)
    bank, asked = random.normal(0, 1, (60, 20)).astype(np.float32), random.normal(0, 9, (8, 20))
    seen = Seen(scaled(bank), np.arange(60), 60, "val", np.zeros(1), 1)
    found = nearest_seen(seen, asked, 5)
    apart = np.linalg.norm(unit(asked)[:, None] - unit(bank)[None], axis=2)
    assert np.array_equal(found.index, np.argsort(apart, axis=1)[:, :5])
    assert found.distance == pytest.approx(np.sort(apart, axis=1)[:, :5], abs=1e-5)
    assert nearest_seen(seen, asked, 500).index.shape == (8, 60)
    with pytest.raises(UserError, match="finite"):
        nearest_seen(seen, np.full((1, 20), np.nan))


@pytest.mark.parametrize("mode", ["everything", "extract"])
def test_training_images_are_compared_in_the_space_that_the_head_reads(dataset: Dataset, mode: str) -> None:
    run = tried_run(dataset, mode=mode)
    seen = training_images(run)
    assert seen is not None
    train, test = dataset.indices("train"), dataset.indices("test")
    assert seen.index.tolist() == train.tolist() and (seen.of, seen.split, seen.held_out_of) == (
        60,
        "test",
        20,
    )
    stored = np.stack([read_picture(dataset.raw_bytes(int(i)), side_of(run)) for i in range(len(dataset))])
    x = unit(answer(run, stored).features)
    apart = np.linalg.norm(x[test][:, None] - x[train][None], axis=2)
    assert seen.held_out == pytest.approx(apart.min(1), abs=2e-3)
    assert seen.usual == usual_threshold(seen.held_out)
    near = nearest_seen(seen, try_pictures(run, stored[train[:5]]).features)
    assert seen.index[near.index[:, 0]].tolist() == train[:5].tolist(), "a training image is its own nearest"
    assert near.distance.max() < 1e-3, "in the same precision"


def test_without_held_out_images_training_images_stand_beside_each_other(workspace: Path) -> None:
    dataset = small_shapes(train=40)
    seen = training_images(tried_run(dataset))
    assert seen is not None and seen.split == "train" and len(seen.held_out) == 40
    apart = np.linalg.norm(seen.features[:, None] - seen.features[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert seen.held_out == pytest.approx(apart.min(1), abs=1e-3)


def test_another_set_is_compared_image_by_image(dataset: Dataset) -> None:
    run = tried_run(dataset)
    seen = training_images(run)
    assert seen is not None
    other = build_shapes("other", "Other", 24, "drawn", images={"train": 12, "val": 4})
    found = other_distances(run, seen, other)
    assert found is not None
    stored = np.stack([read_picture(other.raw_bytes(i), SIDE) for i in range(16)])
    apart = np.linalg.norm(unit(answer(run, stored).features)[:, None] - seen.features[None], axis=2)
    assert found == pytest.approx(apart.min(1), abs=2e-3)


def test_stop_leaves_nothing_behind(dataset: Dataset) -> None:
    run = tried_run(dataset)
    told: list[str] = []
    rows = np.arange(len(dataset))
    assert features_of(run, dataset, rows, lambda what, done, of: told.append(what), lambda: True) is None
    assert training_images(run, stop=lambda: True) is None
    assert training_images(run, lambda what, done, of: told.append(what)) is not None
    assert "computing features" in told


def test_a_set_that_is_gone_or_has_changed_is_one_sentence(dataset: Dataset) -> None:
    run = tried_run(dataset)
    stored = read_picture(dataset.raw_bytes(0), SIDE)[None]
    before = try_pictures(run, stored)
    remove_dataset(dataset.id)
    with pytest.raises(UserError, match="data set of this run is gone"):
        training_images(run)
    assert np.array_equal(try_pictures(run, stored).shares, before.shares), "it still predicts"
    build_shapes("shapes", "Shapes", SIDE, "drawn", images={"train": 30, "val": 5})
    with pytest.raises(UserError, match="has changed"):
        training_images(run)
