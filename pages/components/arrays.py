"""Small arrays as pictures: PNG addresses for the browser, colours for errors, strips of several."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

# dark to bright, equal steps to the eye; ends and middle of matplotlib's "inferno" by eye, drawn by us
HEAT = np.array(
    [[6, 4, 24], [60, 15, 95], [130, 32, 108], [196, 60, 78], [240, 120, 34], [250, 190, 60], [252, 250, 200]]
)
GAP = 1


def png(array: np.ndarray) -> bytes:
    """(H, W, 3) uint8 as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def picture_url(array: np.ndarray) -> str:
    """(H, W, 3) uint8 as an address that holds the picture itself: PNG if small, else JPEG."""
    if len(array) <= 128:
        return "data:image/png;base64," + base64.b64encode(png(array)).decode()
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def heat(error: np.ndarray, most: float) -> np.ndarray:
    """(…, H, W) squared errors -> (…, H, W, 3) uint8; `most` and above is brightest.

    The root of the error is drawn, so that small differences can be seen at all.
    """
    share = np.sqrt(np.clip(error.astype(np.float32) / max(most, 1e-9), 0, 1)) * (len(HEAT) - 1)
    low = np.minimum(share.astype(int), len(HEAT) - 2)
    part = (share - low)[..., None]
    return (HEAT[low] * (1 - part) + HEAT[low + 1] * part).round().astype(np.uint8)


def brightest(error: np.ndarray) -> float:
    """The squared error that is drawn brightest: all but the top 0.5 % of pixels lie below it."""
    values = error.astype(np.float32)
    return max(float(np.quantile(values, 0.995)) if values.size else 0.0, 1e-4)


def strip(pictures: Sequence[np.ndarray], gap: int = GAP) -> np.ndarray:
    """(H, W, 3) pictures beside each other with a grey line between: one (H, sum of W, 3) picture."""
    height = pictures[0].shape[0]
    line = np.full((height, gap, 3), 128, np.uint8)
    parts: list[np.ndarray] = []
    for picture in pictures:
        parts += [picture, line]
    return np.concatenate(parts[:-1], axis=1)
