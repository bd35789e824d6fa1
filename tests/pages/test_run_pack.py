"""Packing runs on the Runs page: which ones, how large, the zip behind its link, and taking it in again."""

from __future__ import annotations

import json
import re
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from engine.data.dataset import list_datasets, remove_dataset
from engine.errors import UserError
from engine.export import making, packing
from engine.export.making import UNDER_WAY
from engine.export.run_import import import_runs
from engine.runs.store import RunStore
from engine.settings import settings
from pages.components import server
from tests.pages.made import HOSTILE, fine, make_dataset, make_recipe, make_run, open_page, words


@pytest.fixture
def client(workspace: Path) -> TestClient:
    return TestClient(Starlette(routes=server.routes()))


def unfolded() -> AppTest:
    """The Runs page with the fold open."""
    app = open_page("runs")
    app.session_state["runs.pack.fold"] = True
    return fine(app.run())


def settled(key: str) -> None:
    deadline = time.monotonic() + 90
    while making.status_of(key).state in UNDER_WAY:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def link(app: AppTest) -> str:
    (found,) = [one.proto.url for one in app.get("link_button") if one.proto.url.startswith("/lab/packs/")]
    return str(found)


def test_all_finished_runs_become_one_zip_with_their_data(
    workspace: Path, client: TestClient, tmp_path: Path
) -> None:
    dataset = make_dataset(HOSTILE[:2])
    runs = [make_run(dataset, HOSTILE[0], seed) for seed in range(2)]
    RunStore().create(make_recipe(dataset, 9))
    app = unfolded()
    assert "2 runs, without the data set they need." in words(app)
    before = size_told(app)
    app = fine(app.toggle(key="runs.pack.data").set_value(True).run())
    assert "2 runs, 1 data set." in words(app) and size_told(app) > before
    app = fine(app.button(key="runs.pack.make").click().run())
    settled(packing.key_of(runs[::-1], True))
    app = fine(app.run())
    answer = client.get(link(app))
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"] == 'attachment; filename="runs-2.zip"'
    (tmp_path / "runs.zip").write_bytes(answer.content)
    assert 0.5 < size_told(app) * 1000 / len(answer.content) < 1.5
    for run in runs:
        RunStore().remove(run)
    remove_dataset(dataset.id)
    assert {found.id for found in import_runs(tmp_path / "runs.zip")} == set(runs)
    assert [one.fingerprint for one in map(opened, list_datasets())] == [dataset.fingerprint]


def opened(summary: Any) -> Any:
    from engine.data.dataset import open_dataset

    return open_dataset(summary.id)


def size_told(app: AppTest) -> float:
    """Kilobytes that the page speaks of."""
    found = re.search(r"About ([0-9.]+) (kB|KB|MB)", words(app))
    assert found, words(app)
    return float(found[1]) * (1000 if found[2] == "MB" else 1)


def test_ticked_runs_alone_are_packed(workspace: Path, tick: Any) -> None:
    dataset = make_dataset()
    runs = [make_run(dataset, f"run {seed}", seed) for seed in range(3)][::-1]  # as they stand in the table
    tick(0, 2)
    app = unfolded()
    assert "2 runs, without" in words(app)
    fine(app.button(key="runs.pack.make").click().run())
    key = packing.key_of([runs[0], runs[2]])
    settled(key)
    with zipfile.ZipFile(packing.packed(key)[0]) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert [run["id"] for run in manifest["runs"]] == [runs[0], runs[2]] and "data" not in manifest
    app = unfolded()
    app = fine(app.button_group(key="runs.pack.which.2").set_value("all").run())
    assert "3 runs, without" in words(app)


def test_packing_can_be_stopped_and_begun_again(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(make_dataset())
    real = making.start_detached
    monkeypatch.setattr(making, "start_detached", lambda module, folder: None)  # as one that is starting
    app = unfolded()
    app = fine(app.button(key="runs.pack.make").click().run())
    key = packing.key_of([run])
    fine(app.button(key="runs.pack.stop").click().run())
    folder = making.made_folder(key)
    assert (folder / making.STOP).exists()
    (folder / making.STATUS).write_text('{"state": "stopped"}')
    app = unfolded()
    assert "Stopped; nothing was kept." in words(app)
    monkeypatch.setattr(making, "start_detached", real)
    fine(app.button(key="runs.pack.make").click().run())
    settled(key)
    assert making.status_of(key).state == "done"


def test_what_cannot_be_packed_says_why(workspace: Path) -> None:
    dataset = make_dataset()
    run = make_run(dataset)
    (dataset.root / "images.bin").write_bytes(bytes(1000))
    packing.start([run], True)
    settled(packing.key_of([run], True))
    app = unfolded()
    app = fine(app.toggle(key="runs.pack.data").set_value(True).run())
    assert "cannot be packed" in words(app).replace("\\", "")
    waiting = RunStore().create(make_recipe(dataset, 3)).id
    for chosen, told in (([], "no finished run"), ([waiting], "not finished"), (["none"], "There is no run")):
        with pytest.raises(UserError, match=told):
            packing.start(chosen)


def test_a_folded_part_looks_at_no_run(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(make_dataset())
    monkeypatch.setattr(packing, "key_of", lambda *args: pytest.fail("it was asked"))
    open_page("runs")


def test_large_zips_are_told_how_they_are_taken_in(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(make_dataset())
    monkeypatch.setenv("REPLAB_MAX_UPLOAD_BYTES", "1000")
    assert "workspace import" in words(unfolded())
    monkeypatch.setenv("REPLAB_MAX_UNPACKED_BYTES", "1000")
    assert "pack fewer runs" in words(unfolded())


def test_a_zip_goes_with_its_runs_and_to_nobody_else(
    workspace: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(make_dataset(), seed=seed) for seed in range(2)]
    packing.start(runs)
    key = packing.key_of(runs)
    settled(key)
    assert client.get(f"/lab/packs/{key}").status_code == 200
    for asked in ("nothing", "A_B", "%2e%2e%2fx", making.key_of(runs[0], "zip")):
        answer = client.get(f"/lab/packs/{asked}")
        assert answer.status_code == 404 and len(answer.json()["error"]) < 200
    RunStore().rename(runs[0], "another name")
    assert "not there any more" in client.get(f"/lab/packs/{key}").json()["error"]
    making.forget([runs[1]])
    assert not making.made_folder(key).exists() and not list(settings().cache.glob("exports/*/made"))
