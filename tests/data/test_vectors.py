"""Vectors that people bring: every kind of file read as NumPy and Arrow wrote it, every bad one refused."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest

from engine.data.dataset import Dataset, remove_dataset
from engine.data.vectors import (
    add_vectors,
    list_vectors,
    read_vectors,
    remove_vectors,
    vectors_id,
    vectors_info,
)
from engine.data.writer import DatasetWriter
from engine.errors import MAX_MESSAGE, UserError
from engine.settings import settings
from tests.data.conftest import picture

N, D = 6, 3
NAMES = [f"cats/{k}.png" for k in range(N)]
X = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)


@pytest.fixture
def dataset(workspace: Path) -> Dataset:
    with DatasetWriter("Six") as writer:
        for number, name in enumerate(NAMES):
            writer.add(picture(number), name)
        return writer.finish(classes=[], labels=np.full(N, -1), splits=np.zeros(N, np.uint8))


def everything() -> list[str]:
    root = settings().workspace
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def kept(path: Path, dataset: Dataset, **more: Any) -> np.ndarray:
    return np.asarray(read_vectors(add_vectors(path, dataset.id, **more), dataset))


@pytest.mark.parametrize("kind", ["<f4", ">f8", "<f2", "<i8", "|u1"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_of_any_number_and_order_become_float32(
    kind: str, order: str, suffix: str, dataset: Dataset, tmp_path: Path
) -> None:
    x = np.array(100 * np.abs(X), kind, order=order)  # type: ignore[call-overload]
    path = tmp_path / f"mine{suffix}"
    np.save(path, x) if suffix == ".npy" else np.savez_compressed(path, features=x, labels=np.arange(N))
    found = kept(path, dataset)
    assert found.dtype == np.float32 and np.array_equal(found, x.astype(np.float32))


def test_of_several_tables_the_one_that_is_named_is_taken(dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "two.npz"
    np.savez(path, before=X, after=2 * X)
    with pytest.raises(UserError, match="2 tables of numbers.*before, after"):
        add_vectors(path, dataset.id)
    assert np.array_equal(kept(path, dataset, array="after"), 2 * X)
    with pytest.raises(UserError, match="no array called 'middle'"):
        add_vectors(path, dataset.id, array="middle")


def test_parts_of_a_long_table_come_in_their_order(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.data.vector_files.CHUNK_BYTES", 4 * D * 2)
    np.save(tmp_path / "x.npy", X)
    assert np.array_equal(kept(tmp_path / "x.npy", dataset), X)


def table(**more: Any) -> pyarrow.Table:
    return pyarrow.table({**{f"d{k}": X[:, k] for k in range(D)}, **more})


def write(table: pyarrow.Table, path: Path, **more: Any) -> Path:
    parquet.write_table(table, path, **more)
    return path


@pytest.mark.parametrize("compression", ["none", "zstd", "snappy"])
def test_columns_of_numbers_become_vectors_and_labels_do_not(
    compression: str, dataset: Dataset, tmp_path: Path
) -> None:
    whole = {"label": np.arange(N), "e": pyarrow.array(np.arange(N), pyarrow.int8())}
    path = write(table(**whole), tmp_path / "x.parquet", compression=compression, row_group_size=2)
    found = kept(path, dataset)
    assert np.array_equal(found, np.column_stack([X, np.arange(N)]).astype(np.float32))


@pytest.mark.parametrize("column", ["file", "Name"])
@pytest.mark.parametrize("long", [True, False])
def test_a_column_of_file_names_says_which_row_is_whose(
    column: str, long: bool, dataset: Dataset, tmp_path: Path
) -> None:
    order = np.array([4, 2, 0, 5, 1, 3])
    names = [NAMES[k] if long else NAMES[k].partition("/")[2] for k in order]
    columns = {f"d{k}": np.append(X[order, k], 99) for k in range(D)}
    path = write(pyarrow.table({column: [*names, "other.png"], **columns}), tmp_path / "x.parquet")
    new = add_vectors(path, dataset.id)
    assert np.array_equal(read_vectors(new, dataset), X) and vectors_info(new).by_name


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1e300])  # the last one in float32
def test_rows_that_hold_no_finite_numbers_are_kept_and_counted(
    value: float, dataset: Dataset, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", changed(X, value))
    new = add_vectors(tmp_path / "x.npy", dataset.id)
    found = read_vectors(new, dataset)
    assert vectors_info(new).lacking == 1 and not np.isfinite(found[3]).all()
    others = np.arange(N) != 3
    assert np.array_equal(found[others], X[others])


def test_rows_of_other_files_are_not_counted(dataset: Dataset, tmp_path: Path) -> None:
    columns = {f"d{k}": np.append(X[:, k], np.nan) for k in range(D)}
    path = write(pyarrow.table({"file": [*NAMES, "other.png"], **columns}), tmp_path / "x.parquet")
    assert vectors_info(add_vectors(path, dataset.id)).lacking == 0


def test_vectors_are_listed_and_removed_and_go_with_their_data_set(dataset: Dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    before = everything()
    first = add_vectors(tmp_path / "x.npy", dataset.id, "My <b>own</b>\n.npy")
    second = add_vectors(tmp_path / "x.npy", dataset.id)
    assert {info.id for info in list_vectors()} == {first, second} == {i.id for i in list_vectors(dataset.id)}
    info = vectors_info(first)
    assert (info.rows, info.width, info.encoder) == (N, D, f"vectors:{first}")
    assert info.name == "My <b>own</b> .npy" and vectors_info(second).name == "x"
    assert vectors_id(info.encoder) == first and vectors_id("pixels") is None
    remove_vectors(first)
    assert [info.id for info in list_vectors()] == [second]
    with pytest.raises(UserError, match="no vectors"):
        read_vectors(first, dataset)
    remove_vectors(second)
    assert [name for name in everything() if name not in before] == [f"datasets/{dataset.id}/vectors"]
    add_vectors(tmp_path / "x.npy", dataset.id)
    remove_dataset(dataset.id)
    assert list_vectors() == []


@pytest.mark.parametrize("name", ["vectors:../../etc", "vectors:", "vectors:A b"])
def test_an_id_that_is_none_never_becomes_a_path(name: str, workspace: Path) -> None:
    with pytest.raises(UserError, match="not a valid vectors id"):
        vectors_id(name)


def test_vectors_of_other_images_and_damaged_ones_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    new = add_vectors(tmp_path / "x.npy", dataset.id)
    with DatasetWriter("Other") as writer:
        writer.add(picture(0), "a.png")
        other = writer.finish(classes=[], labels=np.full(1, -1), splits=np.zeros(1, np.uint8))
    with pytest.raises(UserError, match="belong to other images"):
        read_vectors(new, other)
    path = dataset.root / "vectors" / new / "vectors.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match="damaged on disk"):
        read_vectors(new, dataset)


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch canary",)


def npy(x: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, x, allow_pickle=True)
    return file.getvalue()


def header(shape: str, kind: str = "<f4") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def npz(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def pq(made: pyarrow.Table) -> bytes:
    file = io.BytesIO()
    parquet.write_table(made, file)
    return file.getvalue()


def changed(x: np.ndarray, value: float, row: int = 3) -> np.ndarray:
    x = x.astype(np.float64)
    x[row, 1] = value
    return x


def hurt() -> bytes:
    data = bytearray(npz(a=WHOLE))
    place = data.index(b"a.npy") + len("a.npy")
    data[place : place + 30] = b"\xff" * 30
    return bytes(data)


def bomb() -> bytes:
    return npz(a=header("(60, 8192)", "<f8") + bytes(60 * 8192 * 8))


WHOLE = npy(X)
BAD: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "one dimension": (".npy", "1 dimension", lambda: npy(X[:, 0])),
    "three dimensions": (".npy", "3 dimensions", lambda: npy(X[None])),
    "no dimension": (".npy", "0 dimensions", lambda: npy(np.float32(1))),
    "objects": (".npy", "Python objects", lambda: npy(X.astype(object))),
    "a hostile object": (".npy", "Python objects", lambda: npy(np.array([[Trap()]] * N, object))),
    "a bare pickle": (".npy", "no .npy array", lambda: pickle.dumps(Trap())),
    "text": (".npy", "no plain numbers", lambda: npy(X.astype(str))),
    "complex": (".npy", "no plain numbers", lambda: npy(X.astype(complex))),
    "records": (".npy", "no plain numbers", lambda: npy(np.zeros((N, 2), "f4,i4"))),
    "NaN": (".npy", "2 of 6 rows", lambda: npy(changed(changed(X, np.nan), np.inf, row=0))),
    "nothing but NaN": (".npy", "6 of 6 rows", lambda: npy(np.nan * X)),
    "too large to square": (".npy", "Row 4 of", lambda: npy(changed(X, 1e20))),
    "few rows": (".npy", "4 rows", lambda: npy(X[:4])),
    "another count": (".npy", "5 rows and 'Six' 6 images", lambda: npy(X[:5])),
    "no columns": (".npy", "0 numbers a row", lambda: npy(X[:, :0])),
    "many columns": (".npy", "8,193 numbers a row", lambda: npy(np.zeros((N, 8193), np.int8))),
    "many rows": (".npy", "60,001 rows", lambda: npy(np.zeros((60_001, 1), np.int8))),
    "cut": (".npy", "cut short", lambda: WHOLE[:-5]),
    "cut in the header": (".npy", "no .npy array", lambda: WHOLE[:40]),
    "longer than it says": (".npy", "more than it says", lambda: WHOLE + b"more"),
    "a lying shape": (".npy", "cut short", lambda: header("(60000, 8192)") + bytes(72)),
    "an endless shape": (".npy", "far too many rows", lambda: header(f"({'9' * 40}, 3)")),
    "a negative shape": (".npy", "-6 rows", lambda: header("(-6, -3)") + bytes(72)),
    "a shape of words": (".npy", "no .npy array", lambda: header("('a', 3)")),
    "a nested header": (".npy", "no .npy array", lambda: header("(" * 90)),
    "empty": (".npy", "is empty", lambda: b""),
    "an image": (".npy", "no .npy array", lambda: picture(0)),
    "another suffix": (".pkl", "no file of vectors", lambda: pickle.dumps(Trap())),
    "npz of nothing": (".npz", "holds no array", lambda: npz()),
    "npz of objects": (".npz", "Python objects", lambda: npz(a=npy(X.astype(object)))),
    "npz of labels": (".npz", "1 dimension", lambda: npz(a=npy(np.arange(N)))),
    "npz cut": (".npz", "no .npz", lambda: npz(a=WHOLE)[:-30]),
    "npz with damage": (".npz", "damaged", hurt),
    "npz no zip": (".npz", "no .npz", lambda: WHOLE),
    "npz bomb": (".npz", "as only a trap does", bomb),
    "npz that lies": (".npz", "does not hold what it says", lambda: npz(a=header("(6, 300)") + bytes(72))),
    "npz beyond its word": (".npz", "does not hold what it says", lambda: npz(a=WHOLE + b"more")),
    "parquet cut": (".parquet", "no Parquet file", lambda: pq(table())[:-20]),
    "parquet of noise": (".parquet", "no Parquet file", lambda: b"PAR1" + bytes(range(256)) + b"PAR1"),
    "parquet nested": (".parquet", "holds nested values", lambda: pq(table(v=[[1.0, 2.0]] * N))),
    "parquet of structs": (".parquet", "holds nested values", lambda: pq(table(v=[{"a": 1}] * N))),
    "parquet of text": (".parquet", "'word' of", lambda: pq(table(word=["a"] * N))),
    "parquet of dates": (".parquet", "holds no numbers", lambda: pq(table(t=[date(2026, 1, 1)] * N))),
    "parquet of names": (".parquet", "0 numbers a row", lambda: pq(pyarrow.table({"file": NAMES}))),
    "parquet with gaps": (".parquet", "2 of 6 rows", lambda: pq(table(v=[1, None, 3, None, 5, 6]))),
    "parquet twice": (".parquet", "same name", lambda: pq(pyarrow.table([X[:, 0]] * 2, ["a"] * 2))),
    "a name twice": (".parquet", "2 times", lambda: pq(table(file=[*NAMES[:5], NAMES[0]]))),
    "names of others": (".parquet", "no row for 1 of 6", lambda: pq(table(file=[*NAMES[:5], "x.png"]))),
    "endless names": (".parquet", "2,000 letters", lambda: pq(table(file=["x" * 2000] * N))),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_sentence_and_leaves_nothing(
    case: str, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix, words, make = BAD[case]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(make())
    before = everything()
    with pytest.raises(UserError) as refused:
        add_vectors(path, dataset.id)
    said = str(refused.value)
    assert words in said and f"mine{suffix}" in said, said
    assert len(said) <= MAX_MESSAGE and said.endswith(".") and str(tmp_path) not in said
    assert everything() == before and sorted(os.listdir(tmp_path)) == [f"mine{suffix}", "workspace"]


def test_a_file_over_the_limits_is_refused(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "x.npz", X)
    monkeypatch.setenv("REPLAB_MAX_UNPACKED_BYTES", "50")
    with pytest.raises(UserError, match="unpacks to more than"):
        add_vectors(tmp_path / "x.npz", dataset.id)
    monkeypatch.setenv("REPLAB_MAX_UPLOAD_BYTES", "100")
    with pytest.raises(UserError, match="'x.npy' is larger than"):
        add_vectors(tmp_path / "x.npy", dataset.id)


def test_a_disk_that_would_be_too_full_is_told_before_it_is(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", X)
    before = everything()
    monkeypatch.setenv("REPLAB_MIN_FREE_BYTES", str(2**62))
    with pytest.raises(UserError, match="Too little disk is free"):
        add_vectors(tmp_path / "x.npy", dataset.id)
    assert everything() == before


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet"])
def test_damaged_bytes_never_do_more_than_be_refused(suffix: str, dataset: Dataset, tmp_path: Path) -> None:
    whole = {".npy": WHOLE, ".npz": npz(a=WHOLE), ".parquet": pq(table(file=NAMES))}[suffix]
    random = np.random.default_rng(1)
    before = len(everything())
    for _ in range(8 if suffix == ".parquet" else 150):
        data = bytearray(whole)
        for place in random.integers(0, len(data), random.integers(1, 5)):
            data[place] = random.integers(256)
        path = tmp_path / f"mine{suffix}"
        path.write_bytes(data[: random.integers(len(data) // 2, 2 * len(data))])
        try:
            remove_vectors(add_vectors(path, dataset.id))
        except UserError as error:
            assert len(str(error)) <= MAX_MESSAGE
    assert len(everything()) <= before + 1
