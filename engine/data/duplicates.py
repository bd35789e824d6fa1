"""Images that are in a set twice: the very same pixels, or bursts that look alike when made very small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data.dataset import Dataset
from engine.data.index import THUMBS
from engine.errors import UserError

DISTANCE = 4.0  # root mean square difference of two thumbnails, in grey levels of 255
PLAIN = 6.0  # thumbnails with less contrast than this look alike whatever they show
BLOCK = 1024  # thumbnails compared with all later ones at a time
MOST = 100_000  # comparing all with all takes about half a minute there


@dataclass(frozen=True, eq=False)
class Group:
    """Images that belong together.

    Attributes:
        indices: (k,) ascending, at least two.
        splits: They lie in more than one split, so a figure measured there flatters.
        classes: They carry more than one class, so a label is wrong.
    """

    indices: np.ndarray
    splits: bool
    classes: bool


def exact_duplicates(dataset: Dataset) -> list[Group]:
    """Groups of images with equal pixels, largest first."""
    _, inverse = np.unique(dataset.digests, return_inverse=True)
    return _groups(dataset, inverse)


def near_duplicates(dataset: Dataset, distance: float = DISTANCE) -> list[Group]:
    """Groups of images whose 16 × 16 grey thumbnails hardly differ, largest first; exact copies are left out.

    Args:
        dataset: Where to look.
        distance: Greatest root mean square difference, in grey levels of 255; chains of neighbours join.

    Raises:
        UserError: The set is too large to compare all with all, or damaged.
    """
    if len(dataset) > MOST:
        raise UserError(f"Near duplicates are only looked for in sets of up to {MOST:,} images.")
    try:
        thumbs = np.load(dataset.root / THUMBS, allow_pickle=False).reshape(len(dataset), -1)
    except (OSError, ValueError):
        raise UserError("The set's thumbnails are damaged: remove the set and add it again.") from None
    first = np.unique(dataset.digests, return_index=True)[1]  # one of each, so that copies do not count
    rows = np.sort(first[thumbs[first].std(axis=1) > PLAIN])
    labels = np.arange(len(dataset))
    labels[rows] = len(dataset) + _components(thumbs[rows].astype(np.float32), distance)
    return _groups(dataset, labels)


def _components(vectors: np.ndarray, distance: float) -> np.ndarray:
    """(n,) number of the chain that each of the (n, d) vectors belongs to."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(vectors)
    if n == 0:
        return np.zeros(0, np.int64)
    vectors = vectors - vectors.mean(axis=0)  # smaller numbers, smaller rounding errors
    squares = (vectors * vectors).sum(axis=1)
    limit = distance * distance * vectors.shape[1]
    left, right = [], []
    for start in range(0, n, BLOCK):
        block = vectors[start : start + BLOCK]
        squared = squares[start : start + BLOCK, None] + squares[None, start:] - 2 * block @ vectors[start:].T
        i, j = np.nonzero(squared <= limit)
        left.append((i + start)[j > i])
        right.append((j + start)[j > i])
    pairs = np.concatenate(left), np.concatenate(right)
    graph = coo_matrix((np.ones(len(pairs[0]), bool), pairs), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _groups(dataset: Dataset, codes: np.ndarray) -> list[Group]:
    """Images with equal (n,) codes, where there are at least two, largest first."""
    order = np.argsort(codes, kind="stable")
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    found = [np.sort(part) for part in np.split(order, cuts) if len(part) > 1]
    groups = [
        Group(
            part.astype(np.int64),
            len(np.unique(dataset.split_codes[part])) > 1,
            len(np.unique(dataset.labels[part])) > 1,
        )
        for part in found
    ]
    return sorted(groups, key=lambda group: (-len(group.indices), int(group.indices[0])))
