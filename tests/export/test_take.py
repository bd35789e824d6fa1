"""Features, tables, code and the files that are made in a process of their own."""

from __future__ import annotations

import ast
import csv
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from engine.data.dataset import open_dataset, remove_dataset
from engine.errors import UserError
from engine.export import making
from engine.export.code import command_line, python_lines
from engine.export.making import UNDER_WAY, Making
from engine.export.run_formats import RUN_FORMATS, refusal, run_format
from engine.export.take import write_run
from engine.fields import load
from engine.files import beside
from engine.lock import is_locked
from engine.runs.recipe import Recipe
from engine.runs.store import RunStore
from engine.settings import PROJECT_ROOT, settings
from tests.export.map_runs import coloured_set, map_run
from tests.pages.coded import code_run
from tests.pages.made import HOSTILE, make_dataset, make_recipe, make_run, make_unlabelled


def test_features_are_the_encoders_of_every_image_with_their_names(workspace: Path, tmp_path: Path) -> None:
    from pyarrow import parquet

    from tests.export.taken_runs import method_says

    dataset = make_dataset(HOSTILE[:2], (6, 3, 2))
    run = code_run(dataset)
    write_run(run, "features", tmp_path / "features.parquet")
    table = parquet.read_table(tmp_path / "features.parquet")
    assert table.column_names == ["image", "name", "split", "label", "vector"]
    rows = table.to_pydict()
    assert rows["name"] == dataset.names and rows["split"] == dataset.splits.tolist()
    assert rows["label"] == [dataset.classes[label] for label in dataset.labels]
    facts = json.loads(table.schema.metadata[b"representation-lab"])
    assert facts["run"] == run and facts["fingerprint"] == dataset.fingerprint

    import torch
    from PIL import Image

    images = [dataset.image(i).resize((16, 16), Image.Resampling.BILINEAR) for i in range(len(dataset))]
    x = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2).float() / 255
    wanted = method_says(run, x)["features"]
    np.testing.assert_allclose(np.array(rows["vector"]), wanted, atol=1e-4, rtol=1e-4)


def test_images_without_classes_have_no_label(workspace: Path, tmp_path: Path) -> None:
    from pyarrow import parquet

    run = code_run(make_unlabelled(12))
    write_run(run, "features", tmp_path / "features.parquet")
    assert parquet.read_table(tmp_path / "features.parquet").column("label").to_pylist() == [None] * 12


def test_features_of_images_that_are_gone_are_refused(workspace: Path, tmp_path: Path) -> None:
    dataset = make_dataset()
    run = code_run(dataset)
    remove_dataset(dataset.id)
    with pytest.raises(UserError, match="not here any more"):
        write_run(run, "features", tmp_path / "features.parquet")
    assert {path.name for path in tmp_path.iterdir()} == {"workspace"}


def test_a_table_is_what_the_run_said_and_a_maps_is_its_points(workspace: Path, tmp_path: Path) -> None:
    run = make_run(make_dataset(("cat", "dog")))
    write_run(run, "csv", tmp_path / "said.csv")
    rows = list(csv.DictReader((tmp_path / "said.csv").open(newline="")))
    assert len(rows) == 24 and {row["predicted"] for row in rows} == {"cat", "dog"}
    write_run(map_run(coloured_set()), "csv", tmp_path / "map.csv")
    assert "pca_x" in next(csv.reader((tmp_path / "map.csv").open(newline="")))


def test_weights_and_recipe_are_the_runs_own(workspace: Path, tmp_path: Path) -> None:
    run, store = code_run(make_dataset()), RunStore()
    for name, source in (("safetensors", store.encoder_path(run)), ("decoder", store.decoder_path(run))):
        write_run(run, name, tmp_path / name)
        assert (tmp_path / name).read_bytes() == source.read_bytes()
    write_run(run, "recipe", tmp_path / "recipe.json")
    assert Recipe.from_json((tmp_path / "recipe.json").read_bytes()) == store.recipe(run)


def test_the_code_that_is_shown_repeats_the_run(workspace: Path, tmp_path: Path) -> None:
    run, store = code_run(make_dataset()), RunStore()
    write_run(run, "code", tmp_path / "repeat.py")
    assert (tmp_path / "repeat.py").read_text() == python_lines(store.recipe(run))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "repeat.py")], cwd=PROJECT_ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    other = done.stdout.split()[0]
    assert other != run and store.recipe(other) == store.recipe(run)
    assert store.get(other).state == "done" and store.get(other).digest == store.get(run).digest
    mine, theirs = store.predictions(run), store.predictions(other)
    assert mine and theirs
    np.testing.assert_allclose(mine["code"], theirs["code"], atol=1e-6)


def test_the_code_builds_a_catalog_set_first(workspace: Path) -> None:
    recipe = Recipe(dataset="shapes", method="classification", image_size=32, config={"text": 'it\'s \\ "x"'})
    lines = python_lines(recipe)
    assert lines.index("build_catalog_set('shapes')") < lines.index("make_recipe(")
    start, end = lines.index("make_recipe(") + len("make_recipe("), lines.index("))\nstore")
    assert ast.literal_eval(lines[start:end].strip()) == recipe.model_dump()
    assert command_line(recipe, "abc") == "python -m engine train classification --recipe recipe-abc.json"


@pytest.mark.parametrize("name", RUN_FORMATS)
def test_every_format_has_a_writer_and_a_name_of_its_own(name: str) -> None:
    known = run_format(name)
    assert callable(load(known.place)) and known.line.endswith(".") and known.name("abc").count("abc") == 1
    assert [other.file for other in RUN_FORMATS.values()].count(known.file) == 1


def test_a_map_offers_what_needs_no_network(workspace: Path) -> None:
    run = map_run(coloured_set())
    offered = {name for name in RUN_FORMATS if refusal(run, name) is None}
    assert offered == {"csv", "report", "projector", "recipe", "code", "zip"}
    assert "trained no network" in str(refusal(run, "onnx"))


def test_only_a_map_offers_what_only_maps_have(workspace: Path) -> None:
    run = code_run(make_dataset())
    assert "is no map" in str(refusal(run, "projector"))
    assert {name for name in RUN_FORMATS if refusal(run, name) is None} == RUN_FORMATS.keys() - {"projector"}


def test_an_unfinished_run_offers_its_recipe_alone(workspace: Path) -> None:
    run = RunStore().create(make_recipe(make_dataset())).id
    assert {name for name in RUN_FORMATS if refusal(run, name) is None} == {"recipe", "code"}
    with pytest.raises(UserError, match="no run"):
        refusal("nobody", "zip")


def ended(run: str, name: str, seconds: float = 90) -> Making:
    deadline = time.monotonic() + seconds
    while (found := making.making(run, name)).state in UNDER_WAY:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_a_file_is_made_apart_kept_and_made_anew_when_the_run_changes(workspace: Path) -> None:
    run = code_run(make_dataset())
    assert making.making(run, "zip").state == "absent"
    with pytest.raises(UserError, match="not made yet"):
        making.made(run, "zip")
    making.start(run, "zip")
    making.start(run, "zip")  # harmless
    found = ended(run, "zip")
    path = making.made(run, "zip")
    assert found.state == "done" and found.bytes == path.stat().st_size and path.read_bytes()[:2] == b"PK"
    stamp = path.stat().st_ino
    making.start(run, "zip")
    assert making.made(run, "zip").stat().st_ino == stamp, "it is not made twice"
    RunStore().rename(run, "another name")
    assert making.making(run, "zip").state == "absent", "its name is in it"


def test_a_file_that_cannot_be_made_says_why(workspace: Path) -> None:
    dataset = make_dataset()
    run = code_run(dataset)
    with pytest.raises(UserError, match="only autoencoders|part of an image|not done|no format"):
        making.start(run, "nothing")
    remove_dataset(dataset.id)
    making.start(run, "features")
    found = ended(run, "features")
    assert found.state == "failed" and "not here any more" in str(found.error)


def test_stop_ends_the_making_and_leaves_nothing(workspace: Path) -> None:
    run = code_run(make_dataset())
    making.start(run, "onnx")
    making.stop(run, "onnx")
    assert ended(run, "onnx").state == "stopped"
    assert not list((settings().cache / "exports").glob("*/.made.*"))
    assert not list((settings().cache / "exports").glob("*/made"))


def test_a_making_whose_process_died_is_cut_off(workspace: Path) -> None:
    run = code_run(make_dataset())
    folder = making.made_folder(making.key_of(run, "zip"))
    folder.mkdir(parents=True)
    (folder / making.REQUEST).write_text(json.dumps({"run": run, "format": "zip", "started": 1.0}))
    (folder / making.STATUS).write_text(json.dumps({"state": "running", "phase": "packing"}))
    assert making.making(run, "zip").state == "interrupted"
    making.start(run, "zip")
    assert ended(run, "zip").state == "done"


@pytest.fixture
def slow_starts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the folders that a process is started for; between its look and its start a window dawdles."""
    started: list[str] = []

    def dawdle() -> None:
        time.sleep(0.3)

    monkeypatch.setattr(making, "_make_room", dawdle)
    monkeypatch.setattr(making, "start_detached", lambda module, folder: started.append(folder.name))
    return started


def at_once(run: str, names: list[str]) -> list[str]:
    """Every window starts a file in the same moment; what those were told that may not."""
    told: list[str] = []
    ready = threading.Barrier(len(names))

    def window(name: str) -> None:
        ready.wait()
        try:
            making.start(run, name)
        except UserError as error:
            told.append(str(error))

    windows = [threading.Thread(target=window, args=(name,)) for name in names]
    for one in windows:
        one.start()
    for one in windows:
        one.join()
    return told


def test_two_windows_that_ask_for_one_file_start_one_process(workspace: Path, slow_starts: list[str]) -> None:
    run = code_run(make_dataset())
    assert at_once(run, ["zip", "zip"]) == [] and slow_starts == [making.key_of(run, "zip")]
    assert making.making(run, "zip").state == "queued"


def test_windows_at_once_start_no_more_files_than_are_allowed(
    workspace: Path, slow_starts: list[str]
) -> None:
    run = code_run(make_dataset())
    told = at_once(run, ["zip", "report", "onnx", "script", "pt2"])
    assert len(slow_starts) == making.MOST_AT_ONCE == 3 and len(told) == 2
    assert all("being made already" in sentence for sentence in told)


def test_the_lock_is_given_back_whatever_happens(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(module: str, folder: Path) -> None:
        raise OSError

    run = code_run(make_dataset())
    monkeypatch.setattr(making, "start_detached", fail)
    with pytest.raises(OSError):
        making.start(run, "zip")
    assert not is_locked(settings().cache / "exports" / making.STARTING)


def test_what_was_never_finished_goes_after_an_hour(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = code_run(make_dataset())
    folders = [making.made_folder(name * 8) for name in ("old", "young")]
    for folder, age in zip(folders, (making.LEFT_AFTER + 60, making.LEFT_AFTER - 60), strict=True):
        folder.mkdir(parents=True)
        (folder / making.REQUEST).write_text(json.dumps({"started": 1.0}))
        os.utime(folder, (time.time() - age,) * 2)
    monkeypatch.setattr(making, "start_detached", lambda module, folder: None)
    making.start(run, "zip")
    assert [folder.exists() for folder in folders] == [False, True]


def test_the_oldest_files_go_when_there_is_no_room(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = code_run(make_dataset())
    making.start(run, "zip")
    ended(run, "zip")
    monkeypatch.setattr(making, "MOST_BYTES", 10)
    making.start(run, "report")
    assert ended(run, "report").state == "done"
    assert making.making(run, "zip").state == "absent"


def test_a_class_that_is_a_formula_stays_text_in_the_table(workspace: Path, tmp_path: Path) -> None:
    run = make_run(make_dataset(("=1+1", "b")))
    write_run(run, "csv", tmp_path / "said.csv")
    assert "'=1+1" in (tmp_path / "said.csv").read_text()
    assert open_dataset(RunStore().recipe(run).dataset).classes[0] == "=1+1"


def test_what_is_not_finished_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), beside(path) as half:
        half.write_text("half")
        raise RuntimeError
    with pytest.raises(UserError, match="file cannot be written: free some disk space"), beside(path) as half:
        half.write_text("half")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with beside(path) as whole:
        whole.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]
