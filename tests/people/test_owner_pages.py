"""Pages of class mode: whose a thing is, what is offered to whom, and the switch that hides it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine import access
from engine.access import Ownership, Person, acting_as
from engine.data.dataset import Dataset, open_dataset, set_private
from engine.runs.store import RunStore
from tests.pages.made import fine, make_dataset, make_run, open_page, words

ANN = Person("ann", "Ann", access.STUDENT)
BOB = Person("bob", "Bob", access.STUDENT)


@pytest.fixture(autouse=True)
def class_mode(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("REPLAB_MODE", "class")
    yield
    access.resolve_by(None)


@pytest.fixture
def anns() -> tuple[Dataset, str]:
    with acting_as(ANN):
        dataset = make_dataset(name="Bees")
        return dataset, make_run(dataset, "Ann's run")


def opened(person: Person, page: str, **query: str) -> AppTest:
    access.resolve_by(lambda: person)
    return open_page(page, **query)


def keys(app: AppTest) -> set[str]:
    return {str(one.key) for one in [*app.button, *app.toggle] if one.key}


def test_ones_own_run_can_be_changed_and_hidden(anns: tuple[Dataset, str]) -> None:
    app = opened(ANN, "runs", run=anns[1])
    assert "yours" in words(app) and "run.delete" in keys(app)
    fine(app.toggle(key=f"run.private.{anns[1]}.False").set_value(True).run())
    assert RunStore().ownership(anns[1]) == Ownership("ann", True)
    fine(app.toggle(key=f"run.private.{anns[1]}.True").set_value(False).run())
    assert RunStore().ownership(anns[1]) == Ownership("ann", False)


def test_somebody_elses_run_is_looked_at_only(anns: tuple[Dataset, str]) -> None:
    app = opened(BOB, "runs", run=anns[1])
    assert "Ann's run" in words(app) and "run.delete" not in keys(app)
    assert not any("private" in key for key in keys(app))


def test_b23_the_address_of_a_hidden_run_opens_nothing(anns: tuple[Dataset, str]) -> None:
    with acting_as(ANN):
        RunStore().set_private(anns[1], True)
    app = opened(BOB, "runs", run=anns[1])
    assert "not here any more" in words(app) and "Ann's run" not in words(app)


def test_runs_can_be_narrowed_to_ones_own(anns: tuple[Dataset, str]) -> None:
    with acting_as(BOB):
        make_run(anns[0], "Bob's run")
    app = opened(BOB, "runs")
    assert list(app.dataframe[0].value["Owner"]) == ["you", "somebody who has left"]
    app = fine(app.segmented_control(key="runs.whose").set_value("Mine").run())
    assert list(app.dataframe[0].value["Name"]) == ["Bob's run"]


def test_a_data_sets_menu_is_its_owners(anns: tuple[Dataset, str]) -> None:
    def look(person: Person) -> set[str]:
        access.resolve_by(lambda: person)
        app = open_page("data", data=anns[0].id)
        return keys(fine(app.button(key=f"data.open.{anns[0].id}").click().run()))

    assert {"data.delete", f"data.private.{anns[0].id}.False"} <= look(ANN)
    assert not {"data.delete", f"data.private.{anns[0].id}.False"} & look(BOB)


def test_b23_a_hidden_set_is_on_no_page_of_others(anns: tuple[Dataset, str]) -> None:
    with acting_as(ANN):
        set_private(anns[0].id, True)
        assert open_dataset(anns[0].id).ownership.private
    for page in ("home", "data", "runs", "transfer_learning"):
        assert "Bees" not in words(opened(BOB, page, data=anns[0].id)), page
    assert "Bees" in words(opened(ANN, "data"))


def test_on_a_laptop_nothing_speaks_of_owners(
    anns: tuple[Dataset, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAB_MODE", "laptop")
    app = opened(BOB, "runs", run=anns[1])
    assert "yours" not in words(app) and "run.delete" in keys(app)
    assert not any("private" in key for key in keys(app))
