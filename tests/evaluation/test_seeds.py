"""Maps drawn again by other seeds: what differs, what stays, and whether a selection outlives it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.evaluation.latent_map import map_rows, space_of
from engine.evaluation.map_result import Panel
from engine.evaluation.seeds import BY_LANDMARKS, asked_of_seeds, chance_of, redrawn, same_points
from engine.projections.points import Points
from tests.evaluation.test_latent_map import drawn, map_recipe, shapes

__all__ = ["shapes"]

POINTS = Points(np.random.default_rng(0).standard_normal((60, 5)))
GROUP = np.arange(10)


def together() -> np.ndarray:
    """A map with the group on a line of its own, far from the others."""
    positions = np.random.default_rng(1).uniform(-1, 1, (60, 2))
    positions[GROUP] = np.stack([np.arange(10) * 0.01, np.full(10, 50)], 1)
    return positions.astype(np.float32)


def apart() -> np.ndarray:
    """A map with each member of the group alone among five others."""
    centres = np.arange(10)[:, None] * np.array([[100.0, 0]])
    positions = np.repeat(centres, 6, 0) + np.random.default_rng(2).uniform(0, 1, (60, 2))
    order = np.concatenate([np.arange(10) * 6, np.setdiff1d(np.arange(60), np.arange(10) * 6)])
    placed = np.empty((60, 2), np.float32)
    placed[np.arange(60)] = positions[order]
    return placed


def test_a_group_is_counted_on_the_maps_that_keep_it_and_no_others() -> None:
    found = asked_of_seeds(POINTS, GROUP, [together(), apart(), together()], "t-SNE")
    assert found.kept.together == (True, False, True)
    assert found.kept.company[0] == found.kept.company[2] == 1
    assert found.kept.chance == pytest.approx(9 / 59)
    # of its nine neighbours five share a member's place, and the four beyond are of the next places
    near = [np.argsort(np.linalg.norm(apart() - place, axis=1))[1:10] for place in apart()[GROUP]]
    assert found.kept.company[1] == pytest.approx(np.isin(near, GROUP).mean()) and found.kept.company[1] < 0.2
    assert found.sentence == "t-SNE keeps it together with 2 of 3 other seeds: in part it is chance."


def test_all_and_none_are_said_as_such() -> None:
    every = asked_of_seeds(POINTS, GROUP, [together()] * 3, "UMAP").sentence
    none = asked_of_seeds(POINTS, GROUP, [apart()] * 3, "UMAP").sentence
    assert every == "UMAP keeps it together with all 3 other seeds: it does not hang on the seed."
    assert none == (
        "UMAP does not keep it together with any of 3 other seeds: where it lies together, that is chance."
    )
    assert "with both other seeds:" in asked_of_seeds(POINTS, GROUP, [together()] * 2, "UMAP").sentence
    assert "the other seed asked" in asked_of_seeds(POINTS, GROUP, [apart()], "UMAP").sentence
    with pytest.raises(UserError, match="draw them first"):
        asked_of_seeds(POINTS, GROUP, [], "UMAP")
    with pytest.raises(UserError, match="Select at least 5"):
        asked_of_seeds(POINTS, GROUP[:3], [together()], "UMAP")


def test_another_seed_draws_the_same_images_of_the_same_encoder_on_another_map(
    workspace: Path, shapes: Dataset
) -> None:
    recipe = map_recipe(
        shapes, "pca", "tsne", points=40, backbone="random:cnn-small", seed=5, tsne_iterations=50
    )
    found = drawn(recipe)[1]
    again = redrawn(recipe, "tsne")
    assert list(again) == [6, 7, 8] and len({other.digest() for other in again.values()}) == 3
    other = drawn(again[6])[1]
    assert np.array_equal(found.index, other.index)
    assert not np.array_equal(found.index, map_rows(shapes, "all", 40, 6)), "another recipe seed would not do"
    assert np.array_equal(space_of(recipe, found.index).x, space_of(again[6], other.index).x)
    assert np.array_equal(found.neighbours, other.neighbours)
    (positions,) = same_points(found, [other], "tsne")
    assert not np.allclose(positions, found.done[1].positions, rtol=0.01)
    assert [panel.method for panel in other.panels] == ["tsne"]
    with pytest.raises(UserError, match="not of these points"):
        same_points(found, [drawn(map_recipe(shapes, "tsne", points=30))[1]], "tsne")


def test_a_map_that_was_drawn_again_asks_further_seeds(workspace: Path, shapes: Dataset) -> None:
    recipe = map_recipe(shapes, "umap", seed=2)
    assert list(redrawn(redrawn(recipe, "umap")[4], "umap")) == [5, 6, 7]
    last = map_recipe(shapes, "umap", seed=2, redraw=1000)
    assert list(redrawn(last, "umap")) == [2, 3, 4], "beyond the bound it begins anew"


def test_a_method_without_chance_is_told_from_one_that_drew_landmarks() -> None:
    assert chance_of(Panel("pca", "PCA")) == ""
    assert chance_of(Panel("isomap", "Isomap", row={"landmarks": 300})) == BY_LANDMARKS
    assert "seed" in chance_of(Panel("tsne", "t-SNE", row={"landmarks": 0}))
