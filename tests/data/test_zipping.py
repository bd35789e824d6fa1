"""A data set taken home: the zip reads back as the same set, under names every system can unpack."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from engine.data.dataset import Dataset
from engine.data.intake import add_dataset
from engine.data.writer import DatasetWriter
from engine.data.zipping import ascii_names, write_zip

HOSTILE = ["../..", "a/b", "a?b", "CON", "con", "nul.txt", "é" * 240, "<b>x</b>", "😀", "…", "a!", "a-3", "A"]


def picture(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (9, 12, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def stored(classes: list[str], name: str = "Set") -> Dataset:
    """Four images a class, all of one name: two train, one validation, one test."""
    with DatasetWriter(name) as writer:
        for i in range(4 * max(1, len(classes))):
            writer.add(picture(i), "same.png")
        n = len(writer)
        labels = np.arange(n) // 4 if classes else np.full(n, -1)
        splits = np.array([0, 0, 1, 2] * (n // 4), np.uint8)
        return writer.finish(classes=classes, labels=labels.astype(np.int64), splits=splits)


def zipped(dataset: Dataset, path: Path) -> list[str]:
    write_zip(dataset, path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def test_what_comes_back_is_the_same_set(workspace: Path, tmp_path: Path) -> None:
    dataset = stored(["ant", "bee", "cat"])
    zipped(dataset, tmp_path / "set.zip")
    again = add_dataset(tmp_path / "set.zip")
    assert again.counts() == dataset.counts() and again.classes == dataset.classes
    there = {again.digests[i].tobytes(): i for i in range(again.n)}
    for i in range(dataset.n):
        j = there[dataset.digests[i].tobytes()]
        assert np.array_equal(np.asarray(dataset.image(i)), np.asarray(again.image(j)))
        assert (dataset.labels[i], dataset.splits[i]) == (again.labels[j], again.splits[j])


def test_hostile_class_names_become_distinct_harmless_folders(workspace: Path, tmp_path: Path) -> None:
    names = zipped(stored(HOSTILE), tmp_path / "set.zip")
    assert len(set(names)) == 4 * len(HOSTILE)
    for name in names:
        path = PurePosixPath(name)
        assert name.isascii() and not path.is_absolute() and len(path.parts) == 3
        assert not {"..", "."} & set(path.parts) and not set('\\:*?"<>|') & set(name)
        assert path.parts[1].split(".")[0].upper() not in ("CON", "NUL") and len(path.parts[1]) <= 80
    assert len({PurePosixPath(name).parts[1].lower() for name in names}) == len(HOSTILE)


@pytest.mark.parametrize("texts", [["a!", "a-3", "a?"], ["a?", "a!", "a-2"], ["x", "X", "x-2", "X-2"]])
def test_names_stay_apart_whatever_numbers_they_end_in(texts: list[str]) -> None:
    assert len({name.lower() for name in ascii_names(texts, "class")}) == len(texts)


def test_a_set_without_labels_has_no_class_folders(workspace: Path, tmp_path: Path) -> None:
    names = zipped(stored([]), tmp_path / "set.zip")
    assert len(names) == 4 and all(len(PurePosixPath(name).parts) == 2 for name in names)


def test_the_zip_is_the_same_every_time(workspace: Path, tmp_path: Path) -> None:
    dataset = stored(["a", "b"])
    write_zip(dataset, tmp_path / "one.zip")
    write_zip(dataset, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
