"""How classes stand apart in features, and how many directions these use.

P. J. Rousseeuw 1987, Silhouettes, https://doi.org/10.1016/0377-0427(87)90125-7; the other figures are those
of `engine.evaluation.health`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.evaluation.health import effective_rank, uniformity, z_std

MOST = 2000  # images among which classes are looked at for standing apart


def structure(x: np.ndarray, y: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """How classes stand apart in features, and how many directions these use.

    The silhouette takes the classes for clusters. It goes by the angle between features with their mean taken
    out, as neighbours are found.

    Args:
        x: (n, d) features; of more than 2,000 so many are drawn.
        y: (n,) classes.
        seed: Of the draw.

    Returns:
        silhouette (-1 to 1, or None where fewer than two classes are there), z_std, effective_rank and
        uniformity as in `engine.evaluation.health`, and n.
    """
    from sklearn.metrics import silhouette_score

    rows = np.sort(np.random.default_rng(seed).permutation(len(x))[:MOST])
    x, y = x[rows], y[rows]
    centred = x - x.mean(0, dtype=np.float64).astype(np.float32)
    moving = np.linalg.norm(centred, axis=1) > 0  # an image at the mean has no direction
    kinds = len(np.unique(y[moving]))
    silhouette = None
    if 2 <= kinds < moving.sum():
        silhouette = float(silhouette_score(centred[moving], y[moving], metric="cosine"))
    figures: dict[str, Callable[[np.ndarray], float]] = {
        "z_std": z_std, "effective_rank": effective_rank, "uniformity": uniformity
    }  # fmt: skip
    told = {name: figure(x) for name, figure in figures.items()} if len(x) > 1 else {}
    return {"silhouette": silhouette, "n": len(x), **told}
