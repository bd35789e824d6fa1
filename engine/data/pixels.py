"""Every image decoded and resized once, into one array on disk that all runs and pages share."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from engine import files
from engine.data.dataset import Dataset
from engine.data.index import PIXELS
from engine.data.progress import Progress, Report, Stop, Stopped, never, silent
from engine.data.writer import check_free, disk_full_as_sentence
from engine.errors import UserError
from engine.lock import release, try_lock

Fit = Literal["crop", "squash"]
SMALLEST, LARGEST = 4, 1024
BIG = 96  # above this side, images are stored larger than they are read
CHUNK = 64  # images decoded between two looks at the clock and the Stop button
WORKERS = min(8, os.cpu_count() or 1)  # Pillow decodes without holding Python's lock


def stored_size(image_size: int) -> int:
    """The side at which images are kept for reading at `image_size`.

    Above 96 px they keep the margin of the usual Resize(256) + CenterCrop(224); small images keep none.
    """
    return image_size if image_size <= BIG else round(image_size * 256 / 224)


def pixels(
    dataset: Dataset,
    size: int,
    *,
    fit: Fit = "crop",
    progress: Report | None = None,
    stop: Stop | None = None,
) -> np.ndarray:
    """All images of a data set at one size; decoded at the first call, mapped from disk ever after.

    Images are resized with Pillow's antialiased bilinear filter, the one of torchvision's default.

    Args:
        dataset: Whose images.
        size: Side in pixels.
        fit: "crop" brings the shorter side to `size` and cuts the middle out; "squash" ignores the shape.
        progress: Told how many images are done.
        stop: Asked now and then whether to give up.

    Returns:
        (n, size, size, 3) uint8, read-only, mapped from the file: rows are read as they are used.

    Raises:
        UserError: The size is out of bounds, an image is damaged on disk, or the disk is full.
        Stopped: `stop` said so; nothing is left behind.
    """
    if not SMALLEST <= size <= LARGEST:
        raise UserError(f"image_size must be within {SMALLEST} and {LARGEST}, got {size}.")
    path = dataset.root / PIXELS / f"{fit}-{size}.npy"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        _once(dataset, path, size, fit, progress or silent, stop or never)
    found = np.load(path, mmap_mode="r", allow_pickle=False)
    if found.shape != (len(dataset), size, size, 3) or found.dtype != np.uint8:
        raise UserError(
            f"The decoded images of '{dataset.name[:60]}' are damaged: remove the set and add it again."
        )
    return found


def _once(dataset: Dataset, path: Path, size: int, fit: Fit, progress: Report, stop: Stop) -> None:
    """Make the array, or wait for whoever is making it."""
    while (lock := try_lock(path.parent / ".lock", wait=0.5)) is None:
        progress(Progress("reading images", 0, len(dataset), "another run is reading them"))
        if stop():
            raise Stopped
    try:
        if not path.exists():
            for leftover in path.parent.glob(".*.tmp"):  # of a process that was killed
                leftover.unlink(missing_ok=True)
            with disk_full_as_sentence():
                _make(dataset, path, size, fit, progress, stop)
    finally:
        release(lock)


def _make(dataset: Dataset, path: Path, size: int, fit: Fit, progress: Report, stop: Stop) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    shape = (len(dataset), size, size, 3)
    try:
        target = allocate(temporary, shape, np.uint8)
        done = 0
        with ThreadPoolExecutor(WORKERS) as pool:
            for rows in _chunks(len(dataset)):
                if stop():
                    raise Stopped
                for i, pixel in zip(
                    rows, pool.map(lambda i: _decode(dataset, i, size, fit), rows), strict=True
                ):
                    target[i] = pixel
                done += len(rows)
                progress(Progress("reading images", done, len(dataset)))
        target.flush()
        del target
        files.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def allocate(path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> np.memmap:
    """A writable array in a file whose space is really there: a write into a hole would kill the process.

    Raises:
        UserError: Too little disk would be left.
        OSError: The disk is full all the same.
    """
    check_free(math.prod(shape) * np.dtype(kind).itemsize)
    target = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return target


def _chunks(n: int) -> Iterator[range]:
    return (range(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK))


def _decode(dataset: Dataset, i: int, size: int, fit: Fit) -> np.ndarray:
    try:
        image = dataset.image(i, at_least=size)
    except UserError as error:
        raise UserError(
            f"Image {i} of '{dataset.name[:60]}' is damaged on disk ({error}): add the set again."
        ) from None
    return np.asarray(fitted(image, size, fit))


def fitted(image: Image.Image, size: int, fit: Fit = "crop") -> Image.Image:
    """A square version of an RGB image, as `pixels` makes it."""
    if image.size == (size, size):
        return image
    box = None
    if fit == "crop":
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)
