"""Points whose right map is known, and how far two maps are from being the same."""

from __future__ import annotations

import numpy as np


def cloud(n: int = 200, d: int = 10, seed: int = 0) -> np.ndarray:
    """A round cloud."""
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def groups(n: int, d: int = 10, count: int = 4, seed: int = 0) -> np.ndarray:
    """Groups that overlap a little, unscaled like the codes of an encoder."""
    rng = np.random.default_rng(seed)
    centres = 3 * rng.standard_normal((count, d))
    x = centres[np.arange(n) % count] + 3 * rng.standard_normal((n, d))
    return x.astype(np.float32)


def sheet(n: int = 400, d: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A flat sheet of 4 by 2 turned into d dimensions, and (n, 2) places on it."""
    rng = np.random.default_rng(seed)
    flat = rng.uniform(0, 1, (n, 2)) * [4, 2]
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0][:2]
    return (flat @ turn + 3).astype(np.float32), flat


def roll(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A sheet rolled up in 3 dimensions, and (n, 2) places on it: along the roll, and across."""
    rng = np.random.default_rng(seed)
    angle = 1.5 * np.pi * np.sqrt(1 + 8 * rng.uniform(0, 1, n))  # even along the spiral
    across = 20 * rng.uniform(0, 1, n)
    along = (angle * np.sqrt(1 + angle**2) + np.arcsinh(angle)) / 2  # arc length of r = angle
    x = np.column_stack([angle * np.cos(angle), across, angle * np.sin(angle)])
    return x.astype(np.float32), np.column_stack([along, across])


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Procrustes: 0 where the maps are the same but for turn, mirror, scale and place; at most 1."""
    from scipy.spatial import procrustes

    return float(procrustes(one.astype(np.float64), other.astype(np.float64))[2])


def affine_fit(positions: np.ndarray, truth: np.ndarray) -> float:
    """Share of the truth's variance that an affine image of the positions explains."""
    a = np.column_stack([positions.astype(np.float64), np.ones(len(positions))])
    rest = truth - a @ np.linalg.lstsq(a, truth, rcond=None)[0]
    return float(1 - (rest**2).sum() / ((truth - truth.mean(0)) ** 2).sum())


def distance_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's, of all pairs' distances."""
    from scipy.spatial.distance import pdist

    return float(np.corrcoef(pdist(one.astype(np.float64)), pdist(other.astype(np.float64)))[0, 1])
