"""`compare`: what the engine measured, told in a table or as JSON; one sentence for problems."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.cli.main import main
from engine.data.dataset import Dataset
from engine.data.drawn_sets import build_shapes
from engine.evaluation.comparison_result import read_comparison
from engine.runs.store import RunStore

QUICK = ("--image-size", "16", "--set", "few_labels=false", "--set", "structure=false")


@pytest.fixture
def shapes(workspace: Any) -> Dataset:
    return build_shapes("shapes", "Shapes", 16, "drawn", images={"train": 60, "val": 30, "test": 20})


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, list[Any], str]:
    """(exit code, JSON objects on standard output, standard error) of a command."""
    try:
        code = main(["compare", *argv, "--json"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def test_it_tells_every_encoder_the_floors_and_the_advice(
    shapes: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ("random:resnet20,random:cnn-small", "--data", "shapes", "--image-size", "16")
    code, told, _ = said(capsys, *line, "--set", "draws=2", "--set", "few_most=2")
    assert code == 0 and len(told) == 1
    answer = told[0]
    names = ["random:cnn-small", "pixels", "random:resnet20"]
    assert [row["encoder"] for row in answer["encoders"]] == names
    assert [row["floor"] for row in answer["encoders"]] == [False, True, True]
    for row in answer["encoders"]:
        assert row["error"] is None and row["linear"]["n"] == answer["n"] == 20
        assert row["linear"]["low"] <= row["linear"]["accuracy"] <= row["linear"]["high"]
        assert [point["labels"] for point in row["few"]] == [1, 2, None]
    found = read_comparison(answer["run"])
    assert found is not None
    assert (answer["advice"], answer["best"]) == (found.advice(), found.best())
    assert RunStore().recipe(answer["run"]).config["encoders"] == "random:resnet20,random:cnn-small"


def test_the_same_question_finds_the_comparison_that_is_there(
    shapes: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ("random:cnn-small", "--data", "shapes", *QUICK)
    first = said(capsys, *line)[1][0]["run"]
    code, told, err = said(capsys, *line)
    assert code == 0 and told[0]["run"] == first and "has been run before" in err
    assert said(capsys, *line, "--seed", "1")[1][0]["run"] != first


def test_text_is_a_table_with_intervals_and_the_counts(
    shapes: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "random:cnn-small", "--data", "shapes", *QUICK]) == 0
    out = capsys.readouterr().out
    words = ("Raw pixels", "Compact CNN, random weights", " to ", "No advice", "20 of 20 test images judge")
    assert all(word in out for word in words)


def test_a_preset_measures_less(shapes: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("random:cnn-small", "--data", "shapes", "--image-size", "16")
    code, told, _ = said(capsys, *line, "--preset", "Best backbone in a minute")
    assert code == 0
    assert all("linear" in row and "knn" not in row and "few" not in row for row in told[0]["encoders"])


BAD = {
    "no encoder": ["--data", "shapes"],
    "an empty list": [",", "--data", "shapes"],
    "no data": ["pixels"],
    "unknown encoder": ["pixels,nonsense", "--data", "shapes"],
    "unknown architecture": ["random:nonsense", "--data", "shapes"],
    "unknown run": ["pixels,run:nosuchrun", "--data", "shapes"],
    "path for weights": ["file:../../x", "--data", "shapes"],
    "unknown vectors": ["vectors:nosuch", "--data", "shapes"],
    "unknown data": ["pixels", "--data", "nosuchset"],
    "unknown setting": ["pixels", "--data", "shapes", "--set", "colour=1"],
    "a setting out of bounds": ["pixels", "--data", "shapes", "--set", "draws=1000"],
    "unknown preset": ["pixels", "--data", "shapes", "--preset", "Magic"],
    "size": ["pixels", "--data", "shapes", "--image-size", "2"],
    "nothing but training images": ["pixels", "--data", "alone"],
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_exit_code_two(
    case: str, shapes: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    if "alone" in BAD[case]:
        build_shapes("alone", "Alone", 16, "drawn", images={"train": 20})
    code, told, err = said(capsys, *BAD[case])
    assert code == 2 and told == [] and RunStore().list() == []
    assert len(err.splitlines()) == 1 and 10 < len(err) <= 420 and "Traceback" not in err


def test_an_encoder_that_cannot_read_the_size_stands_on_its_row(
    shapes: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told, _ = said(capsys, "random:vgg16,random:cnn-small", "--data", "shapes", *QUICK)
    assert code == 0
    errors = {row["encoder"]: row["error"] for row in told[0]["encoders"]}
    assert "VGG-16 needs images of 32" in errors["random:vgg16"]
    assert errors["pixels"] is None and errors["random:cnn-small"] is None


def test_images_without_classes_cannot_be_compared(
    shapes: Dataset, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for i in range(12):
        shapes.image(i).save(folder / f"{i}.png")
    assert main(["data", "add", str(folder), "--name", "Mine", "--json"]) == 0
    added = json.loads(capsys.readouterr().out.splitlines()[-1])["id"]
    code, _, err = said(capsys, "pixels", "--data", added)
    assert code == 2 and "no classes" in err
