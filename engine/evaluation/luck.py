"""How much of a best epoch can be luck: the largest of several accuracies measured on n images."""

from __future__ import annotations

import math

import numpy as np


def best_of(n: int, accuracy: float, times: int) -> np.ndarray:
    """The chance of each largest count of correct images among `times` independent measurements.

    Every measurement is binomial with the same true `accuracy`, so nothing improves between them. Epochs of
    one run are measured on the same images and resemble each other; the true spread is therefore smaller.

    Args:
        n: Images in the split.
        accuracy: The true accuracy, in [0, 1].
        times: How many epochs were looked at.

    Returns:
        (n + 1,) chances that the largest count is 0, 1, ..., n.
    """
    if n < 1 or times < 1 or not 0 <= accuracy <= 1:
        raise ValueError(f"need n >= 1, times >= 1 and an accuracy in [0, 1], got {n}, {times}, {accuracy}")
    counts = np.arange(n + 1)
    if accuracy in (0.0, 1.0):
        chances = (counts == round(n * accuracy)).astype(float)
    else:
        log_factorial = np.array([math.lgamma(k + 1) for k in range(n + 1)])
        log_chance = log_factorial[n] - log_factorial - log_factorial[::-1]
        log_chance = log_chance + counts * math.log(accuracy) + (n - counts) * math.log1p(-accuracy)
        chances = np.exp(log_chance)
    below = np.minimum(np.cumsum(chances), 1.0)
    return np.diff(below**times, prepend=0.0)
