"""The network of a finished run as plain PyTorch modules: images or codes in, a few named tensors out.

The classes here use nothing but torch, since a script that runs without this project quotes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.errors import UserError
from engine.models import lab
from engine.runs.store import RunStore

if TYPE_CHECKING:
    from engine.methods.method import Method

EXAMPLES = 3  # rows of the example input; more than one, so that no exporter takes the number for a constant


class Classifier(nn.Module):
    """(N, 3, S, S) images in [0, 1] -> (N, C) probabilities and (N, d) features."""

    mean: Tensor
    std: Tensor

    def __init__(self, trunk: nn.Module, head: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk((images - self.mean) / self.std)
        probabilities = self.head(features).softmax(1)
        return probabilities, features.mean((2, 3)) if features.ndim == 4 else features


class Features(nn.Module):
    """(N, 3, S, S) images in [0, 1] -> (N, d) features."""

    mean: Tensor
    std: Tensor

    def __init__(self, trunk: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.trunk = trunk
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        features = self.trunk((images - self.mean) / self.std)
        return features.mean((2, 3)) if features.ndim == 4 else features


class Pictures(nn.Module):
    """(N, d) codes -> (N, 3, S, S) pictures in [0, 1]; the decoder gives logits, or values if `linear`."""

    def __init__(self, decoder: nn.Module, linear: bool = False) -> None:
        super().__init__()
        self.decoder, self.linear = decoder, linear

    def forward(self, codes: Tensor) -> Tensor:
        values = self.decoder(codes)
        values = values if self.linear else values.sigmoid()
        return values.clamp(0, 1).expand(-1, 3, -1, -1)


class LabPictures(nn.Module):
    """(N, d) codes -> (N, 3, S, S) pictures in [0, 1]; the decoder gives logits of lightness, a and b."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, codes: Tensor) -> Tensor:
        values = self.decoder(codes).sigmoid()
        return lab.from_parts(values[:, :1], values[:, 1:])


class Rebuilder(nn.Module):
    """(N, 3, S, S) images in [0, 1] -> (N, d) codes and the (N, 3, S, S) pictures that are made of them."""

    def __init__(self, encoder: nn.Module, pictures: nn.Module) -> None:
        super().__init__()
        self.encoder, self.pictures = encoder, pictures

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        codes = self.encoder(images)
        return codes, self.pictures(codes)


@dataclass(frozen=True)
class Taken:
    """A network ready to leave, in evaluation mode on the processor.

    Attributes:
        module: What is exported.
        input: Name of its input.
        outputs: Names of its outputs, in order.
        shape: Of one row of the input.
        classes: What the probabilities are of; empty where there are none.
        words: What the numbers that come in must be, for whoever reads the file.
    """

    module: nn.Module
    input: str
    outputs: tuple[str, ...]
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    words: str

    def example(self, rows: int = EXAMPLES, seed: int = 0) -> Tensor:
        """(rows, …) numbers in [0, 1], the same for the same seed."""
        return torch.rand(rows, *self.shape, generator=torch.Generator().manual_seed(seed))

    @torch.inference_mode()
    def answer(self, x: Tensor) -> tuple[Tensor, ...]:
        """The outputs, also where there is only one."""
        found = self.module(x)
        return found if isinstance(found, tuple) else (found,)


def taken(run_id: str, decoder: bool = False) -> Taken:
    """The kept network of a run, or an autoencoder's decoder.

    Raises:
        UserError: The run has no such network, or its files are damaged.
    """
    from engine.training.trained import load_trained

    method = load_trained(run_id)
    module = pictures_of(method) if decoder else network_of(method)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    module.eval()
    encoder = method.backbone
    if decoder:
        latent = encoder.width
        return Taken(module, "codes", ("pictures",), (latent,), (), f"{latent} numbers of a code")
    size = encoder.image_size
    outputs = ("probabilities", "features") if isinstance(module, Classifier) else (feature_word(run_id),)
    classes = method.task.classes if isinstance(module, Classifier) else ()
    words = f"RGB from 0 to 1, {size} x {size} pixels, cut from the middle; normalised inside"
    return Taken(module, "images", outputs, (3, size, size), classes, words)


def feature_word(run_id: str) -> str:
    """What a run's features are called: "code" for an autoencoder's."""
    from engine.methods import method_entry

    return "code" if method_entry(RunStore().recipe(run_id).method).own_network else "features"


def network_of(method: Method) -> nn.Module:
    """The encoder, with its head where classes were learned."""
    encoder = method.encoder()
    head: Any = getattr(method, "head", None)
    if isinstance(head, nn.Module):
        return Classifier(encoder.trunk, head, encoder.mean, encoder.std)
    return Features(encoder.trunk, encoder.mean, encoder.std)


def whole_network(method: Method) -> nn.Module:
    """The encoder with all that goes with it: the head where classes were learned, or a decoder."""
    network = network_of(method)
    return Rebuilder(network, pictures_of(method)) if getattr(method, "decodes", False) else network


def pictures_of(method: Method) -> nn.Module:
    """The decoder with what makes a picture of its numbers.

    Raises:
        UserError: The run has none that makes a picture of a code alone.
    """
    decoder: Any = getattr(method, "decoder", None)
    if decoder is None or not getattr(method, "decodes", False):
        raise UserError("This run has no decoder that makes a picture of a code alone.")
    if encoder_kind(method) == "split":
        return LabPictures(decoder)
    return Pictures(decoder, getattr(method, "loss_kind", "") == "linear")


def encoder_kind(method: Method) -> str:
    """The kind of an autoencoder's network; empty for all else."""
    from engine.models.codes import parse_code_arch

    code = parse_code_arch(method.backbone.arch)
    return code.kind if code else ""
