"""Architectures of autoencoders by name; sizes are part of the name, so any of them is said in a word.

`ae-conv-32-colour-32-64` is a convolutional encoder for colour images of 32 px, 32 channels wide, whose code
has 64 numbers. Imports no torch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.models.backbones import BackboneInfo

KINDS = {
    "mlp": "Dense encoder",
    "linear": "Linear encoder",
    "conv": "Convolutional encoder",
    "split": "Split-brain encoder",
    "vit": "Small vision transformer",
}
READS = ("gray", "colour", "light")  # grey values, red-green-blue, or the lightness of a colour image
SMALLEST, LARGEST = 8, 256  # side in pixels
NAME = re.compile(rf"ae-({'|'.join(KINDS)})-([0-9]{{1,4}})-({'|'.join(READS)})-([0-9]{{1,5}})-([0-9]{{1,5}})")
BOTTOM = 4  # convolutions halve the image until its side is about this
VIT_DEPTH = 4


@dataclass(frozen=True)
class CodeArch:
    """One autoencoder's encoder, in figures.

    Attributes:
        kind: A key of KINDS.
        side: Of the images, in pixels; it reads no other.
        reads: What of the image it sees.
        hidden: Units of the dense layers, channels of the first convolution, or the transformer's width.
        latent: Numbers in the code.
    """

    kind: str
    side: int
    reads: str
    hidden: int
    latent: int

    def __str__(self) -> str:
        return f"ae-{self.kind}-{self.side}-{self.reads}-{self.hidden}-{self.latent}"

    @property
    def channels(self) -> int:
        """Numbers a pixel of what it sees."""
        return 3 if self.reads == "colour" else 1

    @property
    def inputs(self) -> int:
        """Numbers an image of what it sees."""
        return self.channels * self.side**2

    @property
    def sides(self) -> list[int]:
        """Sides of the maps from the image to the bottom of the convolutions, each half of the one before."""
        found = [self.side]
        while found[-1] > 1.5 * BOTTOM:
            found.append((found[-1] + 1) // 2)
        return found

    @property
    def widths(self) -> list[int]:
        """Channels of the maps after each convolution."""
        return [self.hidden * min(4, 2**i) for i in range(len(self.sides) - 1)]

    @property
    def patch(self) -> int:
        """Side of the transformer's patches: the divisor of the image's side that makes about 8×8 of them."""
        divisors = [n for n in range(1, self.side + 1) if self.side % n == 0]
        return min(divisors, key=lambda n: (abs(self.side // n - 8), n))

    @property
    def parameters(self) -> int:
        """Weights and biases of the encoder; a test compares them with the network's."""
        h, d = self.hidden, self.latent
        if self.kind == "linear":
            return self.inputs * d + d
        if self.kind == "mlp":
            return self.inputs * h + h + h * h + h + h * d + d
        if self.kind == "vit":
            block = 4 * h * h + 4 * h + 8 * h * h + 5 * h + 4 * h
            return self.channels * self.patch**2 * h + h + VIT_DEPTH * block + 2 * h
        if self.kind == "split":
            return _conv_parameters(self, 1, d // 2) + _conv_parameters(self, 2, d - d // 2)
        return _conv_parameters(self, self.channels, d)

    def info(self) -> BackboneInfo:
        """The figures that every backbone has."""
        title = f"{KINDS[self.kind]}, {self.latent} numbers"
        return BackboneInfo(
            arch=str(self),
            title=title,
            family="Autoencoder",
            line=f"Turns an image of {self.side} px into {self.latent} numbers.",
            parameters=self.parameters + 1000 * (self.latent + 1),
            width=self.latent,
            min_size=self.side,
            max_size=self.side,
            size_step=1,
            default_size=self.side,
            front=False,
            small=True,
            gflops=0.0,
            milliseconds=None,
            weights_file="",
            weights_mb=0,
        )


def _conv_parameters(arch: CodeArch, channels: int, latent: int) -> int:
    widths = [channels, *arch.widths]
    convolutions = sum(9 * a * b + 2 * b for a, b in zip(widths, widths[1:], strict=False))
    return convolutions + widths[-1] * arch.sides[-1] ** 2 * latent + latent


def usual_side(sizes: Any) -> int:
    """The side to train at for images of (N, 2) width and height: their own, but within 28 and 64 px."""
    own = int(np.median(np.asarray(sizes).max(axis=1)))
    return min(64, max(28, own))


def parse_code_arch(arch: str) -> CodeArch | None:
    """The figures in an architecture's name, or None if it is no autoencoder's."""
    found = NAME.fullmatch(str(arch))
    if not found:
        return None
    kind, side, reads, hidden, latent = found.groups()
    code = CodeArch(kind, int(side), reads, int(hidden), int(latent))
    sane = SMALLEST <= code.side <= LARGEST and 1 <= code.hidden <= 1024 and 1 <= code.latent <= 1024
    return code if sane and (kind != "split" or code.latent > 1) else None
