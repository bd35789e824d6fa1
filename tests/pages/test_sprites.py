"""Sprite sheets: every thumbnail in its place, nothing bleeds over, bad questions refused, the route."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.data.dataset import Dataset
from engine.data.pixels import pixels
from engine.data.writer import DatasetWriter
from engine.errors import UserError
from pages.components import data_routes, sprites
from pages.components.sprites import pictures_of, sheet, thumb_side, thumbnails, wanted


def make(sizes: list[tuple[int, int]], seed: int = 0) -> Dataset:
    """One image a size, each of one colour of its own."""
    random = np.random.default_rng(seed)
    with DatasetWriter("Sizes") as writer:
        for i, size in enumerate(sizes):
            file = io.BytesIO()
            Image.new("RGB", size, tuple(int(c) for c in random.integers(0, 256, 3))).save(file, "PNG")
            writer.add(file.getvalue(), f"{i}.png")
        n = len(sizes)
        return writer.finish(classes=[], labels=np.full(n, -1), splits=np.zeros(n, np.uint8))


@pytest.fixture
def small(workspace: Path) -> Dataset:
    return make([(28, 28)] * 40)


@pytest.fixture
def client(small: Dataset) -> TestClient:
    return TestClient(Starlette(routes=data_routes.routes()))


def decode(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_every_thumbnail_lies_where_the_pack_says(small: Dataset) -> None:
    asked = (7, 3, 39, *range(20, 38))
    known = pictures_of(small, np.array(asked))
    found = decode(sheet(small.id, small.fingerprint, asked)).astype(int)
    for place, image in enumerate(asked):
        x, y = place % known.columns * known.cell, place // known.columns * known.cell
        wanted_colour = np.asarray(small.image(image)).astype(int)[0, 0]
        crop = found[y : y + known.side, x : x + known.side]
        assert np.abs(crop - wanted_colour).max() <= 3, f"image {image}: its neighbour's colour is in it"


def test_small_square_images_keep_their_size_and_others_become_64_pixels(workspace: Path) -> None:
    assert thumb_side(make([(28, 28)] * 2)) == 28
    assert thumb_side(make([(28, 28), (28, 30)], seed=1)) == 64
    assert thumb_side(make([(224, 224)] * 2, seed=2)) == 64
    known = pictures_of(make([(224, 200), (120, 90), (300, 224)], seed=3), np.arange(3))
    assert (known.side, known.cell, known.columns, known.smallest) == (64, 64, 16, 200)


def test_thumbnails_are_those_of_the_stored_pixels(workspace: Path) -> None:
    dataset = make([(200, 120), (90, 160), (64, 64)], seed=4)
    before = thumbnails(dataset, (2, 0), 64)
    stored = pixels(dataset, 64)
    assert np.array_equal(before, stored[[2, 0]])
    assert np.array_equal(thumbnails(dataset, (2, 0), 64), before)


def test_ranges_and_numbers_name_images() -> None:
    assert wanted("7,9,20-23,3", 40) == (7, 9, 20, 21, 22, 23, 3)


@pytest.mark.parametrize("text", ["", "a", "-1", "1,", "1--2", "5-3", "40", "0-40", "1 2", "0-1023,0"])
def test_other_words_are_refused_with_a_sentence(text: str) -> None:
    n = 2000 if text.startswith("0-1023") else 40
    with pytest.raises(UserError, match=r"\.$"):
        wanted(text, n)


def test_a_sheet_never_exceeds_a_megapixel(workspace: Path) -> None:
    dataset = make([(70, 70)] * 2, seed=5)
    with pytest.raises(UserError, match="at most 256 images"):
        sheet(dataset.id, dataset.fingerprint, (0,) * 257)
    assert decode(sheet(dataset.id, dataset.fingerprint, (0,) * 256)).shape == (1024, 1024, 3)


def test_a_sheet_may_be_kept_for_good_and_another_content_has_another_address(
    client: TestClient, small: Dataset
) -> None:
    address = f"/lab/datasets/{small.id}/sprites.jpg?images=0-9&v="
    answer = client.get(address + small.fingerprint)
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.content == sheet(small.id, small.fingerprint, tuple(range(10)))
    other = client.get(address + "another")
    assert other.status_code == 404 and "reload" in other.json()["error"]
    assert other.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["../x", "none", "%2e%2e"])
def test_only_sets_that_exist_have_sheets(client: TestClient, path: str) -> None:
    answer = client.get(f"/lab/datasets/{path}/sprites.jpg?images=0&v=1")
    assert answer.status_code == 404


def test_few_sheets_are_kept_in_memory(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    sprites._sheet.cache_clear()
    for first in range(30):
        for last in range(first, min(first + 3, 40)):
            sheet(small.id, small.fingerprint, tuple(range(first, last + 1)))
    info = sprites._sheet.cache_info()
    assert info.misses == 90 and info.currsize == sprites.KEPT == info.maxsize
