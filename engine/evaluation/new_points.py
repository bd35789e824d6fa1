"""Pictures that no map was made with, placed on every one of its panels and judged by their neighbours."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from engine.data.dataset import open_dataset
from engine.data.progress import Progress, Report, Stop, Stopped, never, silent, tell_or_stop
from engine.errors import UserError
from engine.evaluation.latent_map import space_of
from engine.evaluation.map_result import LatentMap, Panel
from engine.evaluation.new_pictures import Pictures, encode_pictures
from engine.models.encoder import PIXELS
from engine.projections.landmarks import among_neighbours
from engine.projections.make import fit_projection, place
from engine.projections.points import Neighbours, Points, nearest_of
from engine.projections.projection import CannotProject, Watch
from engine.projections.projection import Stopped as ProjectionStopped

VOTERS = 10  # nearest images of the map that vote on a new one's class, and hold its place
FAR_PERCENTILE = 99.0  # of the map's own nearest-neighbour distances; beyond it a new point is far from all
EXACT = ("pca", "kernel_pca", "lle", "isomap", "mds")  # they place new points by the rule of the old ones
CHEAP = ("pca",)  # fitted again whatever its time: as a map's first method it is charged for loading
REFIT_SECONDS = 2.0  # another method that took longer is not fitted again
AGREES = 0.02  # of the map's width: how far from their own places fitted points may come by `transform`
CHECKED = 64  # fitted points that are placed again to see
NO_OUTSIDE = (
    "The map's vectors came from outside, and what made them is not here: no new image can join them."
)


@dataclass(frozen=True)
class PlacedPanel:
    """Where the new pictures lie on one method's map.

    Attributes:
        method: A name of PROJECTIONS.
        title: The name a person reads.
        positions: (m, dimensions) float32 among the panel's own positions.
        beside: (m, dimensions) the same among `LatentMap.aligned()`.
        by_method: Whether the method itself placed them; else they lie among their nearest images.
    """

    method: str
    title: str
    positions: np.ndarray
    beside: np.ndarray
    by_method: bool

    @property
    def how(self) -> str:
        """One sentence on how they were placed."""
        if self.by_method:
            return f"Placed by {self.title} itself, fitted again to the same points with the same seed."
        return (
            f"Placed among its neighbours: each lies at the mean of its {VOTERS} nearest images' places, the "
            f"nearer counting more; {self.title} itself was not asked."
        )


@dataclass(frozen=True)
class NewPoints:
    """What a map says of new pictures.

    Attributes:
        pictures: The m pictures.
        neighbours: (m, k) rows of the map's points nearest in the original space, nearest first.
        distances: (m, k) how far they are, in the map's metric.
        label: (m,) the class that most of them have, -1 where none has one.
        votes: (m,) how many of them have it.
        far_beyond: A new picture whose nearest image is further than this is far from all.
        panels: In the map's order.
    """

    pictures: Pictures
    neighbours: np.ndarray
    distances: np.ndarray
    label: np.ndarray
    votes: np.ndarray
    far_beyond: float
    panels: tuple[PlacedPanel, ...]

    @property
    def far(self) -> np.ndarray:
        """(m,) whether a picture is far from anything the map was made with."""
        return np.asarray(self.distances[:, 0] > self.far_beyond)


def place_pictures(
    found: LatentMap, pictures: Pictures, tell: Report = silent, stop: Stop = never
) -> NewPoints:
    """Encode pictures as the map's images were, and find their places and neighbours.

    Methods that are quick to fit and place new points by the rule of the old ones are fitted again to the
    same points; it is checked that they then agree with the map. On other panels a picture lies at
    the mean of its nearest images' places, weighted by one over the distance (D. Shepard 1968, A
    two-dimensional interpolation function for irregularly-spaced data, ACM National Conference).

    Args:
        found: A map whose run has ended.
        pictures: From `read_pictures` with `side_of` the map's recipe.
        tell: Told how far it is.
        stop: Asked before each step, and often while a method is fitted.

    Raises:
        UserError: The map is of noise or of vectors from outside, the data set or the encoder is gone, or
            the features are no finite numbers.
        engine.data.progress.Stopped: It was asked to stop.
    """
    recipe = found.recipe
    refuse_closed(found)
    tell_or_stop(tell, stop, Progress("reading the map's features", 0))
    space = space_of(recipe, found.index, lambda phase, done, total: tell(Progress(phase, done, total)), stop)
    tell_or_stop(tell, stop, Progress("encoding the pictures", 0))
    x = prepared_like(space, encode_pictures(recipe, pictures.pixels))
    near = nearest_of(space.x, x, min(VOTERS, len(space)))
    label, votes = vote(found.label[near.index])
    limit = float(np.percentile(found.distances[:, 0], FAR_PERCENTILE))
    aligned = found.aligned()
    panels = []
    for number, panel in enumerate(found.done):
        tell_or_stop(tell, stop, Progress(f"placing them by {panel.title}", number, len(found.done)))
        panels.append(_placed(found, panel, space, x, near, aligned[panel.method], Watch(stopped=stop)))
    return NewPoints(pictures, near.index, near.distance, label, votes, limit, tuple(panels))


def refuse_closed(found: LatentMap) -> None:
    """Refuse a map that no new picture can join.

    Raises:
        UserError: It is of noise or of vectors from outside, or its data set has changed.
    """
    recipe = found.recipe
    if found.settings.noise:
        raise UserError("This map is of noise, where no image has a place: draw one of the features.")
    if (recipe.backbone or PIXELS).startswith("vectors:"):
        raise UserError(NO_OUTSIDE)
    if recipe.fingerprint and recipe.fingerprint != open_dataset(recipe.dataset).fingerprint:
        raise UserError("The data set changed since this map was drawn: draw it again, then add images.")


def prepared_like(space: Points, x: np.ndarray) -> np.ndarray:
    """New features prepared as those of a map were.

    Args:
        space: The map's points.
        x: (m, d) features as they come from the encoder.

    Returns:
        (m, d) float32; of length 1 where the metric is cosine.

    Raises:
        UserError: They are no finite numbers, or as many as another encoder gives.
    """
    if x.shape[1] != space.width:
        raise UserError(
            f"A new image has {x.shape[1]:,} features, one of the map's {space.width:,}: draw the map again."
        )
    # a few of the map's own, two of them different, make a set that can be checked however few are new
    other = int(np.argmax((space.x != space.x[0]).any(1)))
    some = space.x[[0, other, 0, other, 0]]
    return Points(np.concatenate([some, x]), space.metric).x[len(some) :]


def vote(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The commonest class among neighbours; of two as common, that of the nearer neighbour.

    Args:
        labels: (m, k) classes of the neighbours, nearest first, -1 for none.

    Returns:
        (m,) the class, -1 where no neighbour has one, and (m,) how many have it.
    """
    winner, count = np.full(len(labels), -1), np.zeros(len(labels), np.int64)
    for row, voters in enumerate(np.asarray(labels)):
        known = voters[voters >= 0]
        if len(known):
            votes = np.bincount(known)[known]
            winner[row], count[row] = known[votes.argmax()], votes.max()
    return winner, count


def _placed(
    found: LatentMap,
    panel: Panel,
    space: Points,
    x: np.ndarray,
    near: Neighbours,
    aligned: np.ndarray,
    watch: Watch,
) -> PlacedPanel:
    assert panel.positions is not None  # it is one of the panels that are done
    positions = None
    if panel.method in CHEAP or (panel.method in EXACT and _seconds(panel) <= REFIT_SECONDS):
        with suppress(CannotProject):
            positions = _by_method(found, panel.method, panel.positions, space, x, watch)
    by_method = positions is not None
    if positions is None:
        positions = among_neighbours(panel.positions, near)
    beside = moved_alike(panel.positions, aligned, positions)
    return PlacedPanel(panel.method, panel.title, positions, beside, by_method)


def _seconds(panel: Panel) -> float:
    found = panel.row.get("seconds")
    return float(found) if isinstance(found, (int, float)) else np.inf


def _by_method(
    found: LatentMap, method: str, positions: np.ndarray, space: Points, x: np.ndarray, watch: Watch
) -> np.ndarray | None:
    """(m, dimensions) by the method itself; None where it does not agree with the map that was drawn.

    Raises:
        CannotProject: It has no place for them.
        Stopped: `watch` said so.
    """
    settings, seed = found.settings, found.recipe.seed + found.settings.redraw
    try:
        projection, made = fit_projection(
            method, space, settings.of(method), settings.dimensions, seed, watch
        )
    except ProjectionStopped:
        raise Stopped from None
    rows = np.linspace(0, len(space) - 1, min(CHECKED, len(space))).astype(int)
    again = place(method, projection, space.x[rows])
    width = float(np.ptp(positions, axis=0).max())
    for own, other in ((made.positions, positions), (again, positions[rows])):
        if np.median(np.linalg.norm(own - other, axis=1)) > AGREES * width:
            return None
    return place(method, projection, x)


def moved_alike(before: np.ndarray, after: np.ndarray, new: np.ndarray) -> np.ndarray:
    """New positions moved, turned and scaled as a map's own were.

    Args:
        before: (n, dimensions) of the map.
        after: (n, dimensions) of the same points, by a linear map and a shift of `before`.
        new: (m, dimensions) beside `before`.

    Returns:
        (m, dimensions) float32 beside `after`.
    """
    old, moved = before.astype(np.float64), after.astype(np.float64)
    middle, there = old.mean(0), moved.mean(0)
    step = np.linalg.lstsq(old - middle, moved - there, rcond=None)[0]
    return ((new - middle) @ step + there).astype(np.float32)
