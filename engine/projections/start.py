"""Where a method that moves points step by step lets them begin: along their principal axes."""

from __future__ import annotations

import numpy as np

from engine.projections.points import Points


def principal_start(points: Points, dimensions: int, seed: int) -> np.ndarray:
    """(n, dimensions) float64 coordinates along the principal axes; an axis that is missing is all zeros."""
    from sklearn.decomposition import PCA

    count = min(dimensions, points.width)
    found = np.zeros((len(points), dimensions))
    found[:, :count] = PCA(count, random_state=seed).fit_transform(points.x.astype(np.float64))
    return found
