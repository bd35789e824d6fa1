"""Watching a map: what makes the page draw itself anew, asked often and so without reading any array."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st

from engine.data.dataset import Dataset
from engine.evaluation import map_result
from engine.evaluation.latent_map import carry_out
from engine.methods.latent_map_config import only
from engine.runs import layout
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import check_recipe, make_recipe
from engine.runs.store import RunStore
from engine.runs.writer import RunWriter
from pages.components import map_routes, map_stage
from tests.pages.made import HOSTILE, make_dataset


class Rerun(Exception):
    """The page would run again."""


@pytest.fixture
def run(workspace: Path) -> str:
    """A map of two methods that nobody has begun."""
    dataset = make_dataset(HOSTILE[:2], (12, 6, 2))
    return RunStore().create(recipe(dataset)).id


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What `watch_map` does at each poll, the last first."""
    looks: list[Callable[[], None]] = []

    def fragment(poll: Callable[[], None], run_every: float) -> Callable[[], None]:
        looks.insert(0, poll)
        return poll

    def rerun() -> None:
        raise Rerun

    monkeypatch.setattr(st, "fragment", fragment)
    monkeypatch.setattr(st, "rerun", rerun)
    return looks


def recipe(dataset: Dataset) -> Any:
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "latent_map"}
    rest = {"config": only(("pca", "isomap")), "backbone": "pixels", "image_size": 16}
    return check_recipe(make_recipe({**fields, **rest}))


def no_arrays(path: Path, *given: Any) -> None:
    raise AssertionError(f"{path} was opened")


def test_watching_opens_no_array(
    run: str, look: list[Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out(RunStore().recipe(run), RunStore().writer(run))
    monkeypatch.setattr(map_result, "read_arrays", no_arrays)
    monkeypatch.setattr("numpy.load", no_arrays)
    map_stage.watch_map(run, map_stage.seen_of(run))
    look[0]()
    assert map_routes._version(run, ("pca",)) != map_routes._version(run, ("pca", "isomap"))


def test_the_page_runs_again_at_each_step_of_the_map_and_not_between(
    run: str, look: list[Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    plain = RunWriter.metric

    def metric(self: RunWriter, row: Any) -> None:
        before = map_stage.seen_of(run)
        map_stage.watch_map(run, before)
        look[0]()
        plain(self, row)
        steps.append(str(row.get("method")) if row["kind"] == "map" else "start")
        if row["kind"] == "map":
            with pytest.raises(Rerun):
                look[0]()

    monkeypatch.setattr(RunWriter, "metric", metric)
    InlineExecutor().submit(run)
    assert RunStore().status(run).state == "done", RunStore().log_tail(run)
    assert steps == ["start", "pca", "pca", "isomap", "isomap"]
    with pytest.raises(Rerun):
        look[0]()


def test_a_panel_that_comes_while_the_page_is_drawn_is_not_missed(
    run: str, look: list[Callable[[], None]]
) -> None:
    seen = map_stage.seen_of(run)
    carry_out(RunStore().recipe(run), RunStore().writer(run))
    with pytest.raises(Rerun):
        map_stage.watch_map(run, seen)


def test_the_colour_of_clusters_comes_after_the_last_panel_and_is_not_missed(run: str) -> None:
    carry_out(RunStore().recipe(run), RunStore().writer(run))
    clusters = layout.map_path(RunStore().folder(run), layout.MAP_CLUSTERS)
    whole = map_stage.seen_of(run)
    clusters.rename(clusters.with_suffix(".later"))
    assert map_stage.seen_of(run) != whole, "a page that drew all panels before must be drawn anew"
