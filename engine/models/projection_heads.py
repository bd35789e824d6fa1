"""Dense heads that self-supervised losses look through; only the encoder below them is kept."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from engine.models.normalisation import norm1d


def dense_head(
    widths: Sequence[int],
    norm: str = "batch",
    *,
    hidden_bias: bool = False,
    last_bias: bool = True,
    last_norm: bool = False,
) -> nn.Sequential:
    """Dense layers with normalisation and ReLU between them.

    Args:
        widths: Of input, hidden layers and output; two numbers make one layer.
        norm: After hidden layers: "batch", "group" or "none".
        hidden_bias: Hidden layers have a bias; without a norm they always do.
        last_bias: The last layer has one.
        last_norm: End in BatchNorm without scale and shift, as SimSiam's projector does, where `norm` is
            "batch".
    """
    layers: list[nn.Module] = []
    for inputs, outputs in zip(widths[:-2], widths[1:-1], strict=True):
        layers += [nn.Linear(inputs, outputs, bias=hidden_bias or norm == "none"), norm1d(norm, outputs)]
        layers += [nn.ReLU(inplace=True)]
    layers.append(nn.Linear(widths[-2], widths[-1], bias=last_bias))
    if last_norm and norm == "batch":
        layers.append(nn.BatchNorm1d(widths[-1], affine=False))
    return nn.Sequential(*layers)
