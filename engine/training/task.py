"""Whether a data set can teach what a method wants to learn, and which of its images go where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.methods import method_entry
from engine.methods.method import Task
from engine.runs.recipe import Recipe

SPLITS = ("train", "val", "test")
GRAY_CHUNK = 256


@dataclass(frozen=True)
class Split:
    """The images of one split that a method can use.

    Attributes:
        index: (n,) places in the data set.
        labels: (n,) class indices.
    """

    index: np.ndarray
    labels: np.ndarray


def splits_of(recipe: Recipe, dataset: Dataset) -> dict[str, Split]:
    """The usable images by split.

    Raises:
        UserError: The data set changed, or cannot be learned from in this way.
    """
    if recipe.fingerprint and recipe.fingerprint != dataset.fingerprint:
        raise UserError("The data set changed since this recipe was made: make a new recipe from it.")
    entry = method_entry(recipe.method)
    if entry.needs_labels and not dataset.is_labelled:
        raise UserError(
            f"{entry.title} needs classes, and '{dataset.name[:60]}' has none: choose a set with one folder "
            "a class, or a method that needs no labels."
        )
    labels = np.asarray(dataset.labels)
    found = {}
    for name in SPLITS:
        index = np.asarray(dataset.indices(name))
        if entry.needs_labels:
            index = index[labels[index] >= 0]
        found[name] = Split(index, labels[index])
    if len(found["train"].index) < 2:
        raise UserError("Training needs at least two images: add images or make the validation part smaller.")
    if entry.needs_labels:
        there = np.unique(found["train"].labels)
        if len(there) < 2:
            raise UserError(
                f"All training images are of one class ({dataset.classes[int(there[0])][:60]}), so there is "
                "nothing to tell apart: add a second class."
            )
    return found


def notes_on(dataset: Dataset, splits: dict[str, Split], batch_size: int) -> list[str]:
    """What a reader should know before believing the figures, one sentence each."""
    notes = []
    train = splits["train"]
    if dataset.is_labelled:
        counts = np.bincount(train.labels, minlength=len(dataset.classes))
        absent = [name for name, n in zip(dataset.classes, counts, strict=True) if n == 0]
        if absent:
            notes.append(f"No training image of {_few(absent)}: such images cannot be recognised.")
        single = [name for name, n in zip(dataset.classes, counts, strict=True) if n == 1]
        if single:
            notes.append(f"Only one training image of {_few(single)}: do not expect much there.")
    if not len(splits["val"].index):
        notes.append("There are no validation images, so the last epoch is kept and nothing chose it.")
    if batch_size > len(train.index):
        notes.append(f"The batch of {batch_size} holds all {len(train.index)} training images.")
    return notes


def _few(names: list[str]) -> str:
    shown = ", ".join(name[:30] for name in names[:3])
    return shown + (f" and {len(names) - 3} more classes" if len(names) > 3 else "")


def task_of(recipe: Recipe, dataset: Dataset, splits: dict[str, Split], gray: bool) -> Task:
    """What the method may know of the data; `gray` as `is_gray` says."""
    labels = splits["train"].labels
    counts = np.bincount(labels[labels >= 0], minlength=len(dataset.classes))
    return Task(
        classes=tuple(dataset.classes),
        class_counts=tuple(int(n) for n in counts),
        n_train=len(labels),
        image_size=recipe.image_size,
        gray=gray,
    )


def is_gray(images: np.ndarray) -> bool:
    """Whether the three channels of all (N, H, W, 3) images are the same; stops at the first that is not."""
    for start in range(0, len(images), GRAY_CHUNK):
        part = images[start : start + GRAY_CHUNK]
        if not (np.array_equal(part[..., 0], part[..., 1]) and np.array_equal(part[..., 0], part[..., 2])):
            return False
    return len(images) > 0


def pinned(labels: np.ndarray, most: int = 24) -> np.ndarray:
    """Rows of up to `most` validation images to show at every epoch, spread over the classes.

    Args:
        labels: (n,) class indices.
        most: How many.

    Returns:
        (p,) ascending rows.
    """
    turn = np.zeros(len(labels), dtype=np.int64)  # how many of its class come before each image
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        turn[rows] = np.arange(len(rows))
    return np.sort(np.lexsort((labels, turn))[:most])
