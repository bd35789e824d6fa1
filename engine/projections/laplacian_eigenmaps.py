"""Laplacian eigenmaps: the slowest waves on the neighbour graph as axes, so that linked points lie close.

M. Belkin & P. Niyogi 2003, Laplacian Eigenmaps for Dimensionality Reduction and Data Representation, Neural
Computation 15.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from engine.fields import setting
from engine.projections.neighbour_graph import linked, pieces_note
from engine.projections.points import Points, neighbours_within
from engine.projections.projection import Embedding, Projection, ProjectionConfig, Watch
from engine.projections.spectral import DENSE, last_axes, next_axes, signs
from engine.projections.threads import one_thread


class LaplacianEigenmapsConfig(ProjectionConfig):
    """Settings of Laplacian eigenmaps."""

    n_neighbors: int = setting(10, "Points that each point is linked with.", ge=2, le=200, title="Neighbours")
    weights: Literal["equal", "heat"] = setting(
        "equal",
        "How much a link counts.",
        labels={"equal": "All links alike", "heat": "Short links more (heat kernel)"},
    )


class LaplacianEigenmaps(Projection):
    """Eigenvectors of L y = λ D y with the smallest λ above 0."""

    Config: ClassVar[type[ProjectionConfig]] = LaplacianEigenmapsConfig
    config: LaplacianEigenmapsConfig

    @one_thread()
    def fit(self, points: Points, watch: Watch) -> Embedding:
        from scipy.sparse import diags_array

        different, back = points.without_copies()
        k, notes = neighbours_within(self.config.n_neighbors, len(different))
        graph, pieces = linked(different, k)
        watch.check(0.3)
        weights = self._weighted(graph)
        root = np.sqrt(weights.sum(1))  # of the degrees
        scale = diags_array(1 / root)
        axes = self._waves((scale @ weights @ scale).tocsr(), root) / root[:, None]
        watch.check(1)
        positions = axes * (signs(axes) * np.linalg.norm(root))
        facts = {"pieces": float(pieces)}
        return Embedding(positions[back].astype(np.float32), notes=notes + pieces_note(pieces), facts=facts)

    def _waves(self, likeness: Any, root: np.ndarray) -> np.ndarray:
        """The last eigenvectors of I - D^-½ W D^-½ after the known one, the square roots of the degrees."""
        from scipy.sparse import eye_array

        if len(root) > DENSE:
            try:
                return next_axes(likeness, self.dimensions, self.seed, root)
            except RuntimeError:  # waves nearly as slow as the known one: factorising tells them apart
                pass
        laplacian = (eye_array(len(root)) - likeness).tocsc()
        return last_axes(laplacian, self.dimensions, self.seed, root)

    def _weighted(self, graph: Any) -> Any:
        """Links as likeness: 1, or exp(-length² / t) with t the median squared length."""
        weights = graph.copy()
        if self.config.weights == "equal":
            weights.data[:] = 1
        else:
            squares = graph.data**2
            weights.data[:] = np.maximum(np.exp(-squares / np.median(squares)), 1e-12)  # still one piece
        return weights
