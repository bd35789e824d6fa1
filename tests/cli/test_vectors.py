"""`vectors`: files added, listed and removed from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.cli.main import main
from engine.data.dataset import Dataset, open_dataset
from engine.data.drawn_sets import build_shapes
from engine.data.vectors import list_vectors, read_vectors

X = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


@pytest.fixture
def shapes(workspace: Path) -> Dataset:
    return build_shapes("shapes", "Shapes", 32, "drawn", images={"train": 20, "val": 10, "test": 10})


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, list[Any], str]:
    """(exit code, JSON objects on standard output, standard error) of a command."""
    try:
        code = main([*argv, "--json"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def test_vectors_are_added_listed_and_removed(
    shapes: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "x.npz", first=X, second=2 * X)
    add = ["vectors", "add", str(tmp_path / "x.npz"), "--data", "shapes", "--array", "second"]
    code, (told,), _ = said(capsys, *add, "--name", "Twice")
    assert code == 0 and told == {**told, "data": "shapes", "rows": 40, "width": 6}
    assert told["encoder"] == f"vectors:{told['id']}"
    assert np.array_equal(read_vectors(told["id"], shapes), 2 * X)
    _, listed, _ = said(capsys, "vectors", "list", "--data", "shapes")
    assert [(one["id"], one["name"], one["width"]) for one in listed] == [(told["id"], "Twice", 6)]
    assert main(["vectors", "list"]) == 0 and "40 x 6" in capsys.readouterr().out
    assert said(capsys, "vectors", "remove", told["id"])[0] == 0 and list_vectors() == []


def test_vectors_without_a_data_set_get_one(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "mine.npy", X)
    assert main(["vectors", "add", str(tmp_path / "mine.npy")]) == 0
    (info,) = list_vectors()
    assert f"python -m engine project {info.encoder} --data {info.dataset}" in capsys.readouterr().out
    assert open_dataset(info.dataset).name == "mine"


BAD = {
    "no file": ["add", "/nowhere/x.npy", "--data", "shapes"],
    "another kind": ["add", "x.pkl", "--data", "shapes"],
    "a folder": ["add", "/", "--data", "shapes"],
    "unknown data": ["add", "x.npy", "--data", "nosuchset"],
    "no such array": ["add", "x.npy", "--data", "shapes", "--array", "a"],
    "another count": ["add", "x.npy", "--data", "shapes"],
    "unknown id": ["remove", "nosuchvectors"],
    "a path for an id": ["remove", "../../etc"],
    "a path for data": ["list", "--data", "../../etc"],
    "nothing": [],
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_exit_code_two(
    case: str,
    shapes: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X[:39])
    Path("x.pkl").write_bytes(b"\x80\x04.")
    code, told, err = said(capsys, "vectors", *BAD[case])
    assert code == 2 and told == []
    assert len(err.splitlines()) == 1 and 10 < len(err) <= 420
    assert "Traceback" not in err and "Errno" not in err and str(tmp_path) not in err
    assert list_vectors() == []
