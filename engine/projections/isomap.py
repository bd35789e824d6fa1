"""Isomap: distances along the neighbour graph, laid out by classical scaling.

J. Tenenbaum, V. de Silva & J. Langford 2000, A Global Geometric Framework for Nonlinear Dimensionality
Reduction, Science 290; above 2,000 points with landmarks: V. de Silva & J. Tenenbaum 2002, Global versus
local methods in nonlinear dimensionality reduction, NeurIPS 15.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from engine.fields import setting
from engine.projections.landmarks import landmark_rows, placed_note, triangulated
from engine.projections.neighbour_graph import geodesics, linked, pieces_note
from engine.projections.points import Points, nearest_of, neighbours_within
from engine.projections.projection import CannotProject, Embedding, Projection, ProjectionConfig, Watch
from engine.projections.spectral import classical_axes
from engine.projections.threads import one_thread

EXACT = 2000  # points up to which all distances are taken
EXACT_MOST = 10_000  # points whose distances fit into 400 MB
FEW, MANY, MANY_FROM = 300, 1000, 20_000  # landmarks, and the points from which there are more
LEAST = 20  # landmarks
DOUBLE = 5000  # points up to which all distances are held in double precision
QUERY_CELLS = 2**22


class IsomapConfig(ProjectionConfig):
    """Settings of Isomap."""

    n_neighbors: int = setting(
        10,
        "Points that each point is linked with; too many let the ways cut across gaps.",
        ge=2,
        le=200,
        title="Neighbours",
    )
    exact: bool = setting(
        False, "Measure the ways between all points even where landmarks would do, up to 10,000 points."
    )
    landmarks: int = setting(
        0,
        "Points from which ways are measured above 2,000 points; 0 takes 300, and 1,000 above 20,000.",
        more=True,
        ge=0,
        le=2000,
    )


class Isomap(Projection):
    """Classical scaling of geodesic distances; on a flat sheet, however bent, it unrolls the sheet."""

    Config: ClassVar[type[ProjectionConfig]] = IsomapConfig
    config: IsomapConfig

    @one_thread()
    def fit(self, points: Points, watch: Watch) -> Embedding:
        different, back = points.without_copies()
        n = len(different)
        sources = self._sources(n)
        self.k, notes = neighbours_within(self.config.n_neighbors, n)
        graph, pieces = linked(different, self.k)
        kind = np.dtype(np.float64 if n <= DOUBLE else np.float32)
        self.x = different.x
        self.squared = geodesics(graph, sources, kind, watch, share=0.9)
        self.squared *= self.squared
        every = len(sources) == n
        between = self.squared if every else self.squared[:, sources]
        values, vectors = classical_axes(between, self.dimensions, self.seed)
        self.means = between.mean(0, dtype=np.float64)
        self.inverse = vectors / np.sqrt(np.where(values > 0, values, np.inf))
        watch.check(1)
        notes += pieces_note(pieces)
        if not every:
            notes += (placed_note(len(sources), n, "their distances to these"),)
        placed = triangulated(self.squared, self.means, self.inverse)[back].astype(np.float32)
        return Embedding(placed, 0 if every else len(sources), notes, {"pieces": float(pieces)})

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Links each new point with its nearest fitted points, and goes on from there along the graph."""
        near = nearest_of(self.x, x.astype(np.float32), self.k)
        placed = np.empty((len(x), self.dimensions), np.float32)
        size = max(1, QUERY_CELLS // (len(self.squared) * self.k))
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            ways = np.sqrt(self.squared[:, near.index[part]]) + near.distance[part]  # (m, size, k)
            placed[part] = triangulated(ways.min(2) ** 2, self.means, self.inverse)
        return placed

    def _sources(self, n: int) -> np.ndarray:
        """The rows to start from: all of few points, landmarks of many."""
        if self.config.exact and n > EXACT_MOST:
            raise CannotProject(
                f"Exact Isomap compares all points with all, and {n:,} are too many: choose at most "
                f"{EXACT_MOST:,} points, or switch exact off."
            )
        if self.config.exact or n <= EXACT:
            return np.arange(n)
        usual = MANY if n > MANY_FROM else FEW
        return landmark_rows(
            n, max(self.config.landmarks, LEAST) if self.config.landmarks else usual, self.seed
        )
