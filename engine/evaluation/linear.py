"""The two linear models that read frozen features: softmax regression by L-BFGS, and ridge regression.

D. C. Liu & J. Nocedal 1989, On the limited memory BFGS method for large scale optimization, Mathematical
Programming 45, https://doi.org/10.1007/BF01589116.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.data.progress import Stop, Stopped, never

STEPS = 200  # of L-BFGS at most; the accuracy settles long before the loss does
WIDE = 4096  # features above which the curvature costs more than the steps it saves
FLAT = 1e-6  # a feature that varies less than this part of its size only carries rounding


@dataclass(frozen=True)
class Scaler:
    """Brings every feature to mean 0 and standard deviation 1, as its own images say.

    Attributes:
        mean: (d,) float32.
        scale: (d,) float32 to multiply with; 0 for a constant feature, which is thereby left out.
    """

    mean: Tensor
    scale: Tensor

    @staticmethod
    def of(x: np.ndarray) -> Scaler:
        """Learn the figures from (n, d) features."""
        mean = x.mean(0, dtype=np.float64)
        spread = x.std(0, dtype=np.float64)
        varies = spread > FLAT * np.abs(mean)
        scale = np.where(varies, 1 / np.where(varies, spread, 1), 0)
        return Scaler(torch.from_numpy(mean.astype(np.float32)), torch.from_numpy(scale.astype(np.float32)))

    def __call__(self, x: np.ndarray) -> Tensor:
        """(m, d) features -> (m, d) float32."""
        return (torch.from_numpy(np.array(x, np.float32)) - self.mean).mul_(self.scale)


def fit_softmax(
    x: Tensor,
    y: Tensor,
    classes: int,
    cost: float,
    start: Tensor | None = None,
    stop: Stop = never,
    curvature: Tensor | None = None,
) -> Tensor:
    """Multinomial logistic regression: the least C · Σ cross-entropy + ½ |W|², the bias left free.

    Features of one encoder are often nearly the same, which makes plain L-BFGS crawl. It therefore moves
    U = Lᵀ W, where L Lᵀ is the curvature at W = 0: the same answer in a fraction of the steps.

    Args:
        x: (n, d) float32 features, scaled.
        y: (n,) int64 classes; each of them occurs.
        classes: C.
        cost: C of the formula, as scikit-learn has it: a larger one fits closer.
        start: (d + 1, C) where to begin, such as the answer for another cost.
        stop: Asked at each step.
        curvature: What `curvature_of(x, C)` gives; plain steps without it.

    Returns:
        (d + 1, C) weights, the bias below.

    Raises:
        Stopped: `stop` said so.
    """
    n, d = x.shape
    decay = 1 / (cost * n)
    lower = None if curvature is None else _root(curvature, decay)
    theta = torch.zeros(d + 1, classes) if start is None else start.clone()
    if lower is not None:
        theta[:-1] = lower.T @ theta[:-1]
    theta.grad = torch.zeros_like(theta)
    truth = torch.zeros(n, classes).scatter_(1, y[:, None], 1.0)
    steps = torch.optim.LBFGS(
        [theta],
        max_iter=STEPS,
        tolerance_grad=1e-4,
        tolerance_change=1e-7,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:  # of the mean, so that tolerances mean the same for any n
        if stop():
            raise Stopped
        weight, bias = _solve(lower, theta[:-1], turned=True), theta[-1]
        log_p = torch.log_softmax(torch.addmm(bias, x, weight), 1)
        error = (log_p.exp() - truth) / n
        uphill = torch.addmm(weight.T, error.T, x, beta=decay).T  # xᵀ error takes five times as long
        assert theta.grad is not None
        theta.grad[:-1] = _solve(lower, uphill, turned=False)
        theta.grad[-1] = error.sum(0)
        return float(-(log_p * truth).sum() / n + decay / 2 * weight.square().sum())

    with torch.no_grad():
        steps.step(closure)
        theta[:-1] = _solve(lower, theta[:-1], turned=True)
    return theta.detach()


def curvature_of(x: Tensor, classes: int) -> Tensor | None:
    """(d, d) second derivative of the loss by one class's weights at W = 0; None for very wide features."""
    share = 1 / classes
    return None if x.shape[1] > WIDE else (x.T @ x).mul_(share * (1 - share) / len(x))


def _root(curvature: Tensor, decay: float) -> Tensor:
    """(d, d) lower L with L Lᵀ about the curvature of the loss with its penalty."""
    least = 1e-5 * float(curvature.diagonal().sum())  # float32 finds no root of less; only speed hangs on it
    system = curvature.clone()
    system.diagonal().add_(max(decay, least))
    return torch.linalg.cholesky(system)


def _solve(lower: Tensor | None, right: Tensor, turned: bool) -> Tensor:
    """L⁻¹ right, or L⁻ᵀ right if `turned`; right itself without an L."""
    if lower is None:
        return right
    return torch.linalg.solve_triangular(lower.T if turned else lower, right, upper=turned)


def apply_linear(x: Tensor, theta: Tensor) -> Tensor:
    """(m, d) features and (d + 1, t) weights with the bias below -> (m, t)."""
    return torch.addmm(theta[-1], x, theta[:-1])


def fit_ridge(x: Tensor, targets: Tensor, penalties: Sequence[float]) -> list[Tensor]:
    """Ridge regression in closed form: the least Σ |x W + b - t|² + λ n |W|², for several λ.

    Args:
        x: (n, d) float32 features, of mean 0.
        targets: (n, t) float32.
        penalties: Values of λ, above 0; per image, so one means the same for any n.

    Returns:
        (d + 1, t) weights for each λ, the bias below.
    """
    n, d = x.shape
    bias = targets.mean(0, keepdim=True)
    rest = targets - bias
    wide = d > n  # then W = Xᵀ (X Xᵀ + λ n)⁻¹ t has the smaller system
    gram = (x @ x.T if wide else x.T @ x).double()
    right = (rest if wide else x.T @ rest).double()
    found = []
    for penalty in penalties:
        system = gram.clone()
        system.diagonal().add_(penalty * n)
        solved = torch.cholesky_solve(right, torch.linalg.cholesky(system)).float()
        found.append(torch.cat([x.T @ solved if wide else solved, bias]))
    return found
