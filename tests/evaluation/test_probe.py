"""Linear probes against scikit-learn and loops, on labels that can and cannot be read, and on leaks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from engine.data.progress import Stopped
from engine.data.shapes import draw
from engine.errors import UserError
from engine.evaluation import linear, probe
from engine.evaluation.linear import Scaler, apply_linear, curvature_of, fit_ridge, fit_softmax
from engine.evaluation.metrics import wilson_interval
from engine.evaluation.probe import (
    COSTS,
    factor_kinds,
    factor_probe,
    factor_probes,
    hold_out,
    linear_probe,
    r_squared,
    usual_period,
)

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def digits() -> Split:
    x, y = load_digits(return_X_y=True)
    return x[:900], y[:900], x[900:], y[900:]


def noise(n: int = 600, d: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def objective(x: np.ndarray, y: np.ndarray, theta: np.ndarray, cost: float) -> float:
    total = 0.0
    for row, label in zip(x, y, strict=True):
        logits = row @ theta[:-1] + theta[-1]
        total += math.log(sum(math.exp(v - logits.max()) for v in logits)) + logits.max() - logits[label]
    return cost * total + 0.5 * float((theta[:-1] ** 2).sum())


@pytest.mark.parametrize("cost", [0.001, 0.1, 10.0])
@pytest.mark.parametrize("wide", [True, False])
def test_softmax_regression_finds_scikit_learns_optimum(
    digits: Split, cost: float, wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = Scaler.of(digits[0][:300])(digits[0][:300]), digits[1][:300]
    monkeypatch.setattr(linear, "WIDE", 10 if wide else 10_000)
    theta = fit_softmax(x, torch.from_numpy(y), 10, cost, curvature=curvature_of(x, 10)).double().numpy()
    known = LogisticRegression(C=cost, tol=1e-5, max_iter=500).fit(x.double().numpy(), y)
    best = np.concatenate([known.coef_.T, known.intercept_[None]])
    values = [objective(x.double().numpy(), y, t, cost) for t in (theta, best)]
    assert values[1] * 0.9999 <= values[0] <= values[1] * 1.02
    answers = (x.numpy() @ theta[:-1] + theta[-1]).argmax(1)
    assert (answers == known.predict(x.numpy())).mean() > 0.995


def test_a_start_changes_the_way_and_not_the_answer(digits: Split) -> None:
    x, y = Scaler.of(digits[0])(digits[0]), torch.from_numpy(digits[1])
    curvature = curvature_of(x, 10)
    first = fit_softmax(x, y, 10, 0.001, curvature=curvature)
    warm = fit_softmax(x, y, 10, 0.01, first, curvature=curvature)
    cold = fit_softmax(x, y, 10, 0.01, curvature=curvature)
    assert apply_linear(x, warm).numpy() == pytest.approx(apply_linear(x, cold).numpy(), abs=0.02)


@pytest.mark.parametrize("shape", [(200, 9), (30, 80)])
def test_ridge_is_scikit_learns_in_both_forms(shape: tuple[int, int]) -> None:
    x, t = noise(*shape), noise(shape[0], 3, seed=1) + 4
    x = x - x.mean(0)
    tensors = [torch.from_numpy(a.astype(np.float32)) for a in (x, t)]
    for penalty, theta in zip((1e-3, 1.0), fit_ridge(tensors[0], tensors[1], (1e-3, 1.0)), strict=True):
        known = Ridge(alpha=penalty * shape[0]).fit(x, t)
        assert apply_linear(tensors[0], theta).numpy() == pytest.approx(known.predict(x), abs=2e-3)


def test_the_scaler_is_scikit_learns_and_leaves_constants_out() -> None:
    x, other = noise(50, 3) * 5 + 2, noise(20, 3, seed=1)
    known = StandardScaler().fit(x)
    assert Scaler.of(x)(other).numpy() == pytest.approx(known.transform(other), abs=1e-5)
    flat = np.concatenate([x, np.full((50, 1), 0.1)], axis=1)
    assert (Scaler.of(flat)(np.ones((4, 4)) * 1e9)[:, 3] == 0).all()


def test_labels_written_into_a_feature_are_read_without_error() -> None:
    y = np.arange(600) % 4
    x = np.concatenate([noise(), np.eye(4)[y]], axis=1)
    found = linear_probe(x[:400], y[:400], x[400:], y[400:], 4)
    assert (found.accuracy, found.correct, found.n, found.train_n) == (1, 200, 200, 400)
    assert (found.low, found.high) == wilson_interval(200, 200)
    three = np.arange(600) % 3
    x = np.concatenate([noise(), three[:, None]], axis=1)
    assert linear_probe(x[:400], three[:400], x[400:], three[400:], 3).accuracy == 1


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_labels_are_read_by_chance_alone(digits: Split, seed: int) -> None:
    random = np.random.default_rng(seed)
    y, z = random.permutation(digits[1]), random.permutation(digits[3])
    found = linear_probe(digits[0], y, digits[2], z, 10, seed=seed)
    assert abs(found.accuracy - 0.1) <= 3 * math.sqrt(0.1 * 0.9 / found.n)


def test_digits_are_read_as_well_as_scikit_learn_reads_them(digits: Split) -> None:
    train_x, train_y, test_x, test_y = digits
    found = linear_probe(*digits, 10)
    scaler = StandardScaler().fit(train_x)
    known = LogisticRegression(C=found.cost, max_iter=1000).fit(scaler.transform(train_x), train_y)
    assert found.cost in COSTS
    assert found.accuracy == pytest.approx(known.score(scaler.transform(test_x), test_y), abs=0.006)


def test_more_features_than_images_are_the_same_problem_in_their_span() -> None:
    y = np.arange(200) % 4
    x = np.concatenate([noise(200, 150), noise(200, 4, seed=1) + 3 * np.eye(4)[y]], axis=1)
    found = linear_probe(x[:80], y[:80], x[80:], y[80:], 4)
    scaler = StandardScaler().fit(x[:80])
    known = LogisticRegression(C=found.cost, tol=1e-5, max_iter=500).fit(scaler.transform(x[:80]), y[:80])
    assert found.accuracy == pytest.approx(known.score(scaler.transform(x[80:]), y[80:]), abs=0.017)


def test_only_the_training_part_scales_and_chooses(digits: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    real = Scaler.of
    monkeypatch.setattr(Scaler, "of", staticmethod(lambda x: (seen.append(x), real(x))[1]))
    train_x, train_y, test_x, test_y = digits
    found = linear_probe(*digits, 10, seed=3)
    held = hold_out(train_y, 3)
    assert [len(x) for x in seen] == [(~held).sum(), len(train_x)]
    assert (seen[0] == train_x[~held]).all() and (seen[1] == train_x).all()
    # other test images and wrong test labels change neither the answers nor the choice
    half = linear_probe(train_x, train_y, test_x[:300], test_y[:300], 10, seed=3)
    rest = linear_probe(train_x, train_y, test_x[300:], test_y[300:], 10, seed=3)
    assert half.correct + rest.correct == found.correct
    assert linear_probe(train_x, train_y, test_x, (test_y + 1) % 10, 10, seed=3).cost == found.cost


def test_the_same_seed_gives_the_same_answer(digits: Split) -> None:
    assert linear_probe(*digits, 10, seed=5) == linear_probe(*digits, 10, seed=5)
    assert (hold_out(digits[1], 1) != hold_out(digits[1], 2)).any()


def test_a_share_of_every_class_is_held_out_and_never_all_of_it() -> None:
    y = np.repeat([0, 1, 2, 3], [50, 5, 2, 1])
    held = hold_out(y, 0)
    assert np.bincount(y[held], minlength=4).tolist() == [10, 1, 1, 0]


def test_odd_classes_are_no_error() -> None:
    y = np.arange(300) % 3
    x = np.eye(3)[y] + 0.1 * noise(300, 3)
    alone = y.copy()
    alone[0] = 3  # one image of a class
    assert linear_probe(x[:200], alone[:200], x[200:], y[200:], 4).accuracy > 0.95
    gap = y * 2  # classes 1 and 3 never occur
    assert linear_probe(x[:200], gap[:200], x[200:], gap[200:], 6).accuracy > 0.95
    unseen = y[200:].copy()
    unseen[:50] = 5  # cannot be answered
    assert linear_probe(x[:200], y[:200], x[200:], unseen, 6).accuracy <= 0.5
    only = y[200:] == 1
    assert linear_probe(x[:200], y[:200], x[200:][only], y[200:][only], 3).accuracy > 0.95
    two = linear_probe(x[:2], y[:2], x[200:], y[200:], 3)  # nothing can be held out
    assert two.cost == probe.USUAL_COST and two.train_n == 2


def test_constant_and_hugely_scaled_features_do_no_harm() -> None:
    y = np.arange(300) % 3
    x = np.eye(3)[y] + 0.1 * noise(300, 3)
    x = np.concatenate([x * [1e6, 1, 1e-6], np.full((300, 1), 0.1), np.zeros((300, 1))], axis=1)
    found = linear_probe(x[:200], y[:200], x[200:], y[200:], 3)
    assert found.accuracy > 0.95
    x[200:, 3] = 1e12
    assert linear_probe(x[:200], y[:200], x[200:], y[200:], 3) == found
    assert linear_probe(np.ones((200, 4)), y[:200], np.ones((100, 4)), y[200:], 3).accuracy < 0.4


X, Y = noise(30, 4), np.arange(30) % 3
BROKEN = np.where(np.eye(30, 4) > 0, np.nan, X)
CALLS: dict[str, tuple[Callable[[], object], str]] = {
    "one class": (lambda: linear_probe(X, Y * 0, X, Y, 3), "at least two classes"),
    "no class": (lambda: linear_probe(X, Y - 1, X, Y, 3), "labels must be within"),
    "not finite": (lambda: linear_probe(BROKEN, Y, X, Y, 3), "training images hold values"),
    "not finite in the test": (lambda: linear_probe(X, Y, BROKEN, Y, 3), "test images hold values"),
    "no test": (lambda: linear_probe(X, Y, X[:0], Y[:0], 3), "no features of the test images"),
    "other width": (lambda: linear_probe(X, Y, X[:, :2], Y, 3), "from one encoder"),
    "no costs": (lambda: linear_probe(X, Y, X, Y, 3, costs=()), "costs"),
    "flat factor": (lambda: factor_probe(X, Y * 0.0, X, Y, "number"), "only one value"),
    "flat category": (lambda: factor_probe(X, Y * 0, X, Y, "class"), "only one value"),
    "broken factor": (lambda: factor_probe(X, BROKEN[:, 0], X, Y, "number"), "no finite numbers"),
    "short factor": (lambda: factor_probe(X, Y[:9], X, Y, "number"), "one value an image"),
}


@pytest.mark.parametrize("case", CALLS)
def test_what_cannot_be_probed_is_one_sentence(case: str) -> None:
    call, part = CALLS[case]
    with pytest.raises(UserError, match=part) as error:
        call()
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_stop_stops(digits: Split) -> None:
    with pytest.raises(Stopped):
        linear_probe(*digits, 10, stop=lambda: True)
    with pytest.raises(Stopped):
        factor_probe(X, X[:, 0], X, X[:, 0], "number", stop=lambda: True)


def test_the_factors_of_shapes_get_their_kinds() -> None:
    factors = next(draw(50, 16)).factors
    angles = {"hue", "background_hue", "rotation", "light_angle"}
    expected = {name: "angle" if name in angles else "number" for name in factors}
    assert factor_kinds(factors) == {**expected, "texture": "class"}
    assert factor_kinds({"n": np.arange(9) % 3, "lit": np.array([True, False])}) == {
        "n": "class",
        "lit": "class",
    }
    for name, period in (("hue", 1), ("rotation", 360), ("light_angle", 360)):
        assert usual_period(factors[name]) == period
    assert usual_period(np.array([-3.1, 3.1])) == 2 * math.pi


def test_r_squared_is_scikit_learns() -> None:
    truth, answers = noise(40, 2), noise(40, 2, seed=1)
    known = r2_score(truth, answers, multioutput="variance_weighted")
    assert r_squared(truth, answers) == pytest.approx(known)


@pytest.mark.parametrize("period", [1.0, 2 * math.pi, 360.0])
def test_an_angle_is_read_round_its_circle(period: float) -> None:
    values = np.random.default_rng(0).uniform(0, period, 500)
    radians = values * 2 * np.pi / period
    x = np.concatenate([noise(500, 6), np.cos(radians)[:, None], np.sin(radians)[:, None]], axis=1)
    angle = factor_probe(x[:400], values[:400], x[400:], values[400:], "angle")
    number = factor_probe(x[:400], values[:400], x[400:], values[400:], "number")
    assert angle.score > 0.999 and number.score < 0.8, "as a number it breaks where it goes round"


def test_a_number_is_read_and_noise_is_not() -> None:
    x = noise(500, 6)
    there = factor_probe(x[:400], 1e6 + x[:400, 2], x[400:], 1e6 + x[400:, 2], "number")
    other = noise(500, 1, seed=9)[:, 0]
    absent = factor_probe(x[:400], other[:400], x[400:], other[400:], "number")
    assert there.score == pytest.approx(1, abs=1e-4) and there.n == 100
    assert -0.1 < absent.score < 0.1 and absent.shown == max(0, absent.score)
    assert factor_probe(x[:9], other[:9], x[9:], other[9:], "number").score < 0, "raw, not clipped"


def test_many_factors_together_equal_each_alone() -> None:
    x = noise(400, 6)
    factors = {
        "size": x[:, 0] + noise(400, 1, seed=2)[:, 0],
        "hue": (np.arctan2(x[:, 1], x[:, 2]) / (2 * np.pi)) % 1,
        "texture": np.where(x[:, 3] > 0, "plain", "dots"),
    }
    train = {name: values[:300] for name, values in factors.items()}
    test = {name: values[300:] for name, values in factors.items()}
    found = factor_probes(x[:300], train, x[300:], test)
    assert list(found) == ["size", "hue", "texture"]
    for name, kind in factor_kinds(factors).items():
        alone = factor_probe(x[:300], train[name], x[300:], test[name], kind)
        assert found[name].kind == kind and found[name].score == pytest.approx(alone.score, abs=1e-5)
    texture = found["texture"]
    assert texture.score > 0.9 and 0.3 < texture.chance < 0.7
