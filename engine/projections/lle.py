"""Locally linear embedding: every point stays where its neighbours put it, with the same weights.

S. Roweis & L. Saul 2000, Nonlinear Dimensionality Reduction by Locally Linear Embedding, Science 290.
Modified: Z. Zhang & J. Wang 2006, MLLE: Modified Locally Linear Embedding Using Multiple Weights, NeurIPS 19.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from engine.fields import setting
from engine.projections.landmarks import (
    barycentric_positions,
    barycentric_weights,
    landmark_rows,
    placed_note,
)
from engine.projections.points import Points, neighbours_within
from engine.projections.projection import CannotProject, Embedding, Projection, ProjectionConfig, Watch
from engine.projections.spectral import last_axes, signs
from engine.projections.tangents import hessian_alignment, tangent_alignment
from engine.projections.threads import one_thread

ALL = 10_000  # points up to which all are fitted
LANDMARKS = 2000
DENSE = 2000  # points whose whole matrix may be decomposed where the sparse way fails


class LLEConfig(ProjectionConfig):
    """Settings of locally linear embedding."""

    method: Literal["standard", "modified", "hessian", "ltsa"] = setting(
        "standard",
        "How neighbours are compared: the original, or one that keeps more of the neighbourhood's shape.",
        labels={
            "standard": "Standard",
            "modified": "Modified (several weights a point)",
            "hessian": "Hessian eigenmaps",
            "ltsa": "Tangent space alignment",
        },
    )
    n_neighbors: int = setting(
        10, "Points that each point is rebuilt from.", ge=2, le=100, title="Neighbours"
    )
    regularisation: float = setting(
        1e-3,
        "Spreads the weights over the neighbours; lower follows the shape closer, and noise too.",
        more=True,
        gt=0,
        le=1,
    )


class LLE(Projection):
    """The flattest layout in which the weights that rebuild a point from its neighbours still hold."""

    Config: ClassVar[type[ProjectionConfig]] = LLEConfig
    config: LLEConfig

    @one_thread()
    def fit(self, points: Points, watch: Watch) -> Embedding:
        different, back = points.without_copies()
        n = len(different)
        rows = landmark_rows(n, n if n <= ALL else LANDMARKS, self.seed)
        fitted = different if len(rows) == n else Points(different.x[rows])
        self.k, notes = neighbours_within(self.config.n_neighbors, len(fitted))
        notes += self._enough(fitted)
        watch.check(0)
        notes += self._closed_groups(fitted.graph(self.k).index)
        self.x, self.positions = fitted.x, self._axes(fitted, watch)
        watch.check(0.9)
        if fitted is different:
            return Embedding(self.positions[back].astype(np.float32), notes=notes)
        placed = self._placed(different.x)
        placed[rows] = self.positions
        notes += (placed_note(len(rows), n, "their nearest of these"),)
        return Embedding(placed[back].astype(np.float32), len(rows), notes)

    def transform(self, x: np.ndarray) -> np.ndarray:
        return self._placed(x.astype(np.float32)).astype(np.float32)

    def _placed(self, x: np.ndarray) -> np.ndarray:
        return barycentric_positions(x, self.x, self.positions, self.k, self.config.regularisation)

    def _standard(self, points: Points) -> Any:
        """(I - W)ᵀ(I - W) of the weights that rebuild every point from its neighbours."""
        from scipy.sparse import csr_array, eye_array

        n, index = len(points), points.graph(self.k).index
        weights = barycentric_weights(points.x, points.x, index, self.config.regularisation)
        starts = np.arange(0, n * self.k + 1, self.k)
        w = csr_array((weights.ravel(), index.ravel(), starts), shape=(n, n))
        residual = eye_array(n, format="csr") - w
        return (residual.T @ residual).tocsc()

    def _axes(self, points: Points, watch: Watch) -> np.ndarray:
        """The last eigenvectors, but for the constant one."""
        if self.config.method == "modified":
            return self._modified(points)
        if self.config.method == "standard":
            matrix = self._standard(points)
        else:
            alignment = hessian_alignment if self.config.method == "hessian" else tangent_alignment
            matrix = alignment(scaled(points.x), points.graph(self.k).index, self.dimensions)
        watch.check(0.3)
        return last_axes(matrix, self.dimensions, self.seed, np.ones(len(points)))

    def _modified(self, points: Points) -> np.ndarray:
        """Scikit-learn's map; where its sparse factor is singular, the whole matrix of few points."""
        from sklearn.manifold import locally_linear_embedding

        for solver in ("arpack", "dense") if len(points) <= DENSE else ("arpack",):
            try:
                found, _ = locally_linear_embedding(
                    scaled(points.x),
                    n_neighbors=self.k,
                    n_components=self.dimensions,
                    reg=self.config.regularisation,
                    eigen_solver=solver,
                    method="modified",
                    random_state=self.seed,
                )
            except (ValueError, RuntimeError, np.linalg.LinAlgError):
                continue
            if np.isfinite(found).all():
                return found * signs(found)
        raise CannotProject(
            "Modified LLE finds no unique map of these points: raise the number of neighbours, choose "
            f"at most {DENSE:,} points, or the standard form."
        )

    def _enough(self, points: Points) -> tuple[str, ...]:
        """Raises the number of neighbours to what the form of LLE needs, and says so.

        Raises:
            CannotProject: There are too few points, or they vary along too few numbers.
        """
        d, form = self.dimensions, self.config.method
        varying = int((np.ptp(points.x, axis=0) > 0).sum())
        if form != "standard" and varying < d:
            raise CannotProject(
                f"This form of LLE draws {d} axes, and the points vary along {varying} only: choose the "
                "standard form."
            )
        least = {"standard": 1, "modified": d, "hessian": d * (d + 3) // 2, "ltsa": d + 1}[form]
        if self.k >= least:
            return ()
        if least >= len(points):
            raise CannotProject(
                f"This form of LLE needs {least} neighbours for {d} axes, and only {len(points)} points are "
                "different: choose more images, or the standard form."
            )
        self.k = least
        return (f"This form of LLE needs at least {least} neighbours, so {least} were taken.",)

    def _closed_groups(self, index: np.ndarray) -> tuple[str, ...]:
        """What to say where groups of points have all their neighbours inside: each may lie anywhere.

        Raises:
            CannotProject: The groups use up all axes, and each would shrink to one spot.
        """
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        n, k = index.shape
        links = csr_array((np.ones(n * k), index.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
        groups, label = connected_components(links, directed=True, connection="strong")
        open_groups = np.unique(label[(label[index] != label[:, None]).any(1)])
        closed = groups - len(open_groups)
        if closed > self.dimensions:
            raise CannotProject(
                f"LLE finds {closed:,} groups of points with all neighbours inside, and would draw each on "
                f"one spot: raise the number of neighbours above {k}, or look at Isomap."
            )
        if closed == 1:
            return ()
        return (f"{closed} groups have all their neighbours inside: how they lie apart is arbitrary.",)


def scaled(x: np.ndarray) -> np.ndarray:
    """Centred, of spread 1, without the columns that never change (scikit-learn's forms collapse on them)."""
    x = x[:, np.ptp(x, axis=0) > 0].astype(np.float64)
    return (x - x.mean(0)) / x.std()
