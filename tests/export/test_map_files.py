"""A map as a file: the ending says what is written, and a file is there whole or not at all."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from engine import files
from engine.cli import project
from engine.cli.main import main
from engine.data.dataset import remove_dataset
from engine.data.index import INFO
from engine.errors import UserError
from engine.export import maps
from engine.export.map_formats import MAP_FORMATS
from engine.export.maps import write_map
from engine.runs.store import RunStore
from tests.export.map_runs import HOSTILE, coloured_set, map_of, map_recipe, map_run

MAGIC = {
    ".csv": b"image,name,split,label",
    ".parquet": b"PAR1",
    ".npz": b"PK\3\4",
    ".html": b"<!DOCTYPE html>",
    ".svg": b"<?xml",
    ".png": b"\x89PNG\r\n",
    ".zip": b"PK\3\4",
}


@pytest.mark.parametrize("ending", MAP_FORMATS)
def test_every_ending_writes_its_kind_of_file_and_leaves_nothing_else(
    workspace: Path, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / "out" / f"map{ending.upper()}"
    path.parent.mkdir()
    write_map(map_run(coloured_set()), path)
    assert path.read_bytes().startswith(MAGIC[ending])
    assert list(path.parent.iterdir()) == [path]


def test_the_command_line_knows_the_endings_of_the_table() -> None:
    assert set(project.SUFFIXES) == set(MAP_FORMATS) == set(MAGIC)


def test_tables_and_arrays_tell_the_same_places(workspace: Path, tmp_path: Path) -> None:
    from pyarrow import parquet

    run = map_run(coloured_set(classes=["=1+1", "b"]))
    found = map_of(run)
    for ending in (".csv", ".parquet", ".npz"):
        write_map(run, tmp_path / f"map{ending}")
    rows = list(csv.DictReader((tmp_path / "map.csv").open(newline="", encoding="utf-8")))
    columns = parquet.read_table(tmp_path / "map.parquet").to_pydict()
    arrays = np.load(tmp_path / "map.npz")
    assert [int(row["image"]) for row in rows] == columns["image"] == found.index.tolist()
    for method in ("pca", "isomap"):
        np.testing.assert_array_equal(arrays[method], map_of(run).done[method == "isomap"].positions)
        np.testing.assert_allclose(columns[f"{method}_y"], arrays[method][:, 1], atol=1e-6)
        np.testing.assert_allclose([float(row[f"{method}_x"]) for row in rows], arrays[method][:, 0])
    assert {row["label"] for row in rows} == {"'=1+1", "b"}


def test_a_writer_that_fails_leaves_the_old_file_as_it_was(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(found: object, ending: str, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    run, path = map_run(coloured_set()), tmp_path / "out" / "map.svg"
    path.parent.mkdir()
    path.write_text("old")
    monkeypatch.setattr(maps, "write_bytes", half)
    with pytest.raises(
        UserError, match=r"^map.svg cannot be written: free some disk space, then try again.$"
    ):
        write_map(run, path)
    assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("where", ["none/map.svg", "folder.svg"])
def test_a_place_that_cannot_be_written_is_one_sentence(workspace: Path, tmp_path: Path, where: str) -> None:
    (tmp_path / "folder.svg").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=r"cannot be written: .*\.$"):
        write_map(map_run(coloured_set()), tmp_path / where)
    assert sorted({*tmp_path.iterdir()} - {workspace}) == sorted({*before} - {workspace})


def test_what_cannot_be_written_is_one_sentence(workspace: Path, tmp_path: Path) -> None:
    dataset = coloured_set()
    with pytest.raises(UserError, match=r"\.csv, .*\.zip\.$"):
        write_map(map_run(dataset), tmp_path / "map.pdf")
    with pytest.raises(UserError, match="no panel yet"):
        write_map(RunStore().create(map_recipe(dataset)).id, tmp_path / "map.svg")
    with pytest.raises(UserError, match="no panel yet"):
        write_map(map_run(dataset, ["pca"], failed="pca"), tmp_path / "map.svg")
    with pytest.raises(UserError):
        write_map("nosuchrun", tmp_path / "map.svg")
    assert not list(tmp_path.glob("map*")) and not list(tmp_path.glob(".map*"))


@pytest.mark.parametrize("ending", MAP_FORMATS)
def test_a_map_outlives_its_data_set(workspace: Path, tmp_path: Path, ending: str) -> None:
    dataset = coloured_set(classes=HOSTILE)
    run = map_run(dataset)
    remove_dataset(dataset.id)
    path = tmp_path / f"map{ending}"
    write_map(run, path)
    assert path.read_bytes().startswith(MAGIC[ending])


def test_a_data_set_that_is_another_by_now_lends_no_names_and_no_images(
    workspace: Path, tmp_path: Path
) -> None:
    dataset = coloured_set()
    run = map_run(dataset)
    info = files.read_json(dataset.root / INFO)
    files.write_json(dataset.root / INFO, {**info, "fingerprint": "another"})
    for ending in (".csv", ".html"):
        write_map(run, tmp_path / f"map{ending}")
    rows = list(csv.DictReader((tmp_path / "map.csv").open(newline="", encoding="utf-8")))
    assert len(rows) == 24 and {row["name"] for row in rows} == {""}
    page = (tmp_path / "map.html").read_text(encoding="utf-8")
    assert "This file holds no images." in page and "cat-0.png" not in page


def test_the_command_line_draws_a_map_and_writes_it(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, path = coloured_set(), tmp_path / "map.svg"
    words = ["project", "pixels", "--data", dataset.id, "--method", "pca", "--set", "neighbours=3"]
    assert main([*words, "--out", str(path)]) == 0
    assert path.read_text(encoding="utf-8").count("<circle") == 24 + 3  # points, and classes in the legend
    assert main([*words, "--out", str(tmp_path / "map.pdf")]) == 2
    assert ".svg" in capsys.readouterr().err and not (tmp_path / "map.pdf").exists()
