"""Who may do what with whose things: the whole matrix of roles, things and actions, on every way in."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from engine import access, files
from engine.access import CHANGE, READ, Ownership, Person, acting_as
from engine.cli.main import main as command_line
from engine.data import dataset as datasets
from engine.data import imports, vectors
from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.evaluation.selections import list_selections, save_selection
from engine.models import weights
from engine.runs import executors
from engine.runs.store import RunStore
from engine.settings import settings
from pages.components import server, upload_routes
from tests.pages.made import make_dataset, make_recipe, make_run

ANN = Person("ann", "Ann", access.STUDENT)
BOB = Person("bob", "Bob", access.STUDENT)
TINA = Person("tina", "Tina", access.TEACHER)
PEOPLE = {
    "Ann": ANN,
    "Bob": BOB,
    "Tina": TINA,
    "operator": access.THE_OPERATOR,
    "visitor": access.THE_VISITOR,
}
# who may, by whose a thing is; written out here, not worked out
ALLOWED = {
    "Ann's": {READ: {"Ann", "Bob", "Tina", "operator"}, CHANGE: {"Ann", "Tina", "operator"}},
    "Ann's, private": {READ: {"Ann", "Tina", "operator"}, CHANGE: {"Ann", "Tina", "operator"}},
    "the server's": {READ: {"Ann", "Bob", "Tina", "operator"}, CHANGE: {"Tina", "operator"}},
}
CASES = [(whose, name) for whose in ALLOWED for name in PEOPLE]


@pytest.fixture(autouse=True)
def class_mode(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("REPLAB_MODE", "class")
    yield
    access.resolve_by(None)


def owned(whose: str) -> Person:
    return access.THE_OPERATOR if whose == "the server's" else ANN


def a_set(whose: str, name: str = "Tiny") -> Dataset:
    with acting_as(owned(whose)):
        found = make_dataset(per_class=(4, 2, 0), name=name)
        if whose.endswith("private"):
            datasets.set_private(found.id, True)
    return found


def a_run(whose: str) -> str:
    with acting_as(owned(whose)):
        run = make_run(make_dataset(per_class=(4, 2, 0)))
        if whose.endswith("private"):
            RunStore().set_private(run, True)
    return run


def outcome(person: Person, action: Callable[[], Any]) -> str:
    """ "done", or why it was refused."""
    with acting_as(person):
        try:
            action()
        except UserError as error:
            return str(error)
    return "done"


def agrees(whose: str, name: str, kind: str, told: str) -> bool:
    """Whether what happened is what the table says; a thing that may not be read is not said to exist."""
    if name in ALLOWED[whose][kind]:
        return told == "done"
    if name in ALLOWED[whose][READ]:
        return "somebody else's" in told
    return "no " in told and "somebody" not in told


@pytest.mark.parametrize(("whose", "name"), CASES)
def test_b23_one_function_decides(whose: str, name: str) -> None:
    thing = Ownership("" if whose == "the server's" else "ann", whose.endswith("private"))
    for action in access.ACTIONS:
        assert access.may(action, thing, PEOPLE[name]) == (name in ALLOWED[whose][action]), action
    assert not access.may("anything else", thing, PEOPLE[name])


@pytest.mark.parametrize(("whose", "name"), CASES)
def test_b23_data_sets(whose: str, name: str) -> None:
    found, person = a_set(whose), PEOPLE[name]
    readable = name in ALLOWED[whose][READ]
    with acting_as(person):
        assert (found.id in [one.id for one in datasets.list_datasets()]) == readable
        assert (datasets.summarise(found.id) is not None) == readable
    actions = {
        "open": (READ, lambda: datasets.open_dataset(found.id)),
        "resolve": (READ, lambda: imports.resolve(found.id)),
        "rename": (CHANGE, lambda: datasets.rename_dataset(found.id, "Other")),
        "show": (CHANGE, lambda: datasets.set_private(found.id, found.ownership.private)),
        "remove": (CHANGE, lambda: datasets.remove_dataset(found.id)),
    }
    for what, (kind, action) in actions.items():
        if not (what == "show" and whose == "the server's"):
            told = outcome(person, action)
            assert agrees(whose, name, kind, told), (what, told)
    assert (settings().datasets / found.id).exists() != (name in ALLOWED[whose][CHANGE])


@pytest.mark.parametrize(("whose", "name"), CASES)
def test_b23_runs(whose: str, name: str) -> None:
    run, person, store = a_run(whose), PEOPLE[name], RunStore()
    readable = name in ALLOWED[whose][READ]
    with acting_as(person):
        assert (run in [one.id for one in store.list()]) == readable
        assert store.may_change(run) == (name in ALLOWED[whose][CHANGE])
    reads = ("get", "folder", "recipe", "status", "progress", "rows", "curve", "log_tail", "frames")
    more = ("results", "environment", "predictions", "predictions_path", "damaged", "encoder_path")
    rest = ("decoder_path", "encoder_info", "size", "writer")
    for what in (*reads, *more, *rest):
        told = outcome(person, lambda what=what: getattr(store, what)(run))
        assert agrees(whose, name, READ, told), (what, told)
    changes: dict[str, Callable[[], Any]] = {
        "rename": lambda: store.rename(run, "other"),
        "hide": lambda: store.set_private(run, whose.endswith("private")),
        "stop": lambda: store.request_stop(run),
        "resume": lambda: executors.executor(store).submit(run),
        "select": lambda: save_selection(run, "some", [0], store),
        "remove": lambda: store.remove(run),
    }
    for what, action in changes.items():
        told = outcome(person, action)
        assert agrees(whose, name, CHANGE, told), (what, told)


@pytest.mark.parametrize(("whose", "name"), CASES)
def test_b23_a_run_is_hidden_with_its_data_set(whose: str, name: str) -> None:
    found = a_set(whose)
    with acting_as(owned(whose)):
        run = make_run(found)
    told = outcome(PEOPLE[name], lambda: RunStore().get(run))
    assert agrees(whose, name, READ, told), told


@pytest.mark.parametrize("name", PEOPLE)
def test_b23_nothing_is_made_from_what_is_hidden(name: str) -> None:
    hidden, open_one = a_set("Ann's, private"), a_set("Ann's")
    run = a_run("Ann's, private")
    may = name in ALLOWED["Ann's, private"][READ]
    on_it = make_recipe(hidden)
    from_it = make_recipe(open_one).model_copy(update={"backbone": f"run:{run}"})
    for recipe in (on_it, from_it):
        told = outcome(PEOPLE[name], lambda recipe=recipe: RunStore().create(recipe))
        assert (told == "done") == may or name == "visitor", told
    told = outcome(PEOPLE[name], lambda: datasets.derive(datasets.open_dataset(hidden.id), np.arange(2), "x"))
    assert (told == "done") == may


def test_what_is_made_of_a_private_set_is_private() -> None:
    hidden = a_set("Ann's, private")
    with acting_as(ANN):
        part = datasets.derive(hidden, np.arange(3), "Part")
    assert part.ownership == Ownership("ann", True)


@pytest.mark.parametrize(("whose", "name"), CASES)
def test_b23_weights(whose: str, name: str, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from engine.models.trunks import skeleton

    state = {key: torch.rand(t.shape) for key, t in skeleton("cnn-small").state_dict().items() if t.ndim}
    save_file(state, tmp_path / "w.safetensors")
    with acting_as(owned(whose)):
        kept = weights.add_weights(tmp_path / "w.safetensors", "cnn-small")
    if whose.endswith("private"):
        path = settings().weights / kept / weights.INFO
        files.write_json(path, {**files.read_json(path), "private": True})
    person, readable = PEOPLE[name], name in ALLOWED[whose][READ]
    with acting_as(person):
        assert (kept in [one.id for one in weights.list_weights()]) == readable
    actions = (
        (READ, lambda: weights.weights_info(kept)),
        (READ, lambda: weights.weights_path(kept)),
        (CHANGE, lambda: weights.remove_weights(kept)),
    )
    for kind, action in actions:
        assert agrees(whose, name, kind, told := outcome(person, action)), told


@pytest.mark.parametrize(("whose", "name"), CASES)
def test_b23_vectors_are_as_hidden_as_their_set(whose: str, name: str, tmp_path: Path) -> None:
    found = a_set(whose)
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(found.n, 3)).astype(np.float32))
    with acting_as(owned(whose)):
        kept = vectors.add_vectors(tmp_path / "v.npy", found.id)
    actions = ((READ, lambda: vectors.vectors_info(kept)), (CHANGE, lambda: vectors.remove_vectors(kept)))
    for kind, action in actions:
        assert agrees(whose, name, kind, told := outcome(PEOPLE[name], action)), told


@pytest.mark.parametrize("name", PEOPLE)
def test_b23_imports_and_uploads_are_their_owners(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "start_detached", lambda *_, **__: None)
    source = settings().uploads / "abcdefghijkmnpqr.zip"
    source.parent.mkdir(parents=True)
    source.write_bytes(b"PK")
    with acting_as(ANN):
        begun = imports.start_import(source)
        files.write_json(source.with_suffix(".json"), {"name": "a.zip", "owner": access.me().id})
    may = name in {"Ann", "Tina", "operator"}
    with acting_as(PEOPLE[name]):
        assert bool(imports.list_imports()) == may
        assert (upload_routes.find_upload("abcdefghijkmnpqr") is not None) == may
    for action in (imports.import_status, imports.stop_import):
        assert (outcome(PEOPLE[name], lambda action=action: action(begun)) == "done") == may
    assert (settings().imports / begun / imports.STOP).exists() == may


class As:
    """Lets a request through as the person it names, as the gate does for the session's."""

    def __init__(self, app: ASGIApp, person: Person) -> None:
        self.app, self.person = app, person

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with acting_as(self.person):
            await self.app(scope, receive, send)


def as_person(person: Person) -> TestClient:
    return TestClient(As(Starlette(routes=server.routes()), person))  # type: ignore[arg-type]


def addresses(part: str, value: str) -> list[tuple[str, str]]:
    """(method, address) of every route that names a run or a data set, from the server's own table."""
    found = []
    for route in server.routes():
        if isinstance(route, Route) and f"{{{part}}}" in route.path:
            path = route.path.replace(f"{{{part}}}", value)
            path = path.replace("{index}", "0").replace("{name}", "recipe").replace("{rest:path}", "x")
            found.extend((method, path) for method in sorted(route.methods or {"GET"}) if method != "HEAD")
    return found


@pytest.mark.parametrize("name", ["Ann", "Bob", "Tina", "visitor"])
def test_b23_every_route_of_a_run_asks(name: str) -> None:
    run = a_run("Ann's, private")
    asked = addresses("run", run)
    assert len(asked) >= 15
    client = as_person(PEOPLE[name])
    for method, path in asked:
        told = client.request(method, path, headers={"x-replab": "1"})
        hidden = told.status_code == 404 and told.json() == {
            "error": f"There is no run {run}: it may have been deleted."
        }
        assert hidden == (name not in ALLOWED["Ann's, private"][READ]), (path, told.status_code)


@pytest.mark.parametrize("name", ["Ann", "Bob", "Tina", "visitor"])
def test_b23_every_route_of_a_data_set_asks(name: str) -> None:
    found = a_set("Ann's, private")
    asked = addresses("dataset", found.id)
    assert len(asked) >= 3
    client = as_person(PEOPLE[name])
    for method, path in asked:
        told = client.request(method, path)
        hidden = told.status_code == 404 and "There is no data set" in told.text
        assert hidden == (name not in ALLOWED["Ann's, private"][READ]), (path, told.status_code)


@pytest.mark.parametrize("name", PEOPLE)
def test_b23_every_command_that_names_a_thing_asks(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found, run = a_set("Ann's, private"), a_run("Ann's, private")
    may = name in ALLOWED["Ann's, private"][READ]
    commands = (
        f"data show {found.id}",
        f"train classification --data {found.id} --set epochs=0",
        f"runs show {run}",
        f"runs rename {run} other",
        f"probe run:{run} --data shapes",
        f"project run:{run} --data {found.id} --method pca --out {settings().workspace}/x.csv",
        f"export {run} --format recipe --out {settings().workspace}/r.json",
        f"runs remove {run}",
        f"data remove {found.id}",
    )
    for command in commands:
        with acting_as(PEOPLE[name]):
            command_line(command.split())
        told = capsys.readouterr()
        assert ("There is no " in told.err) != may or "shapes" in told.err, (command, told.err)
    assert (settings().datasets / found.id).exists() != may
    assert (settings().runs / run).exists() != may
    capsys.readouterr()
    with acting_as(PEOPLE[name]):
        command_line(["data", "list", "--json"])
        command_line(["runs", "list", "--json"])
    assert found.id not in (told := capsys.readouterr().out) and run not in told


def test_a_mark_that_is_damaged_hides_the_thing() -> None:
    for fields in ({"owner": 3}, {"owner": "ann", "private": "yes"}, {"owner": None}):
        thing = access.ownership(fields)
        assert not access.may(READ, thing, ANN) and access.may(CHANGE, thing, TINA)


def test_what_has_no_mark_belongs_to_the_server() -> None:
    assert access.ownership({}) == Ownership("", False)


def test_a_server_that_does_not_know_who_asks_lets_nobody_in() -> None:
    access.resolve_by(lambda: access.THE_VISITOR)
    a_set_id = a_set("Ann's").id
    assert datasets.list_datasets() == [] and datasets.summarise(a_set_id) is None
    with pytest.raises(UserError, match="signed in"):
        access.environment()


def test_one_person_on_a_laptop_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = a_set("Ann's, private")
    monkeypatch.setenv("REPLAB_MODE", "laptop")
    access.resolve_by(lambda: access.THE_VISITOR)
    assert access.me() == access.THE_OPERATOR
    datasets.rename_dataset(found.id, "Mine")


def test_work_in_another_thread_is_done_for_who_asked_for_it() -> None:
    from concurrent.futures import ThreadPoolExecutor

    access.resolve_by(lambda: access.THE_VISITOR)
    with ThreadPoolExecutor(1) as pool, acting_as(BOB):
        assert pool.submit(access.me).result() == access.THE_VISITOR
        assert pool.submit(access.as_me(access.me)).result() == BOB


def test_the_same_recipe_is_one_run_a_person() -> None:
    recipe, store = make_recipe(a_set("Ann's")), RunStore()
    with acting_as(ANN):
        first, again = store.create_once(recipe), store.create_once(recipe)
    with acting_as(BOB):
        other = store.create_once(recipe)
    assert first[0] == again[0] and not again[1] and other[1] and other[0] != first[0]


def test_a_set_that_anybody_learns_from_is_not_removed() -> None:
    found, store = a_set("Ann's"), RunStore()
    with acting_as(BOB):
        run = store.create(make_recipe(found)).id
        store.set_private(run, True)
    with acting_as(ANN):
        assert run not in [one.id for one in store.list()] and store.in_use(found.id)
        with pytest.raises(UserError, match="uses this data set"):
            datasets.remove_dataset(found.id, in_use=store.in_use(found.id))


def test_a_worker_sees_what_the_owner_of_its_run_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.runs.supervisor import _for_whom

    with acting_as(ANN):
        run = RunStore().create(make_recipe(a_set("Ann's")))
    assert _for_whom(run.folder) == {access.VARIABLE: "ann"}
    monkeypatch.setenv(access.VARIABLE, "ann")
    assert access.me().id == "ann" and access.me().role == access.STUDENT


def test_sheets_and_pictures_that_are_remembered_are_asked_for_again() -> None:
    found = a_set("Ann's, private")
    path = f"/lab/datasets/{found.id}/images/0.jpg"
    first = as_person(ANN).get(path)
    assert first.status_code == 200 and io.BytesIO(first.content).read(4)
    assert as_person(BOB).get(path).status_code == 404


def test_only_its_owner_keeps_a_selection() -> None:
    run = a_run("Ann's")
    with acting_as(BOB), pytest.raises(UserError, match="somebody else's"):
        save_selection(run, "mine", [1])
    assert list_selections(run) == {}
