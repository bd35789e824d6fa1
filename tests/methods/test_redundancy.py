"""Barlow Twins and VICReg: known values of their terms, their formulas in NumPy, collapse and redundancy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.methods import method_class, parse_config
from engine.methods.barlow_twins import barlow_terms
from engine.methods.method import Task
from engine.methods.vicreg import vicreg_terms
from engine.models.encoder import build_encoder
from engine.training.step import Batch

SIZE, BATCH = 16, 8


def drawn(scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(0)
    x = scale * random.randn(16, 3)
    return x, x + 0.1 * random.randn(16, 3)


def correlations(x: np.ndarray, y: np.ndarray, eps: float) -> np.ndarray:
    """Equation 2, an entry at a time."""
    found = np.zeros((x.shape[1], y.shape[1]))
    for i in range(x.shape[1]):
        for j in range(y.shape[1]):
            a, b = x[:, i] - x[:, i].mean(), y[:, j] - y[:, j].mean()
            found[i, j] = (a * b).mean() / np.sqrt((a.var() + eps) * (b.var() + eps))
    return found


def vicreg_by_hand(x: np.ndarray, y: np.ndarray) -> tuple[float, list[float], list[float]]:
    """Invariance, and hinge and covariance of either side."""
    hinges, covariances = [], []
    for z in (x, y):
        hinges.append(float(np.mean([max(0.0, 1 - np.sqrt(v + 1e-4)) for v in z.var(0, ddof=1)])))
        matrix = np.cov(z, rowvar=False)
        covariances.append(float((matrix**2).sum() - (np.diag(matrix) ** 2).sum()) / z.shape[1])
    return float(((x - y) ** 2).mean()), hinges, covariances


def barlow(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    on, off = barlow_terms(torch.from_numpy(x), torch.from_numpy(y))
    return float(on), float(off)


def vicreg(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    invariance, variance, covariance = vicreg_terms(torch.from_numpy(x), torch.from_numpy(y))
    return float(invariance), float(variance), float(covariance)


def made(name: str, **settings: Any) -> Any:
    config, task = parse_config(name, {"batch_size": BATCH, **settings}), Task((), (), 24, SIZE)
    torch.manual_seed(0)
    return method_class(name)(build_encoder("random:cnn-small", SIZE, 0), config, task).train()


def batch() -> Batch:
    views = torch.rand(2, BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return Batch(tuple(views), torch.zeros(BATCH), torch.arange(BATCH))


def test_barlow_terms_have_their_known_values() -> None:
    x, y = drawn()
    plain, with_eps = correlations(x, y, 0), correlations(x, y, 1e-5)
    assert ((1 - np.diag(plain)) ** 2).sum() == pytest.approx(2.620e-5, abs=5e-9)
    on, off = barlow(x, y)
    assert on == pytest.approx(2.635e-5, abs=5e-9) == ((1 - np.diag(with_eps)) ** 2).sum()
    assert off == pytest.approx(0.012827, abs=1e-6)
    assert on + 0.005 * off == pytest.approx(9.03e-5, abs=3e-7)


@pytest.mark.parametrize(("n", "width"), [(4, 7), (30, 5)])
def test_barlow_terms_are_their_formula(n: int, width: int) -> None:
    x, y = np.random.default_rng(n).normal(size=(2, n, width)) * np.linspace(0.1, 3, width)
    matrix = correlations(x, y, 1e-5)
    on, off = barlow(x, y)
    assert np.abs(matrix).max() <= 1
    assert on == pytest.approx(((1 - np.diag(matrix)) ** 2).sum(), rel=1e-9)
    assert off == pytest.approx((matrix**2).sum() - (np.diag(matrix) ** 2).sum(), rel=1e-9)


def test_barlow_sees_pairs_and_redundancy_and_no_scale() -> None:
    x, y = drawn()
    on, off = barlow(x, x)
    assert on < 1e-9
    assert barlow(x, np.roll(y, 1, axis=0))[0] > 1, "views of one image belong together"
    assert barlow(5 * x + 3, y / 2 - 1) == pytest.approx(barlow(x, y), rel=1e-2)
    same = np.repeat(x[:, :1], 3, axis=1)  # three numbers that say the same
    assert barlow(same, same)[1] == pytest.approx(6, rel=1e-3)
    assert barlow(np.ones((8, 3)), np.ones((8, 3))) == pytest.approx((3, 0)), "collapse costs one a number"


def test_a_barlow_step_weighs_its_terms() -> None:
    for weight in (0.0, 0.005, 0.3):
        method = made("barlow_twins", redundancy_weight=weight, output_size=16)
        with torch.no_grad():
            result = method.training_step(batch())
            x, y = (method.project(view).double().numpy() for view in batch().views)
        matrix = correlations(x, y, 1e-5)
        on, off = ((1 - np.diag(matrix)) ** 2).sum(), (matrix**2).sum() - (np.diag(matrix) ** 2).sum()
        assert float(result.given_loss) == pytest.approx(on + weight * off, rel=1e-3)
        assert float(result.logs["invariance"]) == pytest.approx(on, rel=1e-3)
        assert float(result.logs["redundancy"]) == pytest.approx(off, rel=1e-3)
    assert made("barlow_twins", output_size=40).chance()["unrelated views"] == 40


def test_vicreg_terms_have_their_known_values() -> None:
    x, y = drawn()
    invariance, hinges, covariances = vicreg_by_hand(x, y)
    assert (invariance, *covariances) == pytest.approx((0.007687, 0.008367, 0.005998), abs=1e-6)
    assert hinges == [0, 0]
    found = vicreg(x, y)
    assert found == pytest.approx((invariance, 0, sum(covariances)), abs=1e-12)
    assert 25 * found[0] + 25 * found[1] + found[2] == pytest.approx(0.206527, abs=1e-5)


def test_vicreg_halves_the_two_hinges_as_the_published_code_does() -> None:
    x, y = drawn(0.3)
    invariance, hinges, covariances = vicreg_by_hand(x, y)
    assert hinges == pytest.approx([0.662001, 0.642216], abs=1e-6)
    assert covariances == pytest.approx([0.000068, 0.000218], abs=1e-6)
    found = vicreg(x, y)
    assert found == pytest.approx((invariance, sum(hinges) / 2, sum(covariances)), abs=1e-12)
    assert 25 * found[0] + 25 * found[1] + found[2] == pytest.approx(16.4952, abs=1e-3)


def test_vicreg_sees_collapse_and_redundancy_by_separate_terms() -> None:
    constant = np.ones((8, 5))
    assert vicreg(constant, constant) == pytest.approx((0, 0.99, 0), abs=1e-12)
    spread = 3 * np.random.default_rng(0).normal(size=(200, 1))
    same = np.repeat(spread, 4, axis=1)
    invariance, variance, covariance = vicreg(same, same)
    assert (invariance, variance) == (0, 0)
    assert covariance == pytest.approx(2 * 3 * float(spread.var(ddof=1)) ** 2)


def test_a_vicreg_step_weighs_its_terms() -> None:
    method = made("vicreg", invariance_weight=2.0, variance_weight=3.0, covariance_weight=5.0)
    with torch.no_grad():
        result = method.training_step(batch())
        x, y = (method.project(view).double().numpy() for view in batch().views)
    invariance, hinges, covariances = vicreg_by_hand(x, y)
    expected = 2 * invariance + 3 * sum(hinges) / 2 + 5 * sum(covariances)
    assert float(result.given_loss) == pytest.approx(expected, rel=1e-3)
    assert {name: float(value) for name, value in result.logs.items()} == pytest.approx(
        {"invariance": invariance, "variance": sum(hinges) / 2, "covariance": sum(covariances)}, rel=1e-3
    )
    assert method.chance()["collapsed"] == pytest.approx(3 * 0.99)


@pytest.mark.parametrize("terms", [barlow_terms, vicreg_terms])
def test_both_views_get_a_gradient_that_differences_confirm(terms: Any) -> None:
    x, y = (torch.from_numpy(z).requires_grad_() for z in drawn(0.3))
    for k in range(len(terms(x, y))):
        assert torch.autograd.gradcheck(lambda a, b, k=k: terms(a, b)[k], (x, y))
    sum(terms(x, y)).backward()
    assert float(x.grad.norm()) > 0 and float(y.grad.norm()) > 0
