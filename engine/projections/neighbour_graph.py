"""The graph of nearest neighbours in one piece, and the distances along it."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.projections.points import Points, nearest_of
from engine.projections.projection import Watch

SOURCES = 32  # points between two looks at whether to stop
SMALLEST = float(np.finfo(np.float32).tiny)  # a stored 0 would count as no edge


def linked(points: Points, k: int) -> tuple[Any, int]:
    """Every point linked with its k nearest, either way, and what falls into pieces joined.

    Pieces are joined by the closest pair between one and the rest, the shortest links that make one piece.

    Args:
        points: All different.
        k: Neighbours, at most n - 1.

    Returns:
        (n, n) sparse symmetric matrix of distances, and in how many pieces it was before.
    """
    from scipy.sparse import csr_array

    near, n = points.graph(k), len(points)
    k = near.index.shape[1]
    lengths = np.maximum(near.distance.astype(np.float64), SMALLEST).ravel()
    one_way = csr_array((lengths, near.index.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
    return _joined(one_way.maximum(one_way.T).tocsr(), points.x)


def _joined(graph: Any, x: np.ndarray) -> tuple[Any, int]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    pieces, label = connected_components(graph, directed=False)
    at_first = pieces
    while pieces > 1:
        largest = np.bincount(label).argmax()
        ends = np.array([_shortest_link(x, label == piece) for piece in range(pieces) if piece != largest])
        lengths = np.linalg.norm(x[ends[:, 0]].astype(np.float64) - x[ends[:, 1]], axis=1)
        link = csr_array((np.maximum(lengths, SMALLEST), ends.T), shape=graph.shape)
        graph = graph.maximum(link).maximum(link.T).tocsr()
        pieces, label = connected_components(graph, directed=False)
    return graph, int(at_first)


def _shortest_link(x: np.ndarray, inside: np.ndarray) -> tuple[int, int]:
    rows, others = np.flatnonzero(inside), np.flatnonzero(~inside)
    near = nearest_of(x[others], x[rows], 1)
    closest = int(near.distance[:, 0].argmin())
    return int(rows[closest]), int(others[near.index[closest, 0]])


def pieces_note(pieces: int) -> tuple[str, ...]:
    """The sentence beside a map whose graph had to be joined."""
    if pieces == 1:
        return ()
    return (f"The neighbour graph fell into {pieces:,} pieces, joined by their closest pairs.",)


def geodesics(graph: Any, sources: np.ndarray, kind: np.dtype, watch: Watch, share: float) -> np.ndarray:
    """Lengths of the shortest ways along the graph (Dijkstra 1959).

    Args:
        graph: (n, n) sparse, symmetric, in one piece.
        sources: (m,) rows to start from.
        kind: Of the numbers returned.
        watch: Told, up to `share`, how far it is.
        share: Of the work that this is.

    Returns:
        (m, n).

    Raises:
        Stopped: `watch` said so.
    """
    from scipy.sparse.csgraph import dijkstra

    lengths = np.empty((len(sources), graph.shape[0]), kind)
    for start in range(0, len(sources), SOURCES):
        watch.check(share * start / len(sources))
        part = slice(start, start + SOURCES)
        # every edge is stored both ways; calling it directed spares a search through its transpose
        lengths[part] = dijkstra(graph, directed=True, indices=sources[part])
    return lengths
