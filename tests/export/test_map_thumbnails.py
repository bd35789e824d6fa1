"""Thumbnails of a map's points: the set's own pixels, wherever they come from, and fair samples of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data.dataset import Dataset
from engine.data.index import PIXELS
from engine.data.pixels import pixels
from engine.data.writer import DatasetWriter
from engine.export.map_thumbnails import own_side, padded, sheet, spread, square_sheet, thumbnails


def halves(sizes: list[tuple[int, int]]) -> Dataset:
    """Images of two colours, one beside the other."""
    with DatasetWriter("Halves") as writer:
        for i, (width, height) in enumerate(sizes):
            image = Image.new("RGB", (width, height), (40 * i, 0, 200))
            image.paste((0, 200, 40 * i), (0, 0, width // 2, height))
            file = io.BytesIO()
            image.save(file, "PNG")
            writer.add(file.getvalue(), f"{i}.png")
        n = len(sizes)
        return writer.finish(classes=[], labels=np.full(n, -1), splits=np.zeros(n, np.uint8))


def test_thumbnails_are_those_of_the_decoded_pixels_and_decode_no_others(workspace: Path) -> None:
    dataset, wanted = halves([(64, 64), (90, 60), (50, 120), (70, 70)]), np.array([2, 0, 3])
    before = thumbnails(dataset, wanted, 32)
    assert not list((dataset.root / PIXELS).glob("*.npy")), "an export leaves nothing in the data set"
    np.testing.assert_array_equal(before, pixels(dataset, 32)[wanted])
    np.testing.assert_array_equal(thumbnails(dataset, wanted, 32), before)


def test_pixels_that_are_decoded_at_a_larger_size_are_shrunk(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, wanted = halves([(64, 64), (90, 60), (50, 120)]), np.array([1, 2])
    truth = thumbnails(dataset, wanted, 24).astype(int)
    pixels(dataset, 48)
    monkeypatch.setattr(Dataset, "image", None)  # nothing is decoded any more
    assert np.abs(thumbnails(dataset, wanted, 24) - truth).mean() < 4


def test_small_square_images_keep_their_side(workspace: Path) -> None:
    assert own_side(halves([(28, 28)] * 2), 48) == 28
    assert own_side(halves([(28, 30)] * 2), 48) == own_side(halves([(64, 64)] * 2), 48) == 48


def test_a_sheet_goes_row_by_row() -> None:
    thumbs = np.repeat(np.arange(1, 8, dtype=np.uint8), 2 * 2 * 3).reshape(7, 2, 2, 3)
    for found in (sheet(thumbs, 3), square_sheet(thumbs)):
        assert found.shape == (6, 6, 3)
        assert found[::2, ::2, 0].tolist() == [[1, 2, 3], [4, 5, 6], [7, 0, 0]]
    assert sheet(thumbs[:2], 3).shape == (2, 6, 3) and square_sheet(thumbs[:1]).shape == (2, 2, 3)


def test_a_padded_picture_ends_in_its_own_edge() -> None:
    thumbs = np.random.default_rng(0).integers(0, 255, (2, 5, 5, 3), np.uint8)
    found = padded(thumbs)
    assert found.shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(found[:, :5, 5:], np.repeat(thumbs[:, :, -1:], 3, axis=2))
    assert padded(found) is not found and padded(found).shape == found.shape


@pytest.mark.parametrize("most", [10, 30, 60])
def test_a_sample_has_the_same_share_of_every_group(most: int) -> None:
    codes = np.repeat([0, 1, 2], [600, 300, 100])
    rows = spread(codes, most)
    assert len(rows) == len(set(rows.tolist())) == most and (np.diff(rows) > 0).all()
    assert np.abs(np.bincount(codes[rows], minlength=3) - most * np.array([0.6, 0.3, 0.1])).max() <= 1
    np.testing.assert_array_equal(rows, spread(codes, most))


def test_few_points_are_all_taken() -> None:
    assert spread(np.zeros(5, int), 5).tolist() == [0, 1, 2, 3, 4]
