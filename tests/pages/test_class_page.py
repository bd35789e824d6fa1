"""The Class page: who is here, what they use, and what a teacher can do; students have none of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from engine import access, classroom, people
from engine.access import STUDENT, TEACHER, Person
from engine.errors import UserError
from engine.people import passwords
from engine.runs import layout, quotas, tickets
from engine.runs.store import RunStore
from engine.settings import GB, PROJECT_ROOT, settings
from pages.components import class_machine, upload_routes
from tests.pages.made import HOSTILE, fine, make_dataset, make_recipe, open_page, words

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def classroom_mode(workspace: Path, monkeypatch: pytest.MonkeyPatch, waiting: None) -> Iterator[None]:
    """A class; whoever has the machine acts unless a test says otherwise."""
    monkeypatch.setenv("REPLAB_MODE", "class")
    monkeypatch.setattr(passwords, "N", 16)
    monkeypatch.setattr(passwords, "P", 1)
    people.prepare()
    yield
    access.resolve_by(None)


def student(name: str) -> Person:
    return people.add(name, PASSWORD)


def asked(person: Person, seed: int = 0, name: str = "a run") -> str:
    """A run of a person that waits in line."""
    with access.acting_as(person):
        store = RunStore()
        run = store.create(make_recipe(make_dataset(), seed), name).id
    layout.write_status(store.folder(run), submitted=time.time())
    tickets.take_ticket(store.root, run, person.id)
    return run


def choose(app: AppTest, person: Person) -> AppTest:
    return fine(app.selectbox(key="class.person").set_value(person.id).run())


def test_an_empty_class_says_what_to_do() -> None:
    shown = words(open_page("class_page"))
    assert "Nobody has signed up yet" in shown and "Nothing is running and nothing waits" in shown
    assert "0 people" in shown and "Nobody can make an account" in shown


def test_names_are_shown_as_they_were_typed_and_their_use_beside_them() -> None:
    hostile = student("**Eve** [x](http://evil.example)")
    run = asked(hostile, name=HOSTILE[0])
    app = choose(open_page("class_page"), hostile)
    table = app.dataframe[0].value
    assert list(table["Name"])[0] == hostile.name
    assert (table["Waiting"][0], table["Data sets"][0], table["Running"][0]) == (
        "1 of 5",
        "1 of 20",
        "0 of 1",
    )
    assert table["Disk"][0].endswith("of 5.0 GB")
    shown = words(app)
    assert "\\*\\*Eve" in shown and "<b>bold" not in shown and "place 1" in shown
    fine(app.button(key=f"class.stop.{run}").click().run())
    assert RunStore().get(run).state not in layout.ACTIVE or RunStore().status(run).stopping


def test_all_runs_of_one_person_are_stopped_and_nobody_elses() -> None:
    ben, cat = student("Ben"), student("Cat")
    runs, other = [asked(ben, seed) for seed in (1, 2)], asked(cat, 3)
    app = choose(open_page("class_page"), ben)
    fine(app.button(key="class.stop_all").click().run())
    assert all(RunStore().status(run).stopping for run in runs) and not RunStore().status(other).stopping


def test_limits_are_changed_and_given_back() -> None:
    ben = student("Ben")
    app = choose(open_page("class_page"), ben)
    app.number_input(key=f"class.limit.queued.{ben.id}").set_value(9)
    app.number_input(key=f"class.limit.bytes.{ben.id}").set_value(7.5)
    keep = next(button for button in app.button if button.label == "Keep these limits")
    fine(keep.click().run())
    assert quotas.limits_of(ben) == quotas.Limits(running=1, queued=9, bytes=7_500_000_000, sets=20)
    assert quotas.own_limits(ben.id) == {"queued": 9, "bytes": 7_500_000_000}, (
        "the others follow the settings"
    )
    app.number_input(key=f"class.limit.queued.{ben.id}").set_value(5)
    app.number_input(key=f"class.limit.bytes.{ben.id}").set_value(5 * GB / GB)
    keep = next(button for button in app.button if button.label == "Keep these limits")
    fine(keep.click().run())
    assert quotas.own_limits(ben.id) == {} and quotas.limits_of(ben) == quotas.usual_limits()


def test_somebody_is_blocked_and_let_in_again() -> None:
    ben = student("Ben")
    app = choose(open_page("class_page"), ben)
    fine(app.button(key="class.block").click().run())
    assert people.check("Ben", PASSWORD) is None and "blocked" in app.dataframe[0].value["Role"][0]
    fine(app.button(key="class.block").click().run())
    assert people.check("Ben", PASSWORD) is not None


def test_a_run_is_deleted_after_a_question() -> None:
    ben = student("Ben")
    run = asked(ben)
    RunStore().request_stop(run)
    layout.write_status(RunStore().folder(run), state="stopped")
    app = choose(open_page("class_page"), ben)
    fine(app.button(key=f"class.delete.{run}").click().run())
    assert RunStore().get(run)
    fine(app.button(key="delete.sure").click().run())
    assert RunStore().list() == []


def test_a_new_code_is_shown_once() -> None:
    app = open_page("class_page")
    fine(app.button(key="class.code.new").click().run())
    code = app.success[0].value.partition("## ")[2].replace("\\", "")
    assert people.code_is_open() and people.join("Dan", PASSWORD, code).role == STUDENT
    fine(app.run())
    assert not app.success and code not in words(app).replace("\\", "")
    fine(app.button(key="class.code.close").click().run())
    assert not people.code_is_open()


def test_freeing_the_gpu_stops_runs_and_empties_the_pages_networks() -> None:
    import torch

    from engine.models.cache import MODELS

    run = asked(student("Ben"))
    MODELS.get("test", lambda: torch.nn.Linear(9, 9))
    app = open_page("class_page")
    fine(app.button(key="class.free").click().run())
    assert MODELS.bytes > 0 and not RunStore().status(run).stopping
    fine(app.button(key="class.free.sure").click().run())
    assert MODELS.bytes == 0 and RunStore().status(run).stopping


def test_b34_students_have_no_class_page_and_the_engine_refuses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ben = student("Ben")
    with access.acting_as(ben):
        for action in (
            *(classroom.members, classroom.active_runs, classroom.stop_runs, classroom.free_gpu),
            *(classroom.load, people.new_code, people.close_code, people.list_people),
            *(lambda: quotas.set_limits(ben.id, bytes=0), lambda: people.block(ben.id, False)),
        ):
            with pytest.raises(UserError, match="Only a teacher"):
                action()
    monkeypatch.setenv(access.VARIABLE, ben.id)
    app = AppTest.from_file(PROJECT_ROOT / "pages" / "components" / "shell.py", default_timeout=60).run()
    with pytest.raises(ValueError, match="Could not find a navigation page"):
        app.switch_page("../class_page.py")
    bare = AppTest.from_file(PROJECT_ROOT / "pages" / "class_page.py").run()
    assert bare.exception and not bare.button and not bare.dataframe and not bare.metric


def test_the_page_is_in_the_menu_of_teachers_in_a_class_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from pages.components.shell import teaches

    ben, tea = student("Ben"), people.add("Tea", PASSWORD, TEACHER)
    assert teaches()
    for person, expected in ((ben, False), (tea, True), (access.THE_VISITOR, False)):
        with access.acting_as(person):
            assert teaches() is expected
    monkeypatch.setenv("REPLAB_MODE", "laptop")
    assert not teaches()


def test_things_of_somebody_who_has_left_are_still_told() -> None:
    asked(Person("gone", "Gone", STUDENT))
    found = {member.id: member for member in classroom.members()}
    assert found["gone"].role == "left" and found["gone"].usage.queued == 1


def test_the_machine_tells_what_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    load = classroom.Load(None, None, None, (), 2, 1, 3)
    assert [title for title, _, _ in class_machine.figures(load)] == ["Runs at once", "Waiting"]
    cards = classroom.read_gpus("NVIDIA H100, 1024, 81559\n[N/A]\nA, x, 3\n")
    assert cards == (classroom.Gpu("NVIDIA H100", 1024 * 1024**2, 81559 * 1024**2),)
    load = classroom.Load(5 * GB, 2 * GB, 8 * GB, cards, 2, 1, 3)
    figures = {title: value for title, value, _ in class_machine.figures(load)}
    assert figures["GPU memory free"] == "84.4 GB" and figures["Disk free"] == "5.0 GB"
    monkeypatch.setenv("PATH", "/nowhere")
    assert classroom.gpus() == ()


def test_b34_an_upload_over_the_limit_is_refused_before_it_is_received(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ben = student("Ben")
    monkeypatch.setenv("REPLAB_MAX_PERSON_BYTES", "1000")
    access.resolve_by(lambda: ben)
    settings().uploads.mkdir(parents=True)
    with TestClient(Starlette(routes=upload_routes.routes())) as client:
        named = {"X-File-Name": "mine.zip"}
        answer = client.put("/lab/upload", content=b"x" * 1001, headers=named)
        assert answer.status_code == 507 and "0.0 MB" in answer.json()["error"]
        assert list(settings().uploads.iterdir()) == []
        assert client.put("/lab/upload", content=b"x" * 600, headers=named).status_code == 200
        assert client.put("/lab/upload", content=b"x" * 600, headers=named).status_code == 507
        assert quotas.usage_of(ben.id).other_bytes >= 600


def test_b34_a_set_too_many_is_refused_and_its_upload_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    ben = student("Ben")
    monkeypatch.setenv("REPLAB_MAX_PERSON_SETS", "1")
    access.resolve_by(lambda: ben)
    make_dataset()
    settings().uploads.mkdir(parents=True)
    with TestClient(Starlette(routes=upload_routes.routes())) as client:
        headers = {"X-File-Name": "mine.zip", "X-Then": "import"}
        answer = client.put("/lab/upload", content=b"PK" * 50, headers=headers)
    assert answer.status_code == 400 and "You have 1 data set" in answer.json()["error"]
    assert list(settings().uploads.iterdir()) == []
