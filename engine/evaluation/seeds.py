"""A map drawn again by other seeds: which methods owe something to chance, and does a group outlive it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import UserError
from engine.evaluation.map_result import LatentMap, Panel
from engine.methods.latent_map_config import only
from engine.projections import projection_entry
from engine.projections.clusters import NOBODY, Kept, kept_together
from engine.projections.kernel_pca import SAMPLE
from engine.projections.points import Points
from engine.projections.projection import Watch
from engine.runs.recipe import Recipe, check_recipe, make_recipe

OTHERS = 3  # other seeds that are asked
MOST_REDRAW = 1000  # the bound of the setting `redraw`
BY_LANDMARKS = "The seed decides which points are fitted; the others are placed among them."


@dataclass(frozen=True)
class SeedsReport:
    """Whether a selection stays together when its map is drawn again.

    Attributes:
        kept: One entry for each other seed.
        sentence: In one sentence.
    """

    kept: Kept
    sentence: str


def chance_of(panel: Panel) -> str:
    """What the seed decides on a panel, in one sentence; empty where every seed draws the same map."""
    if panel.row.get("landmarks"):
        return BY_LANDMARKS
    n = 0 if panel.positions is None else len(panel.positions)
    return "" if panel.method == "kernel_pca" and n <= SAMPLE else projection_entry(panel.method).chance


def redrawn(recipe: Recipe, method: str, count: int = OTHERS) -> dict[int, Recipe]:
    """The recipes of one method's map of the same points, laid out by other seeds.

    Only the layout's seed differs: which images are drawn, and the random weights of an encoder, stay.

    Args:
        recipe: The map's.
        method: A name of PROJECTIONS.
        count: How many.

    Returns:
        Recipes by the seed of the layout.
    """
    fields, old = recipe.model_dump(), int(recipe.config.get("redraw") or 0)
    found = {}
    for step in range(1, count + 1):
        redraw = (old + step) % (MOST_REDRAW + 1)
        config = {**fields["config"], **only([method]), "redraw": redraw}
        found[recipe.seed + redraw] = check_recipe(make_recipe({**fields, "config": config}))
    return found


def same_points(found: LatentMap, others: Sequence[LatentMap], method: str) -> list[np.ndarray]:
    """The positions of one method on maps that were drawn again.

    Args:
        found: The map.
        others: Of `redrawn` recipes.
        method: A name of PROJECTIONS.

    Returns:
        (n, dimensions) for each of them.

    Raises:
        UserError: One of them shows other images, or has no map by this method.
    """
    maps = []
    for other in others:
        panel = next((panel for panel in other.done if panel.method == method), None)
        if panel is None or panel.positions is None or not np.array_equal(found.index, other.index):
            raise UserError("A map by another seed is not of these points: delete its run and draw it again.")
        maps.append(panel.positions)
    return maps


def asked_of_seeds(
    points: Points,
    selection: np.ndarray,
    maps: Sequence[np.ndarray],
    title: str,
    seed: int = 0,
    watch: Watch = NOBODY,
) -> SeedsReport:
    """Whether a selection stays together on a method's maps by other seeds.

    Args:
        points: n of them, in their own space.
        selection: (s,) different rows, or (n,) bool.
        maps: (n, 2 or 3) each, at least one.
        title: The method's.
        seed: Of the members that are asked, where there are many.
        watch: Told how far it is, and asked whether to stop.

    Raises:
        UserError: There is no map, or the selection or a map cannot be used.
        engine.projections.projection.Stopped: `watch` said so.
    """
    if not maps:
        raise UserError("No map by another seed is there: draw them first.")
    kept = kept_together(points, selection, maps, seed=seed, watch=watch)
    return SeedsReport(kept, _in_words(title, sum(kept.together), len(maps)))


def _in_words(title: str, together: int, asked: int) -> str:
    if together == asked:
        how = {1: "the other seed asked", 2: "both other seeds"}.get(asked, f"all {asked} other seeds")
        return f"{title} keeps it together with {how}: it does not hang on the seed."
    if not together:
        how = "the other seed asked" if asked == 1 else f"any of {asked} other seeds"
        return f"{title} does not keep it together with {how}: where it lies together, that is chance."
    return f"{title} keeps it together with {together} of {asked} other seeds: in part it is chance."
