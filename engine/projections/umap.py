"""UMAP: a map whose neighbour graph is as like as can be to that of the points.

L. McInnes, J. Healy and J. Melville 2018, UMAP: Uniform Manifold Approximation and Projection for Dimension
Reduction, https://arxiv.org/abs/1802.03426; curve and spectral start by umap-learn, over the neighbours
that all methods share.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import model_validator

from engine.fields import setting
from engine.projections.points import Neighbours, Points, nearest_of
from engine.projections.principal import principal_start
from engine.projections.projection import CannotProject, Embedding, Projection, ProjectionConfig, Watch
from engine.projections.umap_graph import fuzzy_graph, placing_strengths

FRAMES = 40  # told while the points move, about
SIDE = 10.0  # of the square in which the points begin
NOISE = 1e-4  # keeps copies from beginning on one spot
PLACING_EPOCHS, PLACING_RATE = 1 / 3, 1 / 4  # shares of the fit's, for new points; umap-learn's


class UMAPConfig(ProjectionConfig):
    """Settings of UMAP."""

    n_neighbors: int = setting(
        15,
        "Size of the neighbourhood that is kept, the point itself included.",
        ge=2,
        le=200,
        title="Neighbours",
    )
    min_dist: float = setting(
        0.1,
        "How close points may lie: a low one shows clumps, a high one the whole.",
        ge=0,
        le=0.99,
        step=0.05,
    )
    initialization: Literal["pca", "spectral"] = setting(
        "pca",
        "Where the points begin; the spectrum of the graph takes longer and can unfold more.",
        labels={"pca": "PCA", "spectral": "Spectral"},
        title="Start",
    )
    epochs: int = setting(200, "How often the points are moved.", ge=10, le=2000)
    spread: float = setting(1.0, "How far apart groups lie.", ge=0.5, le=3, step=0.1, more=True)

    @model_validator(mode="after")
    def _close_within_spread(self) -> UMAPConfig:
        if self.min_dist > self.spread:
            raise ValueError(f"min_dist must be at most spread, {self.spread:g}, got {self.min_dist:g}.")
        return self


class UMAP(Projection):
    """Positions whose fuzzy neighbour graph has the least cross entropy with that of the points."""

    Config: ClassVar[type[ProjectionConfig]] = UMAPConfig
    config: UMAPConfig

    def fit(self, points: Points, watch: Watch) -> Embedding:
        watch.check(0)
        self.points = points
        self.random = np.random.RandomState(self.seed)
        self.k = min(self.config.n_neighbors, len(points))
        graph = fuzzy_graph(points.graph(self.k - 1))
        watch.check(0.02)
        with _silent():
            from umap.umap_ import find_ab_params

            from engine.projections.umap_layout import Curve, lay_out

            self.curve = Curve(*find_ab_params(self.config.spread, self.config.min_dist))
            positions, notes = self._start(graph)
        watch.check(0.05)

        def tell(epoch: int) -> None:
            watch.check(0.05 + 0.94 * epoch / self.config.epochs)
            if epoch and epoch % max(1, self.config.epochs // FRAMES) == 0:
                watch.frame(positions.copy())

        pruned = _pruned(graph, self.config.epochs)
        lay_out(positions, positions, pruned, self.curve, 1.0, self.config.epochs, self.random, tell)
        if not np.isfinite(positions).all():
            raise CannotProject(
                "UMAP found no places for these points: choose another start or more neighbours."
            )
        self.positions = positions
        watch.frame(positions.copy())
        watch.check(1)
        return Embedding(positions.copy(), notes=self._notes() + notes)

    def transform(self, x: np.ndarray) -> np.ndarray:
        from engine.projections.umap_layout import lay_out

        if not len(x):
            return np.empty((0, self.dimensions), np.float32)
        found = nearest_of(self.points.x, np.ascontiguousarray(x, np.float32), self.k)
        strengths = placing_strengths(found)
        placed = _between(found, strengths, self.positions)
        epochs = int(self.config.epochs * PLACING_EPOCHS)
        random = np.random.RandomState(self.seed)
        graph = _pruned(_bipartite(found, strengths, len(self.points)), epochs)
        lay_out(
            placed, self.positions.copy(), graph, self.curve, PLACING_RATE, epochs, random, lambda epoch: None
        )
        return placed

    def _notes(self) -> tuple[str, ...]:
        if self.k == self.config.n_neighbors:
            return ()
        return (
            f"Neighbourhoods of {self.k} instead of {self.config.n_neighbors}: there are no more points.",
        )

    def _start(self, graph: Any) -> tuple[np.ndarray, tuple[str, ...]]:
        """(n, dimensions) float32 first positions, and a note where they are not those asked for."""
        found: np.ndarray | None = None
        notes: tuple[str, ...] = ()
        if self.config.initialization == "spectral":
            found = self._spectrum(graph)
            if found is None:
                notes = ("The points begin along their principal axes: the graph's spectrum was not found.",)
        if found is None:
            found = principal_start(self.points, self.dimensions, self.seed)
        found = found * (SIDE / np.abs(found).max()) + NOISE * self.random.standard_normal(found.shape)
        low, high = found.min(0), found.max(0)
        return np.array(SIDE * (found - low) / (high - low), np.float32, order="C"), notes

    def _spectrum(self, graph: Any) -> np.ndarray | None:
        from umap.spectral import spectral_layout

        try:
            found = np.asarray(
                spectral_layout(self.points.x, graph, self.dimensions, self.random), np.float64
            )
        except (RuntimeError, ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError):
            return None  # too few points, or no eigenvectors found
        return found if np.isfinite(found).all() and np.ptp(found) > 0 else None


def prewarm() -> None:
    """Compile what a first fit compiles, on a few points; meant for a thread in the background."""
    few = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
    umap = UMAP(UMAPConfig(epochs=10))
    umap.fit(Points(few), Watch())
    umap.transform(few[:5])


@contextmanager
def _silent() -> Iterator[None]:
    """What the library warns of is either of no interest here or said in a note."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _pruned(graph: Any, epochs: int) -> Any:
    """The edges strong enough to pull at least once."""
    graph = graph.tocoo(copy=True)
    graph.sum_duplicates()
    graph.data[graph.data < graph.data.max() / epochs] = 0
    graph.eliminate_zeros()
    return graph


def _bipartite(found: Neighbours, strengths: np.ndarray, n: int) -> Any:
    """(m, n) sparse edges from new points to their neighbours among n fitted ones."""
    from scipy.sparse import csr_matrix

    m, k = strengths.shape
    return csr_matrix((strengths.ravel(), found.index.ravel(), np.arange(0, m * k + 1, k)), shape=(m, n))


def _between(found: Neighbours, strengths: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(m, dimensions) the mean place of the neighbours, by strength; a copy of a point begins on it."""
    weights = strengths.astype(np.float64)
    weights[found.distance[:, 0] == 0] = np.eye(1, weights.shape[1])
    weights /= weights.sum(1, keepdims=True)
    return np.einsum("mk,mkd->md", weights, positions[found.index]).astype(np.float32)
