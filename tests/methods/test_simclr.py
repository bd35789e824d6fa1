"""SimCLR's loss against its formula in NumPy, closed forms, invariances, slopes, and the least it can be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from engine.evaluation.health import z_std
from engine.methods import parse_config
from engine.methods.method import Task
from engine.methods.simclr import SimCLR, nt_xent, nt_xent_floor
from engine.models.encoder import build_encoder
from engine.training.step import Batch

A = np.array([[1, 2, 3, 4], [-1, 0, 2, 1], [0.5, -1.5, 1, 0], [2, 1, -1, 0.5]])
B = np.array([[1, 2, 2, 4], [-1, 1, 2, 1], [0, -1, 1, 0.5], [2, 0, -1, 1]])
Z = np.vstack([A, B])
ANCHORS = [1.113072, 1.136193, 0.735336, 0.617996, 1.055442, 1.083715, 1.045837, 0.691834]


def unit(z: np.ndarray) -> np.ndarray:
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def by_hand(z: np.ndarray, tau: float) -> list[float]:
    """Equation 1, an anchor at a time."""
    n, u = len(z) // 2, unit(z)
    found = []
    for i in range(2 * n):
        weights = {k: math.exp(float(u[i] @ u[k]) / tau) for k in range(2 * n) if k != i}
        found.append(-math.log(weights[(i + n) % (2 * n)] / sum(weights.values())))
    return found


def ours(z: np.ndarray, tau: float) -> float:
    return float(nt_xent(torch.from_numpy(z), tau))


def simplex(n: int) -> np.ndarray:
    return np.eye(n) - 1 / n


def made(**settings: Any) -> SimCLR:
    config = parse_config("simclr", {"batch_size": 8, **settings})
    task = Task((), (), 24, 16)
    torch.manual_seed(0)
    encoder = build_encoder(SimCLR.backbone_name(None, config, task), 16, 0)
    return SimCLR(encoder, config, task)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tau", "expected"), [(0.07, 0.036480), (0.1, 0.095953), (0.5, 0.934928), (1, 1.352992)]
)
def test_known_tensors_have_their_known_loss(tau: float, expected: float) -> None:
    assert ours(Z, tau) == pytest.approx(expected, abs=1e-6)
    assert float(nt_xent(torch.from_numpy(Z).float(), tau)) == pytest.approx(expected, rel=1e-4)


def test_the_loss_is_the_mean_over_all_anchors_and_not_the_sum_of_two_means() -> None:
    np.testing.assert_allclose(by_hand(Z, 0.5), ANCHORS, atol=1e-6)
    assert ours(Z, 0.5) == pytest.approx(np.mean(ANCHORS), abs=1e-6)
    halves = np.mean(ANCHORS[:4]) + np.mean(ANCHORS[4:])
    assert halves == pytest.approx(1.869856, abs=1e-6) != pytest.approx(ours(Z, 0.5), abs=0.5)


@pytest.mark.parametrize("tau", [0.05, 0.5, 2])
@pytest.mark.parametrize(("n", "width"), [(1, 3), (2, 5), (9, 4)])
def test_random_embeddings_have_the_papers_loss(n: int, width: int, tau: float) -> None:
    z = np.random.default_rng(n).normal(size=(2 * n, width))
    assert ours(z, tau) == pytest.approx(np.mean(by_hand(z, tau)), abs=1e-12)


@pytest.mark.parametrize(("tau", "expected"), [(0.1, 0.000272), (0.5, 0.594438), (1, 1.165422)])
def test_same_views_of_orthogonal_images(tau: float, expected: float) -> None:
    found = ours(np.vstack([np.eye(4)] * 2), tau)
    assert found == pytest.approx(expected, abs=1e-6)
    assert found == pytest.approx(-1 / tau + math.log(math.exp(1 / tau) + 6), abs=1e-12)


@pytest.mark.parametrize(("n", "expected"), [(2, 1.098612), (4, 1.945910), (32, 4.143135), (256, 6.236370)])
def test_collapse_costs_what_orthogonality_costs_and_only_the_spread_tells(n: int, expected: float) -> None:
    collapsed, apart = np.ones((2 * n, 3)), np.eye(2 * n)
    for z in (collapsed, apart):
        assert ours(z, 0.5) == pytest.approx(expected, abs=1e-6) == math.log(2 * n - 1)
    assert z_std(collapsed) == pytest.approx(0, abs=1e-12) and z_std(apart) > 0.8


@pytest.mark.parametrize(("n", "expected"), [(2, 0.035976), (4, 0.348472)])
def test_a_simplex_reaches_the_floor(n: int, expected: float) -> None:
    assert nt_xent_floor(n, 0.5) == pytest.approx(expected, abs=1e-6)
    assert ours(np.vstack([simplex(n)] * 2), 0.5) == pytest.approx(nt_xent_floor(n, 0.5), abs=1e-12)


@pytest.mark.parametrize("tau", [0.1, 0.5, 2])
@pytest.mark.parametrize("n", [2, 4, 5])
def test_no_configuration_goes_lower_than_the_floor(n: int, tau: float) -> None:
    floor = nt_xent_floor(n, tau)

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        z = torch.from_numpy(flat.reshape(2 * n, n)).requires_grad_()
        loss = nt_xent(z, tau)
        loss.backward()
        return float(loss.detach()), z.grad.numpy().ravel()

    random = np.random.default_rng(n)
    starts = [random.normal(size=2 * n * n) for _ in range(4)]
    ends = [minimize(value, start, jac=True, method="L-BFGS-B").fun for start in starts]
    assert min(ends) >= floor - 1e-12
    assert min(ends) == pytest.approx(floor, rel=1e-2, abs=1e-4), "downhill comes as low as the floor"
    for power in range(8):
        near = np.vstack([simplex(n)] * 2) + random.normal(size=(2 * n, n)) * 10.0**-power
        assert ours(near, tau) >= floor - 1e-12


def test_scale_rotation_swapped_views_and_the_order_of_pairs_change_nothing() -> None:
    random = np.random.default_rng(3)
    rotation, _ = np.linalg.qr(random.normal(size=(4, 4)))
    order = [2, 0, 3, 1]
    for z in (
        Z * random.uniform(0.1, 9, (8, 1)),
        Z @ rotation,
        np.vstack([B, A]),
        np.vstack([A[order], B[order]]),
    ):
        assert ours(z, 0.5) == pytest.approx(ours(Z, 0.5), abs=1e-12)
    assert ours(np.vstack([A, B[order]]), 0.5) > ours(Z, 0.5) + 0.1, "views of one image belong together"


def test_the_slope_is_that_of_its_formula() -> None:
    z = torch.from_numpy(Z).requires_grad_()
    nt_xent(z, 0.5).backward()
    u, n = unit(Z), len(Z)
    logits = u @ u.T / 0.5
    np.fill_diagonal(logits, -np.inf)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    known = [0, 0.174954, 0.050424, 0.070885, 0.328548, 0.208727, 0.094934, 0.071528]
    np.testing.assert_allclose(p[0], known, atol=1e-6)
    on_similarities = (p - np.roll(np.eye(n), n // 2, axis=1)) / 0.5  # ∂ℓᵢ/∂sᵢₖ
    assert on_similarities[0, 4] == pytest.approx(-1.342904, abs=1e-6)
    np.testing.assert_allclose(on_similarities.sum(1), 0, atol=1e-12)
    on_units = (on_similarities + on_similarities.T) @ u / n
    lengths = np.linalg.norm(Z, axis=1, keepdims=True)
    expected = (on_units - u * (on_units * u).sum(1, keepdims=True)) / lengths
    np.testing.assert_allclose(z.grad.numpy(), expected, atol=1e-12)


def test_the_slope_is_at_right_angles_to_each_embedding_and_passes_gradcheck() -> None:
    z = torch.from_numpy(Z).requires_grad_()
    nt_xent(z, 0.5).backward()
    np.testing.assert_allclose((z.grad.numpy() * Z).sum(1), 0, atol=1e-12)
    assert float(z.grad.norm(dim=1).min()) > 1e-3
    assert torch.autograd.gradcheck(lambda x: nt_xent(x, 0.3), (z,))


def test_an_anchor_is_not_its_own_candidate() -> None:
    # at 0.01 its own e^100 would drown everything else
    assert ours(Z, 0.01) == pytest.approx(np.mean(by_hand(Z, 0.01)), abs=1e-9)
    opposite = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])  # views as far apart as they can be
    assert ours(opposite, 0.01) == pytest.approx(100 + math.log(2), abs=1e-9), "and never 200"


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_masks_without_making_nan(kind: torch.dtype) -> None:
    z = torch.from_numpy(Z).to(kind).requires_grad_()
    loss = nt_xent(z, 0.05)
    loss.backward()
    assert bool(loss.isfinite()) and bool(z.grad.isfinite().all())
    assert float(nt_xent(z.detach(), 0.5)) == pytest.approx(0.934928, abs=0.02)


def test_raw_products_without_temperature_among_one_view_are_another_loss() -> None:
    """What is wrong with it: length pays, so it falls by growing; and half of the negatives are missing."""

    def tutorial(a: np.ndarray, b: np.ndarray) -> float:
        s = a @ b.T
        return float(np.mean([math.log(np.exp(s[i]).sum()) - s[i, i] for i in range(len(s))]))

    assert tutorial(A, B) == pytest.approx(0.429384, abs=1e-6)
    apart = np.eye(4)
    assert tutorial(3 * apart, 3 * apart) < 0.01 * tutorial(apart, apart)
    assert ours(np.vstack([3 * apart] * 2), 1) == pytest.approx(ours(np.vstack([apart] * 2), 1), abs=1e-12)
    assert ours(Z, 1) == pytest.approx(1.352992, abs=1e-6) != pytest.approx(tutorial(A, B), abs=0.5)


def test_a_step_pairs_the_views_image_by_image() -> None:
    method = made(temperature=0.2).train()
    first, second = torch.rand(2, 8, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    batch = Batch((first, second), torch.zeros(8), torch.arange(8))
    with torch.no_grad():
        z = method.project(torch.cat([first, second])).numpy().astype(np.float64)
        loss = method.training_step(batch).given_loss
    assert float(loss) == pytest.approx(np.mean(by_hand(z, 0.2)), rel=1e-4)


def test_the_lines_beside_the_loss_are_those_of_the_batch_that_is_really_used() -> None:
    lines = made(temperature=0.5).chance()
    assert lines == {"chance, log(2N−1)": math.log(15), "least possible": nt_xent_floor(8, 0.5)}
    few = made(batch_size=64).chance()  # there are only 24 images
    assert few["chance, log(2N−1)"] == math.log(47)
