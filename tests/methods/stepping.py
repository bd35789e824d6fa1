"""Steps of a self-supervised method on random views, for the tests of single methods."""

from __future__ import annotations

import torch

from engine.methods.self_supervised import SelfSupervised
from engine.training.optim import Plan, build_optimizer
from engine.training.step import Batch

SIZE = 16


def batch(seed: int = 0, n: int = 8) -> Batch:
    """Two views of n images of noise."""
    views = torch.rand(2, n, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    return Batch(tuple(views), torch.zeros(n), torch.arange(n))


def step(method: SelfSupervised, given: Batch, optimizer: torch.optim.Optimizer) -> float:
    """One step of training; gives the loss."""
    optimizer.zero_grad()
    loss = method.training_step(given).given_loss
    loss.backward()
    optimizer.step()
    method.after_step()
    return float(loss.detach())


def optimizer_of(method: SelfSupervised) -> torch.optim.Optimizer:
    """The one of the method's own settings."""
    return build_optimizer(method, Plan.of(method.config))
