"""Is a representation alive: the spread, rank, alignment and uniformity of embeddings, and what they mean.

O. Roy & M. Vetterli 2007, The Effective Rank, EUSIPCO, https://ieeexplore.ieee.org/document/7098875;
X. Chen & K. He 2021, Exploring Simple Siamese Representation Learning, https://arxiv.org/abs/2011.10566 (the
standard deviation of normalised embeddings); T. Wang & P. Isola 2020, Understanding Contrastive
Representation Learning through Alignment and Uniformity, https://arxiv.org/abs/2005.10242.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.errors import UserError
from engine.evaluation.neighbours import finite_features, normalised

State = Literal["starting", "healthy", "shrinking", "collapsed"]

RED, AMBER = 0.1, 0.5  # of z_std
AMBER_RANK = 0.1  # of the dimensions
RECENT, EARLY = 5, 3  # epochs that say how the spread moves; below EARLY of them not falling is enough
RED_RISE, AMBER_RISE = 1.1, 1.05  # rising: this far above the middle of the recent ones, beyond their noise
CHUNK = 1024


def z_std(z: np.ndarray) -> float:
    """Spread of normalised embeddings: mean standard deviation of a dimension, times √d.

    Near 1 where they point everywhere equally, 0 where all point the same way.

    Args:
        z: (n, d) embeddings.
    """
    unit = _unit(z)
    return float(unit.std(0).mean() * math.sqrt(unit.shape[1]))


def effective_rank(z: np.ndarray, normalise: bool = True) -> float:
    """How many directions embeddings really use: exp of the entropy of the shares of the singular values.

    Between 1 and min(d, n - 1); 0 if all embeddings are exactly equal. It knows no scale: a collapsed
    representation with a little noise has a high rank, so read it beside `z_std`.

    Args:
        z: (n, d) embeddings, centred inside.
        normalise: Scale rows to unit length first, as all figures here do. Without it, moving all embeddings
            by the same vector changes nothing.
    """
    values = _singular_values(z, normalise)
    shares = values[values > 0] / max(values.sum(), 1e-300)
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def participation_ratio(z: np.ndarray, normalise: bool = True) -> float:
    """(Σ λ)² / Σ λ² of the covariance's eigenvalues: directions in use, counting weak ones less.

    Args:
        z: (n, d) embeddings, centred inside.
        normalise: Scale rows to unit length first.
    """
    variances = _singular_values(z, normalise) ** 2
    total = variances.sum()
    return float(total**2 / (variances**2).sum()) if total > 0 else 0.0


def alignment(a: np.ndarray, b: np.ndarray, alpha: float = 2) -> float:
    """Mean of |â - b̂|^α over pairs of views: 0 if both views of every image agree, 4 if opposite (α = 2).

    Args:
        a: (n, d) embeddings of one view.
        b: (n, d) of the other; rows i are views of the same image.
        alpha: α.
    """
    one, other = _unit(a, at_least=1), _unit(b, at_least=1)
    if one.shape != other.shape:
        raise UserError(f"Alignment needs as many embeddings of both views, got {len(one)} and {len(other)}.")
    return float((((one - other) ** 2).sum(1) ** (alpha / 2)).mean())


def uniformity(z: np.ndarray, t: float = 2) -> float:
    """Log of the mean of exp(-t |x - y|²) over pairs of different images; at most 0, lower is more even.

    An image is no pair with itself, as in the paper's code; with t = 2 it is 0 after collapse and about
    -3.9 for directions spread evenly over many dimensions.

    Args:
        z: (n, d) embeddings.
        t: Sharpness.
    """
    unit = _unit(z)
    n, total = len(unit), 0.0
    for start in range(0, n, CHUNK):
        squares = np.clip(2 - 2 * unit[start : start + CHUNK] @ unit.T, 0, None)  # (≤ CHUNK, n)
        rows = np.arange(len(squares))
        squares[rows, rows + start] = np.inf
        total += float(np.exp(-t * squares).sum())
    return min(0.0, math.log(total / (n * (n - 1))))


def _unit(z: np.ndarray, at_least: int = 2) -> np.ndarray:
    """(n, d) float64 rows of unit length."""
    z = finite_features(z, "these images")
    if len(z) < at_least:
        raise UserError(f"This figure needs the embeddings of at least {at_least} images, got {len(z)}.")
    return normalised(z.astype(np.float64))


def _singular_values(z: np.ndarray, normalise: bool) -> np.ndarray:
    """Of the centred embeddings; those that are nothing but rounding are 0.

    They come from the small matrix of products, a hundred times faster than a decomposition of all rows. Its
    square root leaves half the digits, so values below 1e-7 of the largest are rounding as well.
    """
    x = _unit(z) if normalise else finite_features(z, "these images").astype(np.float64)
    size = np.linalg.norm(x, axis=1).max()
    x = x - x.mean(0)
    values = np.sqrt(np.clip(np.linalg.eigvalsh(x.T @ x if len(x) > x.shape[1] else x @ x.T), 0, None))
    rounding = max(max(x.shape) * np.finfo(np.float64).eps * size, 1e-7 * values.max())
    return np.where(values > rounding, values, 0)


@dataclass(frozen=True)
class Verdict:
    """What the figures of an epoch say.

    Attributes:
        state: "starting" while it is too early to tell.
        words: What it means and what to try.
    """

    state: State
    words: str


def verdict(figures: Mapping[str, float], history: Sequence[Mapping[str, float]], dimensions: int) -> Verdict:
    """Judge a representation by its spread, how that moves, and its rank.

    Random weights begin with a low spread without being collapsed, so only a spread that does not rise
    counts. Rank alone would miss complete collapse, spread alone that few directions are in use. Alignment
    and uniformity both near 0 is collapse as well, but never without a low spread: the mean squared distance
    of two embeddings is 2 z_std², so they are told and not judged by.

    Args:
        figures: "z_std" and "effective_rank" of this epoch; others are not needed.
        history: The figures of earlier epochs, oldest first, without this one.
        dimensions: d, or the number of images measured less one where that is smaller.
    """
    spread, rank = figures.get("z_std", math.nan), figures.get("effective_rank", math.nan)
    if not math.isfinite(spread):
        return Verdict("collapsed", "The embeddings are no finite numbers: try a lower learning rate.")
    earlier = [row["z_std"] for row in history if math.isfinite(row.get("z_std", math.nan))][-RECENT:]
    if not earlier:
        return Verdict("starting", f"Too early to tell: spread {spread:.2f} of 1, watch whether it rises.")
    if spread < AMBER and _rises(spread, earlier):
        return Verdict("starting", f"Spreading out: {spread:.2f} of 1 so far, give it more epochs.")
    if spread < RED:
        return Verdict(
            "collapsed",
            "Collapsed: every image gets nearly the same embedding, and a low loss means nothing; keep the "
            "predictor, stop-gradient and batch normalisation, or try a lower learning rate.",
        )
    if spread < AMBER:
        return Verdict(
            "shrinking",
            f"Shrinking: embeddings use {spread:.2f} of the spread they could have; watch whether it falls, "
            "and try a larger batch or a slower target.",
        )
    if rank < AMBER_RANK * dimensions:  # never true of NaN
        return Verdict(
            "shrinking",
            f"Few directions: only about {rank:.0f} of {dimensions} are in use; try stronger augmentation, "
            "a larger batch or a narrower projection head.",
        )
    return Verdict("healthy", f"Healthy: embeddings are spread out ({spread:.2f} of 1).")


def _rises(spread: float, earlier: Sequence[float]) -> bool:
    if spread >= RED and len(earlier) < EARLY:
        return spread >= earlier[-1]
    return spread > (RED_RISE if spread < RED else AMBER_RISE) * float(np.median(earlier))
