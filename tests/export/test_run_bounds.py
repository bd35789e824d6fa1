"""How much the arrays of a run from elsewhere may hold: large ones pass unread, lying ones do not."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import UserError
from engine.export import run_checks
from engine.export.run_checks import check_arrays, check_run
from engine.export.run_import import import_runs
from engine.export.run_zip import write_run_zip
from engine.runs import layout
from engine.runs.store import RunStore
from tests.export.map_runs import coloured_set, map_of, map_run
from tests.pages.coded import code_run
from tests.pages.made import make_dataset

MIB = 2**20


def numbers(mib: float, seed: int = 0) -> np.ndarray:
    """Numbers as a network gives them: nothing about them repeats."""
    return np.random.default_rng(seed).normal(size=int(mib * MIB / 4)).astype(np.float32)


def saved(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def test_a_large_run_is_taken_in_and_its_arrays_are_never_held_whole(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, store = code_run(make_dataset()), RunStore()
    rows = 60_000
    codes = np.random.default_rng(0).normal(size=(rows, 256)).astype(np.float16)
    place = store.predictions_path(run)
    saved(
        place,
        index=np.arange(rows),
        split=np.zeros(rows, np.uint8),
        label=np.arange(rows) % 2,
        code=codes,
        loss=np.ones(rows, np.float32),
    )
    write_run_zip(run, tmp_path / "large.zip")
    store.remove(run)
    monkeypatch.setattr(run_checks, "UNASKED", 0)  # as if every file were a large one
    tracemalloc.start()
    (found,) = import_runs(tmp_path / "large.zip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kept = store.predictions(found.id)
    assert kept is not None and np.array_equal(kept["code"], codes)
    assert codes.nbytes > 29 * MIB and peak < codes.nbytes / 2


def test_a_map_with_films_passes_at_the_same_measure(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, store = map_run(coloured_set()), RunStore()
    folder = store.folder(run)
    panel = layout.map_path(folder, "pca")
    with np.load(panel) as file:
        arrays = dict(file)
    n = len(arrays["positions"])
    film = np.cumsum(np.random.default_rng(0).normal(size=(2000, n, 2)), 0).astype(np.float32)
    saved(panel, **{**arrays, "frames": film})
    write_run_zip(run, tmp_path / "map.zip")
    store.remove(run)
    monkeypatch.setattr(run_checks, "UNASKED", MIB // 4)
    assert film.nbytes > MIB // 4
    (found,) = import_runs(tmp_path / "map.zip")
    with np.load(layout.map_path(store.folder(found.id), "pca")) as file:
        assert np.array_equal(file["frames"], film)
    assert map_of(found.id).done


def test_numbers_are_let_through_and_zeros_are_a_trap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_checks, "UNASKED", MIB)
    real, trap = numbers(4), np.zeros(MIB, np.float32)
    assert check_arrays(saved(tmp_path / "real.npz", x=real), 8 * MIB) == pytest.approx(real.nbytes, abs=400)
    assert check_arrays(saved(tmp_path / "few.npz", x=trap[: MIB // 8]), 8 * MIB) > 0, "a few say nothing"
    with pytest.raises(UserError, match="unpacks to more than is allowed"):
        check_arrays(saved(tmp_path / "trap.npz", x=trap), 8 * MIB)
    with pytest.raises(UserError, match="unpacks to more than is allowed"):
        check_arrays(saved(tmp_path / "real.npz", x=real), 3 * MIB)


def header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_a_header_that_claims_more_than_there_is(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_checks, "UNASKED", MIB)
    path = tmp_path / "lying.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header((10**9,)) + bytes(100))
    with pytest.raises(UserError, match="unpacks to more than is allowed"):
        check_arrays(path, 2**31)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header((1,)) + bytes(4 * MIB))
    with pytest.raises(UserError, match="unpacks to more than is allowed"):
        check_arrays(path, 2**31)


def test_rows_that_the_header_promises_must_be_there(workspace: Path) -> None:
    run = code_run(make_dataset())
    folder = RunStore().folder(run)
    path = folder / layout.PREDICTIONS
    with np.load(path) as file:
        arrays = dict(file)
    n = len(arrays["index"])
    assert check_run(folder, None)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("index", "split", "label"):
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, arrays[name])
        archive.writestr("code.npy", header((n, 4)) + bytes(n * 16 - 4))
    with pytest.raises(UserError, match="not as a training writes it"):
        check_run(folder, None)


@pytest.mark.parametrize("place", [0, 1, -1])
def test_one_wrong_number_among_millions_is_found(
    workspace: Path, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_checks, "BLOCK", 1001)  # no whole number of rows
    run = code_run(make_dataset())
    folder = RunStore().folder(run)
    rows = 5000
    arrays: dict[str, np.ndarray] = {
        "index": np.arange(rows),
        "split": np.zeros(rows, np.uint8),
        "label": np.zeros(rows, int),
        "code": numbers(rows * 8 / MIB).reshape(rows, 2),
    }
    saved(folder / layout.PREDICTIONS, **arrays)
    assert check_run(folder, None)
    for name, value in (("code", np.nan), ("label", 2), ("split", 3), ("index", -1)):
        wrong = arrays[name].astype(np.int64 if name == "index" else arrays[name].dtype).copy()
        wrong[place] = value
        saved(folder / layout.PREDICTIONS, **{**arrays, name: wrong})
        with pytest.raises(UserError, match="not as a training writes it"):
            check_run(folder, None)
