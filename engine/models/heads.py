"""Classification heads: the last layer each architecture would have had, for any number of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from engine.models.backbones import backbone_info
from engine.models.trunks import blocks, skeleton


class ConvHead(nn.Module):
    """SqueezeNet's head: a 1×1 convolution, ReLU, mean over places: (N, width, h, w) -> (N, C)."""

    def __init__(self, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.conv = nn.Conv2d(width, classes, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(self.dropout(features)).relu().mean((2, 3))


class LinearHead(nn.Module):
    """One dense layer: (N, width) -> (N, C)."""

    def __init__(self, width: int, classes: int, dropout: float, bias: bool = True) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, classes, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(self.dropout(features))


def build_head(arch: str, classes: int, dropout: float = 0.0) -> nn.Module:
    """The head of `arch` for `classes` classes, with random weights from torch's current random state.

    Reads what `Encoder.head_features` gives.
    """
    info = backbone_info(arch)
    if info.family == "SqueezeNet":
        return ConvHead(info.width, classes, dropout)
    return LinearHead(info.width, classes, dropout, bias=info.family != "MaxViT")


def describe_network(arch: str, classes: int, mode: str, image_size: int) -> dict[str, Any]:
    """What learns under each mode, and the table of layers, of a backbone with a head; nothing is computed.

    Args:
        arch: A key of BACKBONES.
        classes: Of the head.
        mode: "extract", "last_block" or "everything".
        image_size: Side of the images, for the shapes.

    Returns:
        "learns": parameters that learn by mode, and "total"; "layers": rows of name, type, shape, parameters
        and whether the layer trains under `mode`.

    Raises:
        UserError: The architecture is unknown or cannot read images of this size.
    """
    trunk = skeleton(arch, image_size)
    parts = blocks(arch, trunk)
    with torch.device("meta"):
        head = build_head(arch, classes)
    count = sum(parameter.numel() for parameter in head.parameters())
    named = [(name, parameter.numel()) for name, parameter in trunk.named_parameters()]
    last = sum(n for name, n in named if parts[-1].holds(name))
    total = count + sum(n for _, n in named)
    learning = {"extract": (), "last_block": parts[-1:], "everything": parts}[mode]
    rows = layer_rows({"": trunk, "head": head}, image_size)
    for row in rows:
        name = str(row["name"])
        learns = name.startswith("head") or any(part.holds(name) for part in learning)
        row["trains"] = learns and row["parameters"] > 0
    return {
        "learns": {"extract": count, "last_block": count + last, "everything": total, "total": total},
        "layers": rows,
    }


@torch.no_grad()
def layer_rows(parts: Mapping[str, nn.Module], image_size: int) -> list[dict[str, Any]]:
    """One row a layer without layers inside, and a parameter on its own, as an image passes them.

    Args:
        parts: Modules that an image passes one after the other, by the prefix of their layers' names; put
            into evaluation mode.
        image_size: Side of the image.
    """
    rows: list[dict[str, Any]] = []
    hooks = []
    watched: dict[str, tuple[nn.Module, int]] = {}

    def watch(name: str, layer: nn.Module, own: int) -> None:
        watched[name] = layer, own

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            shape = list(output.shape[1:]) if isinstance(output, Tensor) else []
            rows.append({"name": name, "type": type(module).__name__, "shape": shape, "parameters": own})

        hooks.append(layer.register_forward_hook(note))

    for title, part in parts.items():
        prefix = f"{title}." if title else ""
        for name, layer in part.named_modules():
            if ".self_attention." in f".{name}":
                continue
            if isinstance(layer, nn.MultiheadAttention) or not list(layer.children()):
                watch(prefix + name, layer, sum(p.numel() for p in layer.parameters()))
                continue
            for loose, parameter in layer.named_parameters(recurse=False):  # tokens, positions, scales
                watch(prefix + (f"{name}.{loose}" if name else loose), layer, parameter.numel())
    x = torch.zeros(1, 3, image_size, image_size)
    for part in parts.values():
        x = part.eval()(x.to(next(part.parameters()).device))
    for hook in hooks:
        hook.remove()
    passed = {row["name"] for row in rows}
    for name, (layer, own) in watched.items():
        if own and name not in passed:  # its weights are used without calling it, as in Swin's attention
            parent = name.rpartition(".")[0] + "."
            beside = [i for i, row in enumerate(rows) if str(row["name"]).startswith(parent)]
            row = {"name": name, "type": type(layer).__name__, "shape": [], "parameters": own}
            rows.insert(beside[-1] + 1 if beside else len(rows), row)
    return rows
