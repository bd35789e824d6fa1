"""The layout of UMAP, epoch by epoch: edges pull their ends together, points drawn at random push apart.

L. McInnes, J. Healy and J. Melville 2018, UMAP, https://arxiv.org/abs/1802.03426, algorithm 5. The steps are
those of umap-learn, in 32 bits; its own loop can neither be stopped nor watched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from umap.utils import tau_rand_int

NEGATIVE = 5.0  # points pushed away for each edge that pulls, as in the paper
REACH = np.float32(4)  # the most a coordinate moves at a learning rate of 1
NEAR = np.float32(0.001)  # keeps the push between points on one spot finite
ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)
INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Curve:
    """Closeness on the map, 1 / (1 + a d^2b), as min_dist and spread shape it."""

    a: float
    b: float


def lay_out(
    moving: np.ndarray,
    fixed: np.ndarray,
    graph: Any,
    curve: Curve,
    rate: float,
    epochs: int,
    random: np.random.RandomState,
    tell: Callable[[int], None],
) -> None:
    """Move points until they suit their edges.

    Args:
        moving: (m, dimensions) float32 positions, changed in place.
        fixed: (n, dimensions) the other ends of the edges; `moving` itself where all points move.
        graph: (m, n) sparse strengths above 0. The strongest edge pulls in every epoch, the others as often
            as their share of its strength says.
        curve: Closeness on the map.
        rate: Learning rate of the first epoch; it falls to 0 along a line.
        epochs: How many.
        random: Says which points push.
        tell: Told the epoch, from 0, before it begins; may raise to end the layout.
    """
    edges = graph.tocoo()
    every = edges.data.max() / edges.data.astype(np.float64)
    turn, turn_negative = every.copy(), every / NEGATIVE
    # a stream of random numbers a point, told apart by where the points begin
    stream = random.randint(INT32.min, INT32.max, 3).astype(np.int64)
    streams = stream + moving[:, :1].astype(np.float64).view(np.int64)
    a, b = np.float32(curve.a), np.float32(curve.b)
    for epoch in range(epochs):
        tell(epoch)
        now = np.float32(rate * (1 - max(0, epoch - 1) / epochs))  # umap-learn's line, one epoch late
        step(moving, fixed, edges.row, edges.col, every, turn, turn_negative, streams, a, b, now, epoch)


@numba.njit(fastmath=True, nogil=True, error_model="numpy", cache=True)
def step(
    moving: np.ndarray,
    fixed: np.ndarray,
    heads: np.ndarray,
    tails: np.ndarray,
    every: np.ndarray,
    turn: np.ndarray,
    turn_negative: np.ndarray,
    streams: np.ndarray,
    a: np.float32,
    b: np.float32,
    rate: np.float32,
    epoch: int,
) -> None:
    """One epoch: an edge whose turn it is pulls once, and its head is pushed from points drawn at random."""
    together = moving is fixed
    dimensions, n = moving.shape[1], len(fixed)
    for e in range(len(heads)):
        if turn[e] > epoch:
            continue
        i, j = heads[e], tails[e]
        square = ZERO
        for d in range(dimensions):
            square += (moving[i, d] - fixed[j, d]) ** 2
        if square > 0:
            power = a * square**b
            pull = -TWO * b * power / (square * (power + ONE))
            for d in range(dimensions):
                move = min(max(pull * (moving[i, d] - fixed[j, d]), -REACH), REACH) * rate
                moving[i, d] += move
                if together:
                    fixed[j, d] -= move
        turn[e] += every[e]
        pushes = int((epoch - turn_negative[e]) / (every[e] / NEGATIVE))
        for _ in range(pushes):
            j = tau_rand_int(streams[i]) % n
            square = ZERO
            for d in range(dimensions):
                square += (moving[i, d] - fixed[j, d]) ** 2
            if square > 0:
                push = TWO * b / ((NEAR + square) * (a * square**b + ONE))
                for d in range(dimensions):
                    moving[i, d] += min(max(push * (moving[i, d] - fixed[j, d]), -REACH), REACH) * rate
        turn_negative[e] += pushes * (every[e] / NEGATIVE)
