"""Pictures that no map was made with: encoded like its images, and placed on every one of its panels."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.data.archives import open_source
from engine.data.dataset import open_dataset
from engine.data.decode import open_image
from engine.data.layout import is_ignored, readable
from engine.data.pixels import fitted
from engine.data.source import Entry
from engine.errors import UserError
from engine.evaluation.latent_map import space_of
from engine.evaluation.map_result import LatentMap, Panel
from engine.models.encoder import PIXELS
from engine.projections.make import fit_projection, place
from engine.projections.points import Neighbours, Points, nearest_of
from engine.projections.projection import CannotProject
from engine.runs.recipe import Recipe

MOST_PICTURES = 200  # placed at a time
SKIPPED_NAMED = 20
VOTERS = 10  # nearest images of the map that vote on a new one's class, and hold its place
FAR_PERCENTILE = 99.0  # of the map's own nearest-neighbour distances; beyond it a new point is far from all
EXACT = ("pca", "kernel_pca", "lle", "isomap")  # methods that place new points by the rule of the old ones
CHEAP = ("pca",)  # fitted again whatever its time: as a map's first method it is charged for loading
REFIT_SECONDS = 2.0  # another method that took longer is not fitted again
AGREES = 0.02  # of the map's width: how far from their own places fitted points may come by `transform`
CHECKED = 64  # fitted points that are placed again to see
NO_OUTSIDE = (
    "The map's vectors came from outside, and what made them is not here: no new image can join them."
)


@dataclass(frozen=True)
class Pictures:
    """New pictures, as an encoder reads them.

    Attributes:
        names: Of the m files; data, never paths.
        pixels: (m, s, s, 3) uint8, the middle of each.
        skipped: Names and reasons of files that could not be used, the first few.
        more: Whether further files were left unread.
    """

    names: tuple[str, ...]
    pixels: np.ndarray
    skipped: tuple[tuple[str, str], ...] = ()
    more: bool = False


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


def side_of(recipe: Recipe) -> int:
    """The side at which a map's images were read before the encoder took their middle."""
    from engine.data.augment import stored_size

    return recipe.image_size if (recipe.backbone or PIXELS) == PIXELS else stored_size(recipe.image_size)


def pictures_in(path: Path, side: int) -> Pictures:
    """The pictures of a zip or tar, the first `MOST_PICTURES` of them.

    Args:
        path: Of the archive; nothing in it is trusted or written anywhere.
        side: As `read_pictures`.

    Raises:
        UserError: It is no archive, is over a limit, or holds no picture.
    """
    source = open_source(path)
    return read_pictures(source.entries(lambda name: not is_ignored(readable(name))), side)


def read_pictures(entries: Iterable[Entry], side: int) -> Pictures:
    """Decode files and cut the middle out of each, as is done with the images of a data set.

    Args:
        entries: Names and bytes; files without bytes are skipped for their reason.
        side: Pixels, see `side_of`.

    Raises:
        UserError: None of them is a picture.
    """
    names: list[str] = []
    pixels: list[np.ndarray] = []
    skipped: list[tuple[str, str]] = []
    for entry in entries:
        name = readable(entry.name)
        if len(pixels) == MOST_PICTURES:
            return Pictures(tuple(names), np.stack(pixels), tuple(skipped), more=True)
        if is_ignored(name) or (entry.data is None and entry.reason is None):
            continue
        try:
            if entry.data is None:
                raise UserError(entry.reason or "")
            pixels.append(np.asarray(fitted(open_image(entry.data, at_least=side), side)))
            names.append(name)
        except UserError as error:
            if len(skipped) < SKIPPED_NAMED:
                skipped.append((name[:120], str(error)))
    if not pixels:
        reason = f"'{skipped[0][0][:60]}': {skipped[0][1]}" if skipped else "there is nothing in it"
        raise UserError(
            f"There is no picture to place ({reason}): choose JPEG or PNG files, or a zip of them."
        )
    return Pictures(tuple(names), np.stack(pixels), tuple(skipped))


def place_pictures(found: LatentMap, pictures: Pictures) -> NewPoints:
    """Encode pictures as the map's images were, and find their places and neighbours.

    Methods that are quick to fit and place new points by the rule of the old ones are fitted again to the
    same points; it is checked that they then agree with the map. On other panels a picture lies at
    the mean of its nearest images' places, weighted by one over the distance (D. Shepard 1968, A
    two-dimensional interpolation function for irregularly-spaced data, ACM National Conference).

    Args:
        found: A map whose run has ended.
        pictures: From `read_pictures` with `side_of` the map's recipe.

    Raises:
        UserError: The map is of noise or of vectors from outside, the data set or the encoder is gone, or
            the features are no finite numbers.
    """
    recipe = found.recipe
    refuse_closed(found)
    space = space_of(recipe, found.index)
    x = prepared_like(space, encode_pictures(recipe, pictures.pixels))
    near = nearest_of(space.x, x, min(VOTERS, len(space)))
    label, votes = vote(found.label[near.index])
    limit = float(np.percentile(found.distances[:, 0], FAR_PERCENTILE))
    aligned = found.aligned()
    panels = tuple(_placed(found, panel, space, x, near, aligned[panel.method]) for panel in found.done)
    return NewPoints(pictures, near.index, near.distance, label, votes, limit, panels)


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


def encode_pictures(recipe: Recipe, pixels: np.ndarray) -> np.ndarray:
    """Features of new pictures from a map's encoder, neither read from the cache nor kept there.

    Args:
        recipe: The map's.
        pixels: (m, s, s, 3) uint8 with s of `side_of`.

    Returns:
        (m, d) float32.

    Raises:
        UserError: The encoder cannot be built.
    """
    name = recipe.backbone or PIXELS
    if name == PIXELS:
        return pixels.reshape(len(pixels), -1).astype(np.float32) / np.float32(255)
    import torch

    from engine.data.augment import center
    from engine.evaluation.features import BATCH_PIXELS, LARGE_BATCH
    from engine.models.encoder import build_encoder
    from engine.training import machine

    device = machine.choose_device()
    machine.prepare(device)
    encoder = build_encoder(name, recipe.image_size, recipe.seed).to(device).eval()
    batch = max(1, min(LARGE_BATCH, BATCH_PIXELS // recipe.image_size**2))
    made = []
    with torch.inference_mode():
        for start in range(0, len(pixels), batch):
            images = torch.from_numpy(pixels[start : start + batch]).to(device)
            x = center(images, recipe.image_size).contiguous(memory_format=torch.channels_last)
            made.append(encoder(x).float().cpu().numpy())
    return np.concatenate(made).reshape(len(pixels), -1)


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


def among_neighbours(positions: np.ndarray, near: Neighbours) -> np.ndarray:
    """Means of the neighbours' positions, weighted by one over the distance.

    Args:
        positions: (n, dimensions) of the map's points.
        near: (m, k) neighbours of the new ones among them.

    Returns:
        (m, dimensions) float32; a copy of a point of the map lies on it.
    """
    distance = near.distance.astype(np.float64)
    copies = distance == 0
    weights = np.where(copies.any(1, keepdims=True), copies, 1 / np.where(copies, 1, distance))
    weights /= weights.sum(1, keepdims=True)
    return np.einsum("mk,mkd->md", weights, positions[near.index].astype(np.float64)).astype(np.float32)


def _placed(
    found: LatentMap, panel: Panel, space: Points, x: np.ndarray, near: Neighbours, aligned: np.ndarray
) -> PlacedPanel:
    assert panel.positions is not None  # it is one of the panels that are done
    positions = None
    if panel.method in CHEAP or (panel.method in EXACT and _seconds(panel) <= REFIT_SECONDS):
        with suppress(CannotProject):
            positions = _by_method(found, panel.method, panel.positions, space, x)
    by_method = positions is not None
    if positions is None:
        positions = among_neighbours(panel.positions, near)
    beside = moved_alike(panel.positions, aligned, positions)
    return PlacedPanel(panel.method, panel.title, positions, beside, by_method)


def _seconds(panel: Panel) -> float:
    found = panel.row.get("seconds")
    return float(found) if isinstance(found, (int, float)) else np.inf


def _by_method(
    found: LatentMap, method: str, positions: np.ndarray, space: Points, x: np.ndarray
) -> np.ndarray | None:
    """(m, dimensions) by the method itself; None where it does not agree with the map that was drawn.

    Raises:
        CannotProject: It has no place for them.
    """
    settings, seed = found.settings, found.recipe.seed
    projection, made = fit_projection(method, space, settings.of(method), settings.dimensions, seed)
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
