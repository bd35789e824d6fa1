"""Linear probes: what a linear model can read from frozen features, classes and known factors alike.

G. Alain & Y. Bengio 2016, Understanding intermediate layers using linear classifier probes,
https://arxiv.org/abs/1610.01644. Settings after S. Kornblith et al. 2019, Do Better ImageNet Models Transfer
Better?, https://arxiv.org/abs/1805.08974: L-BFGS, the strength of the penalty chosen on held-out images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from engine.data.progress import Stop, Stopped, never
from engine.errors import UserError
from engine.evaluation.linear import Scaler, apply_linear, curvature_of, fit_ridge, fit_softmax
from engine.evaluation.metrics import wilson_interval
from engine.evaluation.neighbours import check_labels, finite_features

Kind = Literal["class", "number", "angle"]

COSTS = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)
USUAL_COST = 0.1  # where no images can be held out to choose one
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
HELD = 0.2  # share of the training part that chooses
CHOOSING = 10_000  # training images among which C is chosen; with more of them it hardly moves
ANGLES = ("hue", "rotation", "angle")  # a factor whose name ends so goes round
PERIODS = (1.0, 2 * math.pi, 360.0)  # turns, radians, degrees
FEW_VALUES = 20  # whole numbers with no more values than this are categories


@dataclass(frozen=True)
class ProbeResult:
    """How well a linear classifier on frozen features does on images it has not seen.

    Attributes:
        accuracy: Share of test images answered correctly.
        low: Lower end of its 95 % interval (Wilson).
        high: Upper end.
        n: Test images.
        correct: Test images answered correctly.
        cost: C that was chosen; a larger one fits closer.
        train_n: Images the classifier learned from.
    """

    accuracy: float
    low: float
    high: float
    n: int
    correct: int
    cost: float
    train_n: int


@dataclass(frozen=True)
class FactorResult:
    """How well a factor of variation can be read.

    Attributes:
        kind: "class", "number" or "angle".
        score: Accuracy for a class, R² otherwise; R² below 0 is worse than always saying the mean.
        chance: What needs no features: the share of the commonest class, or 0.
        n: Test images.
    """

    kind: Kind
    score: float
    chance: float
    n: int

    @property
    def shown(self) -> float:
        """The score, at least 0."""
        return max(0.0, self.score)


def linear_probe(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    classes: int,
    *,
    seed: int = 0,
    costs: Sequence[float] = COSTS,
    stop: Stop | None = None,
) -> ProbeResult:
    """Accuracy of softmax regression on frozen features.

    Features are scaled by the training part's figures. C is chosen on a fifth of every class held out of the
    training part, or of 10,000 of its images where there are more, never on the test images; then all of the
    training part is fitted with it.

    Args:
        train_x: (n, d) features.
        train_y: (n,) classes, 0 to C - 1; a class that has no image here is never answered.
        test_x: (m, d) features.
        test_y: (m,) classes.
        classes: C.
        seed: Decides which images are held out.
        costs: Values of C to choose from.
        stop: Asked at each step.

    Raises:
        UserError: Features that are no numbers, labels out of range, or fewer than two classes to learn.
        Stopped: `stop` said so.
    """
    train_x, test_x = _checked(train_x, test_x)
    train_y = check_labels(train_y, len(train_x), classes)
    test_y = check_labels(test_y, len(test_x), classes)
    known, y = np.unique(train_y, return_inverse=True)
    if len(known) < 2:
        raise UserError("A linear probe needs training images of at least two classes.")
    cost = _choose_cost(train_x, y, costs, seed, stop or never)
    answers = known[_answers(train_x, y, test_x, [cost], stop or never)[0].argmax(1)]
    correct, n = int((answers == test_y).sum()), len(test_y)
    return ProbeResult(correct / n, *wilson_interval(correct, n), n, correct, cost, len(train_y))


def _checked(train_x: np.ndarray, test_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    train_x = finite_features(train_x, "the training images")
    test_x = finite_features(test_x, "the test images")
    if train_x.shape[1] != test_x.shape[1]:
        raise UserError(
            f"Training images have {train_x.shape[1]} features, test images {test_x.shape[1]}: "
            "take both from one encoder."
        )
    return train_x, test_x


def _answers(
    x: np.ndarray, y: np.ndarray, other: np.ndarray, costs: Sequence[float], stop: Stop
) -> list[np.ndarray]:
    """(m, C) logits of `other` for each cost, from classifiers of (x, y) each begun at the last one's end."""
    scaler, theta, found = Scaler.of(x), None, []
    scaled, others, truth, classes = scaler(x), scaler(other), torch.from_numpy(y), int(y.max()) + 1
    if scaled.shape[1] > len(scaled):  # the best weights lie in the span of the images: turned into it,
        span = torch.linalg.qr(scaled.T).Q  # (d, n), the problem is the same with fewer features
        scaled, others = scaled @ span, others @ span
    curvature = curvature_of(scaled, classes)
    for cost in costs:
        theta = fit_softmax(scaled, truth, classes, cost, theta, stop, curvature)
        found.append(apply_linear(others, theta).numpy())
    return found


def _choose_cost(x: np.ndarray, y: np.ndarray, costs: Sequence[float], seed: int, stop: Stop) -> float:
    """The cost with the best accuracy on held-out images; among equals the one with the lower loss."""
    ordered = sorted(costs)
    if not ordered or ordered[0] <= 0:
        raise UserError("costs must hold at least one value, all above 0.")
    if len(y) > CHOOSING and len(ordered) > 1:
        some = hold_out(y, seed, CHOOSING / len(y))
        x, y = x[some], np.unique(y[some], return_inverse=True)[1]
    held = hold_out(y, seed)
    if len(ordered) == 1 or not held.any():
        return min(ordered, key=lambda cost: abs(math.log(cost / USUAL_COST)))
    ranked = []
    logits = _answers(x[~held], y[~held], x[held], ordered, stop)
    for cost, scores in zip(ordered, logits, strict=True):
        log_p = torch.log_softmax(torch.from_numpy(scores), 1).numpy()
        loss = -log_p[np.arange(len(scores)), y[held]].mean()
        ranked.append((-(scores.argmax(1) == y[held]).mean(), loss, cost))
    return float(min(ranked)[2])


def hold_out(y: np.ndarray, seed: int, share: float = HELD) -> np.ndarray:
    """Which images to hold out: a share of every class, at least one of it and never all.

    Args:
        y: (n,) classes; an image that is alone in its class stays.
        seed: Another one holds out others.
        share: How much of each class.

    Returns:
        (n,) bool.
    """
    random = np.random.default_rng(seed)
    held = np.zeros(len(y), bool)
    for k in np.unique(y):
        rows = random.permutation(np.flatnonzero(y == k))
        if len(rows) > 1:
            held[rows[: min(max(1, round(share * len(rows))), len(rows) - 1)]] = True
    return held


def factor_kinds(factors: Mapping[str, np.ndarray]) -> dict[str, Kind]:
    """How each known factor is to be read.

    Texts, truth values and a few whole numbers are classes (Shapes' textures). Names that end in hue,
    rotation or angle go round, so that 359° lies beside 1°: hues of Shapes are stored in turns, rotation and
    light angle in degrees. All others are numbers.

    Rotation is stored as drawn, although many shapes look the same after less than a full turn: a circle and
    a ring always, a cross and a square after 90°, a star after 72°, a triangle after 120°, an hourglass after
    180°. Over all of Shapes even perfect features reach an R² of about 0.3, the share of arrows, crescents
    and hearts; probe these alone to see more. The light angle likewise means nothing where light is near 0.

    Args:
        factors: (n,) values by name, as data sets keep them.
    """
    kinds: dict[str, Kind] = {}
    for name, values in factors.items():
        values = np.asarray(values)
        whole = values.dtype.kind in "iu" and len(np.unique(values)) <= FEW_VALUES
        if name.endswith(ANGLES) and values.dtype.kind in "iuf":
            kinds[name] = "angle"
        else:
            kinds[name] = "number" if values.dtype.kind in "iuf" and not whole else "class"
    return kinds


def usual_period(values: np.ndarray) -> float:
    """What a full circle is in the unit of some angles: the least of 1, 2π and 360 that holds them all."""
    largest = float(np.abs(values).max())
    return next((period for period in PERIODS if largest <= period * (1 + 1e-9)), PERIODS[-1])


def factor_probe(
    train_x: np.ndarray,
    train_values: np.ndarray,
    test_x: np.ndarray,
    test_values: np.ndarray,
    kind: Kind,
    *,
    period: float | None = None,
    seed: int = 0,
    stop: Stop | None = None,
) -> FactorResult:
    """How well one factor can be read from frozen features by a linear model.

    A class is read by `linear_probe`; a number by ridge regression; an angle by ridge regression of its sine
    and cosine, whose R² counts both.

    Args:
        train_x: (n, d) features.
        train_values: (n,) the factor.
        test_x: (m, d) features.
        test_values: (m,) the factor.
        kind: As `factor_kinds` says.
        period: A full circle in the angle's unit; `usual_period` of all values if None.
        seed: Decides which training images choose the penalty.
        stop: Asked now and then.

    Raises:
        UserError: Values or features that are no numbers, or a factor that does not vary.
        Stopped: `stop` said so.
    """
    train, test = {"it": np.asarray(train_values)}, {"it": np.asarray(test_values)}
    periods = {} if period is None else {"it": period}
    return factor_probes(train_x, train, test_x, test, {"it": kind}, periods=periods, seed=seed, stop=stop)[
        "it"
    ]


def factor_probes(
    train_x: np.ndarray,
    train_factors: Mapping[str, np.ndarray],
    test_x: np.ndarray,
    test_factors: Mapping[str, np.ndarray],
    kinds: Mapping[str, Kind] | None = None,
    *,
    periods: Mapping[str, float] | None = None,
    seed: int = 0,
    stop: Stop | None = None,
) -> dict[str, FactorResult]:
    """`factor_probe` for many factors of the same images; all regressions share one decomposition.

    Args:
        train_x: (n, d) features.
        train_factors: (n,) values by name.
        test_x: (m, d) features.
        test_factors: (m,) values by name.
        kinds: As `factor_kinds` says, if None.
        periods: Of angles, where `usual_period` does not know.
        seed: Decides which training images choose the penalty.
        stop: Asked now and then.
    """
    train_x, test_x = _checked(train_x, test_x)
    kinds = factor_kinds(train_factors) if kinds is None else kinds
    found: dict[str, FactorResult] = {}
    targets: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, kind in kinds.items():
        pair = (
            _values(name, train_factors[name], len(train_x)),
            _values(name, test_factors[name], len(test_x)),
        )
        if kind == "class":
            found[name] = _class_probe(train_x, pair[0], test_x, pair[1], seed, stop)
        else:
            whole = (periods or {}).get(name) or usual_period(np.concatenate(pair))
            targets[name] = _target(pair[0], kind, whole), _target(pair[1], kind, whole)
    scores = _ridge_scores(train_x, test_x, targets, seed, stop or never) if targets else {}
    for name, score in scores.items():
        found[name] = FactorResult(kinds[name], score, 0.0, len(test_x))
    return {name: found[name] for name in kinds}


def _values(name: str, values: np.ndarray, n: int) -> np.ndarray:
    values = np.asarray(values)
    called = "This factor" if name == "it" else f"The factor {name[:40]}"
    if values.shape != (n,):
        raise UserError(f"{called} needs one value an image: got {values.size} for {n} images.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UserError(f"{called} holds values that are no finite numbers: leave those images out.")
    if len(np.unique(values)) < 2:
        raise UserError(
            f"{called} takes only one value here, so there is nothing to read: choose another one."
        )
    return values


def _class_probe(
    train_x: np.ndarray, train: np.ndarray, test_x: np.ndarray, test: np.ndarray, seed: int, stop: Stop | None
) -> FactorResult:
    names, codes = np.unique(np.concatenate([train, test]), return_inverse=True)
    y, truth = codes[: len(train)], codes[len(train) :]
    result = linear_probe(train_x, y, test_x, truth, len(names), seed=seed, stop=stop)
    commonest = np.bincount(y).argmax()
    return FactorResult("class", result.accuracy, float((truth == commonest).mean()), result.n)


def _target(values: np.ndarray, kind: Kind, period: float) -> np.ndarray:
    """(n, 1) numbers, or (n, 2) sine and cosine."""
    values = values.astype(np.float64)
    if kind == "number":
        return values[:, None]
    radians = values * (2 * np.pi / period)
    return np.stack([np.sin(radians), np.cos(radians)], axis=1)


def r_squared(truth: np.ndarray, answers: np.ndarray) -> float:
    """1 - the squared error over the variance of the truth, summed over columns.

    Args:
        truth: (n, t) values.
        answers: (n, t) values.
    """
    total = ((truth - truth.mean(0)) ** 2).sum()
    return float(1 - ((truth - answers) ** 2).sum() / max(total, 1e-300))


def _ridge_scores(
    train_x: np.ndarray,
    test_x: np.ndarray,
    targets: Mapping[str, tuple[np.ndarray, np.ndarray]],
    seed: int,
    stop: Stop,
) -> dict[str, float]:
    """R² on the test images of each target; its penalty is the one best on held-out training images."""
    held = hold_out(np.zeros(len(train_x), np.int64), seed)
    width = np.cumsum([0] + [train.shape[1] for train, _ in targets.values()])
    part = {name: slice(*width[i : i + 2]) for i, name in enumerate(targets)}
    train = np.concatenate([train for train, _ in targets.values()], axis=1)
    middle, spread = train.mean(0), train.std(0)  # float32 would lose a small change of large numbers
    train = (train - middle) / spread
    best = {name: (-math.inf, PENALTIES[-1]) for name in targets}
    tries = _predictions(train_x[~held], train[~held], train_x[held], PENALTIES, stop)
    for penalty, answers in zip(PENALTIES, tries, strict=True):
        for name, columns in part.items():
            best[name] = max(best[name], (r_squared(train[held][:, columns], answers[:, columns]), penalty))
    chosen = sorted({penalty for _, penalty in best.values()})
    final = dict(zip(chosen, _predictions(train_x, train, test_x, chosen, stop), strict=True))
    scores = {}
    for name, columns in part.items():
        answers = final[best[name][1]][:, columns] * spread[columns] + middle[columns]
        scores[name] = r_squared(targets[name][1], answers)
    return scores


def _predictions(
    x: np.ndarray, targets: np.ndarray, other: np.ndarray, penalties: Sequence[float], stop: Stop
) -> list[np.ndarray]:
    scaler = Scaler.of(x)
    if stop():
        raise Stopped
    fits = fit_ridge(scaler(x), torch.from_numpy(targets.astype(np.float32)), penalties)
    others = scaler(other)
    return [apply_linear(others, theta).numpy().astype(np.float64) for theta in fits]
