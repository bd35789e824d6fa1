"""Random views before any training, and what a finished self-supervised run makes of images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.data.augment import View, augment, center, crop_boxes, stored_size
from engine.data.dataset import Dataset, open_dataset
from engine.data.pixels import fitted, pixels
from engine.errors import UserError
from engine.evaluation.neighbours import Metric, nearest
from engine.methods import method_class, parse_config
from engine.methods.autoencoder import as_bytes
from engine.methods.self_supervised import SelfSupervised
from engine.runs.recipe import Recipe
from engine.runs.store import RunStore
from engine.training.sources import generator
from engine.training.task import pinned
from engine.training.trained import trained

SPACES = {"feature": "Encoder features h", "embedding": "Embedding z", "pixels": "Raw pixels"}
MOST_PAIRS = 64


@dataclass(frozen=True)
class ViewPairs:
    """Random views of a few images.

    Attributes:
        plain: (n, H, W, 3) uint8, what evaluation sees.
        views: (n, V, H, W, 3) uint8, one or two views of each.
        boxes: (n, V, 4) top, left, height and width of each crop as shares of the side.
    """

    plain: np.ndarray
    views: np.ndarray
    boxes: np.ndarray


def view_pairs(recipe: Recipe, dataset: Dataset, index: np.ndarray, seed: int = 0) -> ViewPairs:
    """What a recipe's random views look like.

    Args:
        recipe: Of a self-supervised method.
        dataset: Whose images.
        index: (n,) which of them, at most 64.
        seed: Another one draws other views.

    Raises:
        UserError: The recipe draws no views.
    """
    size = recipe.image_size
    side = stored_size(size)
    stored = np.stack([np.asarray(fitted(dataset.image(int(i), at_least=side), side)) for i in index])
    images = torch.from_numpy(stored)
    made, boxes = [], []
    for place, view in enumerate(views_of_recipe(recipe, dataset, size)):
        made.append(as_bytes(augment(images, view, size, generator(seed, 6, place))))
        boxes.append(_boxes(len(index), side, view, generator(seed, 6, place)))
    return ViewPairs(as_bytes(center(images, size)), np.stack(made, 1), np.stack(boxes, 1))


def views_of_recipe(recipe: Recipe, dataset: Dataset, size: int) -> tuple[View, ...]:
    """The views that a recipe's method draws; its network is not built.

    Raises:
        UserError: The method is not self-supervised.
    """
    from engine.methods.self_supervised import view_of

    kind = method_class(recipe.method)
    if not issubclass(kind, SelfSupervised):
        raise UserError("This method draws no pairs of views: choose a self-supervised one.")
    config: Any = parse_config(recipe.method, recipe.config)
    first, second = view_of(config), view_of(config, second=True)
    return (first,) if kind.one_view else (first, second)


def _boxes(n: int, side: int, view: View, draws: torch.Generator) -> np.ndarray:
    """(n, 4) the crops that `augment` draws from an equal generator, as shares of the side."""
    torch.rand(n, generator=draws)  # who is mirrored comes first
    if view.scale is None:
        return np.tile(np.array([0.0, 0.0, 1.0, 1.0], np.float32), (n, 1))
    return (crop_boxes(n, side, view.scale, view.ratio, draws) / side).numpy()


def self_supervised(run: str) -> SelfSupervised:
    """The kept network of a finished self-supervised run, ready on its device.

    Raises:
        UserError: The run has not finished, is of another kind, or its files are gone.
    """
    method = trained(run)
    if not isinstance(method, SelfSupervised):
        raise UserError("This run is not self-supervised: choose one from the Self-supervised page.")
    return method


def embedded_views(run: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings of two views of a few images of the run's data set.

    Args:
        run: A finished self-supervised run.
        n: Images, at most 64.
        seed: Another one takes other images and draws other views.

    Returns:
        (2n, D) embeddings, rows i and i + n the views of one image; (n,) places in the data set;
        (2n, H, W, 3) uint8 views.
    """
    method = self_supervised(run)
    recipe = RunStore().recipe(run)
    dataset = open_dataset(recipe.dataset)
    size, n = method.task.image_size, max(1, min(n, MOST_PAIRS, len(dataset)))
    index = np.sort(np.random.default_rng(seed).choice(len(dataset), n, replace=False))
    stored = np.ascontiguousarray(pixels(dataset, stored_size(size))[index])
    device = next(method.parameters()).device
    images, draws = torch.from_numpy(stored).to(device), generator(seed, 8)
    views: list[Tensor] = [augment(images, view, size, draws) for view in (method.views * 2)[:2]]
    with torch.inference_mode():
        z = torch.cat([method.project(view) for view in views]).cpu().numpy()
    return z, index, np.concatenate([as_bytes(view) for view in views])


@dataclass(frozen=True)
class Neighbour:
    """An image near another.

    Attributes:
        index: Place in the data set.
        distance: 1 less the cosine, or the Euclidean distance.
    """

    index: int
    distance: float


def neighbours(run: str, index: int, space: str, k: int = 8, metric: Metric = "cosine") -> list[Neighbour]:
    """The images nearest to one of the run's data set, nearest first.

    Args:
        run: A finished self-supervised run.
        index: Place of the image in the data set.
        space: A key of SPACES.
        k: How many.
        metric: How distance is measured.

    Raises:
        UserError: The run has kept no features, or the image is not among them.
    """
    places, vectors = _vectors(run, space)
    row = np.flatnonzero(places == index)
    if not len(row):
        raise UserError("This image is not among those that the run has seen: choose another.")
    found, distances = nearest(vectors, row[:1], min(k, len(places) - 1), metric)
    return [Neighbour(int(places[i]), float(d)) for i, d in zip(found[0], distances[0], strict=True)]


def _vectors(run: str, space: str) -> tuple[np.ndarray, np.ndarray]:
    """(n,) places and (n, d) vectors of all images of a run in one space."""
    if space not in SPACES:
        raise UserError(f"There is no space '{space[:40]}'; choose one of: {', '.join(SPACES)}.")
    path = RunStore().predictions_path(run)
    try:
        mark = path.stat().st_mtime_ns
    except OSError:
        raise UserError("This run has kept no features: only a finished run has them.") from None
    kept = _kept(run, mark)
    if space != "pixels":
        return kept["index"], kept[space]
    recipe = RunStore().recipe(run)
    stored = pixels(open_dataset(recipe.dataset), stored_size(recipe.image_size))
    return kept["index"], _flat(stored, kept["index"], recipe.image_size)


def _flat(stored: np.ndarray, index: np.ndarray, size: int, side: int = 16) -> np.ndarray:
    """(n, 3 · side²) images made small, so that comparing all of them with one takes a moment."""
    parts = []
    for start in range(0, len(index), 1024):
        some = torch.from_numpy(np.ascontiguousarray(stored[index[start : start + 1024]]))
        small = torch.nn.functional.adaptive_avg_pool2d(center(some, size), min(side, size))
        parts.append(small.flatten(1).numpy())
    return np.concatenate(parts)


@lru_cache(maxsize=4)
def _kept(run: str, mark: int) -> dict[str, np.ndarray]:
    found = RunStore().predictions(run)
    if not found or "feature" not in found:
        raise UserError("This run has kept no features: only a finished self-supervised run has them.")
    return found


def first_of(run: str, most: int = 16) -> np.ndarray:
    """(m,) places of a few images of a run, spread over the classes, to begin with."""
    path = RunStore().predictions_path(run)
    kept = _kept(run, path.stat().st_mtime_ns if path.exists() else 0)
    asked = kept["split"] != 0 if (kept["split"] != 0).any() else np.ones(len(kept["split"]), bool)
    rows = np.flatnonzero(asked)
    return np.asarray(kept["index"][rows[pinned(kept["label"][rows], most)]])
