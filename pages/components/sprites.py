"""Sprite sheets: many thumbnails of a data set in one JPEG, so that a map needs few requests."""

from __future__ import annotations

import io
import re
import threading
from functools import lru_cache

import numpy as np
from PIL import Image

from engine.data.dataset import Dataset, open_dataset
from engine.data.index import PIXELS
from engine.data.pixels import SMALLEST, fitted, pixels
from engine.errors import UserError
from pages.components.map_pack import Pictures

LARGEST = 64  # px of a thumbnail; sets of smaller square images keep their own size
SHEET = 1024  # px; a sheet has no more than its square
MOST = 1024  # thumbnails of a sheet
PER_SHEET = 256  # that the map asks for at once: a sheet is fetched for a few points
KEPT = 64  # sheets in memory, none above a megabyte or so
BLOCK = 8  # px of a JPEG block; a thumbnail begins on a block, so that no picture bleeds into the next
_WANTED = re.compile(r"[0-9]{1,9}(-[0-9]{1,9})?(,[0-9]{1,9}(-[0-9]{1,9})?)*")
_making = threading.Lock()  # one sheet at a time: decoding hundreds of images takes all cores as it is


def thumb_side(dataset: Dataset) -> int:
    """The side of a set's thumbnails: its images' own where all are square and small, else LARGEST."""
    low, high = (int(dataset.sizes.min()), int(dataset.sizes.max())) if dataset.n else (LARGEST, LARGEST)
    return low if low == high and SMALLEST <= low <= LARGEST else LARGEST


def cell_side(side: int) -> int:
    """A thumbnail's place on a sheet: its side, rounded up to whole JPEG blocks."""
    return -(-side // BLOCK) * BLOCK


def columns(side: int) -> int:
    """Thumbnails in a row, such that PER_SHEET of them make a square that fits."""
    return min(16, SHEET // cell_side(side))


def pictures_of(dataset: Dataset, index: np.ndarray) -> Pictures:
    """What a map's pack says of its points' images.

    Args:
        dataset: Where they are.
        index: (n,) image of each point.
    """
    side = thumb_side(dataset)
    smallest = int(np.median(dataset.sizes.min(axis=1))) if dataset.n else side
    return Pictures(
        dataset=dataset.id,
        fingerprint=dataset.fingerprint,
        index=np.asarray(index),
        side=side,
        cell=cell_side(side),
        columns=columns(side),
        per_sheet=PER_SHEET,
        smallest=smallest,
    )


def wanted(text: str, n: int) -> tuple[int, ...]:
    """The images named in an address: '7,9,20-29', both ends included.

    Raises:
        UserError: It is not written so, names an image that the set of `n` lacks, or names too many.
    """
    if len(text) > 12 * MOST or not _WANTED.fullmatch(text):
        raise UserError("The images must be whole numbers and ranges with commas between them.")
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        start, end = int(first), int(last or first)
        if not start <= end < n:
            raise UserError(f"There is no image {end}: this set has images 0 to {n - 1}.")
        if len(found) + end - start >= MOST:
            raise UserError(f"A sheet holds at most {MOST} images: ask for fewer.")
        found.extend(range(start, end + 1))
    return tuple(found)


def sheet(dataset_id: str, fingerprint: str, images: tuple[int, ...]) -> bytes:
    """A JPEG of the images' thumbnails, row by row in the order asked.

    Raises:
        UserError: The set is gone or is another by now, an image is damaged, or there are too many.
    """
    with _making:
        return _sheet(dataset_id, fingerprint, images)


@lru_cache(maxsize=KEPT)
def _sheet(dataset_id: str, fingerprint: str, images: tuple[int, ...]) -> bytes:
    dataset = open_dataset(dataset_id)
    if dataset.fingerprint != fingerprint:
        raise UserError("This data set has changed since the page was drawn: reload the page.")
    side = thumb_side(dataset)
    if len(images) * cell_side(side) ** 2 > SHEET**2:
        raise UserError(f"A sheet holds at most {(SHEET // cell_side(side)) ** 2} images: ask for fewer.")
    buffer = io.BytesIO()
    picture = Image.fromarray(arrange(thumbnails(dataset, images, side), columns(side)))
    picture.save(buffer, "JPEG", quality=88, subsampling=0)  # full colour: thumbnails are a few pixels wide
    return buffer.getvalue()


def thumbnails(dataset: Dataset, images: tuple[int, ...], side: int) -> np.ndarray:
    """(m, side, side, 3) uint8, as `pixels` has them: read from its array if that exists, else decoded now.

    A sheet never waits for the whole set to be decoded.
    """
    if (dataset.root / PIXELS / f"crop-{side}.npy").exists():
        return np.asarray(pixels(dataset, side)[list(images)])
    return np.stack([np.asarray(fitted(dataset.image(i, at_least=side), side)) for i in images])


def arrange(thumbs: np.ndarray, in_row: int) -> np.ndarray:
    """(m, side, side, 3) thumbnails in rows of `in_row`, each repeated at its edge up to a whole cell."""
    m, side = len(thumbs), thumbs.shape[1]
    cell = cell_side(side)
    lines = -(-m // in_row)
    padded = np.pad(thumbs, ((0, 0), (0, cell - side), (0, cell - side), (0, 0)), mode="edge")
    filled = np.zeros((lines * in_row, cell, cell, 3), np.uint8)
    filled[:m] = padded
    return filled.reshape(lines, in_row, cell, cell, 3).swapaxes(1, 2).reshape(lines * cell, in_row * cell, 3)
