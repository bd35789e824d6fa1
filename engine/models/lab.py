"""CIE L*a*b* of (N, 3, H, W) images: lightness apart from colour, with differentiable ways there and back.

Conversion of sRGB with the D65 white point, as in IEC 61966-2-1 and CIE 15.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
TO_RGB = np.linalg.inv(TO_XYZ).tolist()  # once, since ONNX has no word for an inverse
WHITE = (0.95047, 1.0, 1.08883)
EPSILON = (6 / 29) ** 3
REACH = 110.0  # |a| and |b| of every sRGB colour stay below it


def rgb_to_lab(images: Tensor) -> Tensor:
    """(N, 3, H, W) sRGB in [0, 1] -> (N, 3, H, W) of L* in [0, 100], a* and b*."""
    linear = torch.where(images <= 0.04045, images / 12.92, ((images + 0.055) / 1.055).clamp(min=0) ** 2.4)
    xyz = torch.einsum("ij,njhw->nihw", _matrix(TO_XYZ, images), linear)
    xyz = xyz / _white(images)
    f = torch.where(xyz > EPSILON, xyz.clamp(min=EPSILON) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Back again; colours that no screen can show are clipped to [0, 1]."""
    light, a, b = lab.unbind(1)
    y = (light + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], dim=1)
    xyz = torch.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _white(lab)
    linear = torch.einsum("ij,njhw->nihw", _matrix(TO_RGB, lab), xyz).clamp(0, 1)
    return torch.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    )


def lightness(images: Tensor) -> Tensor:
    """(N, 3, H, W) sRGB -> (N, 1, H, W) L* scaled to [0, 1]."""
    return rgb_to_lab(images)[:, :1] / 100


def colour(images: Tensor) -> Tensor:
    """(N, 3, H, W) sRGB -> (N, 2, H, W) a* and b* scaled to [0, 1]; grey is 0.5."""
    return rgb_to_lab(images)[:, 1:] / (2 * REACH) + 0.5


def from_parts(light: Tensor, ab: Tensor) -> Tensor:
    """(N, 1, H, W) lightness and (N, 2, H, W) colour, both in [0, 1] -> (N, 3, H, W) sRGB."""
    return lab_to_rgb(torch.cat([100 * light, (ab - 0.5) * 2 * REACH], dim=1))


def _matrix(rows: Sequence[Sequence[float]], like: Tensor) -> Tensor:
    return torch.tensor(rows, dtype=like.dtype, device=like.device)


def _white(like: Tensor) -> Tensor:
    return torch.tensor(WHITE, dtype=like.dtype, device=like.device).view(1, 3, 1, 1)
