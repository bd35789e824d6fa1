"""Encoders and decoders: dense, linear, convolutional, split in two, and a small transformer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models import lab
from engine.models.codes import VIT_DEPTH, CodeArch
from engine.models.small_nets import ConvNorm

HEADS = 4


def seen_by(images: Tensor, reads: str) -> Tensor:
    """What an encoder sees of (N, 3, H, W) images in [0, 1]: (N, 1 or 3, H, W) in [0, 1].

    Grey images may come as (N, 1, H, W).
    """
    if reads == "gray" and images.shape[1] == 1:
        return images
    if reads == "gray":
        return images.mean(1, keepdim=True)
    return lab.lightness(images) if reads == "light" else images


class CodeTrunk(nn.Module):
    """A body and a linear layer that makes the code: (N, 3, H, W) in [0, 1] -> (N, latent)."""

    def __init__(self, arch: CodeArch, body: nn.Module, width: int, latent: int) -> None:
        super().__init__()
        self.reads = arch.reads
        self.body = body
        self.width = width
        self.code = nn.Linear(width, latent)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, part in self.named_children() if any(True for _ in part.parameters()))

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, width), what the code is a linear function of."""
        return self.body(seen_by(x, self.reads))

    def forward(self, x: Tensor) -> Tensor:
        return self.code(self.features(x))


class SplitTrunk(CodeTrunk):
    """Two encoders side by side, one sees lightness and the other colour; their codes are joined.

    Split-brain autoencoders: Zhang, Isola, Efros 2017, https://arxiv.org/abs/1611.09842.
    """

    def __init__(self, arch: CodeArch) -> None:
        nn.Module.__init__(self)
        half = arch.latent // 2
        self.light = CodeTrunk(arch, ConvBody(arch, 1), bottom_width(arch), half)
        self.colour = CodeTrunk(arch, ConvBody(arch, 2), bottom_width(arch), arch.latent - half)

    def forward(self, x: Tensor) -> Tensor:
        light, colour = self.light, self.colour
        return torch.cat(
            [light.code(light.body(lab.lightness(x))), colour.code(colour.body(lab.colour(x)))], dim=1
        )


class DenseBody(nn.Sequential):
    """Flatten and two hidden layers, the tutorial's encoder but for its last layer."""

    def __init__(self, arch: CodeArch) -> None:
        h = arch.hidden
        super().__init__(nn.Flatten(), nn.Linear(arch.inputs, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU())


class ConvBody(nn.Sequential):
    """Convolutions that halve the image until about 4×4 places are left, flattened."""

    def __init__(self, arch: CodeArch, channels: int) -> None:
        widths = [channels, *arch.widths]
        layers = [ConvNorm(a, b, stride=2) for a, b in zip(widths, widths[1:], strict=False)]
        super().__init__(*layers, nn.Flatten())


def bottom_width(arch: CodeArch) -> int:
    """Numbers an image at the bottom of the convolutions."""
    return arch.widths[-1] * arch.sides[-1] ** 2


def build_code_trunk(arch: CodeArch) -> nn.Module:
    """The encoder of that name, with random weights from torch's current random state."""
    if arch.kind == "linear":
        return CodeTrunk(arch, nn.Flatten(), arch.inputs, arch.latent)
    if arch.kind == "mlp":
        return CodeTrunk(arch, DenseBody(arch), arch.hidden, arch.latent)
    if arch.kind == "vit":
        return PatchTrunk(arch)
    if arch.kind == "split":
        return SplitTrunk(arch)
    return CodeTrunk(arch, ConvBody(arch, arch.channels), bottom_width(arch), arch.latent)


def build_decoder(arch: CodeArch, channels: int, latent: int | None = None) -> nn.Module:
    """The mirror image of an encoder: (N, latent) -> (N, channels, H, W) logits, or values if linear."""
    latent = arch.latent if latent is None else latent
    shape = (channels, arch.side, arch.side)
    outputs = channels * arch.side**2
    if arch.kind == "linear":
        return nn.Sequential(nn.Linear(latent, outputs), nn.Unflatten(1, shape))
    if arch.kind == "mlp":
        h = arch.hidden
        return nn.Sequential(
            nn.Linear(latent, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, outputs),
            nn.Unflatten(1, shape),
        )  # fmt: skip
    return ConvDecoder(arch, channels, latent)


class ConvDecoder(nn.Module):
    """Transposed convolutions that double the map at each step, cut to the sides the encoder passed."""

    def __init__(self, arch: CodeArch, channels: int, latent: int) -> None:
        super().__init__()
        widths = arch.widths[::-1]
        bottom = arch.sides[-1]
        self.sides = arch.sides[::-1][1:]
        self.start = nn.Sequential(
            nn.Linear(latent, widths[0] * bottom**2), nn.ReLU(), nn.Unflatten(1, (widths[0], bottom, bottom))
        )
        self.ups = nn.ModuleList(Up(a, b) for a, b in zip(widths, [*widths[1:], widths[-1]], strict=True))
        self.last = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.start(codes)
        for up, side in zip(self.ups, self.sides, strict=True):
            x = up(x)[:, :, :side, :side]
        return self.last(x)


class Up(nn.Sequential):
    """Twice the side: transposed convolution, BatchNorm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


def patchify(images: Tensor, patch: int) -> Tensor:
    """(N, C, H, W) -> (N, L, patch² C): patches by rows, each pixel by pixel, channels together."""
    n, c, side, _ = images.shape
    grid = side // patch
    x = images.reshape(n, c, grid, patch, grid, patch)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(n, grid * grid, patch * patch * c)


def unpatchify(patches: Tensor, patch: int, channels: int) -> Tensor:
    """The inverse of `patchify`."""
    n, length, _ = patches.shape
    grid = round(length**0.5)
    x = patches.reshape(n, grid, grid, patch, patch, channels)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(n, channels, grid * patch, grid * patch)


def positions(grid: int, width: int) -> Tensor:
    """(grid², width) fixed sine and cosine codes of the row and the column of each patch."""
    quarter = max(1, width // 4)
    rates = 1 / 10000 ** (torch.arange(quarter) / quarter)
    places = torch.arange(grid).float()[:, None] * rates  # (grid, quarter)
    waves = torch.cat([places.sin(), places.cos()], dim=1)
    rows, columns = waves[:, None].expand(-1, grid, -1), waves[None].expand(grid, -1, -1)
    found = torch.cat([rows, columns], dim=2).reshape(grid * grid, -1)
    return F.pad(found, (0, width - found.shape[1]))


class Attention(nn.Module):
    """Pre-norm transformer block: self-attention, then a hidden layer four times as wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.hidden = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        parts = self.mix(self.norm1(x)).reshape(n, length, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        x = x + self.out(mixed.transpose(1, 2).reshape(n, length, width))
        return x + self.hidden(self.norm2(x))


class PatchTrunk(CodeTrunk):
    """A small vision transformer without a class token: the features are the mean of the patches' tokens."""

    def __init__(self, arch: CodeArch) -> None:
        nn.Module.__init__(self)
        self.reads, self.patch, self.width = arch.reads, arch.patch, arch.hidden
        self.embed = nn.Linear(arch.channels * arch.patch**2, arch.hidden)
        self.layers = nn.Sequential(*(Attention(arch.hidden) for _ in range(VIT_DEPTH)))
        self.norm = nn.LayerNorm(arch.hidden)
        place = positions(arch.side // arch.patch, arch.hidden)
        self.register_buffer("place", place, persistent=False)

    def tokens(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Tokens of all patches, or of those kept.

        Args:
            x: (N, 3, H, W) in [0, 1].
            keep: (N, k) places of the patches that may be seen.

        Returns:
            (N, k, width).
        """
        found = self.embed(patchify(seen_by(x, self.reads), self.patch)) + self.get_buffer("place")
        if keep is not None:
            found = found.gather(1, keep[:, :, None].expand(-1, -1, self.width))
        return self.norm(self.layers(found))

    def forward(self, x: Tensor) -> Tensor:
        return self.tokens(x).mean(1)


class PatchDecoder(nn.Module):
    """Fills mask tokens in at the hidden places and predicts the pixels of every patch.

    He et al. 2021, Masked Autoencoders Are Scalable Vision Learners, https://arxiv.org/abs/2111.06377.
    """

    def __init__(self, arch: CodeArch, channels: int) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(1, 1, arch.hidden))
        nn.init.normal_(self.mask_token, std=0.02)
        self.enter = nn.Linear(arch.hidden, arch.hidden)
        self.layer = Attention(arch.hidden)
        self.norm = nn.LayerNorm(arch.hidden)
        self.pixels = nn.Linear(arch.hidden, channels * arch.patch**2)
        place = positions(arch.side // arch.patch, arch.hidden)
        self.register_buffer("place", place, persistent=False)

    def forward(self, tokens: Tensor, restore: Tensor) -> Tensor:
        """Pixels of all patches.

        Args:
            tokens: (N, k, width) of the patches that were seen.
            restore: (N, L) for each place, where its token stands among the seen ones followed by the hidden.

        Returns:
            (N, L, patch² C) logits.
        """
        x = self.enter(tokens)
        hidden = self.mask_token.to(x.dtype).expand(len(x), restore.shape[1] - x.shape[1], -1)
        x = torch.cat([x, hidden], dim=1).gather(1, restore[:, :, None].expand(-1, -1, x.shape[2]))
        return self.pixels(self.norm(self.layer(x + self.get_buffer("place"))))
