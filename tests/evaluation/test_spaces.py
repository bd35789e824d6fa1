"""Maps of several encoders side by side: the images they share, in the same order, turned onto the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.evaluation.spaces import shared_spaces
from engine.projections.align import in_turn, procrustes
from tests.evaluation.test_latent_map import drawn, map_recipe, shapes

__all__ = ["shapes"]


def test_spaces_show_the_shared_images_in_one_order(workspace: Path, shapes: Dataset) -> None:
    pixels = drawn(map_recipe(shapes, "pca", points=70))[1]
    other = drawn(map_recipe(shapes, "pca", "isomap", backbone="random:cnn-small", points=80, seed=3))[1]
    found = shared_spaces({"a": pixels, "b": other}, "pca")
    assert found.index.tolist() == sorted(set(pixels.index.tolist()) & set(other.index.tolist()))
    assert np.array_equal(found.label, shapes.labels[found.index])
    mine = np.asarray(pixels.panels[0].positions)[[pixels.index.tolist().index(i) for i in found.index]]
    theirs = np.asarray(other.panels[0].positions)[[other.index.tolist().index(i) for i in found.index]]
    assert np.array_equal(found.positions["a"], mine)
    assert found.positions["b"] == pytest.approx(procrustes(mine, theirs))


def test_a_film_of_spaces_lays_each_onto_the_one_before(workspace: Path, shapes: Dataset) -> None:
    maps = {
        name: drawn(map_recipe(shapes, "isomap", isomap_n_neighbors=k))[1]
        for name, k in (("a", 5), ("b", 10), ("c", 20))
    }
    found = shared_spaces(maps, "isomap", film=True)
    given = [np.asarray(one.panels[0].positions) for one in maps.values()]
    for placed, wanted in zip(found.positions.values(), in_turn(given), strict=True):
        assert np.array_equal(placed, wanted)
    assert list(found.positions) == ["a", "b", "c"]


def test_what_cannot_be_laid_side_by_side_is_one_sentence(workspace: Path, shapes: Dataset) -> None:
    flat = drawn(map_recipe(shapes, "pca", "isomap"))[1]
    solid = drawn(map_recipe(shapes, "pca", dimensions=3))[1]
    train = drawn(map_recipe(shapes, "pca", split="train"))[1]
    test = drawn(map_recipe(shapes, "pca", split="test"))[1]
    for maps, method, told in [
        ({}, "pca", "at least one map"),
        ({"a": flat, "b": train}, "isomap", "no panel by isomap"),
        ({"a": flat, "b": solid}, "pca", "same dimensions"),
        ({"a": train, "b": test}, "pca", "share 0 images"),
    ]:
        with pytest.raises(UserError, match=told):
            shared_spaces(maps, method)
