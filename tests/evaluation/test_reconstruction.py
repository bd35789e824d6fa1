"""Losses of rebuilt images against closed forms, and PCA's errors against a full decomposition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.errors import UserError
from engine.evaluation.reconstruction import (
    check_targets,
    cross_entropy,
    entropy,
    mean_loss,
    mean_of_images,
    pca_errors,
    pixel_losses,
)

LEVELS = torch.tensor([0, 0.25, 0.5, 0.75, 1], dtype=torch.float64)


def test_the_floor_of_the_cross_entropy_has_its_closed_form() -> None:
    expected = [0, 0.562335, 0.693147, 0.562335, 0]
    assert entropy(LEVELS).tolist() == pytest.approx(expected, abs=1e-6)
    assert float(entropy(LEVELS).mean()) == pytest.approx(0.363563, abs=1e-6)


def test_no_prediction_lies_below_the_floor_and_the_target_itself_reaches_it() -> None:
    targets = LEVELS.float().view(1, 1, 1, 5)
    floor = float(entropy(targets).mean())
    for seed in range(20):
        logits = 3 * torch.randn(targets.shape, generator=torch.Generator().manual_seed(seed))
        assert float(mean_loss("bce", logits, targets)) >= floor
    exact = torch.logit(targets.clamp(1e-6, 1 - 1e-6))
    assert float(mean_loss("bce", exact, targets)) == pytest.approx(floor, abs=1e-4)
    assert float(mean_loss("bce", torch.zeros_like(targets), targets)) == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize("kind", ["bce", "mse", "linear"])
def test_the_quick_mean_is_the_mean_of_the_pixels(kind: str) -> None:
    draws = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(3, 2, 4, 4, generator=draws), torch.rand(3, 2, 4, 4, generator=draws)
    values = logits if kind == "linear" else 1 / (1 + torch.exp(-logits))
    if kind == "bce":
        wanted = -(targets * values.log() + (1 - targets) * (1 - values).log())
    else:
        wanted = (values - targets) ** 2
    assert torch.allclose(pixel_losses(kind, logits, targets), wanted, atol=1e-6)
    assert float(mean_loss(kind, logits, targets)) == pytest.approx(float(wanted.mean()), abs=1e-6)


def test_a_masked_mean_counts_hidden_pixels_only() -> None:
    values = torch.arange(8.0).view(1, 2, 2, 2)
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    assert float(mean_of_images(values, mask)) == (0 + 3 + 4 + 7) / 4


@pytest.mark.parametrize("wrong", [-0.5, 1.5, float("nan"), float("inf")])
def test_targets_that_are_no_pixels_are_refused(wrong: float) -> None:
    with pytest.raises(UserError, match="must lie from 0 to 1"):
        check_targets(torch.tensor([0.2, wrong]))


def test_pca_errors_are_those_of_a_full_decomposition() -> None:
    random = np.random.default_rng(0)
    train = random.random((60, 1, 4, 4)).astype(np.float32)
    other = random.random((20, 1, 4, 4)).astype(np.float32)
    flat, rest = train.reshape(60, -1), other.reshape(20, -1)
    mean = flat.mean(0)
    axes = np.linalg.svd(flat - mean)[2]
    found = pca_errors(train, other, (1, 4, 16, 64))
    assert sorted(found) == [1, 4, 16]
    for size, error in found.items():
        kept = axes[:size]
        rebuilt = mean + (rest - mean) @ kept.T @ kept
        assert error == pytest.approx(float(((rebuilt - rest) ** 2).mean()), abs=1e-6)
    assert found[16] == pytest.approx(0, abs=1e-10)


def test_the_cross_entropy_and_its_gradient_are_those_of_the_definition() -> None:
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(0, 5, 500), [-100.0, 100.0, -30.0, 30.0, 0.0, 1e-8]])
    t = np.concatenate([random.random(500), [0.0, 1.0, 1.0, 0.0, 0.25, 1.0]])
    expected = np.logaddexp(0, x) - x * t
    logits = torch.tensor(x, dtype=torch.float32, requires_grad=True)
    found = cross_entropy(logits, torch.tensor(t, dtype=torch.float32))
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-5, atol=2e-6)
    (found * torch.arange(506)).sum().backward()
    share = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(logits.grad.numpy(), (share - t) * np.arange(506), rtol=1e-4, atol=2e-5)
