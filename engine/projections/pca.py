"""PCA: the flat view along which the points vary most.

Pearson 1901; computed by scikit-learn's full singular value decomposition.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from engine.fields import setting
from engine.projections.points import Points
from engine.projections.projection import Embedding, Projection, ProjectionConfig, Watch


class PCAConfig(ProjectionConfig):
    """Settings of PCA."""

    whiten: bool = setting(False, "Scale every axis to the same spread.", more=True)


class PCA(Projection):
    """Principal axes of the centred points."""

    Config: ClassVar[type[ProjectionConfig]] = PCAConfig

    def fit(self, points: Points, watch: Watch) -> Embedding:
        from sklearn.decomposition import PCA as Fitted

        count = min(self.dimensions, points.width)
        self.fitted = Fitted(count, whiten=self.config.whiten, random_state=self.seed)  # type: ignore[attr-defined]
        positions = self._padded(self.fitted.fit_transform(points.x.astype(np.float64)))
        notes = () if count == self.dimensions else (f"The points have {count} number each: a line, no map.",)
        share = float(self.fitted.explained_variance_ratio_.sum())
        return Embedding(positions, notes=notes, facts={"explained_variance": share})

    def transform(self, x: np.ndarray) -> np.ndarray:
        return self._padded(self.fitted.transform(x.astype(np.float64)))

    def _padded(self, found: np.ndarray) -> np.ndarray:
        positions = np.zeros((len(found), self.dimensions), np.float32)
        positions[:, : found.shape[1]] = found
        return positions
