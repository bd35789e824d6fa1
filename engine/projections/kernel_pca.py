"""Kernel PCA: PCA of what a kernel makes of the points, straight up to 2,000 and by landmarks above.

B. Schölkopf, A. Smola & K.-R. Müller 1998, Nonlinear Component Analysis as a Kernel Eigenvalue Problem,
Neural Computation 10; C. Williams & M. Seeger 2001, Using the Nyström Method to Speed Up Kernel Machines,
NeurIPS 13.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from engine.fields import setting
from engine.projections.landmarks import landmark_rows, placed_note
from engine.projections.points import Points
from engine.projections.projection import CannotProject, Embedding, Projection, ProjectionConfig, Watch
from engine.projections.spectral import signs
from engine.projections.threads import one_thread

EXACT = 2000  # points up to which the whole kernel matrix is quicker
EXACT_MOST = 5000  # points whose kernel matrix takes 200 MB, and as much again while it is decomposed
SAMPLE = 500  # points whose distances say how wide a kernel should be
CHUNK = 4096  # points at a time
NO_DIRECTION = 1e-7  # of the landmarks' largest eigenvalue: directions below it are rounding
NAMES = {"polynomial": "poly"}  # where scikit-learn's word is another


class KernelPCAConfig(ProjectionConfig):
    """Settings of kernel PCA."""

    kernel: Literal["rbf", "linear", "polynomial", "cosine", "sigmoid"] = setting(
        "rbf",
        "What counts as alike: closeness (rbf), or a function of the product of two points.",
        labels={
            "rbf": "Closeness (RBF)",
            "linear": "Product: plain PCA",
            "polynomial": "Power of the product",
            "cosine": "Angle",
            "sigmoid": "Sigmoid of the product",
        },
    )
    gamma: float = setting(
        0.0,
        "How fast likeness falls with distance; 0 takes one over the median squared distance.",
        ge=0,
        le=1e12,
        off=0.0,
    )
    degree: int = setting(3, "Power of the polynomial kernel.", more=True, ge=1, le=10)
    offset: float = setting(
        1.0, "Added to the product in the polynomial and sigmoid kernels.", more=True, ge=-100, le=100
    )
    landmarks: int = setting(300, "Points that stand for all above 2,000 points.", more=True, ge=20, le=2000)
    exact: bool = setting(
        False, "Compare all points with all even above 2,000, up to 5,000 points.", more=True
    )


def median_gamma(x: np.ndarray, seed: int) -> float:
    """One over the median squared distance between different points of a sample.

    It follows the scale of the points. A fixed gamma, such as one over their number of features, leaves every
    unscaled point alike to itself alone.

    Args:
        x: (n, d) points, not all alike.
        seed: Of the sample.
    """
    from scipy.spatial.distance import pdist

    squares = pdist(x[landmark_rows(len(x), SAMPLE, seed)].astype(np.float64), "sqeuclidean")
    squares = squares[squares > 0]
    typical = float(np.median(squares)) if len(squares) else 2 * float(x.var(0, dtype=np.float64).sum())
    return 1 / typical


class KernelPCA(Projection):
    """Principal axes of the points as a kernel sees them."""

    Config: ClassVar[type[ProjectionConfig]] = KernelPCAConfig
    config: KernelPCAConfig
    fitted: Any = None  # scikit-learn's, where all points were compared

    @one_thread()
    def fit(self, points: Points, watch: Watch) -> Embedding:
        n = len(points)
        if self.config.exact and n > EXACT_MOST:
            raise CannotProject(
                f"Exact kernel PCA compares all points with all, and {n:,} are too many: choose at most "
                f"{EXACT_MOST:,} points, or switch exact off."
            )
        watch.check(0)
        self.gamma = self.config.gamma or median_gamma(points.x[points.distinct], self.seed)
        facts = {"gamma": self.gamma}
        if n <= EXACT or self.config.exact:
            return Embedding(self._fit_exactly(points.x.astype(np.float64)), facts=facts)
        positions, m = self._fit_to_landmarks(points.x, watch), len(self.bank)
        return Embedding(positions, m, (placed_note(m, n, "their likeness to these"),), facts)

    def transform(self, x: np.ndarray) -> np.ndarray:
        if self.fitted is not None:
            found = self.fitted.transform(x.astype(np.float64)) * self.signs
            return self._padded(found)
        placed = [self._alike(x[start : start + CHUNK]) for start in range(0, len(x), CHUNK)]
        return np.concatenate([(alike - self.means) @ self.axes for alike in placed]).astype(np.float32)

    def _fit_exactly(self, x: np.ndarray) -> np.ndarray:
        from sklearn.decomposition import KernelPCA as Fitted

        self.fitted = Fitted(
            self.dimensions,
            kernel=NAMES.get(self.config.kernel, self.config.kernel),
            gamma=self.gamma,
            degree=self.config.degree,
            coef0=self.config.offset,
            random_state=self.seed,
        )
        found = self.fitted.fit_transform(x)
        self.signs = signs(found)
        return self._padded(found * self.signs)

    def _fit_to_landmarks(self, x: np.ndarray, watch: Watch) -> np.ndarray:
        """PCA of the Nyström features K(x, L) K(L, L)^-½, which are never held: only their products are."""
        self.bank = x[landmark_rows(len(x), self.config.landmarks, self.seed)]
        values, vectors = np.linalg.eigh(self._alike(self.bank))
        kept = values > NO_DIRECTION * values[-1]
        root = vectors[:, kept] / np.sqrt(values[kept])
        m, n = len(self.bank), len(x)
        total, products = np.zeros(m), np.zeros((m, m))
        for start in range(0, n, CHUNK):
            watch.check(0.6 * start / n)
            alike = self._alike(x[start : start + CHUNK])
            total += alike.sum(0)
            products += alike.T @ alike
        self.means = total / n
        spread = root.T @ (products - n * np.outer(self.means, self.means)) @ root
        leading = np.linalg.eigh(spread)[1][:, ::-1][:, : self.dimensions]
        self.axes = np.zeros((m, self.dimensions))
        self.axes[:, : leading.shape[1]] = root @ leading
        positions = self.transform(x)
        turn = signs(positions)
        self.axes *= turn
        watch.check(1)
        return positions * turn.astype(np.float32)

    def _alike(self, x: np.ndarray) -> np.ndarray:
        """(len(x), m) kernel between points and landmarks."""
        from sklearn.metrics.pairwise import pairwise_kernels

        found: np.ndarray = pairwise_kernels(
            x.astype(np.float64),
            self.bank.astype(np.float64),
            metric=NAMES.get(self.config.kernel, self.config.kernel),
            filter_params=True,
            gamma=self.gamma,
            degree=self.config.degree,
            coef0=self.config.offset,
        )
        return found

    def _padded(self, found: np.ndarray) -> np.ndarray:
        positions = np.zeros((len(found), self.dimensions), np.float32)
        positions[:, : found.shape[1]] = found
        return positions
