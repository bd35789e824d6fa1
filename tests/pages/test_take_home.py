"""Take it home on the page, the route behind it, and runs taken in on the Runs page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from engine.data.dataset import list_datasets, remove_dataset
from engine.export import making, taking_in
from engine.export.making import UNDER_WAY
from engine.export.run_formats import RUN_FORMATS
from engine.export.run_import import import_runs
from engine.export.run_zip import write_runs_zip
from engine.export.take import write_run
from engine.files import new_id
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import check_recipe
from engine.runs.recipe import make_recipe as recipe_of
from engine.runs.store import RunStore
from engine.settings import settings
from pages.components import run_import, server
from tests.pages.coded import code_run
from tests.pages.made import HOSTILE, fine, make_dataset, make_recipe, make_run, open_page, words


@pytest.fixture
def client(workspace: Path) -> TestClient:
    return TestClient(Starlette(routes=server.routes()))


def links(app: AppTest, run: str) -> dict[str, str]:
    """Address of each download that is offered, by the format's name."""
    found = {}
    for element in app.get("link_button"):
        start, _, name = element.proto.url.rpartition("/")
        if start == f"/lab/runs/{run}/take":
            found[name] = element.proto.label
    return found


def makes(app: AppTest, run: str) -> set[str]:
    keys = [str(button.key).split(".") for button in app.button]
    return {key[2] for key in keys if key[:2] == ["take", "make"] and key[3] == run}


def settled(run: str, name: str) -> None:
    deadline = time.monotonic() + 90
    while making.making(run, name).state in UNDER_WAY:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_autoencoder_offers_both_halves_and_its_code(workspace: Path) -> None:
    run = code_run(make_dataset())
    app = open_page("runs", run=run)
    quick = {name for name, known in RUN_FORMATS.items() if known.quick}
    of_maps = {name for name, known in RUN_FORMATS.items() if known.only_maps}
    assert set(links(app, run)) == quick and makes(app, run) == set(RUN_FORMATS) - quick - of_maps
    assert "The map" not in words(app)
    shown = [element.value for element in app.code]
    assert any("InlineExecutor" in text for text in shown)
    assert any(text == f"python -m engine train autoencoder --recipe recipe-{run}.json" for text in shown)


def test_what_a_run_has_not_is_said_and_not_offered(workspace: Path) -> None:
    run = code_run(make_dataset(), "masked_autoencoder")
    app = open_page("runs", run=run)
    assert not [name for name in makes(app, run) if name.endswith("-decoder")]
    assert words(app).count("needs part of an image beside the code") == 1
    made_up = make_run(make_dataset())
    app = open_page("runs", run=made_up)
    assert "onnx" not in makes(app, made_up) and "kept no encoder" in words(app)
    assert {"report", "zip"} <= makes(app, made_up) and "Its other half" not in words(app)


def measured(kind: str) -> tuple[str, str]:
    """(page, id) of a finished run that trained no network."""
    dataset = make_dataset(per_class=(8, 4, 4))
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "image_size": 16, "method": kind}
    config: dict[str, Any] = {"encoders": "random:cnn-small", "few_labels": False, "structure": False}
    if kind == "depth_probe":
        fields["backbone"], config = "random:cnn-small", {}
    store = RunStore()
    run = store.create(check_recipe(recipe_of({**fields, "config": config}))).id
    InlineExecutor(store).submit(run)
    assert store.status(run).state == "done", store.log_tail(run)
    return {"comparison": "compare", "depth_probe": "try_it"}[kind], run


@pytest.mark.parametrize("kind", ["comparison", "depth_probe"])
def test_runs_that_trained_no_network_are_taken_home_from_their_page(
    workspace: Path, client: TestClient, kind: str
) -> None:
    page, run = measured(kind)
    app = open_page(page, run=run)
    assert set(links(app, run)) == {"recipe", "code"} and makes(app, run) == {"report", "zip"}
    assert "trained no network" not in words(app) and "The network" not in words(app)
    assert any(kind in element.value and "InlineExecutor" in element.value for element in app.code)
    for name in ("report", "zip"):
        fine(app.button(key=f"take.make.{name}.{run}").click().run())
        settled(run, name)
        answer = client.get(f"/lab/runs/{run}/take/{name}")
        assert (
            answer.status_code == 200 and RUN_FORMATS[name].name(run) in answer.headers["content-disposition"]
        )
    report = making.made(run, "report").read_text()
    assert {"comparison": "Encoders compared", "depth_probe": "Classes by depth"}[kind] in report
    recipe = client.get(f"/lab/runs/{run}/take/recipe").json()
    assert recipe["method"] == kind and recipe == RunStore().recipe(run).model_dump()


@pytest.mark.parametrize("kind", ["comparison", "depth_probe"])
def test_a_measurement_is_the_same_elsewhere(
    workspace: Path, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, run = measured(kind)
    told = RunStore().results(run)
    write_run(run, "zip", tmp_path / "run.zip")
    monkeypatch.setenv("REPLAB_WORKSPACE", str(tmp_path / "elsewhere"))
    import_runs(tmp_path / "run.zip")
    assert RunStore().results(run) == told
    assert "Take it home" in [one.label for one in open_page(page, run=run).expander]


def test_a_file_is_made_on_a_press_and_then_offered(workspace: Path, client: TestClient) -> None:
    run = code_run(make_dataset())
    app = open_page("runs", run=run)
    fine(app.button(key=f"take.make.report.{run}").click().run())
    settled(run, "report")
    app = open_page("runs", run=run)
    assert links(app, run)["report"].startswith("Download · ")
    answer = client.get(f"/lab/runs/{run}/take/report")
    assert answer.status_code == 200 and answer.content == making.made(run, "report").read_bytes()
    assert answer.headers["content-disposition"] == f'attachment; filename="report-{run}.html"'
    assert answer.headers["cache-control"] == "no-store"


def test_what_failed_says_why_and_can_be_tried_again(workspace: Path) -> None:
    dataset = make_dataset()
    run = code_run(dataset)
    remove_dataset(dataset.id)
    making.start(run, "features")
    settled(run, "features")
    app = open_page("runs", run=run)
    assert "not here any more" in words(app)
    assert [button.label for button in app.button if button.key == f"take.make.features.{run}"] == [
        "Make it again"
    ]


def test_a_run_that_goes_on_has_nothing_to_take(workspace: Path, waiting: None) -> None:
    run = RunStore().create(make_recipe(make_dataset())).id
    app = open_page("runs", run=run)
    assert not links(app, run) and not makes(app, run)


@pytest.mark.parametrize("name", [name for name, known in RUN_FORMATS.items() if known.quick])
def test_quick_files_are_sent_at_once_and_leave_nothing(
    client: TestClient, name: str, tmp_path: Path
) -> None:
    run = code_run(make_dataset())
    answer = client.get(f"/lab/runs/{run}/take/{name}")
    write_run(run, name, tmp_path / "file")
    assert answer.status_code == 200 and answer.content == (tmp_path / "file").read_bytes()
    assert RUN_FORMATS[name].name(run) in answer.headers["content-disposition"]
    assert not list(settings().tmp.iterdir())


def test_what_cannot_be_sent_is_one_sentence(client: TestClient) -> None:
    run = make_run(make_dataset())
    asked = {
        f"{run}/take/zip": "not made yet",
        f"{run}/take/exe": "no format",
        f"{run}/take/decoder": "only autoencoders",
        f"{run}/take/safetensors": "kept no encoder",
        "none/take/zip": "There is no run",
        "A_B/take/zip": "not a valid run id",
    }
    for address, told in asked.items():
        answer = client.get(f"/lab/runs/{address}")
        assert answer.status_code == 404 and told in answer.json()["error"]
    assert not settings().tmp.exists() or not list(settings().tmp.iterdir())


@pytest.fixture
def drop(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A file that has just been dropped on the page, which the test driver cannot do: `drop(bytes)`."""
    arrived: list[Path] = []

    def pick(*args: Any, **keywords: Any) -> Path | None:
        return arrived.pop() if arrived else None

    monkeypatch.setattr(run_import, "upload", pick)

    def dropped(data: bytes) -> Path:
        path = settings().uploads / f"{new_id()}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        arrived.append(path)
        return path

    return dropped


def packed(run: str, path: Path) -> bytes:
    write_run(run, "zip", path)
    return path.read_bytes()


def arrived(app: AppTest) -> AppTest:
    """The page once the import that it watches has ended."""
    job = app.session_state[run_import.JOB]
    deadline = time.monotonic() + 90
    while taking_in.taking_in(job).state in UNDER_WAY:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    fine(app.run())
    assert run_import.JOB not in app.session_state and not taking_in.job_folder(job).exists()
    return app


def test_an_import_shows_how_far_it_is_and_can_be_stopped(
    workspace: Path, drop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(make_dataset())
    data = packed(run, tmp_path / "run.zip")
    RunStore().remove(run)
    monkeypatch.setattr(taking_in, "start_detached", lambda module, folder: None)  # as one that is starting
    path = drop(data)
    app = open_page("runs")
    assert not path.exists() and not RunStore().list(), "the page has handed it on and read none of it"
    job = app.session_state[run_import.JOB]
    fine(app.button(key="runs.import.stop").click().run())
    folder = taking_in.job_folder(job)
    assert (folder / making.STOP).exists()
    (folder / making.STATUS).write_text('{"state": "stopped"}')
    app = arrived(app)
    assert run_import.STOPPED in [one.value for one in app.info] and not RunStore().list()
    fine(app.run())
    assert not app.info or run_import.STOPPED not in app.info[0].value, "it is told once"


def test_a_dropped_zip_brings_its_runs(workspace: Path, drop: Any, tmp_path: Path) -> None:
    dataset = make_dataset()
    run = make_run(dataset, HOSTILE[0])
    data = packed(run, tmp_path / "run.zip")
    RunStore().remove(run)
    remove_dataset(dataset.id)
    path = drop(data)
    app = arrived(open_page("runs"))
    assert "1 run taken in" in words(app) and "is not here" in words(app)
    assert list(app.dataframe[0].value["Name"]) == [HOSTILE[0]] and not path.exists()
    assert not [one for one in [*app.success, *app.warning] if HOSTILE[0] in one.value], "it stays literal"
    fine(app.run())
    assert "taken in" not in words(app), "it is told once"


def test_a_dropped_zip_brings_its_data_set(workspace: Path, drop: Any, tmp_path: Path) -> None:
    dataset = make_dataset(name=HOSTILE[0])
    run = make_run(dataset)
    write_runs_zip([run], tmp_path / "all.zip", with_data=True)
    RunStore().remove(run)
    remove_dataset(dataset.id)
    drop((tmp_path / "all.zip").read_bytes())
    app = arrived(open_page("runs"))
    assert "1 run taken in" in words(app) and "1 data set came along" in words(app)
    assert "is not here" not in words(app)
    assert not [one for one in app.info if HOSTILE[0] in one.value], "it stays literal"
    assert [one.name for one in list_datasets()] == [HOSTILE[0]]


def test_a_dropped_file_that_is_none_is_refused_in_a_sentence(workspace: Path, drop: Any) -> None:
    path = drop(b"PK\x03\x04 not really")
    app = arrived(open_page("runs"))
    assert "holds no runs of this program" in app.error[0].value.replace("\\", "")
    assert not path.exists() and not RunStore().list()


def test_a_run_from_elsewhere_can_be_looked_at_without_its_images(
    workspace: Path, drop: Any, tmp_path: Path
) -> None:
    for make in (make_run, code_run):
        dataset = make_dataset()
        run = make(dataset)
        data = packed(run, tmp_path / f"{run}.zip")
        RunStore().remove(run)
        remove_dataset(dataset.id)
        drop(data)
        arrived(open_page("runs"))
        fine(open_page("runs", run=run))
