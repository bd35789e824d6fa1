"""Unlike anything seen: how far a picture lies from the nearest training image in a run's feature space.

Y. Sun, Y. Ming, X. Zhu & Y. Li 2022, Out-of-Distribution Detection with Deep Nearest Neighbors,
https://arxiv.org/abs/2204.06507: features scaled to length 1, a threshold that keeps 95 % of the images that
are like the training's. They take the k-th nearest; here it is the nearest, which one can look at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from engine.data.augment import stored_size
from engine.data.dataset import Dataset
from engine.data.pixels import pixels
from engine.data.progress import Progress
from engine.evaluation.encoding import Tell
from engine.evaluation.features import cached_features
from engine.evaluation.latent_map import map_rows
from engine.evaluation.neighbours import finite_features, normalised
from engine.evaluation.training_set import training_set
from engine.projections.points import Neighbours, exact_neighbours, nearest_of
from engine.runs.store import RunStore
from engine.training.machine import prepare
from engine.training.task import splits_of
from engine.training.trained import classifier, in_low_precision

BANK, ASKED = 10_000, 2_000  # training images to compare with, images to set the threshold by; at most
KEPT = 0.95  # of held-out images that the usual threshold calls like the training
SEED = 0  # of the draws


@dataclass(frozen=True)
class Seen:
    """What a run has learned from, in its own feature space.

    Attributes:
        features: (n, d) float32 of training images, scaled to length 1.
        index: (n,) their places in the data set.
        of: Training images in all.
        split: Where the held-out images come from: "test", "val", or "train" for want of any, where every
            image is compared with the others.
        held_out: (m,) distance of each to its nearest training image.
        held_out_of: Held-out images in all.
    """

    features: np.ndarray = field(repr=False)
    index: np.ndarray = field(repr=False)
    of: int
    split: str
    held_out: np.ndarray = field(repr=False)
    held_out_of: int

    @property
    def usual(self) -> float:
        """The threshold beyond which 5 % of the held-out images lie."""
        return usual_threshold(self.held_out)


@dataclass(frozen=True)
class Share:
    """How many of some images lie beyond a threshold.

    Attributes:
        beyond: So many.
        n: Of so many.
    """

    beyond: int
    n: int

    @property
    def value(self) -> float:
        """The share; 0 of none."""
        return self.beyond / self.n if self.n else 0.0


def usual_threshold(held_out: np.ndarray) -> float:
    """The least distance that at least 95 % of (m,) held-out distances do not exceed."""
    ordered = np.sort(held_out)
    return float(ordered[max(0, int(np.ceil(KEPT * len(ordered))) - 1)]) if len(ordered) else 0.0


def share_beyond(distances: np.ndarray, threshold: float) -> Share:
    """Count the distances above a threshold."""
    return Share(int((distances > threshold).sum()), len(distances))


def separation(held_out: np.ndarray, other: np.ndarray) -> float:
    """The chance that an image of another set lies further out than a held-out one; a tie counts half.

    That is the area under the ROC curve: 0.5 tells nothing, 1 separates them at some threshold.

    Args:
        held_out: (m,) distances.
        other: (k,) distances, at least one of each.
    """
    ordered = np.sort(held_out)
    below = np.searchsorted(ordered, other, "left")
    ties = np.searchsorted(ordered, other, "right") - below
    return float((below + ties / 2).mean() / len(ordered))


def scaled(features: np.ndarray) -> np.ndarray:
    """(n, d) features scaled to length 1, as distances here are measured; one of zeros stays.

    Raises:
        UserError: They are no finite numbers.
    """
    return normalised(finite_features(features, "these images").astype(np.float32))


def nearest_seen(seen: Seen, features: np.ndarray, k: int = 1) -> Neighbours:
    """The training images nearest to some pictures.

    Args:
        seen: The run's.
        features: (m, d) as `engine.training.trained.answer` gives them.
        k: How many; clamped to those there are.

    Returns:
        Rows of `seen`, nearest first, and distances between 0 and 2.

    Raises:
        UserError: The features are no finite numbers.
    """
    return nearest_of(seen.features, scaled(features), min(k, len(seen.features)))


def training_images(
    run_id: str, tell: Tell | None = None, stop: Callable[[], bool] | None = None
) -> Seen | None:
    """Compute, or find in the cache, the features that pictures are compared with.

    Args:
        run_id: A finished classification.
        tell: Told how far it is.
        stop: Asked after each batch.

    Returns:
        None if it was stopped.

    Raises:
        UserError: The data set is gone or has changed, or the run classifies nothing.
        engine.data.progress.Stopped: It was stopped while the images were read.
    """
    dataset = training_set(run_id)
    parts = {name: split.index for name, split in splits_of(RunStore().recipe(run_id), dataset).items()}
    split = next((name for name in ("test", "val") if len(parts[name])), "train")
    index = _some(parts["train"], BANK)
    asked = index if split == "train" else _some(parts[split], ASKED)
    found = features_of(run_id, dataset, np.union1d(index, asked), tell, stop)
    if found is None:
        return None
    every = np.union1d(index, asked)
    bank, held = (scaled(found[np.searchsorted(every, rows)]) for rows in (index, asked))
    near = exact_neighbours(bank, 1) if split == "train" else nearest_of(bank, held, 1)
    return Seen(bank, index, len(parts["train"]), split, near.distance[:, 0], len(parts[split]))


def other_distances(
    run_id: str,
    seen: Seen,
    dataset: Dataset,
    tell: Tell | None = None,
    stop: Callable[[], bool] | None = None,
) -> np.ndarray | None:
    """How far images of another data set lie from what a run has seen.

    Args:
        run_id: The run.
        seen: Its training images.
        dataset: The other set; of more than 2,000 images, so many are drawn from every class alike.
        tell: Told how far it is.
        stop: Asked after each batch.

    Returns:
        (m,) distances to the nearest training image; None if it was stopped.
    """
    rows = map_rows(dataset, "all", ASKED, SEED)
    found = features_of(run_id, dataset, rows, tell, stop)
    return None if found is None else nearest_seen(seen, found).distance[:, 0]


def features_of(
    run_id: str,
    dataset: Dataset,
    rows: np.ndarray,
    tell: Tell | None = None,
    stop: Callable[[], bool] | None = None,
) -> np.ndarray | None:
    """(m, d) features of images as the run's own head reads them, from the cache where they are known.

    Args:
        run_id: A finished classification.
        dataset: Whose images.
        rows: (m,) ascending places.
        tell: Told how far it is.
        stop: Asked after each batch.
    """
    method = classifier(run_id)
    encoder = method.backbone
    prepare(encoder.mean.device)

    def reading(progress: Progress) -> None:
        if tell:
            tell("reading images", progress.done, progress.total or 0)

    def computing(done: int, total: int) -> None:
        if tell:
            tell("computing features", done, total)

    images = pixels(dataset, stored_size(method.task.image_size), progress=reading, stop=stop)
    # a frozen backbone's features of all images were kept by the training itself
    few = 2 * len(rows) < len(images) and not method.reads_features
    found = cached_features(
        encoder,
        images,
        dataset.fingerprint,
        for_head=not encoder.head_is_map,
        rows=rows if few else None,
        low_precision=in_low_precision(run_id, method),
        progress=computing,
        stop=stop,
    )
    return None if found is None else np.asarray(found[rows])


def _some(index: np.ndarray, most: int) -> np.ndarray:
    """At most so many of some places, drawn at random, ascending."""
    if len(index) <= most:
        return np.asarray(index)
    return np.sort(np.random.default_rng(SEED).choice(index, most, replace=False))
