"""What one person does must not touch others: hidden things stay hidden, work is one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import access, people, removal
from engine.access import Ownership, Person, acting_as
from engine.data import imports
from engine.data.dataset import INFO, set_private
from engine.data.writer import DatasetWriter
from engine.errors import UserError
from engine.files import new_id, read_json, write_json
from engine.runs import layout
from engine.runs.store import RunStore
from engine.settings import settings
from tests.pages.made import make_dataset, make_recipe, make_run

ANN = Person("ann", "Ann", access.STUDENT)
BOB = Person("bob", "Bob", access.STUDENT)
TINA = Person("tina", "Tina", access.TEACHER)


@pytest.fixture(autouse=True)
def class_mode(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("REPLAB_MODE", "class")
    yield
    access.resolve_by(None)


def sees(person: Person, run: str) -> bool:
    with acting_as(person):
        return run in [one.id for one in RunStore().list()]


def test_b23_runs_of_a_private_set_stay_hidden_when_it_is_deleted() -> None:
    with acting_as(ANN):
        dataset = make_dataset()
        run = make_run(dataset)
        set_private(dataset.id, True)
        removal.remove_data(dataset.id)
    assert sees(ANN, run) and not sees(BOB, run)


def test_b23_runs_of_an_open_set_stay_open_when_it_is_deleted() -> None:
    with acting_as(ANN):
        dataset = make_dataset()
        run = make_run(dataset)
        removal.remove_data(dataset.id)
    assert sees(BOB, run)


def test_b23_a_damaged_mark_hides_a_run() -> None:
    with acting_as(ANN):
        dataset = make_dataset()
        run, other = make_run(dataset, seed=1), make_run(make_dataset(name="Other"), seed=2)
    (settings().runs / run / layout.NAME).write_text("{")
    assert not sees(BOB, run) and sees(ANN, run)
    (settings().datasets / RunStore().recipe(other).dataset / INFO).write_text("{")
    assert not sees(BOB, other)


def test_a_recipe_that_another_has_run_is_new_to_oneself() -> None:
    with acting_as(ANN):
        dataset = make_dataset()
        run = make_run(dataset)
        recipe = RunStore().recipe(run)
        assert RunStore().find(recipe.digest()) == run
    for person in (BOB, TINA):
        with acting_as(person):
            assert RunStore().find(recipe.digest()) is None
    with acting_as(ANN):
        waiting = RunStore().create_once(make_recipe(dataset, seed=9))[0]
    with acting_as(TINA):
        again, new = RunStore().create_once(make_recipe(dataset, seed=9))
    assert new and again != waiting


def test_a_set_of_the_catalog_is_fetched_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(imports, "start_detached", lambda module, folder, **_: begun.append(folder.name))
    with acting_as(ANN):
        first = imports.start_import("mnist")
    with acting_as(BOB):
        assert imports.start_import("mnist") == first and begun == [first]
        assert [status.id for status in imports.list_imports()] == [first]
        with pytest.raises(UserError, match="somebody else's"):
            imports.stop_import(first)


def test_what_ends_after_its_session_is_nobodys() -> None:
    with acting_as(access.THE_VISITOR), pytest.raises(UserError, match="signed in"):
        make_dataset()
    assert list(settings().datasets.glob("*")) == []
    with DatasetWriter("Left") as writer:
        writer.abort()


@pytest.mark.parametrize("name", ["you", "YOU", "Everybody", "the  server"])
def test_nobody_is_called_what_pages_call_somebody(name: str) -> None:
    people.prepare()
    with pytest.raises(UserError, match="mistaken"):
        people.add(name, "a long password")


def test_b40_removing_a_person_with_everything_ends_what_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    people.prepare()
    cleo = people.add("Cleo", "a long password")
    monkeypatch.setattr(imports, "start_detached", lambda *_, **__: None)
    monkeypatch.setattr(imports, "STOP_SECONDS", 0.0)
    upload = settings().uploads / f"{new_id()}.zip"
    upload.parent.mkdir(parents=True)
    upload.write_bytes(b"PK")
    write_json(upload.with_suffix(".json"), {"name": "a.zip", "owner": cleo.id})
    with acting_as(cleo):
        begun = imports.start_import(upload)
        run = make_run(make_dataset())
    people.remove(cleo.id, with_everything=True)
    assert not (settings().imports / begun).exists() and not upload.exists()
    assert not (settings().runs / run).exists() and people.find(cleo.id) is None
    assert list(settings().uploads.iterdir()) == []


def test_uploads_that_nobody_waits_for_are_swept_after_a_while() -> None:
    upload = settings().uploads / f"{new_id()}.zip"
    upload.parent.mkdir(parents=True)
    upload.write_bytes(b"PK")
    imports.sweep_uploads(older=3600)
    assert upload.exists()
    imports.sweep_uploads()
    assert not upload.exists()


def test_what_is_marked_says_whose_it_is() -> None:
    with acting_as(ANN):
        dataset = make_dataset()
    assert access.ownership(read_json(dataset.root / INFO)) == Ownership("ann", False)
