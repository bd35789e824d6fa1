"""The fuzzy neighbour graph of UMAP: how strongly each point holds its neighbours.

L. McInnes, J. Healy and J. Melville 2018, UMAP, https://arxiv.org/abs/1802.03426, algorithms 2 and 3, with
the limits that umap-learn sets. In whole arrays: compiling umap-learn's own loops outlasts most maps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.projections.points import Neighbours

STEPS, TOLERANCE = 64, 1e-5  # of the search for a width
LEAST_WIDTH = 1e-3  # share of the mean distance


def fuzzy_graph(found: Neighbours) -> Any:
    """(n, n) sparse strengths: the fuzzy union of what two points hold of each other.

    Args:
        found: The neighbours of n points among themselves, without the point itself.
    """
    from scipy.sparse import csr_matrix

    n, k = found.index.shape
    distance = found.distance.astype(np.float64)
    nearest = np.where(distance > 0, distance, np.inf).min(1)  # of those that are no copies
    nearest = np.where(np.isfinite(nearest), nearest, 0)
    with_itself = distance.sum(1) / (k + 1)
    width = _widths(distance - nearest[:, None], np.log2(k + 1))
    least = np.where(nearest > 0, with_itself, with_itself.mean())
    strength = _strengths(distance - nearest[:, None], np.maximum(width, LEAST_WIDTH * least))
    held = csr_matrix((strength.ravel(), found.index.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
    return (held + held.T - held.multiply(held.T)).tocsr()


def placing_strengths(found: Neighbours) -> np.ndarray:
    """(m, k) float32 how strongly new points hold their neighbours, nearest first, among the fitted ones.

    The nearest one is left out of the sum that a width is searched for, as umap-learn does.
    """
    distance = found.distance.astype(np.float64)
    width = _widths(distance[:, 1:], np.log2(distance.shape[1]))
    return _strengths(distance, np.maximum(width, LEAST_WIDTH * distance.mean()))


def _strengths(beyond: np.ndarray, width: np.ndarray) -> np.ndarray:
    """exp(-d / width), 1 for d up to 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(beyond > 0, np.exp(-np.maximum(beyond, 0) / width[:, None]), 1).astype(np.float32)


def _widths(beyond: np.ndarray, total: float) -> np.ndarray:
    """(n,) widths at which each row's strengths add up to a total, by bisection.

    Args:
        beyond: (n, k) distances past the nearest neighbour.
        total: What they shall add up to.
    """
    beyond = np.maximum(beyond, 0)
    low, high, width = np.zeros(len(beyond)), np.full(len(beyond), np.inf), np.ones(len(beyond))
    rows = np.arange(len(beyond))  # still searching
    for _ in range(STEPS):
        off = np.exp(-beyond[rows] / width[rows, None]).sum(1) - total
        rows, off = rows[np.abs(off) >= TOLERANCE], off[np.abs(off) >= TOLERANCE]
        if not len(rows):
            break
        wide, narrow = rows[off > 0], rows[off <= 0]
        high[wide], low[narrow] = width[wide], width[narrow]
        bounded = np.isfinite(high[rows])
        width[rows] = np.where(bounded, (low[rows] + high[rows]) / 2, 2 * width[rows])
    return width
