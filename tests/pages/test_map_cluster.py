"""Questions about a selection: worked out in a thread with progress and Stop, once, and remembered."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine.data.dataset import Dataset
from engine.data.progress import Stopped
from engine.errors import UserError
from engine.evaluation.map_result import LatentMap, read_map
from engine.projections.points import Points
from engine.settings import settings
from pages.components import map_cluster, map_run, map_space, try_work
from tests.pages.made import fine, make_dataset, open_page, words
from tests.pages.test_latent_maps_page import map_of, part, select

STOP, AGAIN = "maps.cluster.work.stop", "maps.cluster.work.again"


@pytest.fixture
def dataset(workspace: Path) -> Dataset:
    return make_dataset(("blue", "red"), (12, 6, 2))


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    map_space._kept.clear()
    yield
    map_space._kept.clear()


def selection_page(dataset: Dataset, run: str, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page with the first class selected."""
    found = read_map(run)
    assert found is not None
    select(monkeypatch, [row for row in range(40) if found.label[row] == 0])
    return part(open_page("latent_maps", data=dataset.id, run=run), run, "Selection")


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[tuple[Any, ...]]:
    """What a function is called with from now on."""
    calls: list[tuple[Any, ...]] = []
    real = getattr(module, name)

    def call(*given: Any, **more: Any) -> Any:
        calls.append(given)
        return real(*given, **more)

    monkeypatch.setattr(module, name, call)
    return calls


def run_until(app: AppTest, holds: Callable[[AppTest], bool]) -> AppTest:
    deadline = time.monotonic() + 30
    while not holds(app):
        assert time.monotonic() < deadline, words(app)
        time.sleep(0.02)
        app = fine(app.run())
    return app


def has(key: str) -> Callable[[AppTest], bool]:
    return lambda app: any(button.key == key for button in app.button)


def test_a_verdict_is_worked_out_once_and_the_space_is_read_once(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = map_of(dataset, "pca", "isomap")
    judged, read = (
        counted(monkeypatch, map_cluster, "is_it_real"),
        counted(monkeypatch, map_space, "space_of"),
    )
    app = selection_page(dataset, run, monkeypatch)
    assert "Real:" in words(app) and (len(judged), len(read)) == (1, 1)
    for _ in range(2):
        app = fine(app.run())
    assert "Real:" in words(app) and (len(judged), len(read)) == (1, 1), "a rerun asks nothing anew"
    app = fine(app.button_group(key=f"maps.cluster.{run}").set_value("Isomap").run())
    assert (len(judged), len(read)) == (2, 1), "another panel is another question about the same space"
    monkeypatch.setattr(map_run, "selected_rows", lambda key: list(range(9)))
    assert "9 of 40 points" in words(fine(app.run())) and (len(judged), len(read)) == (3, 1)


def test_the_page_waits_for_nothing_and_can_stop_what_it_asked_for(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = map_of(dataset, "pca")
    monkeypatch.setattr(try_work, "PATIENCE", 0.01)
    go, begun = threading.Event(), []
    real = map_space.space_of

    def slowly(recipe: Any, index: Any, tell: Any, stop: Any) -> Points:
        begun.append(threading.current_thread())
        while not (stop() or go.is_set()):
            tell("computing features", 3, 10)
            time.sleep(0.01)
        if stop():
            raise Stopped
        return real(recipe, index)

    monkeypatch.setattr(map_space, "space_of", slowly)
    app = run_until(selection_page(dataset, run, monkeypatch), has(STOP))
    assert "20 of 40 points" in words(app) and "Real:" not in words(app), "the rest of the page is there"
    assert begun and begun[0] is not threading.main_thread() and "try-long" in begun[0].name
    app = fine(app.button(key=STOP).click().run())
    app = run_until(app, has(AGAIN))
    assert "Stopped" in words(app) and len(begun) == 1
    go.set()
    app = fine(app.button(key=AGAIN).click().run())
    app = run_until(app, lambda app: "Real:" in words(app))
    assert len(begun) == 2


def test_a_space_that_cannot_be_read_is_one_sentence_and_the_page_stays(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = map_of(dataset, "pca")

    def gone(*_: Any) -> Points:
        raise UserError("The encoder of this map is gone.")

    monkeypatch.setattr(map_space, "space_of", gone)
    app = selection_page(dataset, run, monkeypatch)
    assert "The encoder of this map is gone." in words(app) and "20 of 40 points" in words(app)


def test_features_whose_cache_was_cleared_are_computed_again_with_progress(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.pages.test_latent_maps_page import map_recipe

    recipe = map_recipe(dataset, "pca").model_copy(update={"backbone": "random:cnn-small"})
    monkeypatch.setattr("tests.pages.test_latent_maps_page.map_recipe", lambda *given, **more: recipe)
    run = map_of(dataset, "pca")
    shutil.rmtree(settings().cache)
    told: list[str] = []
    real = try_work.Job.tell

    def tell(job: try_work.Job, phase: str, done: int, total: int) -> None:
        told.append(phase)
        real(job, phase, done, total)

    monkeypatch.setattr(try_work.Job, "tell", tell)
    app = selection_page(dataset, run, monkeypatch)
    assert "Real:" in words(app)
    assert list(dict.fromkeys(told))[-2:] == ["computing features", "asking the neighbours"]


def test_no_more_spaces_are_kept_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_space, "space_of", lambda *_: object())
    found: LatentMap = type("Found", (), {"recipe": None, "index": None})  # type: ignore[assignment]
    for run in ("a", "b", "a", "c"):
        map_space._space(run, found, try_work.Job())
    assert list(map_space._kept) == ["a", "c"]
