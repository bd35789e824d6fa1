"""How sure a classifier may say it is: one temperature that makes its confidence mean what it says.

C. Guo, G. Pleiss, Y. Sun & K. Weinberger 2017, On Calibration of Modern Neural Networks,
https://arxiv.org/abs/1706.04599.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.data.splits import SPLITS
from engine.errors import UserError
from engine.evaluation.kept import remembered

LEAST = 20  # validation images below which a temperature would only fit their noise
BINS = 15  # of confidence, as in the paper
COLDEST, HOTTEST = 0.05, 20.0
STEPS = 200  # at most; Newton's method needs about six, halving alone about fifty
TINY = float(np.finfo(np.float32).tiny)  # kept probabilities may have become 0


@dataclass(frozen=True)
class Bin:
    """Images whose confidence lies in one interval.

    Attributes:
        low: Where it begins, itself left out.
        high: Where it ends.
        n: Images in it.
        confidence: Their mean confidence.
        accuracy: The share of them that is right.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How a run's confidence is corrected, and how far off it was.

    Attributes:
        temperature: Logits are divided by it; 1 changes nothing.
        n: Validation images that it was fitted to, or that there are.
        problem: Why none was fitted, in one sentence; empty where it was.
        split: Where the errors were measured: "test" where there are enough images, else "val".
        measured: Images that they were measured on.
        before: Expected calibration error without the temperature; None where there is no image.
        after: And with it.
        bins_before: The filled bins behind `before`.
        bins_after: And behind `after`.
    """

    temperature: float
    n: int
    problem: str = ""
    split: str = "val"
    measured: int = 0
    before: float | None = None
    after: float | None = None
    bins_before: tuple[Bin, ...] = field(default=(), repr=False)
    bins_after: tuple[Bin, ...] = field(default=(), repr=False)

    @property
    def fitted(self) -> bool:
        """Whether the temperature was fitted."""
        return not self.problem


def softened(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities at a temperature: softmax(z / T).

    Args:
        logits: (n, C); logarithms of probabilities will do.
        temperature: T, above 0.

    Returns:
        (n, C) float64; each row sums to 1 and orders the classes as before.
    """
    z = np.asarray(logits, np.float64) / temperature
    shares = np.exp(z - z.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least mean negative log-likelihood.

    In b = 1 / T the likelihood is convex, and its slope, the mean of E_p[z] - z_y, only grows. Its root is
    found by Newton's method; a step that leaves the bracket is replaced by halving it.

    Args:
        logits: (n, C) of images that training did not see.
        labels: (n,) their classes.

    Returns:
        T within 0.05 and 20; an end of that range where the root lies outside.
    """
    z = np.asarray(logits, np.float64)
    truth = z[np.arange(len(z)), labels]
    low, high = 1 / HOTTEST, 1 / COLDEST
    if _slope(z, truth, low)[0] >= 0:
        return HOTTEST
    if _slope(z, truth, high)[0] <= 0:
        return COLDEST
    b = 1.0
    for _ in range(STEPS):
        slope, curvature = _slope(z, truth, b)
        low, high = (b, high) if slope < 0 else (low, b)
        step = b - slope / curvature if curvature > 0 else low
        following = step if low < step < high else (low + high) / 2
        if abs(following - b) <= 1e-12 * b:
            break
        b = following
    return 1 / b


def _slope(z: np.ndarray, truth: np.ndarray, b: float) -> tuple[float, float]:
    """First and second derivative by b of the mean negative log-likelihood."""
    shares = softened(z, 1 / b)
    mean = (shares * z).sum(1)
    spread = (shares * (z - mean[:, None]) ** 2).sum(1)
    return float((mean - truth).mean()), float(spread.mean())


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> tuple[Bin, ...]:
    """How often images of about the same confidence are right, for the bins that hold any.

    Args:
        probabilities: (n, C).
        labels: (n,) true classes.
        bins: Intervals of equal width between 0 and 1; a confidence on a border belongs to the lower one.
    """
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for k in np.unique(place):
        here = place == k
        figures = float(confidence[here].mean()), float(right[here].mean())
        found.append(Bin(k / bins, (k + 1) / bins, int(here.sum()), *figures))
    return tuple(found)


def expected_calibration_error(bins: tuple[Bin, ...]) -> float:
    """Mean distance between confidence and accuracy, weighted by the images of each bin: 0 is honest.

    Args:
        bins: As `reliability` gives them, at least one.
    """
    n = sum(one.n for one in bins)
    return sum(one.n * abs(one.accuracy - one.confidence) for one in bins) / n


def calibrate(
    val: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray] | None = None
) -> Calibration:
    """Fit the temperature on validation images, and measure what it mends on the test images.

    Args:
        val: (n, C) logits and (n,) labels.
        test: Likewise; with fewer than 20 images the error is measured on the validation images, which are
            those of the fit, so that it flatters the temperature a little.
    """
    logits, labels = val
    n, problem = len(labels), ""
    if n < LEAST:
        problem = f"only {n} of the {LEAST} validation images that this needs are there"
    elif (logits.argmax(1) == labels).all():
        problem = f"all {n} validation images are right, and then no temperature is the best"
    temperature = 1.0 if problem else fit_temperature(logits, labels)
    split = "test" if test is not None and len(test[1]) >= LEAST else "val"
    z, truth = test if split == "test" and test is not None else val
    if not len(truth):
        return Calibration(temperature, n, problem)
    plain, mended = (reliability(softened(z, t), truth) for t in (1.0, temperature))
    before, after = expected_calibration_error(plain), expected_calibration_error(mended)
    return Calibration(temperature, n, problem, split, len(truth), before, after, plain, mended)


def calibration_of(run_id: str) -> Calibration:
    """The calibration of a finished classification, from the predictions it has kept.

    Raises:
        UserError: The run has kept none.
    """
    return _calibration(run_id)


def _read(found: dict[str, np.ndarray]) -> Calibration:
    if not {"split", "label", "probabilities"} <= found.keys():
        raise UserError("This run has kept no predictions of classes: choose a classification run.")
    logits = np.log(np.maximum(found["probabilities"].astype(np.float64), TINY))
    parts = {name: found["split"] == SPLITS.index(name) for name in ("val", "test")}
    val, test = ((logits[rows], found["label"][rows].astype(int)) for rows in parts.values())
    return calibrate(val, test)


_calibration = remembered(
    _read, "This run has kept no predictions: only a finished run can be tried.", most=32
)
