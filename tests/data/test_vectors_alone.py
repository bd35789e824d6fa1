"""Vectors without images: a data set of pictures of their numbers, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest

from engine.data.dataset import list_datasets, open_dataset
from engine.data.vectors import read_vectors, vectors_info
from engine.data.vectors_alone import EMPTY, SMALLEST, add_vectors_alone, picture_of
from engine.errors import UserError
from engine.settings import settings

N, D = 12, 5
X = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)


def test_every_row_becomes_an_image_and_keeps_its_vector(workspace: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", X)
    data, vectors = add_vectors_alone(tmp_path / "mine.npy", "My numbers")
    dataset = open_dataset(data)
    assert np.array_equal(read_vectors(vectors, dataset), X)
    assert (dataset.name, len(dataset), dataset.names[0]) == ("My numbers", N, "row 1")
    assert not dataset.is_labelled and "without images" in dataset.report["notes"][0]
    assert not list(settings().tmp.iterdir())


def test_pictures_show_the_numbers_from_the_top_left() -> None:
    black, white = np.full(D, -1.0), np.full(D, 3.0)
    x = np.array([[-1, 0, 1, 3, 7], [-9, 2, np.nan, 1, 1]])
    found = picture_of(x, black, white)
    step = found.shape[1] // 3
    assert found.shape[1] >= SMALLEST and found.shape[1] == 3 * step
    cells = found[:, ::step, ::step].reshape(2, 9)
    assert cells[0].tolist() == [0, 64, 128, 255, 255, EMPTY, EMPTY, EMPTY, EMPTY]
    assert cells[1, :5].tolist() == [0, 191, 0, 128, 128]


def test_a_column_that_never_changes_is_drawn_too() -> None:
    assert picture_of(np.ones((2, 1)), np.ones(1), np.ones(1)).max() == 0


@pytest.mark.parametrize("called", ["label", "Class"])
def test_a_column_of_labels_gives_the_classes(called: str, workspace: Path, tmp_path: Path) -> None:
    labels = ["b", "a", "", "c"] * 3
    names = ["../up", "same", "same", "x\ny"] * 3
    columns = {called: labels, "name": names, **{f"d{k}": X[:, k] for k in range(D)}}
    parquet.write_table(pyarrow.table(columns), tmp_path / "mine.parquet")
    data, vectors = add_vectors_alone(tmp_path / "mine.parquet")
    dataset = open_dataset(data)
    assert dataset.classes == ("a", "b", "c")
    assert dataset.labels.tolist() == [1, 0, -1, 2] * 3
    assert dataset.names[0] == "../up" and "\n" not in dataset.names[3]
    assert np.array_equal(read_vectors(vectors, dataset), X), "names need not tell rows apart here"


def test_a_row_without_numbers_is_a_picture_too(workspace: Path, tmp_path: Path) -> None:
    x = X.copy()
    x[2], x[5, 1], x[:, 4] = np.nan, -np.inf, np.nan
    x[5:, 4] = 1
    np.save(tmp_path / "mine.npy", x)
    data, vectors = add_vectors_alone(tmp_path / "mine.npy")
    assert np.array_equal(read_vectors(vectors, open_dataset(data)), x, equal_nan=True)
    assert vectors_info(vectors).lacking == 6 and len(open_dataset(data)) == N


@pytest.mark.parametrize("kind", ["NaN", "cut", "labels", "few"])
def test_a_bad_file_leaves_no_data_set(
    kind: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.npy"
    np.save(
        path,
        np.where(np.arange(N)[:, None] > 3, np.nan, X) if kind == "NaN" else X[: 4 if kind == "few" else N],
    )
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-4])
    elif kind == "labels":
        monkeypatch.setenv("REPLAB_MAX_CLASSES", "2")
        path = tmp_path / "mine.parquet"
        parquet.write_table(pyarrow.table({"label": range(N), "a": X[:, 0]}), path)
    with pytest.raises(UserError, match=path.name):
        add_vectors_alone(path)
    assert list_datasets() == [] and not list(settings().tmp.iterdir())
