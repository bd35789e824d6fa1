"""Thumbnails of a map's points, as a picture or a page takes them along."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from engine.data.dataset import Dataset
from engine.data.index import PIXELS
from engine.data.pixels import SMALLEST, WORKERS, fitted, pixels

BLOCK = 8  # px of a JPEG block: a picture that begins on one does not bleed into the next


def own_side(dataset: Dataset, most: int) -> int:
    """The images' own side where all are square and no larger than `most`; else `most`."""
    low, high = int(dataset.sizes.min()), int(dataset.sizes.max())
    return low if low == high and SMALLEST <= low <= most else most


def thumbnails(dataset: Dataset, index: np.ndarray, side: int) -> np.ndarray:
    """Images cropped to a square, from pixels decoded already at this size or a larger one, or else anew.

    Args:
        dataset: Where they are.
        index: (m,) places of the images.
        side: In pixels.

    Returns:
        (m, side, side, 3) uint8.

    Raises:
        UserError: An image is damaged on disk.
    """
    known = _decoded(dataset, side)
    stored = pixels(dataset, known) if known else None
    if stored is not None and known == side:
        return np.asarray(stored[index])

    def shrink(place: int) -> np.ndarray:
        if stored is None:
            return np.asarray(fitted(dataset.image(place, at_least=side), side))
        return np.asarray(fitted(Image.fromarray(stored[place]), side))

    found = np.empty((len(index), side, side, 3), np.uint8)
    with ThreadPoolExecutor(WORKERS) as pool:
        for row, picture in enumerate(pool.map(shrink, index.tolist())):
            found[row] = picture
    return found


def _decoded(dataset: Dataset, side: int) -> int | None:
    """The smallest size, no smaller than `side`, at which the set's images lie decoded on disk."""
    names = [path.stem.removeprefix("crop-") for path in (dataset.root / PIXELS).glob("crop-*.npy")]
    return min((int(name) for name in names if name.isdigit() and int(name) >= side), default=None)


def square_sheet(thumbs: np.ndarray) -> np.ndarray:
    """Thumbnails row by row on a square, as many in a row as there are rows; what is left stays black.

    Args:
        thumbs: (m, side, side, 3) uint8.

    Returns:
        (c * side, c * side, 3) uint8, c the whole number at or above the root of m.
    """
    return sheet(thumbs, math.isqrt(max(0, len(thumbs) - 1)) + 1, square=True)


def sheet(thumbs: np.ndarray, in_row: int, square: bool = False) -> np.ndarray:
    """Thumbnails in rows of `in_row`, in as many rows as they need, or in `in_row` of them."""
    m, side = thumbs.shape[:2]
    lines = in_row if square else -(-m // in_row)
    filled = np.zeros((lines * in_row, side, side, 3), np.uint8)
    filled[:m] = thumbs
    return filled.reshape(lines, in_row, side, side, 3).swapaxes(1, 2).reshape(lines * side, in_row * side, 3)


def padded(thumbs: np.ndarray) -> np.ndarray:
    """The same, each repeated at its right and lower edge up to whole JPEG blocks."""
    more = -thumbs.shape[1] % BLOCK
    return np.pad(thumbs, ((0, 0), (0, more), (0, more), (0, 0)), mode="edge")


def spread(codes: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """(most,) ascending rows with the same share of every code, as near as whole numbers come; all if few."""
    if len(codes) <= most:
        return np.arange(len(codes))
    random = np.random.default_rng(seed)
    order = random.permutation(len(codes))
    turn = np.empty(len(codes))  # a row's turn within its code, from 0 to 1
    for code in np.unique(codes):
        members = order[codes[order] == code]
        turn[members] = (np.arange(len(members)) + random.random()) / len(members)
    return np.sort(np.argsort(turn, kind="stable")[:most])
