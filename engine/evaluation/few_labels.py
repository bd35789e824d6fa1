"""Few-label curves: what a linear probe reads with one, two, five … labels a class, drawn several times.

The interval of a mean joins two sources of chance: which labels were drawn (Student's t over the draws) and
which images judge (Wilson). They are joined as in G. Y. Zou & A. Donner 2008, Construction of confidence
limits about effect measures, https://doi.org/10.1002/sim.3095.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.data.progress import Stop
from engine.evaluation.metrics import wilson_interval
from engine.evaluation.probe import ProbeResult, linear_probe

Tell = Callable[[int, int], None]  # probes done, probes in all


@dataclass(frozen=True)
class FewPoint:
    """One point of a curve.

    Attributes:
        labels: Labels a class; None for all of them.
        mean: Accuracy, mean over the draws.
        low: Lower end of the 95 % interval of that mean.
        high: Upper end.
        draws: Accuracy of each draw.
        train_n: Labelled images in a draw; fewer than `labels` a class where a class has no more.
        n: Images that judge.
    """

    labels: int | None
    mean: float
    low: float
    high: float
    draws: tuple[float, ...]
    train_n: int
    n: int


def few_of(labels: np.ndarray, each: int, seed: int) -> np.ndarray:
    """Ascending rows of at most `each` images of every class, drawn at random.

    With the same seed a larger `each` takes the same images and some more.

    Args:
        labels: (n,) classes.
        each: Images a class.
        seed: Another one draws others.
    """
    random = np.random.default_rng(seed)
    rows = [random.permutation(np.flatnonzero(labels == label))[:each] for label in np.unique(labels)]
    return np.sort(np.concatenate(rows))


def few_labels(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    classes: int,
    numbers: Sequence[int],
    draws: int = 5,
    *,
    whole: ProbeResult | None = None,
    seed: int = 0,
    tell: Tell | None = None,
    stop: Stop | None = None,
) -> list[FewPoint]:
    """The curve of one representation; the same seed draws the same images for every other one.

    Args:
        train_x: (n, d) features.
        train_y: (n,) classes, 0 to C - 1.
        test_x: (m, d) features.
        test_y: (m,) classes.
        classes: C.
        numbers: Labels a class; those that no class has are left out, since they would be all.
        draws: How often each number is drawn.
        whole: The probe with all labels, where it is known; fitted here if None.
        seed: Draws k and 0 … `draws` - 1 after it are those of seed + k.
        tell: Told how far it is.
        stop: Asked at each step.

    Raises:
        UserError: The features or labels cannot be probed.
        Stopped: `stop` said so.
    """
    largest = int(np.bincount(train_y).max()) if len(train_y) else 0
    drawn = [number for number in sorted(numbers) if number < largest]
    points: list[FewPoint] = []
    for place, number in enumerate(drawn):
        accuracies, train_n = [], 0
        for draw in range(draws):
            if tell:
                tell(place * draws + draw, len(drawn) * draws + 1)
            rows = few_of(train_y, number, seed + draw)
            found = linear_probe(train_x[rows], train_y[rows], test_x, test_y, classes, seed=seed, stop=stop)
            accuracies.append(found.accuracy)
            train_n = found.train_n
        low, high = mean_interval(accuracies, len(test_y))
        mean = float(np.mean(accuracies))
        points.append(FewPoint(number, mean, low, high, tuple(accuracies), train_n, len(test_y)))
    whole = whole or linear_probe(train_x, train_y, test_x, test_y, classes, seed=seed, stop=stop)
    alone = (whole.accuracy,)
    return [*points, FewPoint(None, whole.accuracy, whole.low, whole.high, alone, whole.train_n, whole.n)]


def mean_interval(accuracies: Sequence[float], n: int) -> tuple[float, float]:
    """95 % interval of the mean accuracy over draws of labels, all judged by the same n images.

    Args:
        accuracies: (k,) of each draw; a single one says nothing of the draws, so it gets Wilson's interval.
        n: Images that judge.
    """
    mean, k = float(np.mean(accuracies)), len(accuracies)
    low, high = wilson_interval(round(mean * n), n)
    reach = 0.0
    if k > 1:
        from scipy.stats import t

        reach = float(t.ppf(0.975, k - 1) * np.std(accuracies, ddof=1) / math.sqrt(k))
    return max(0.0, mean - math.hypot(mean - low, reach)), min(1.0, mean + math.hypot(high - mean, reach))
