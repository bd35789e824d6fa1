"""Metric multidimensional scaling: the map whose distances differ least from those between the points.

J. Kruskal 1964, Multidimensional scaling by optimizing goodness of fit, Psychometrika 29; by majorisation
(SMACOF): J. de Leeuw 1977, Applications of convex analysis to multidimensional scaling.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from engine.fields import setting
from engine.projections.points import Points
from engine.projections.projection import CannotProject, Embedding, Projection, ProjectionConfig, Watch
from engine.projections.spectral import signs

MOST = 2000  # points: each step compares all with all
BLOCK_CELLS = 2**19  # distances at a time, few enough to stay in the processor's cache
FRAME = 5  # steps between two frames


class MDSConfig(ProjectionConfig):
    """Settings of multidimensional scaling."""

    steps: int = setting(300, "Steps at most; it ends earlier once the stress hardly falls.", ge=1, le=5000)
    tolerance: float = setting(
        1e-4,
        "Share of the stress that a step has to take away for another one to follow.",
        more=True,
        gt=0,
        le=0.1,
    )


class MDS(Projection):
    """SMACOF from the principal axes; no step ever raises the stress."""

    Config: ClassVar[type[ProjectionConfig]] = MDSConfig
    config: MDSConfig

    def fit(self, points: Points, watch: Watch) -> Embedding:
        from scipy.spatial.distance import cdist

        if len(points) > MOST:
            raise CannotProject(
                f"MDS compares all points with all in every step, and {len(points):,} are too many: choose "
                f"at most {MOST:,} points."
            )
        x = points.x.astype(np.float64)
        wanted = cdist(x, x)
        y = principal_positions(x, self.dimensions)
        total, stress, steps = (wanted**2).sum(), np.inf, self.config.steps
        for step in range(steps + 1):
            watch.check(step / (steps + 1))
            if step % FRAME == 0:
                watch.frame(y.astype(np.float32))
            better, squares = guttman(y, wanted)
            before, stress = stress, float(np.sqrt(squares / total))  # of y, not yet of the better one
            if step == steps or before - stress <= self.config.tolerance * stress:
                break
            y = better
        return Embedding(y.astype(np.float32), facts={"stress": stress, "steps": float(step)})


def principal_positions(x: np.ndarray, dimensions: int) -> np.ndarray:
    """(n, dimensions) of the centred points along their principal axes, zeros where there are no more."""
    middle = x - x.mean(0)
    left, values, _ = np.linalg.svd(middle, full_matrices=False)
    count = min(dimensions, len(values))
    y = np.zeros((len(x), dimensions))
    y[:, :count] = left[:, :count] * values[:count]
    return y * signs(y)


def guttman(y: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, float]:
    """One step of SMACOF, y ← B(y) y / n, the exact minimum of a bound that touches the stress at y.

    Args:
        y: (n, d) positions.
        wanted: (n, n) distances that they should have.

    Returns:
        (n, d) better positions, and Σ (wanted - distance)² of the old ones.
    """
    from scipy.spatial.distance import cdist

    better, squares, n = np.empty_like(y), 0.0, len(y)
    size = max(1, BLOCK_CELLS // n)
    for start in range(0, n, size):
        part = slice(start, start + size)
        apart = cdist(y[part], y)
        squares += float(((wanted[part] - apart) ** 2).sum())
        ratio = np.divide(wanted[part], apart, out=np.zeros_like(apart), where=apart > 0)
        better[part] = (ratio.sum(1)[:, None] * y[part] - ratio @ y) / n
    return better, squares
