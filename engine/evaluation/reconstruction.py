"""How well an image was rebuilt: losses, their floor, errors of each image, and what PCA would have done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import UserError

SLACK = 1e-4  # rounding of colour conversions


def check_targets(targets: Tensor) -> None:
    """Refuse pixels that are no shares of light.

    Raises:
        UserError: They leave [0, 1], as after a normalisation, or are not numbers.
    """
    low, high = (float(value) for value in torch.aminmax(targets.detach()))
    if not (low >= -SLACK and high <= 1 + SLACK):
        raise UserError(
            f"Pixels to rebuild must lie from 0 to 1, but these reach from {low:.3g} to {high:.3g}: "
            "give images that are not normalised."
        )


class _CrossEntropy(torch.autograd.Function):
    """Binary cross-entropy of logits, element by element: max(x, 0) − x·t − log σ(|x|).

    PyTorch's own goes through log1p, which takes the processor seven times as long as sigmoid and logarithm;
    in small networks that was most of a step. What is lost lies below 1e-7, the spacing of numbers near 1.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        share = logits.sigmoid()
        ctx.save_for_backward(share, targets)
        sure = torch.maximum(share, 1 - share).log_()
        return logits.clamp(min=0).addcmul_(logits, targets, value=-1).sub_(sure)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        share, targets = ctx.saved_tensors
        return (share - targets).mul_(gradients[0]), None


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of each element, without gradient to the targets.

    Args:
        logits: Any shape, 32 bits.
        targets: The same shape, in [0, 1].
    """
    return _CrossEntropy.apply(logits, targets)


def pixel_losses(kind: str, logits: Tensor, targets: Tensor) -> Tensor:
    """The loss of every pixel.

    Args:
        kind: "bce", binary cross-entropy of the squashed logits; "mse", their squared error; "linear", the
            squared error of the values as they are.
        logits: (N, C, H, W).
        targets: (N, C, H, W) in [0, 1].

    Returns:
        (N, C, H, W).
    """
    logits = logits.float()
    if kind == "bce":
        return cross_entropy(logits, targets)
    return (values_of(kind, logits) - targets) ** 2


def mean_loss(kind: str, logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean over images of each image's mean loss where `mask` is 1; quick where there is none.

    Shapes as in `pixel_losses` and `mean_of_images`.
    """
    if mask is not None:
        return mean_of_images(pixel_losses(kind, logits, targets), mask).mean()
    if kind == "bce":
        return cross_entropy(logits.float(), targets).mean()
    return F.mse_loss(values_of(kind, logits.float()), targets)


def values_of(kind: str, logits: Tensor) -> Tensor:
    """What the logits stand for: pixels in (0, 1), or any value where the decoder is linear."""
    return logits if kind == "linear" else logits.float().sigmoid()


def mean_of_images(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean over each image, or over its part where `mask` is 1.

    Args:
        values: (N, C, H, W).
        mask: (N, 1, H, W) of 0 and 1, not all 0 in any image.

    Returns:
        (N,).
    """
    if mask is None:
        return values.flatten(1).mean(1)
    mask = mask.expand_as(values)
    return (values * mask).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp(min=1)


def entropy(targets: Tensor) -> Tensor:
    """-x log x - (1 - x) log(1 - x) of every pixel in [0, 1], in nats.

    No prediction has a lower cross-entropy, so its mean is the floor of that loss.
    """
    x = targets.clamp(0, 1)
    return torch.special.entr(x) + torch.special.entr(1 - x)


def pca_errors(
    train: np.ndarray, other: np.ndarray, sizes: Sequence[int], *, seed: int = 0
) -> dict[int, float]:
    """Mean squared error of rebuilding images from their first principal components.

    The components are those of `train`; no linear autoencoder does better on it.

    Args:
        train: (n, …) images in [0, 1].
        other: (m, …) images in [0, 1].
        sizes: Numbers of components; those above n - 1 or the pixels are left out.
        seed: Of the randomised decomposition, which is used when it is the faster one.

    Returns:
        Error by number of components.
    """
    from sklearn.decomposition import PCA

    flat, rest = (images.reshape(len(images), -1).astype(np.float32) for images in (train, other))
    sizes = sorted(size for size in set(sizes) if 0 < size <= min(len(flat) - 1, flat.shape[1]))
    if not sizes or not len(rest):
        return {}
    pca = PCA(sizes[-1], svd_solver="randomized", iterated_power=7, random_state=seed).fit(flat)
    codes = (rest - pca.mean_) @ pca.components_.T
    found = {}
    for size in sizes:
        rebuilt = pca.mean_ + codes[:, :size] @ pca.components_[:size]
        found[size] = float(((rebuilt - rest) ** 2).mean(dtype=np.float64))
    return found
