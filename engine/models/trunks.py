"""Architectures without their last layer, and the coarse blocks they are made of."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from engine.models.autoencoders import CodeTrunk, build_code_trunk
from engine.models.backbones import backbone_info
from engine.models.codes import parse_code_arch
from engine.models.small_nets import SMALL_NETS, Stages

# Family -> dotted name of the last layer, the one that ImageNet's 1000 classes hang on.
LAST_LAYER = {
    "AlexNet": "classifier.6",
    "VGG": "classifier.6",
    "ResNet": "fc",
    "ResNeXt": "fc",
    "Wide ResNet": "fc",
    "RegNet": "fc",
    "ShuffleNet": "fc",
    "GoogLeNet": "fc",
    "Inception": "fc",
    "SqueezeNet": "classifier.1",
    "DenseNet": "classifier",
    "MobileNet": "classifier.1",
    "EfficientNet": "classifier.1",
    "MNASNet": "classifier.1",
    "ConvNeXt": "classifier.2",
    "MaxViT": "classifier.5",
    "Swin": "head",
    "ViT": "heads.head",
}
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # heads that helped the first training only


@dataclass(frozen=True)
class Block:
    """A coarse part of a trunk: everything whose dotted name is one of `parts` or lies below one.

    Attributes:
        name: What the layer table calls it.
        parts: Dotted names in the trunk.
    """

    name: str
    parts: tuple[str, ...]

    def holds(self, name: str) -> bool:
        """Whether the parameter, buffer or module called `name` belongs to this block."""
        return any(name == part or name.startswith(part + ".") for part in self.parts)


class SqueezeTrunk(nn.Module):
    """SqueezeNet up to its head, which is a convolution: (N, 3, H, W) -> (N, 512, h, w)."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.features = net.features
        self.classifier = nn.Sequential(net.classifier[0])  # the dropout

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


def last_layer_name(arch: str) -> str:
    """Dotted name of the 1000-class layer in torchvision's model, such as "fc"."""
    return "classifier.3" if arch.startswith("mobilenet_v3") else LAST_LAYER[backbone_info(arch).family]


def build_trunk(arch: str, image_size: int) -> nn.Module:
    """The network up to its last layer, with random weights from torch's current random state.

    Args:
        arch: A key of BACKBONES.
        image_size: Side of the images; only transformers with learned positions depend on it.
    """
    info = backbone_info(arch)
    info.check_size(image_size)
    code = parse_code_arch(arch)
    if code is not None:
        return build_code_trunk(code)
    if info.small:
        return SMALL_NETS[arch]()
    net = _library_model(arch, image_size)
    if info.family == "SqueezeNet":
        return SqueezeTrunk(net)
    net.set_submodule(last_layer_name(arch), nn.Identity())
    return net


def _library_model(arch: str, image_size: int) -> Any:
    from torchvision import models

    family = backbone_info(arch).family
    options: dict[str, Any] = {}
    if family in ("GoogLeNet", "Inception"):
        options = {"aux_logits": False, "init_weights": True}
    elif family == "ViT":
        options = {"image_size": image_size}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return models.get_model(arch, weights=None, **options)


class _ParametersOnMeta(TorchFunctionMode):
    """Creates parameters without memory, but computes with the few tensors that decide a layout (RegNet)."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.empty, torch.zeros, torch.ones):
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)


def skeleton(arch: str, image_size: int | None = None) -> nn.Module:
    """The trunk with shapes but no memory, for checking names and shapes."""
    info = backbone_info(arch)
    size = info.default_size if image_size is None else image_size
    with _ParametersOnMeta() if info.family == "RegNet" else torch.device("meta"):
        return build_trunk(arch, size)


def blocks(arch: str, trunk: nn.Module) -> tuple[Block, ...]:
    """The trunk's parts from the image to the features; the last is what "last block" trains.

    Every parameter belongs to exactly one of them.
    """
    info = backbone_info(arch)
    if isinstance(trunk, (Stages, CodeTrunk)):
        return tuple(Block(name, (name,)) for name in trunk.names)
    named: list[tuple[str, Iterable[str]]] = _FAMILY_BLOCKS[info.family](trunk)
    return tuple(Block(name, tuple(parts)) for name, parts in named)


Named = list[tuple[str, Iterable[str]]]


def _children(trunk: nn.Module, name: str) -> list[str]:
    return [f"{name}.{child}" for child, _ in trunk.get_submodule(name).named_children()]


def _resnet(trunk: nn.Module) -> Named:
    return [("stem", ("conv1", "bn1")), *((f"layer{i}", (f"layer{i}",)) for i in range(1, 5))]


def _regnet(trunk: nn.Module) -> Named:
    return [("stem", ("stem",)), *((f"block{i}", (f"trunk_output.block{i}",)) for i in range(1, 5))]


def _shufflenet(trunk: nn.Module) -> Named:
    return [
        ("stem", ("conv1",)),
        ("stage2", ("stage2",)),
        ("stage3", ("stage3",)),
        ("stage4", ("stage4", "conv5")),
    ]


def _by_name(trunk: nn.Module, patterns: dict[str, str]) -> Named:
    children = [name for name, _ in trunk.named_children()]
    return [
        (title, [name for name in children if re.match(pattern, name)]) for title, pattern in patterns.items()
    ]


def _googlenet(trunk: nn.Module) -> Named:
    return _by_name(trunk, {"stem": "conv", "inception3": "inception3", "inception4": "inception4"}) + [
        ("inception5", ("inception5a", "inception5b"))
    ]


def _inception(trunk: nn.Module) -> Named:
    return _by_name(
        trunk, {"stem": "Conv2d", "Mixed_5": "Mixed_5", "Mixed_6": "Mixed_6", "Mixed_7": "Mixed_7"}
    )


def _pooled(trunk: nn.Module) -> Named:
    """Convolutions between two poolings make a block; each dense layer is one of its own."""
    found: Named = []
    parts: list[str] = []
    for name in _children(trunk, "features"):
        parts.append(name)
        if isinstance(trunk.get_submodule(name), nn.MaxPool2d):
            found.append((f"convolutions {len(found) + 1}", parts))
            parts = []
    if parts:
        found.append((f"convolutions {len(found) + 1}", parts))
    dense = [n for n in _children(trunk, "classifier") if isinstance(trunk.get_submodule(n), nn.Linear)]
    return found + [(name, (name,)) for name in dense]


def _densenet(trunk: nn.Module) -> Named:
    middle: Named = [
        (f"denseblock{i}", (f"features.denseblock{i}", f"features.transition{i}")) for i in range(1, 4)
    ]
    return [
        ("stem", ("features.conv0", "features.norm0")),
        *middle,
        ("denseblock4", ("features.denseblock4", "features.norm5")),
    ]


def _mobile(trunk: nn.Module) -> Named:
    """Inverted-residual stages; the widening 1×1 convolution at the end belongs to the last one."""
    names = _children(trunk, "features")
    return [
        *((name.replace("features.", "stage "), (name,)) for name in names[:-2]),
        (f"stage {len(names) - 2}", (*names[-2:], "classifier")),
    ]


def _mnasnet(trunk: nn.Module) -> Named:
    names = _children(trunk, "layers")  # 8 layers of stem, 6 stacks, convolution, norm, ReLU
    return [
        ("stem", names[:8]),
        *((f"stack {i}", (name,)) for i, name in enumerate(names[8:13], 1)),
        ("stack 6", names[13:]),
    ]


def _pairs(*extra: str) -> Any:
    def pairs(trunk: nn.Module) -> Named:
        names = _children(trunk, "features")
        found: Named = [(f"stage {i // 2 + 1}", tuple(names[i : i + 2])) for i in range(0, len(names), 2)]
        found[-1] = (found[-1][0], (*found[-1][1], *extra))
        return found

    return pairs


def _maxvit(trunk: nn.Module) -> Named:
    names = _children(trunk, "blocks")
    return [
        ("stem", ("stem",)),
        *((f"block {i}", (name,)) for i, name in enumerate(names[:-1], 1)),
        (f"block {len(names)}", (names[-1], "classifier")),
    ]


def _vit(trunk: nn.Module) -> Named:
    names = _children(trunk, "encoder.layers")
    return [
        ("patches", ("conv_proj", "class_token", "encoder.pos_embedding")),
        *((f"layer {i}", (name,)) for i, name in enumerate(names[:-1], 1)),
        (f"layer {len(names)}", (names[-1], "encoder.ln")),
    ]


_FAMILY_BLOCKS: dict[str, Any] = {
    "ResNet": _resnet,
    "ResNeXt": _resnet,
    "Wide ResNet": _resnet,
    "RegNet": _regnet,
    "ShuffleNet": _shufflenet,
    "GoogLeNet": _googlenet,
    "Inception": _inception,
    "AlexNet": _pooled,
    "VGG": _pooled,
    "SqueezeNet": _pooled,
    "DenseNet": _densenet,
    "MobileNet": _mobile,
    "EfficientNet": _mobile,
    "MNASNet": _mnasnet,
    "ConvNeXt": _pairs("classifier"),
    "Swin": _pairs("norm"),
    "MaxViT": _maxvit,
    "ViT": _vit,
}
