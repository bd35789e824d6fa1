"""The Runs page: the table, its filters, and what can be done with ticked runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from engine.runs.store import RunStore
from tests.pages.made import HOSTILE, fine, make_dataset, make_recipe, make_run, open_page, words

PAGE = "runs"


def names(app: AppTest) -> list[str]:
    return list(app.dataframe[0].value["Name"])


def test_with_no_run_the_page_says_what_to_do(workspace: Path) -> None:
    app = open_page(PAGE)
    assert "Nothing has been trained yet" in words(app) and not app.dataframe


def test_runs_are_listed_newest_first_with_their_figures(workspace: Path) -> None:
    dataset = make_dataset()
    for seed, name in enumerate(["first", "second"]):
        make_run(dataset, name, seed)
    app = open_page(PAGE)
    table = app.dataframe[0].value
    assert names(app) == ["second", "first"]
    assert table["Accuracy"].round(3).tolist() == [0.867, 0.867]
    assert table["Data"].tolist() == ["Tiny", "Tiny"] and table["Epochs"].tolist() == ["3 / 3", "3 / 3"]


def test_filters_leave_what_was_asked_for(workspace: Path) -> None:
    dataset = make_dataset()
    make_run(dataset, "Alpha one", 1)
    make_run(dataset, "beta", 2)
    RunStore().create(make_recipe(dataset, 3), "alpha waits")
    app = open_page(PAGE)
    fine(app.text_input(key="runs.search").set_value("ALPHA").run())
    assert sorted(names(app)) == ["Alpha one", "alpha waits"]
    fine(app.multiselect(key="runs.state").set_value(["done"]).run())
    assert names(app) == ["Alpha one"]
    fine(app.text_input(key="runs.search").set_value("no such run").run())
    assert "No run passes" in words(app)


def test_ticked_runs_are_compared_and_deleted_after_confirmation(workspace: Path, tick: Any) -> None:
    dataset = make_dataset()
    for seed in range(3):
        make_run(dataset, f"run {seed}", seed)
    tick(0, 2)
    app = open_page(PAGE)
    spec = app.get("plotly_chart")[0].proto.spec
    assert "run 2" in spec and "run 0" in spec and "run 1" not in spec
    fine(app.button(key="runs.delete").click().run())
    assert len(RunStore().list()) == 3
    tick()
    fine(app.button(key="delete.sure").click().run())
    assert [run.name for run in RunStore().list()] == ["run 1"]


def test_one_ticked_run_opens_on_its_own_page(workspace: Path, tick: Any) -> None:
    dataset = make_dataset()
    run = make_run(dataset)
    tick(0)
    app = open_page(PAGE)
    fine(app.button(key="runs.open").click().run())
    assert app.query_params["run"] == run and app.title[0].value == "Transfer learning"


def test_a_queued_run_can_be_stopped_but_not_deleted(workspace: Path, tick: Any) -> None:
    run = RunStore().create(make_recipe(make_dataset())).id
    tick(0)
    app = open_page(PAGE)
    assert not [button for button in app.button if button.key == "runs.delete"]
    fine(app.button(key="runs.stop").click().run())
    assert RunStore().get(run).state == "stopped" or RunStore().status(run).stopping


def test_hundreds_of_runs_are_one_table(workspace: Path) -> None:
    store, recipe = RunStore(), make_recipe(make_dataset())
    for seed in range(300):
        store.create(recipe.model_copy(update={"seed": seed}))
    assert len(open_page(PAGE).dataframe[0].value) == 300


def test_hostile_run_names_stay_what_was_typed(workspace: Path, tick: Any) -> None:
    dataset = make_dataset()
    for seed, name in enumerate(HOSTILE):
        make_run(dataset, name, seed)
    tick(0, 1, 2, 3)
    app = open_page(PAGE)
    assert sorted(names(app)) == sorted(HOSTILE)
    spec = app.get("plotly_chart")[0].proto.spec
    assert "<img" not in spec and "<b>bold" not in spec
    for element in [*app.markdown, *app.caption]:
        assert not any(name in element.value for name in HOSTILE)
