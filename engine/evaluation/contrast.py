"""Contrastive losses taken apart: who is compared with whom, how much each counts, who pulls and pushes.

NT-Xent: Chen et al. 2020, A Simple Framework for Contrastive Learning of Visual Representations,
arXiv 2002.05709, equation 1. InfoNCE: van den Oord et al. 2018, Representation Learning with Contrastive
Predictive Coding, arXiv 1807.03748; with a queue of keys: He et al. 2020, Momentum Contrast for Unsupervised
Visual Representation Learning, arXiv 1911.05722.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.errors import UserError

LOSSES = ("nt_xent", "info_nce")
COLDEST, HOTTEST = 0.02, 2.0  # temperatures
FEWEST_PAIRS, MOST_PAIRS = 2, 512  # of one comparison
MOST_ON_CIRCLE = 16  # pairs that can still be told apart by eye
MOST_KEYS = 1024
JITTER = 0.25  # radians between the views of an image, one standard deviation


@dataclass(frozen=True)
class Contrast:
    """A contrastive loss with all that it is made of; one row an anchor, one column a candidate.

    NT-Xent has 2N anchors and 2N candidates, of which each anchor leaves itself out. InfoNCE has N anchors,
    with 1 + K candidates if there is a queue (the positive first) and N otherwise.

    Attributes:
        similarities: (A, C) cosines, also of an anchor with itself.
        probabilities: (A, C) softmax weights; 0 for an anchor itself.
        positive: (A,) the column of each anchor's other view.
        losses: (A,) one an anchor.
        mean: The loss: their mean.
        gradient: (A, C) of each anchor's loss on its similarities; a row's sum is 0.
        shares: (A, C) of what pushes the anchor away, the part that each negative has.
        chance: What candidates that all look alike cost.
        floor: What no arrangement of vectors goes below.
        spread: Mean standard deviation of the unit vectors, times the root of their width: 0 is collapse, 1
            is spread the same way in all directions.
    """

    similarities: np.ndarray
    probabilities: np.ndarray
    positive: np.ndarray
    losses: np.ndarray
    mean: float
    gradient: np.ndarray
    shares: np.ndarray
    chance: float
    floor: float
    spread: float


def contrast(
    z: np.ndarray,
    temperature: float,
    loss: str = "nt_xent",
    queue: np.ndarray | None = None,
    normalise: bool = True,
) -> Contrast:
    """Take a contrastive loss apart.

    Args:
        z: (2N, D) embeddings; rows i and i + N are views of the same image. InfoNCE reads the first N as
            queries and the others as their keys.
        temperature: Similarities are divided by it.
        loss: "nt_xent", or "info_nce".
        queue: (K, D) keys of other images, for InfoNCE; None takes the other keys of the batch.
        normalise: Bring every vector to length 1 first; without, similarities are plain products.

    Raises:
        UserError: The arrays, the temperature or the name of the loss cannot be used.
    """
    if loss not in LOSSES:
        raise UserError(f"There is no loss '{str(loss)[:40]}'; choose one of: {', '.join(LOSSES)}.")
    tau = check_temperature(temperature)
    z = _vectors(z, "The embeddings", normalise)
    n = check_pairs(len(z), MOST_PAIRS)
    if queue is not None:
        queue = _vectors(queue, "The queue", normalise)
        if loss == "nt_xent":
            raise UserError("NT-Xent takes its negatives from the batch: leave the queue out.")
        if len(queue) > MOST_KEYS or queue.shape[1] != z.shape[1]:
            raise UserError(f"A queue holds 1 to {MOST_KEYS} keys that are as wide as the embeddings.")
    similarities, positive = _compared(z, n, loss, queue)
    logits = similarities / tau  # (A, C)
    if loss == "nt_xent":
        np.fill_diagonal(logits, -np.inf)  # nobody is their own candidate
    rows = np.arange(len(logits))
    pull = logits[rows, positive]  # (A,)
    others = logits.copy()
    others[rows, positive] = -np.inf
    push = np.logaddexp.reduce(others, axis=1)  # (A,) all negatives as one rival
    probabilities = np.exp(logits - np.logaddexp(pull, push)[:, None])
    shares = np.exp(others - push[:, None])
    losses = np.logaddexp(0.0, push - pull)  # -log p+, which keeps its digits near p+ = 1
    gradient = probabilities / tau  # p_k / tau on each negative
    gradient[rows, positive] = np.expm1(-losses) / tau  # -(1 - p+) / tau on the positive
    candidates = logits.shape[1] - (loss == "nt_xent")
    return Contrast(
        similarities=similarities,
        probabilities=probabilities,
        positive=positive,
        losses=losses,
        mean=float(losses.mean()),
        gradient=gradient,
        shares=shares,
        chance=math.log(candidates),
        floor=_floor(n, candidates - 1, tau, queue is not None) if normalise else 0.0,
        spread=float(z.std(0).mean() * math.sqrt(z.shape[1])),
    )


def _compared(z: np.ndarray, n: int, loss: str, queue: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(A, C) similarities and the (A,) columns of the positives."""
    if loss == "nt_xent":
        return z @ z.T, (np.arange(2 * n) + n) % (2 * n)
    q, k = z[:n], z[n:]
    if queue is None:
        return q @ k.T, np.arange(n)
    return np.hstack([(q * k).sum(1, keepdims=True), q @ queue.T]), np.zeros(n, dtype=int)


def _floor(n: int, negatives: int, tau: float, queued: bool) -> float:
    """The lowest loss of unit vectors.

    A free queue can lie opposite to everything. Within a batch the negatives of one are the anchors of
    another, so that the best there is are N pairs at the corners of a simplex, with cosines of -1 / (N - 1).
    """
    gap = -2.0 if queued else -1.0 - 1.0 / (n - 1)
    return math.log1p(negatives * math.exp(gap / tau))


def check_temperature(temperature: float) -> float:
    """The temperature as a float.

    Raises:
        UserError: It is out of bounds.
    """
    if not COLDEST <= temperature <= HOTTEST:  # false for NaN as well
        raise UserError(f"The temperature must be within [{COLDEST:g}, {HOTTEST:g}], got {temperature:g}.")
    return float(temperature)


def check_pairs(rows: int, most: int = MOST_ON_CIRCLE) -> int:
    """How many pairs a number of rows is.

    Raises:
        UserError: They are not two views each of a number of images within bounds.
    """
    if rows % 2 or not FEWEST_PAIRS <= rows // 2 <= most:
        raise UserError(f"There must be two views each of {FEWEST_PAIRS} to {most} images, got {rows} rows.")
    return rows // 2


def _vectors(array: np.ndarray, what: str, normalise: bool) -> np.ndarray:
    try:
        found = np.array(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{what} must be numbers, one row a vector.") from None
    if found.ndim != 2 or not found.size:
        raise UserError(f"{what} must be a table of numbers, one row a vector.")
    if not np.isfinite(found).all():
        raise UserError(f"{what} hold a value that is no finite number.")
    if not normalise:
        return found
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
    if not np.all((lengths > 0) & np.isfinite(lengths)):
        raise UserError(f"{what} hold a vector of no usable length, which has no direction.")
    return found / lengths


def circle(angles: np.ndarray) -> np.ndarray:
    """(m,) angles in radians -> (m, 2) points on the unit circle.

    Raises:
        UserError: An angle is no finite number.
    """
    angles = np.asarray(angles, dtype=np.float64)
    if angles.ndim != 1 or not np.isfinite(angles).all():
        raise UserError("Angles must be finite numbers in one row.")
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def on_the_circle(n: int, seed: int, spread: float = JITTER) -> np.ndarray:
    """(2N,) angles of n images anywhere on the circle and their views around them; a seed repeats them.

    Raises:
        UserError: n is out of bounds, or the spread of the views, in radians, is no finite number from 0 on.
    """
    check_pairs(2 * n)
    if not 0 <= spread < np.inf:
        raise UserError("The spread of the views must be a finite number that is not below 0.")
    random = np.random.default_rng(seed)
    places = random.uniform(-np.pi, np.pi, n)
    return wrapped(np.concatenate([places, places]) + random.normal(0, 1, 2 * n) * spread)


def wrapped(angles: np.ndarray) -> np.ndarray:
    """The same directions, each within [-pi, pi)."""
    return (np.asarray(angles, dtype=np.float64) + np.pi) % (2 * np.pi) - np.pi


def evenly(count: int, start: float = np.pi / 2) -> np.ndarray:
    """(count,) angles that cut the circle into equal parts, clockwise from the top."""
    return wrapped(start - 2 * np.pi * np.arange(count) / count)


def _spread_evenly(n: int, seed: int) -> np.ndarray:
    return np.tile(evenly(n), 2)


def _collapsed(n: int, seed: int) -> np.ndarray:
    return np.full(2 * n, np.pi / 2)


def _views_apart(n: int, seed: int) -> np.ndarray:
    return np.concatenate([evenly(n), wrapped(evenly(n) + np.pi)])


PRESETS: dict[str, Callable[[int, int], np.ndarray]] = {
    "Random": on_the_circle,
    "Collapsed": _collapsed,
    "Spread evenly": _spread_evenly,
    "Views apart": _views_apart,
}


def arrange(name: str, n: int, seed: int) -> np.ndarray:
    """(2N,) angles of a preset; only "Random" asks for the seed.

    Raises:
        UserError: There is no such preset, or n is out of bounds.
    """
    if name not in PRESETS:
        raise UserError(f"There is no preset '{str(name)[:40]}'; choose one of: {', '.join(PRESETS)}.")
    check_pairs(2 * n)
    return PRESETS[name](n, seed)


def arrange_queue(name: str, count: int, seed: int) -> np.ndarray:
    """(K,) angles of the queue that goes with a preset: what the same encoder made of other images."""
    if name == "Collapsed":
        return np.full(count, np.pi / 2)
    if name == "Random":
        return np.random.default_rng([seed, 1]).uniform(-np.pi, np.pi, count)
    return evenly(count, np.pi / 2 - np.pi / max(1, count))


def best_on_a_circle(n: int, temperature: float) -> float:
    """The NT-Xent loss of the preset "Spread evenly": no better one is known on a circle."""
    return contrast(circle(arrange("Spread evenly", n, 0)), temperature).mean
