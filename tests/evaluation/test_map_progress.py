"""How far a map is: told at every step as the map itself says, without opening one of its arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.evaluation import map_result
from engine.evaluation.latent_map import carry_out
from engine.evaluation.map_result import PanelProgress, map_progress, read_map
from engine.methods.latent_map_config import only
from engine.projections.mds import MDS
from engine.projections.projection import CannotProject
from engine.runs.recipe import check_recipe, make_recipe
from engine.runs.store import RunStore
from engine.runs.writer import RunWriter
from tests.pages.made import HOSTILE, make_dataset, make_run


@pytest.fixture
def dataset(workspace: Path) -> Dataset:
    return make_dataset(HOSTILE[:2], (12, 6, 2))


def new_map(dataset: Dataset, *methods: str) -> str:
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "latent_map"}
    recipe = make_recipe({**fields, "config": only(methods), "backbone": "pixels", "image_size": 16})
    return RunStore().create(check_recipe(recipe)).id


def no_arrays(path: Path) -> None:
    raise AssertionError(f"{path.name} was opened")


def test_at_every_step_it_says_what_the_map_says(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run, seen, methods = new_map(dataset, "pca", "isomap", "mds"), [], ("pca", "isomap")
    plain = RunWriter.metric

    def look() -> None:
        found = read_map(run)
        assert map_progress(run) == (None if found is None else found.progress)
        seen.append(map_progress(run))

    def metric(self: RunWriter, row: Any) -> None:
        plain(self, row)
        look()

    def refuse(*given: Any) -> None:
        raise CannotProject("These points have no such map.")

    monkeypatch.setattr(RunWriter, "metric", metric)
    monkeypatch.setattr(MDS, "fit", refuse)
    assert map_progress(run) is None
    carry_out(RunStore().recipe(run), RunStore().writer(run))
    waits = [PanelProgress(name) for name in ("pca", "isomap", "mds")]
    shown, judged = ([PanelProgress(name, True, told) for name in methods] for told in (False, True))
    assert seen == [
        None,
        (shown[0], *waits[1:]),
        (judged[0], *waits[1:]),
        (judged[0], shown[1], waits[2]),
        (*judged, waits[2]),
        (*judged, PanelProgress("mds", error="These points have no such map.")),
    ]


def test_no_array_is_opened(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_map(dataset, "pca")
    carry_out(RunStore().recipe(run), RunStore().writer(run))
    monkeypatch.setattr(map_result, "read_arrays", no_arrays)
    monkeypatch.setattr("numpy.load", no_arrays)
    assert map_progress(run) == (PanelProgress("pca", True, True),)
    with pytest.raises(AssertionError, match="was opened"):
        read_map(run)


def test_a_panel_whose_file_is_gone_is_not_drawn(dataset: Dataset) -> None:
    run = new_map(dataset, "pca")
    carry_out(RunStore().recipe(run), RunStore().writer(run))
    (RunStore().folder(run) / "maps" / "pca.npz").unlink()
    assert map_progress(run) == (PanelProgress("pca", False, True),)


def test_what_is_no_map_is_a_sentence(dataset: Dataset) -> None:
    run = make_run(dataset)
    with pytest.raises(UserError, match="This run is no map"):
        map_progress(run)
    with pytest.raises(UserError):
        map_progress("abcdefghijkmnpqr")
