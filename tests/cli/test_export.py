"""`export`, `runs import` and `workspace`: files written and taken in from the command line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from engine.cli.main import main
from engine.export.run_formats import RUN_FORMATS
from engine.export.take import write_run
from engine.runs.store import RunStore
from tests.export.map_runs import coloured_set, map_run
from tests.pages.coded import code_run
from tests.pages.made import make_dataset, make_recipe, make_run


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, list[Any], str]:
    """(exit code, JSON objects on standard output, standard error) of a command."""
    try:
        code = main([*argv, "--json"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


# the formats that load no exporter; the others are written by the same function (tests/export)
QUICK = ("safetensors", "decoder", "script", "features", "csv", "report", "recipe", "code", "zip")


def test_every_quick_format_is_written_whole_and_never_over_another(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = code_run(make_dataset())
    for name in QUICK:
        out = tmp_path / name
        code, told, _ = said(capsys, "export", run, "--format", name, "--out", str(out))
        assert code == 0 and told == [{"file": name, "bytes": out.stat().st_size}] and told[0]["bytes"] > 50
        before = out.read_bytes()
        code, told, err = said(capsys, "export", run, "--format", name, "--out", str(out))
        assert (code, told) == (2, []) and "exists already" in err and out.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {*QUICK, "workspace"}


def test_torchscript_is_the_word_of_the_design(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = code_run(make_dataset(), "linear_autoencoder")
    monkeypatch.chdir(tmp_path)
    code, told, err = said(capsys, "export", run, "--format", "torchscript")
    assert code == 0 and told[0]["file"] == f"network-{run}.pt" and "Warning" not in err
    assert zipfile.is_zipfile(tmp_path / f"network-{run}.pt")


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("made", "onnx", "kept no encoder"),
        ("made", "decoder", "only autoencoders"),
        ("map", "onnx", "trained no network"),
        ("map", "features", "trained no network"),
        ("queued", "zip", "not done"),
        ("queued", "csv", "not done"),
        ("none", "zip", "There is no run"),
        ("../x", "zip", "not a valid run id"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, name: str, told: str
) -> None:
    makers = {
        "made": lambda: make_run(make_dataset()),
        "map": lambda: map_run(coloured_set()),
        "queued": lambda: RunStore().create(make_recipe(make_dataset())).id,
    }
    run = makers[kind]() if kind in makers else kind
    code, out, err = said(capsys, "export", run, "--format", name, "--out", str(tmp_path / "file"))
    assert (code, out) == (2, []) and told in err and len(err.strip().splitlines()) == 1
    assert not list(tmp_path.glob("file*")) and not list(tmp_path.glob(".*"))


def test_an_unknown_format_is_told_with_the_known_ones(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = said(capsys, "export", "abc", "--format", "exe")
    assert code == 2 and "exe" in err
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    told = capsys.readouterr().out
    assert not [name for name in RUN_FORMATS if f"{name}: " not in " ".join(told.split())]


def test_a_run_is_imported_with_a_fresh_id_and_told(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(make_dataset(), "mine")
    write_run(run, "zip", tmp_path / "run.zip")
    code, told, err = said(capsys, "runs", "import", str(tmp_path / "run.zip"))
    assert code == 0 and told[0]["was"] == run and told[0]["id"] != run
    assert told[0]["name"] == "mine" and told[0]["missing"] is None
    assert main(["runs", "import", str(tmp_path / "run.zip")]) == 0
    assert "mine" in capsys.readouterr().out and len(RunStore().list()) == 3


def test_a_workspace_is_exported_and_imported_elsewhere(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset()
    runs = [make_run(dataset, f"run {seed}", seed) for seed in range(2)]
    out = tmp_path / "all.zip"
    code, told, _ = said(capsys, "workspace", "export", "--out", str(out))
    assert code == 0 and told == [{"file": "all.zip", "bytes": out.stat().st_size}]
    assert said(capsys, "workspace", "export", "--out", str(out))[0] == 2, "never over another"
    monkeypatch.setenv("REPLAB_WORKSPACE", str(tmp_path / "elsewhere"))
    code, told, _ = said(capsys, "workspace", "import", str(out))
    assert code == 0 and [one["id"] for one in told] == runs and "is not here" in told[0]["missing"]
    assert {run.name for run in RunStore().list()} == {"run 0", "run 1"}


def test_chosen_runs_travel_with_their_data(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, other = make_dataset(name="Mine"), make_dataset(("a", "b"), name="Other")
    run = make_run(dataset, "chosen")
    make_run(other, "left behind")
    out = tmp_path / "some.zip"
    code, told, _ = said(capsys, "workspace", "export", run, run, "--with-data", "--out", str(out))
    assert code == 0 and told == [{"file": "some.zip", "bytes": out.stat().st_size}]
    monkeypatch.setenv("REPLAB_WORKSPACE", str(tmp_path / "elsewhere"))
    code, told, _ = said(capsys, "workspace", "import", str(out))
    assert code == 0 and [(one["id"], one["missing"], one["brought"]) for one in told] == [(run, None, True)]
    code, told, _ = said(capsys, "data", "list")
    assert [one["name"] for one in told] == ["Mine"]
    assert main(["workspace", "import", str(out)]) == 0
    assert "came along" not in capsys.readouterr().err, "it is here by now"


def test_runs_that_cannot_be_packed_leave_no_file(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = RunStore().create(make_recipe(make_dataset())).id
    for run, told in ((waiting, "not finished"), ("none", "There is no run"), ("../x", "not a valid run id")):
        code, out, err = said(capsys, "workspace", "export", run, "--out", str(tmp_path / "some.zip"))
        assert (code, out) == (2, []) and told in err and len(err.strip().splitlines()) == 1
    nowhere = tmp_path / "no folder" / "some.zip"
    code, out, err = said(capsys, "workspace", "export", make_run(make_dataset()), "--out", str(nowhere))
    assert (code, out) == (2, []) and "some.zip cannot be written" in err
    assert {path.name for path in tmp_path.iterdir()} == {"workspace"}


def test_an_empty_workspace_has_nothing_to_pack(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = said(capsys, "workspace", "export", "--out", str(tmp_path / "all.zip"))
    assert code == 2 and "no finished run" in err and not list(tmp_path.glob("*.zip"))


@pytest.mark.parametrize("words", [("runs", "import"), ("workspace", "import")])
def test_a_file_that_is_no_run_is_one_sentence(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str]
) -> None:
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("../evil.txt", "x")
    for path in (bad, tmp_path / "none.zip", tmp_path):
        code, out, err = said(capsys, *words, str(path))
        assert (code, out) == (2, []) and len(err.strip().splitlines()) == 1 and str(tmp_path) not in err
    assert not list(tmp_path.rglob("evil.txt")) and not RunStore().list()
