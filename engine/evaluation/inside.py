"""Inside a network: blocks from the image to the features, their maps for a picture, the first filters."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import UserError
from engine.models.autoencoders import PatchTrunk
from engine.models.backbones import backbone_info
from engine.models.network import Encoder
from engine.models.normalisation import StandardisedConv2d
from engine.models.trunks import Block

POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)  # what lies before has more places
CHANNELS = (1, 3)  # of a first layer that can be shown as pictures


@dataclass(frozen=True)
class Tap:
    """Where the output of a block can be read.

    Attributes:
        block: The block's name.
        module: Dotted name of the module in the trunk whose output it is.
        channels: Numbers at each place.
        height: Places from top to bottom; 1 where the block knows none.
        width: Places from left to right.
        layout: How the output lies: "first" (N, C, h, w), "last" (N, h, w, C), "class" (N, 1 + h·w, C) with
            a class token before the places, "tokens" (N, h·w, C), or "vector" (N, C).
    """

    block: str
    module: str
    channels: int
    height: int
    width: int
    layout: str

    @property
    def places(self) -> int:
        """How many there are."""
        return self.height * self.width

    def maps(self, output: Tensor) -> Tensor:
        """The module's output as (N, C, h, w)."""
        if self.layout == "last":
            return output.permute(0, 3, 1, 2)
        if self.layout in ("class", "tokens"):
            output = output[:, int(self.layout == "class") :].transpose(1, 2)
        return output.reshape(len(output), self.channels, self.height, self.width)


@contextmanager
def hooked(modules: Sequence[nn.Module], see: Any) -> Iterator[None]:
    """Call `see(place, output)` with the output of each module as it runs; what it returns replaces it.

    Only what this thread runs is seen: networks are shared between the threads of a server.
    """
    mine = threading.get_ident()

    def hook(place: int, module: nn.Module, given: Any, output: Any) -> Any:
        return see(place, output) if threading.get_ident() == mine else None

    handles = [m.register_forward_hook(partial(hook, place)) for place, m in enumerate(modules)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def taps(encoder: Encoder) -> tuple[Tap, ...]:
    """One for each block of the encoder, from the image to the features; runs it once on a black image.

    A block is read where its last map of places comes out, before any pooling; one without places where its
    last numbers do.
    """
    blocks = encoder.blocks
    named = [(name, module) for name, module in encoder.trunk.named_modules() if name]
    watched = [(name, m) for name, m in named if any(block.holds(name) for block in blocks)]
    seen: list[tuple[str, tuple[int, ...]]] = []

    def see(place: int, output: Any) -> None:
        name, module = watched[place]
        if isinstance(output, Tensor) and not isinstance(module, POOLING):
            seen.append((name, tuple(output.shape)))

    side = encoder.image_size
    with hooked([m for _, m in watched], see), torch.inference_mode():
        encoder.eval().head_features(torch.zeros(1, 3, side, side, device=encoder.mean.device))
    found = [_tap(encoder, block, [one for one in seen if block.holds(one[0])]) for block in blocks]
    return tuple(tap for tap in found if tap is not None)


def _tap(encoder: Encoder, block: Block, seen: list[tuple[str, tuple[int, ...]]]) -> Tap | None:
    read = [_read(encoder, block.name, name, shape) for name, shape in seen]
    known = [tap for tap in read if tap is not None]
    return next((tap for tap in reversed(known) if tap.places > 1), known[-1] if known else None)


def _read(encoder: Encoder, block: str, module: str, shape: tuple[int, ...]) -> Tap | None:
    """How to read an output of this shape; None where it is nothing that this architecture hands on."""
    family = backbone_info(encoder.arch).family
    if len(shape) == 2:
        return Tap(block, module, shape[1], 1, 1, "vector")
    if len(shape) == 4 and family == "Swin":
        return Tap(block, module, shape[3], shape[1], shape[2], "last")
    if len(shape) == 4:
        return Tap(block, module, shape[1], shape[2], shape[3], "first")
    if len(shape) == 3 and (family == "ViT" or isinstance(encoder.trunk, PatchTrunk)):
        layout = "class" if family == "ViT" else "tokens"
        grid = round((shape[1] - int(layout == "class")) ** 0.5)
        return Tap(block, module, shape[2], grid, grid, layout)
    return None


@torch.inference_mode()
def block_maps(encoder: Encoder, places: Sequence[Tap], images: Tensor) -> tuple[list[Tensor], Tensor]:
    """What comes out of blocks for some images.

    Args:
        encoder: In evaluation mode afterwards.
        places: As `taps` gives them.
        images: (N, 3, H, W) in [0, 1], on the encoder's device.

    Returns:
        (N, C, h, w) float32 for each tap, and the (N, d) features at the end.
    """
    found: dict[int, Tensor] = {}

    def see(place: int, output: Tensor) -> None:
        found[place] = output.clone()  # a ReLU that follows may work in place

    with hooked([encoder.trunk.get_submodule(tap.module) for tap in places], see):
        features = encoder.eval()(images)
    return [tap.maps(found[place]).float() for place, tap in enumerate(places)], features.float()


@dataclass(frozen=True)
class Filters:
    """What a network's first layer looks for.

    Attributes:
        pictures: (n, k, k, 3) uint8; grey is a weight of 0.
        layer: Dotted name in the trunk.
    """

    pictures: np.ndarray
    layer: str


def first_filters(encoder: Encoder) -> Filters:
    """The weights of the layer that reads the image, each filter scaled by its own largest weight.

    Raises:
        UserError: It reads something that is no picture.
    """
    for name, module in encoder.trunk.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            weights = _as_pictures(encoder, module)
            if weights is None:
                break
            most = weights.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
            shades = (127.5 + 127.5 * weights / most).round().byte()
            shades = shades.permute(0, 2, 3, 1).expand(-1, -1, -1, 3)
            return Filters(shades.cpu().numpy(), name)
    raise UserError("The first layer of this network reads no picture that its weights could be shown as.")


def _as_pictures(encoder: Encoder, layer: nn.Conv2d | nn.Linear) -> Tensor | None:
    """(n, 1 or 3, k, k) weights, each a small picture."""
    weights = layer.weight.detach().float()
    if isinstance(layer, StandardisedConv2d):
        weights = weights - weights.mean((1, 2, 3), keepdim=True)  # as it computes with them
    if isinstance(layer, nn.Conv2d):
        return weights if weights.shape[1] in CHANNELS else None
    patches = isinstance(encoder.trunk, PatchTrunk)
    side = encoder.trunk.patch if isinstance(encoder.trunk, PatchTrunk) else encoder.image_size
    channels, rest = divmod(weights.shape[1], side**2)
    if rest or channels not in CHANNELS:
        return None
    if patches:  # pixel by pixel, the channels of each together
        return weights.reshape(-1, side, side, channels).permute(0, 3, 1, 2)
    return weights.reshape(-1, channels, side, side)


@dataclass(frozen=True)
class Layer:
    """What one block makes of a picture.

    Attributes:
        tap: Where it was read.
        maps: (C, h, w) float32.
        order: (C,) channels by their mean activation, most active first.
    """

    tap: Tap
    maps: np.ndarray
    order: np.ndarray


@dataclass(frozen=True)
class Inside:
    """What can be seen in a network while it looks at a picture.

    Attributes:
        layers: From the image to the features.
        width: Numbers of the features.
        source: The encoder's name.
        random: Nothing has been learned yet.
    """

    layers: tuple[Layer, ...]
    width: int
    source: str
    random: bool


def look_inside(encoder: Encoder, image: np.ndarray) -> Inside:
    """The activations of every block for one picture.

    Args:
        encoder: Any.
        image: (S, S, 3) uint8 with S of `stored_size` of the encoder's image size.
    """
    from engine.data.augment import center

    places = taps(encoder)
    pixels = torch.from_numpy(image[None]).to(encoder.mean.device)
    maps, _ = block_maps(encoder, places, center(pixels, encoder.image_size))
    layers = []
    for tap, found in zip(places, maps, strict=True):
        array = found[0].cpu().numpy()
        layers.append(Layer(tap, array, np.argsort(-array.mean((1, 2)), kind="stable")))
    return Inside(tuple(layers), encoder.width, encoder.source, encoder.provenance == "random")
