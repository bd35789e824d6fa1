"""Random views of whole batches: every image its own draw, on the device, from one seeded generator.

Crop and antialiased resize are two batched matrix products whose rows are the triangle filter of PIL and
torchvision; colours follow torchvision's ColorJitter, with an own order of operations for each image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.data.pixels import stored_size as stored_size  # known by this name to all that read views

GRAY = (0.2989, 0.587, 0.114)  # ITU-R 601, as torchvision rounds it
TRIES = 10
CHUNK = 64  # images worked on at once: bounds memory at 224 px


@dataclass(frozen=True)
class View:
    """A recipe for one random view of an image; probabilities and strengths are those of the papers.

    Attributes:
        scale: Least and largest share of the image's area that a crop keeps; None takes the centre.
        ratio: Least and largest width-to-height of a crop.
        flip: Probability of mirroring left to right.
        rotate: Angles are drawn from -r to r degrees; corners that come in are mirrored.
        brightness: Factors are drawn from 1 - b to 1 + b.
        contrast: Likewise.
        saturation: Likewise.
        hue: Shift in turns, from -h to h.
        jitter: Probability that the four colour changes happen at all.
        gray: Probability of losing all colour.
        blur: Probability of a Gaussian blur.
        sigma: Least and largest blur, in pixels of a 224 px image; scaled to the real size.
        solarise: Probability of inverting all values above one half.
    """

    scale: tuple[float, float] | None = None
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.0
    rotate: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    jitter: float = 0.0
    gray: float = 0.0
    blur: float = 0.0
    sigma: tuple[float, float] = (0.1, 2.0)
    solarise: float = 0.0

    @property
    def is_random(self) -> bool:
        """Whether two views of one image can differ."""
        chances = (self.flip, self.rotate, self.jitter, self.gray, self.blur, self.solarise)
        return self.scale is not None or any(chance > 0 for chance in chances)


VIEWS: dict[str, View] = {
    "none": View(),
    "light": View(scale=(0.7, 1.0), ratio=(0.85, 1.18)),  # no mirroring: a 2 stays a 2
    "standard": View(scale=(0.08, 1.0), flip=0.5),  # torchvision's RandomResizedCrop and flip
    "strong": View(
        scale=(0.2, 1.0),
        flip=0.5,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        jitter=0.8,
        gray=0.2,
        blur=0.5,
    ),
}


def center(images: Tensor, size: int) -> Tensor:
    """The deterministic view for evaluation: the centre of each image.

    Args:
        images: (N, S, S, 3) uint8.
        size: Side of the result, at most S.

    Returns:
        (N, 3, size, size) float in [0, 1].
    """
    start = round((images.shape[1] - size) / 2)
    middle = images[:, start : start + size, start : start + size]
    return middle.permute(0, 3, 1, 2).float().div_(255)


def augment(images: Tensor, view: View, size: int, generator: torch.Generator) -> Tensor:
    """One random view of each image.

    Args:
        images: (N, S, S, 3) uint8.
        view: What may happen.
        size: Side of the result.
        generator: Source of all draws, on the CPU, so that every device draws the same.

    Returns:
        (N, 3, size, size) float in [0, 1].
    """
    if not view.is_random:
        return center(images, size)
    return torch.cat([_one_chunk(chunk, view, size, generator) for chunk in images.split(CHUNK)])


def _one_chunk(images: Tensor, view: View, size: int, generator: torch.Generator) -> Tensor:
    n, device = len(images), images.device
    flip = torch.rand(n, generator=generator) < view.flip
    if view.scale is not None:
        boxes = crop_boxes(n, images.shape[1], view.scale, view.ratio, generator)
        x = crop_resize(images, boxes.to(device), flip.to(device), size)
    else:
        x = center(images, size)
        x = torch.where(flip.to(device)[:, None, None, None], x.flip(3), x)
    if view.rotate:
        x = rotate(x, _uniform((n,), -view.rotate, view.rotate, generator).to(device))
    if view.jitter:
        x = color_jitter(x, view, generator)
    if view.gray:
        chosen = _chosen(n, view.gray, generator, device)
        x[chosen] = to_gray(x[chosen])[:, None].expand(-1, 3, -1, -1)
    if view.blur:
        chosen = _chosen(n, view.blur, generator, device)
        sigma = _uniform((n,), *view.sigma, generator).to(device) * (size / 224)
        x[chosen] = blur(x[chosen], sigma[chosen])
    if view.solarise:
        chosen = _chosen(n, view.solarise, generator, device)
        x[chosen] = torch.where(x[chosen] >= 0.5, 1 - x[chosen], x[chosen])
    return x


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.empty(shape).uniform_(low, high, generator=generator)


def _chosen(n: int, chance: float, generator: torch.Generator, device: torch.device) -> Tensor:
    """Indices of the images that something happens to."""
    return (torch.rand(n, generator=generator) < chance).nonzero().squeeze(1).to(device)


def crop_boxes(
    n: int, side: int, scale: tuple[float, float], ratio: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """Crops distributed as torchvision's RandomResizedCrop draws them from a square image.

    Ten tries of area and shape for each image, the first that fits; the whole image where none does.

    Returns:
        (n, 4) float: top, left, height, width.
    """
    area = side * side * _uniform((n, TRIES), *scale, generator)
    shape = _uniform((n, TRIES), math.log(ratio[0]), math.log(ratio[1]), generator).exp()
    width, height = (area * shape).sqrt().round(), (area / shape).sqrt().round()
    fits = (width > 0) & (width <= side) & (height > 0) & (height <= side)
    first = fits.float().argmax(1, keepdim=True)
    none = ~fits.any(1)
    height, width = height.gather(1, first)[:, 0], width.gather(1, first)[:, 0]
    height[none] = width[none] = side
    place = torch.rand(2, n, generator=generator)
    top, left = (place[0] * (side - height + 1)).floor(), (place[1] * (side - width + 1)).floor()
    return torch.stack([top, left, height, width], dim=1)


def crop_resize(images: Tensor, boxes: Tensor, flip: Tensor, size: int) -> Tensor:
    """Cut a box out of each image, resize it with antialiasing, perhaps mirror it.

    Args:
        images: (N, S, S, 3) uint8.
        boxes: (N, 4) top, left, height, width.
        flip: (N,) bool.
        size: Side of the result.

    Returns:
        (N, 3, size, size) float in [0, 1].
    """
    n, side = images.shape[:2]
    top, left, height, width = boxes.unbind(1)
    rows = resize_matrix(top, height, side, size)  # (N, size, S)
    columns = resize_matrix(left, width, side, size)
    columns = torch.where(flip[:, None, None], columns.flip(1), columns)
    x = torch.bmm(rows, images.reshape(n, side, side * 3).float())  # (N, size, S * 3)
    x = x.view(n, size, side, 3).transpose(2, 3).reshape(n, size * 3, side)
    x = torch.bmm(x, columns.transpose(1, 2)).view(n, size, 3, size)
    return x.permute(0, 2, 1, 3).contiguous().div_(255).clamp_(0, 1)


def resize_matrix(start: Tensor, length: Tensor, side: int, size: int) -> Tensor:
    """Weights that turn a line of pixels into the resized part of it.

    Args:
        start: (N,) first pixel of the part.
        length: (N,) its length.
        side: Pixels of the line.
        size: Pixels of the result.

    Returns:
        (N, size, side); every row is a triangle around the output pixel's place and sums to 1.
    """
    step = (length / size)[:, None, None]
    places = (torch.arange(size, device=start.device) + 0.5)[None, :, None] * step  # in the part
    pixels = (torch.arange(side, device=start.device) + 0.5)[None, None, :] - start[:, None, None]
    inside = (pixels > 0) & (pixels < length[:, None, None])
    weights = (1 - (pixels - places).abs() / step.clamp(min=1)).clamp_(min=0) * inside
    return weights / weights.sum(2, keepdim=True)


def rotate(x: Tensor, degrees: Tensor) -> Tensor:
    """Turn (N, 3, S, S) square images about their centres by (N,) degrees, counter-clockwise."""
    angle = torch.deg2rad(degrees)
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    matrix = torch.stack([cosine, -sine, zero, sine, cosine, zero], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def to_gray(x: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, H, W) brightness."""
    return GRAY[0] * x[:, 0] + GRAY[1] * x[:, 1] + GRAY[2] * x[:, 2]


def color_jitter(x: Tensor, view: View, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation and hue, by own factors and in an own order for each image.

    Args:
        x: (N, 3, H, W) in [0, 1].
        view: Strengths, and how likely anything happens.
        generator: Source of all draws.
    """
    n = len(x)
    strengths = (view.brightness, view.contrast, view.saturation)
    factors = torch.stack([_uniform((n,), max(0, 1 - s), 1 + s, generator) for s in strengths], dim=1)
    shift = _uniform((n,), -view.hue, view.hue, generator).to(x.device)
    happens = torch.rand(n, generator=generator) < view.jitter
    factors = torch.where(happens[:, None], factors, torch.ones(())).to(x.device)
    order = torch.rand(n, 4, generator=generator).argsort(1)  # operation 3 is hue
    for stage in range(4):
        operation = order[:, stage]
        turned = ((operation == 3) & happens).nonzero().squeeze(1).to(x.device)
        mixed = _mix(x, operation.to(x.device), factors)
        if view.hue and len(turned):
            mixed[turned] = shift_hue(x[turned], shift[turned])
        x = mixed
    return x


def _mix(x: Tensor, operation: Tensor, factors: Tensor) -> Tensor:
    """Blend each image with black (0), its mean brightness (1) or its grey self (2); 3 leaves it."""
    factor = torch.where(
        operation == 3,
        torch.ones((), device=x.device),
        factors.gather(1, operation.clamp(max=2)[:, None])[:, 0],
    )
    gray = to_gray(x)  # (N, H, W)
    rest = (1 - factor)[:, None, None]
    to_mean = rest * gray.mean((1, 2), keepdim=True)
    other = torch.where(
        (operation == 2)[:, None, None],
        rest * gray,
        torch.where((operation == 1)[:, None, None], to_mean, 0.0),
    )
    return torch.addcmul(other[:, None].expand_as(x), x, factor[:, None, None, None]).clamp_(0, 1)


def shift_hue(x: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of (N, 3, H, W) images in [0, 1] by (N,) turns; HSV there and back in closed form."""
    red, green, blue = x.unbind(1)
    value = x.amax(1)
    chroma = value - x.amin(1)
    scale = 1 / chroma.clamp(min=1e-8)
    hue = torch.where(
        value == red,
        (green - blue) * scale,
        torch.where(value == green, (blue - red) * scale + 2, (red - green) * scale + 4),
    )
    hue = hue + 6 * turns[:, None, None]
    channels = []
    for offset in (5.0, 3.0, 1.0):
        k = (hue + offset).remainder(6)
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, dim=1)


def blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of (N, 3, S, S) images, each with its own (N,) sigma in pixels; borders are mirrored."""
    side = x.shape[-1]
    radius = min(side - 1, max(1, math.ceil(3 * float(sigma.max())))) if len(sigma) else 1
    offsets = torch.arange(-radius, radius + 1, device=x.device)
    kernel = torch.exp(-(offsets.float() ** 2) / (2 * sigma.clamp(min=1e-3)[:, None] ** 2))
    kernel = kernel / kernel.sum(1, keepdim=True)  # (N, 2 * radius + 1)
    reach = (torch.arange(side, device=x.device)[:, None] + offsets).abs()
    reach = torch.where(reach > side - 1, 2 * (side - 1) - reach, reach)  # (S, 2 * radius + 1)
    matrix = torch.zeros(len(x), side, side, device=x.device)
    matrix.scatter_add_(2, reach.expand(len(x), -1, -1), kernel[:, None, :].expand(-1, side, -1).contiguous())
    matrix = matrix[:, None]  # (N, 1, S, S)
    return matrix @ x @ matrix.transpose(2, 3)
