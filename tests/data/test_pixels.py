"""The shared array of decoded images: right pixels, made once, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import catalog
from engine.data import pixels as subject
from engine.data.dataset import Dataset
from engine.data.progress import Progress, Stopped
from engine.errors import UserError


@pytest.fixture
def digits(workspace: Path) -> Dataset:
    return catalog.build_catalog_set("digits")


def test_rows_are_the_images_in_order(digits: Dataset) -> None:
    array = subject.pixels(digits, 32)
    assert array.shape == (len(digits), 32, 32, 3) and array.dtype == np.uint8
    for i in (0, 7, len(digits) - 1):
        assert np.array_equal(array[i], np.asarray(digits.image(i)))


def test_a_second_call_reads_the_file_and_decodes_nothing(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = np.array(subject.pixels(digits, 16))
    monkeypatch.setattr(subject, "_decode", lambda *_: pytest.fail("decoded again"))
    assert np.array_equal(subject.pixels(digits, 16), first)


def test_the_array_cannot_be_written_by_accident(digits: Dataset) -> None:
    with pytest.raises(ValueError, match="read-only"):
        subject.pixels(digits, 16)[0, 0, 0] = 1


def test_cropping_keeps_the_middle_and_squashing_the_whole() -> None:
    wide = Image.new("RGB", (90, 30), "red")
    wide.paste("blue", (30, 0, 60, 30))
    cropped = np.asarray(subject.fitted(wide, 10))
    assert (
        cropped[:, 1:-1] == [0, 0, 255]
    ).all()  # the filter reaches one pixel past the edge, as torchvision's
    squashed = np.asarray(subject.fitted(wide, 9, "squash"))
    assert squashed[4, 0].tolist() == [255, 0, 0] and squashed[4, 4].tolist() == [0, 0, 255]


def test_stopping_half_way_leaves_nothing(digits: Dataset) -> None:
    seen: list[Progress] = []
    with pytest.raises(Stopped):
        subject.pixels(digits, 24, progress=seen.append, stop=lambda: len(seen) >= 2)
    assert 0 < seen[-1].done < len(digits)
    assert not list((digits.root / "pixels").glob("*crop-24*"))


def test_what_a_killed_process_left_is_swept(digits: Dataset) -> None:
    folder = digits.root / "pixels"
    folder.mkdir(exist_ok=True)
    (folder / ".crop-8.npy.dead.tmp").write_bytes(b"half")
    subject.pixels(digits, 8)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "crop-8.npy"]


@pytest.mark.parametrize("size", [0, 3, 5000])
def test_an_impossible_size_is_one_sentence(digits: Dataset, size: int) -> None:
    with pytest.raises(UserError, match="image_size must be within 4 and 1024"):
        subject.pixels(digits, size)
