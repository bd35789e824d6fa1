"""`project`: maps from the command line, written to files that agree with what is told."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from engine.cli.main import main
from engine.data.dataset import Dataset
from engine.data.drawn_sets import build_shapes
from engine.evaluation.map_result import read_map


@pytest.fixture
def shapes(workspace: Any) -> Dataset:
    return build_shapes("shapes", "Shapes", 16, "drawn", images={"train": 60, "val": 30, "test": 10})


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, list[Any], str]:
    """(exit code, JSON objects on standard output, standard error) of a command."""
    try:
        code = main(["project", *argv, "--json"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def test_it_tells_seconds_and_how_far_each_map_can_be_trusted(
    shapes: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told, _ = said(capsys, "pixels", "--data", "shapes", "--method", "pca,isomap", "--points", "50")
    assert code == 0 and len(told) == 1
    answer = told[0]
    assert (answer["points"], answer["of"], list(answer["maps"])) == (50, 100, ["pca", "isomap"])
    for figures in answer["maps"].values():
        assert figures["seconds"] > 0 and figures["error"] is None
        assert 0.5 < figures["trustworthiness"] <= 1 and 0.5 < figures["continuity"] <= 1
        assert 0 <= figures["hit"] <= 1
    found = read_map(answer["run"])
    assert found is not None
    assert found.panels[0].quality["trustworthiness"] == answer["maps"]["pca"]["trustworthiness"]


def test_the_same_question_finds_the_map_that_is_there(
    shapes: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ("random:cnn-small", "--data", "shapes", "--method", "pca", "--image-size", "16")
    first = said(capsys, *line)[1][0]["run"]
    code, told, err = said(capsys, *line)
    assert code == 0 and told[0]["run"] == first and "has been run before" in err
    assert said(capsys, *line, "--again")[1][0]["run"] != first


def test_the_files_hold_the_positions_that_the_run_kept(
    shapes: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("map.csv", "map.parquet", "map.npz"):
        line = ("pixels", "--data", "shapes", "--method", "pca", "--out", str(tmp_path / name))
        code, told, err = said(capsys, *line)
        assert code == 0 and name in err
    found = read_map(told[0]["run"])
    assert found is not None
    kept = np.asarray(found.panels[0].positions)
    with open(tmp_path / "map.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["label"]) for row in rows] == [
        (shapes.names[i], shapes.classes[shapes.labels[i]]) for i in found.index
    ]
    as_text = np.array([[float(row["pca_x"]), float(row["pca_y"])] for row in rows])
    assert as_text == pytest.approx(kept, abs=1e-5)
    assert rows[3]["neighbours"].split() == [str(found.index[i]) for i in found.neighbours[3][:10]]
    table = parquet.read_table(tmp_path / "map.parquet").to_pydict()
    assert table["pca_x"] == pytest.approx(kept[:, 0].tolist(), abs=1e-5)
    with np.load(tmp_path / "map.npz") as arrays:
        assert np.array_equal(arrays["pca"], kept) and np.array_equal(arrays["index"], found.index)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("pixels", "--data", "nowhere"), "nowhere"),
        (("pixels", "--data", "shapes", "--method", "pcb"), "no projection 'pcb'"),
        (("random:nothing", "--data", "shapes"), "nothing"),
        (("pixels", "--data", "shapes", "--points", "4"), "points must be"),
        (("pixels", "--data", "shapes", "--set", "pca_colour=1"), "There is no setting 'pca_colour'"),
        (("pixels", "--data", "shapes", "--out", "map.docx"), "--out must end in one of"),
        (("pixels", "--data", "shapes", "--out", "a.csv", "--detach"), "leave one of them out"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(
    line: tuple[str, ...], told: str, shapes: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(capsys, *line)
    assert code == 2 and not out and told in err and len(err.strip()) <= 300 and "\n" not in err.strip()
