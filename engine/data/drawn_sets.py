"""The sets that need no network: Shapes in three versions, and scikit-learn's digits."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from engine.data import progress as reporting
from engine.data.dataset import Dataset
from engine.data.progress import Progress, Report, Stop, Stopped
from engine.data.shapes import SHAPES, draw
from engine.data.splits import SPLITS, TEST, TRAIN, VAL, stratified
from engine.data.writer import DatasetWriter

SHAPES_SEED = 2024
SHAPES_IMAGES = {"train": 6000, "val": 1000, "test": 1000}
DIGIT_SIDE = 32


def png(pixels: np.ndarray) -> bytes:
    """The bytes of a PNG file.

    Args:
        pixels: (H, W) or (H, W, 3) uint8.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def build_shapes(
    dataset_id: str,
    name: str,
    size: int,
    style: str,
    report: Report = reporting.silent,
    stop: Stop = reporting.never,
    images: dict[str, int] | None = None,
) -> Dataset:
    """Draw Shapes; every split is a random stream of its own."""
    images = images or SHAPES_IMAGES
    total, labels, splits = sum(images.values()), [], []
    factors: dict[str, list[np.ndarray]] = {}
    with DatasetWriter(name, dataset_id=dataset_id) as writer:
        for code, split in enumerate(SPLITS):
            for drawing in draw(images.get(split, 0), size, style, SHAPES_SEED, code):
                if stop():
                    raise Stopped
                for i, pixels in enumerate(drawing.images):
                    shape = list(SHAPES)[drawing.labels[i]]
                    writer.add(png(pixels), f"{split}/{shape}/{len(writer):05d}.png")
                labels.append(drawing.labels)
                splits.append(np.full(len(drawing.labels), code, np.uint8))
                for key, value in drawing.factors.items():
                    factors.setdefault(key, []).append(value)
                report(Progress("drawing", len(writer), total))
        return writer.finish(
            classes=tuple(SHAPES),
            labels=np.concatenate(labels),
            splits=np.concatenate(splits),
            factors={key: np.concatenate(parts) for key, parts in factors.items()},
            split_note=f"Train, validation and test are drawn apart, from seed {SHAPES_SEED}.",
            source="drawn by this app",
            extra={"catalog": dataset_id, "style": style, "seed": SHAPES_SEED},
        )


def build_digits(
    dataset_id: str, name: str, report: Report = reporting.silent, stop: Stop = reporting.never
) -> Dataset:
    """Scikit-learn's 1,797 handwritten digits, enlarged from 8 to 32 pixels (bicubic)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # 17 levels, 0 to 16
    labels = digits.target.astype(np.int64)
    with DatasetWriter(name, dataset_id=dataset_id) as writer:
        for i, pixels in enumerate(grey):
            if stop():
                raise Stopped
            large = Image.fromarray(pixels).resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BICUBIC)
            writer.add(png(np.asarray(large)), f"{labels[i]}/{i:04d}.png")
            if i % 200 == 0:
                report(Progress("reading", i, len(grey)))
        splits = np.full(len(labels), TRAIN, np.uint8)
        splits[stratified(labels, writer.digests, 0.2, 0)] = TEST
        left = np.flatnonzero(splits == TRAIN)
        splits[stratified(labels, writer.digests, 0.25, 0, left)] = VAL
        return writer.finish(
            classes=tuple(str(digit) for digit in range(10)),
            labels=labels,
            splits=splits,
            split_note="Made here: 60% train, 20% validation, 20% test of every class, seed 0.",
            source="scikit-learn (UCI optical recognition of handwritten digits)",
            extra={"catalog": dataset_id, "seed": 0},
        )
