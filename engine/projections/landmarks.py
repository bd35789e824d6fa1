"""Fit a map to some of the points, its landmarks, and place the others among them.

V. de Silva & J. Tenenbaum 2004, Sparse multidimensional scaling using landmark points, Stanford University;
L. Saul & S. Roweis 2003, Think Globally, Fit Locally, Journal of Machine Learning Research 4;
D. Shepard 1968, A two-dimensional interpolation function for irregularly-spaced data, Proceedings of the
23rd ACM National Conference.
"""

from __future__ import annotations

import numpy as np

from engine.projections.points import Neighbours, nearest_of

CHUNK_CELLS = 2**22  # differences of neighbours held at a time


def landmark_rows(n: int, m: int, seed: int) -> np.ndarray:
    """Draw m of n rows without repeat, ascending; all rows if there are no more than m."""
    if m >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).permutation(n)[:m])


def placed_note(landmarks: int, n: int, how: str) -> str:
    """The sentence beside a map whose points were not all fitted."""
    return (
        f"An approximation: fitted to {landmarks:,} landmarks, the other {n - landmarks:,} placed by {how}."
    )


def among_neighbours(positions: np.ndarray, near: Neighbours) -> np.ndarray:
    """Means of the neighbours' positions, weighted by one over the distance (Shepard).

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


def barycentric_weights(x: np.ndarray, bank: np.ndarray, index: np.ndarray, regular: float) -> np.ndarray:
    """Weights, of sum 1, that best rebuild each point from its neighbours.

    G w = 1 with G the products of the differences to the neighbours; `regular` times G's trace is added to
    its diagonal, without which more neighbours than numbers in a point would leave w open.

    Args:
        x: (m, d) points.
        bank: (n, d) among which the neighbours are.
        index: (m, k) rows of the bank.
        regular: Share of the trace.

    Returns:
        (m, k) float64.
    """
    m, k = index.shape
    weights = np.empty((m, k))
    size = max(1, CHUNK_CELLS // (k * (bank.shape[1] + k)))
    for start in range(0, m, size):
        part = slice(start, start + size)
        apart = bank[index[part]].astype(np.float64) - x[part, None].astype(np.float64)
        products = apart @ apart.transpose(0, 2, 1)  # (size, k, k)
        trace = np.einsum("nkk->n", products)
        ridge = np.where(trace > 0, regular * trace, regular)
        products[:, np.arange(k), np.arange(k)] += ridge[:, None]
        found = np.linalg.solve(products, np.ones((len(products), k, 1)))[..., 0]
        weights[part] = found / found.sum(1, keepdims=True)
    return weights


def barycentric_positions(
    x: np.ndarray, bank: np.ndarray, positions: np.ndarray, k: int, regular: float
) -> np.ndarray:
    """Places new points where their weights in their nearest fitted points put them.

    Args:
        x: (m, d) new points.
        bank: (n, d) fitted points.
        positions: (n, dimensions) of those on the map.
        k: Neighbours, at most n.
        regular: As in `barycentric_weights`.

    Returns:
        (m, dimensions).
    """
    index = nearest_of(bank, x, min(k, len(bank))).index
    weights = barycentric_weights(x, bank, index, regular)
    return np.einsum("mk,mkd->md", weights, positions[index])


def triangulated(squared: np.ndarray, means: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Places points by their distances to the landmarks, linearly; landmarks come where they were fitted.

    Args:
        squared: (m, q) squared distances from m landmarks to q points.
        means: (m,) mean squared distance of each landmark to all landmarks.
        inverse: (m, dimensions) eigenvectors over the square roots of their eigenvalues.

    Returns:
        (q, dimensions) float64.
    """
    placed = np.empty((squared.shape[1], inverse.shape[1]))
    size = max(1, CHUNK_CELLS // len(squared))
    for start in range(0, len(placed), size):
        part = slice(start, start + size)
        placed[part] = (squared[:, part].T - means) @ inverse / -2
    return placed
