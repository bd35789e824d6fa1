"""Workspaces of earlier versions open: sets, weights, runs, and what can still be done with them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from engine import access
from engine.data.dataset import Dataset, list_datasets, open_dataset
from engine.files import read_json
from engine.models.encoder import build_encoder
from engine.models.weights import list_weights
from engine.runs import layout
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import check_recipe, make_recipe
from engine.runs.store import RunStore
from engine.training.trained import load_trained, predict
from tests.faults.conftest import check_whole, losses
from tests.faults.make_workspace import NAMES
from tests.pages.made import open_page, words

KEPT = sorted(Path(__file__).parent.glob("workspace_v*/workspace.zip"))
FINISHED, AUTOENCODER, STOPPED = NAMES


@pytest.fixture(params=KEPT, ids=lambda path: path.parent.name)
def runs(request: pytest.FixtureRequest, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Name -> id of the runs in a workspace that an earlier version left."""
    monkeypatch.setenv("REPLAB_THREADS", "1")
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(workspace)  # noqa: S202  ours
    return {run.name: run.id for run in RunStore().list()}


def the_set() -> Dataset:
    (found,) = list_datasets()
    return open_dataset(found.id)


def test_everything_is_listed_and_belongs_to_the_server(runs: dict[str, str]) -> None:
    dataset, store = the_set(), RunStore()
    assert (dataset.name, len(dataset), dataset.classes) == ("Two colours", 20, ("blue", "red"))
    assert np.asarray(dataset.image(0)).shape == (32, 32, 3)
    assert set(runs) == set(NAMES)
    assert {name: store.get(run_id).state for name, run_id in runs.items()} == {
        FINISHED: "done",
        AUTOENCODER: "done",
        STOPPED: "stopped",
    }
    assert all(store.damaged(run_id) is None for run_id in runs.values())
    unmarked = [layout.read_status(store.folder(run_id)).get("owner", "") for run_id in runs.values()]
    assert unmarked == ["", "", ""] and "owner" not in read_json(dataset.root / "dataset.json")
    assert dataset.ownership == access.Ownership("", False)
    assert all(store.get(run_id).ownership == access.Ownership("", False) for run_id in runs.values())
    (weights,) = list_weights()
    assert weights.name == "Sparse" and build_encoder(f"file:{weights.id}", 32).width == 128


def test_results_curves_predictions_and_networks_are_read(runs: dict[str, str]) -> None:
    store, dataset = RunStore(), the_set()
    for name in (FINISHED, AUTOENCODER):
        results = store.results(runs[name])
        assert results and results["kept_epoch"] in (1, 2, 3)
        assert len(losses(runs[name])) == 3 and store.frames(runs[name]) == [1, 2, 3]
        assert store.predictions(runs[name]) is not None
        check_whole(runs[name])
        assert not load_trained(runs[name]).training
    kept = store.predictions(runs[FINISHED])
    assert kept is not None
    classes, shares = predict(runs[FINISHED], [dataset.image(int(i)) for i in kept["index"]])
    assert classes == ("blue", "red") and np.allclose(shares, kept["probabilities"], atol=0.02)


def test_a_stopped_run_is_resumed(runs: dict[str, str]) -> None:
    store, run_id = RunStore(), runs[STOPPED]
    before = losses(run_id)
    assert len(before) == 2
    InlineExecutor(store).submit(run_id)
    assert store.get(run_id).state == "done", store.log_tail(run_id)
    check_whole(run_id)
    assert len(losses(run_id)) == 6 and losses(run_id)[:2] == before
    assert store.results(run_id) and predict(run_id, [the_set().image(0)])[1].shape == (1, 2)


@pytest.mark.parametrize(("name", "size"), [(FINISHED, 32), (AUTOENCODER, 8)])
def test_an_old_encoder_is_a_backbone_of_a_new_run(runs: dict[str, str], name: str, size: int) -> None:
    dataset, store = the_set(), RunStore()
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "classification"}
    fields |= {"backbone": f"run:{runs[name]}", "image_size": size, "seed": 0}
    recipe = check_recipe(
        make_recipe({**fields, "config": {"mode": "extract", "epochs": 1, "batch_size": 4}})
    )
    made = store.create(recipe)
    InlineExecutor(store).submit(made.id)
    assert store.get(made.id).state == "done", store.log_tail(made.id)
    assert not (store.results(made.id) or {})["random_weights"]


def test_the_pages_open(runs: dict[str, str]) -> None:
    shown = open_page("runs")
    assert set(shown.dataframe[0].value["Name"]) == set(NAMES)
    page = open_page("transfer_learning", data=the_set().id, run=runs[FINISHED])
    assert "finished classification" in words(page).replace("\\", "")
