"""PCA: the flat view along which the points vary most.

K. Pearson 1901, On lines and planes of closest fit to systems of points in space, Philosophical Magazine 2.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from engine.fields import setting
from engine.projections.points import Points
from engine.projections.principal import principal_axes
from engine.projections.projection import Embedding, Projection, ProjectionConfig, Watch


class PCAConfig(ProjectionConfig):
    """Settings of PCA."""

    whiten: bool = setting(False, "Scale every axis to the same spread.", more=True)


class PCA(Projection):
    """Principal axes of the centred points."""

    Config: ClassVar[type[ProjectionConfig]] = PCAConfig
    config: PCAConfig

    def fit(self, points: Points, watch: Watch) -> Embedding:
        count = min(self.dimensions, points.width)
        self.found = principal_axes(points.x, self.dimensions, self.seed)
        notes = () if count == self.dimensions else (f"The points have {count} number each: a line, no map.",)
        share = float(self.found.variances.sum() / self.found.total)
        return Embedding(self.transform(points.x), notes=notes, facts={"explained_variance": share})

    def transform(self, x: np.ndarray) -> np.ndarray:
        positions = self.found.positions(x)
        if self.config.whiten:
            spread = np.sqrt(self.found.variances)
            positions /= np.where(spread > 0, spread, 1)
        return positions.astype(np.float32)
