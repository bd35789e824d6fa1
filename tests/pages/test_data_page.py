"""Home and the Data page, opened through the shell."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine import files
from engine.data.dataset import list_datasets, open_dataset
from engine.data.duplicates import exact_duplicates
from engine.data.writer import DatasetWriter
from engine.settings import settings
from pages.components import background, data_duplicates, data_imports, picker
from pages.components.data_report import as_csv

ROOT = Path(__file__).resolve().parents[2]
SHELL = ROOT / "pages" / "components" / "shell.py"
HOSTILE = '<img src=x onerror="alert(1)"> **b** $x$ :smile:'


def build(
    name: str, classes: tuple[str, ...] = ("cats", "dogs"), seed: int = 0, doubles: bool = False
) -> str:
    """Twelve images; every third one is for validation. With `doubles`, three pictures come twice."""
    shown = np.random.default_rng(seed).integers(0, 255, (12, 24, 24, 3), np.uint8)
    if doubles:
        shown[1] = shown[0]  # the same split and class
        shown[5] = shown[3]  # train and validation
        shown[10] = shown[4]  # cats and dogs
    labels = np.array([0] * 6 + [1] * 6) if classes else np.full(12, -1)
    splits = np.array([0, 0, 1] * 4)
    with DatasetWriter(name) as writer:
        for i, pixels in enumerate(shown):
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            writer.add(buffer.getvalue(), f"{i}.png")
        report = {
            "taken": 12,
            "ignored": 2,
            "skipped_count": 1,
            "skipped": [{"name": "=cmd()|.png", "reason": "not an image"}],
        }
        return writer.finish(classes=list(classes), labels=labels, splits=splits, report=report).id


@pytest.fixture
def open_page(workspace: Path) -> Callable[..., AppTest]:
    settings().tmp.mkdir(parents=True)
    files.write_json(settings().workspace / "first-start.json", {})

    def run(page: str = "data.py", **query: str) -> AppTest:
        app = AppTest.from_file(str(SHELL), default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        if page != "home.py":
            app.switch_page(f"../{page}").run()
        assert not app.exception and not app.error
        return app

    return run


def look(app: AppTest, part: str | None = None) -> AppTest:
    app.session_state["data.goto"] = "Look inside"
    if part:
        app.session_state["data.part"] = part
    app.run()
    assert not app.exception and not app.error
    return app


def words(app: AppTest) -> str:
    kinds = ("markdown", "caption", "text", "success", "info", "warning", "subheader", "title")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def test_an_empty_workspace_has_words_on_every_page(open_page: Callable[..., AppTest]) -> None:
    assert "being drawn" in words(open_page("home.py"))
    assert "bring a folder of images" in words(open_page("data.py"))


def test_every_page_file_is_declared_under_another_address_than_its_stem() -> None:
    from pages.components.shell import PAGES  # drawing outside a session only warns

    declared = {file: address for pages in PAGES.values() for file, _, _, address in pages}
    assert set(declared) == {path.name for path in (ROOT / "pages").glob("*.py")} - {"__init__.py"}
    assert all(Path(file).stem != address for file, address in declared.items())
    assert len(set(declared.values())) == len(declared)


def test_the_picker_follows_the_address_and_ignores_a_wrong_one(open_page: Callable[..., AppTest]) -> None:
    first, second = build("one"), build("two")
    assert open_page("home.py", data=first).selectbox(key=picker.WIDGET).value == first
    app = open_page("home.py", data="../../etc")
    assert app.selectbox(key=picker.WIDGET).value in (first, second)
    app.selectbox(key=picker.WIDGET).set_value(first).run()
    assert app.query_params["data"] in (first, [first])  # AppTest gives back a list or the value
    app.switch_page("../data.py").run()
    assert app.selectbox(key=picker.WIDGET).value == first


def test_sets_of_one_name_are_told_apart() -> None:
    from types import SimpleNamespace

    sets = {key: SimpleNamespace(name="same") for key in ("aaaaaaaa", "bbbbbbbb")}
    assert len(set(picker.labels(sets).values())) == 2  # type: ignore[arg-type]


def test_a_hostile_name_stays_text_on_each_part(open_page: Callable[..., AppTest]) -> None:
    dataset = build(HOSTILE, classes=(HOSTILE, "n" * 240))
    app = open_page("data.py", data=dataset)
    for part in ("Images", "Counts", "What was taken", "Duplicates"):
        shown = words(look(app, part))
        assert "<img" not in shown.replace(r"\<img", "") and "**b**" not in shown and ":smile:" not in shown
    assert r"\<img" in shown


def test_the_report_names_what_was_skipped_and_no_cell_is_a_formula(
    open_page: Callable[..., AppTest],
) -> None:
    app = look(open_page("data.py", data=build("set")), "What was taken")
    metrics = {metric.label: metric.value for metric in app.metric}
    assert (metrics["Taken"], metrics["Skipped"], metrics["Ignored"]) == ("12", "1", "2")
    assert app.dataframe[0].value.iloc[0].tolist() == ["=cmd()|.png", "not an image"]
    assert as_csv([("=cmd()", "+x")]).splitlines()[1] == "'=cmd(),'+x"


def test_counts_are_those_of_the_set(open_page: Callable[..., AppTest]) -> None:
    dataset = build("set")
    table = look(open_page("data.py", data=dataset), "Counts").dataframe[0].value
    assert table["Class"].tolist() == ["cats", "dogs"] and table["All"].tolist() == [6, 6]
    assert table["Train"].tolist() == [
        open_dataset(dataset).counts()["train"][name] for name in ("cats", "dogs")
    ]


def test_a_set_without_labels_is_shown_too(open_page: Callable[..., AppTest]) -> None:
    app = open_page("data.py", data=build("plain", classes=()))
    assert "no labels" in words(look(app, "Counts"))
    look(app, "Images")


def test_a_name_can_be_changed(open_page: Callable[..., AppTest]) -> None:
    dataset = build("before")
    app = look(open_page("data.py", data=dataset))
    app.text_input[0].set_value("after")
    next(button for button in app.button if button.label == "Rename").click().run()
    assert open_dataset(dataset).name == "after" and not app.exception


def test_deleting_asks_first_and_refuses_while_a_run_uses_the_set(open_page: Callable[..., AppTest]) -> None:
    from engine.runs.recipe import Recipe
    from engine.runs.store import RunStore

    dataset, other = build("one"), build("two")
    fingerprint = open_dataset(dataset).fingerprint
    recipe = Recipe(
        dataset=dataset,
        fingerprint=fingerprint,
        method="classification",
        config={},
        backbone=None,
        image_size=24,
        seed=0,
    )
    RunStore(settings().runs).create(recipe)
    app = look(open_page("data.py", data=dataset))
    app.button(key="data.delete").click().run()
    assert {summary.id for summary in list_datasets()} == {dataset, other}
    app.button(key="data.delete.yes").click().run()
    assert "stop the run first" in app.error[0].value
    assert {summary.id for summary in list_datasets()} == {dataset, other}


def test_a_deleted_set_is_gone_and_another_is_chosen(open_page: Callable[..., AppTest]) -> None:
    dataset, other = build("one"), build("two")
    app = look(open_page("data.py", data=dataset))
    app.button(key="data.delete").click().run()
    app.button(key="data.delete.yes").click().run()
    assert [summary.id for summary in list_datasets()] == [other]
    assert not app.exception and app.selectbox(key=picker.WIDGET).value == other


def test_fifty_sets_come_in_pages_and_can_be_found(open_page: Callable[..., AppTest]) -> None:
    for i in range(14):
        build(f"set number {i}", seed=i)
    app = open_page("data.py")
    assert sum(button.key.startswith("data.open.") for button in app.button if button.key) == 12
    app.text_input(key="data.find").set_value("number 3").run()
    assert sum(button.key.startswith("data.open.") for button in app.button if button.key) == 1


def test_a_folder_that_is_not_there_is_one_sentence(open_page: Callable[..., AppTest]) -> None:
    app = open_page("data.py")
    app.session_state["data.goto"] = "Add images"
    app.run()
    app.text_input(key="data.folder.path").set_value("/nothing/here")
    next(button for button in app.button if button.label == "Add").click().run()
    assert len(app.error) == 1 and "nothing at this place" in app.error[0].value.replace("\\", "")


def test_duplicates_to_drop_keep_one_of_each_and_none_of_two_classes(
    open_page: Callable[..., AppTest],
) -> None:
    dataset = open_dataset(build("doubles", doubles=True))
    groups = exact_duplicates(dataset)
    assert [group.indices.tolist() for group in groups] == [[0, 1], [3, 5], [4, 10]]
    assert data_duplicates.dropped(dataset, groups).tolist() == [1, 3, 4, 10]  # 5 is for validation: it stays


def test_duplicates_across_splits_and_classes_are_told(open_page: Callable[..., AppTest]) -> None:
    app = open_page("data.py", data=build("doubles", doubles=True))
    for _ in range(50):
        shown = words(look(app, "Duplicates"))
        if "more than once" in shown:
            break
        time.sleep(0.1)
    assert "3 pictures more than once: 3 copies. 1 of them lie in two splits" in shown.replace("**", "")
    assert "1 carry two classes" in shown
    next(button for button in app.button if button.label.startswith("Make a set")).click().run()
    made = next(summary for summary in list_datasets() if summary.name == "doubles without duplicates")
    assert made.n == 8 and not app.exception


def test_background_work_is_done_once_and_a_fault_is_a_sentence() -> None:
    calls: list[int] = []

    def slow() -> str:
        calls.append(1)
        time.sleep(0.3)
        return "answer"

    assert background.ask("key", slow, patience=0.01) == (False, None)
    assert background.ask("key", slow, patience=5) == (True, "answer")
    assert background.ask("key", slow) == (True, "answer") and len(calls) == 1

    def wrong() -> None:
        raise RuntimeError("secret path /root")

    with pytest.raises(Exception, match="could not be worked out") as error:
        background.ask("other", wrong, patience=5)
    assert "secret" not in str(error.value)


def test_an_import_that_failed_stays_until_it_is_dismissed(open_page: Callable[..., AppTest]) -> None:
    folder = settings().imports / "aaaa"
    folder.mkdir(parents=True)
    files.write_json(
        folder / "request.json", {"source": "x", "source_name": HOSTILE, "started": 1.0, "options": {}}
    )
    files.write_json(
        folder / "status.json", {"state": "failed", "error": "The zip is damaged: make it again."}
    )
    app = AppTest.from_file(str(SHELL), default_timeout=60).run()
    assert "The zip is damaged" in app.error[0].value and "<img" not in app.markdown[0].value.replace(
        r"\<img", ""
    )
    app.button(key="import.clear.aaaa").click().run()
    assert not app.error and not folder.exists()


def test_an_import_that_is_done_before_it_was_seen_still_opens_its_set(
    open_page: Callable[..., AppTest],
) -> None:
    """The upload's answer may come after the page has looked: the import must not be forgotten by then."""
    other, dataset = build("other"), build("uploaded")
    folder = settings().imports / "bbbb"
    folder.mkdir(parents=True)
    request = {"source": "x", "source_name": "uploaded", "started": time.time(), "options": {}}
    files.write_json(folder / "request.json", request)
    files.write_json(folder / "status.json", {"state": "done", "dataset": dataset})
    app = open_page("data.py", data=other)
    assert app.selectbox(key=picker.WIDGET).value == other and folder.exists()
    app.session_state[data_imports.SEEN] = {"bbbb"}
    app.session_state[data_imports.MINE] = {"bbbb"}
    app.run()
    assert app.selectbox(key=picker.WIDGET).value == dataset and not app.exception
    files.write_json(folder / "request.json", {**request, "started": time.time() - 1000})
    app.run()
    assert not folder.exists()


def test_progress_is_said_in_words() -> None:
    from engine.data.imports import ImportStatus

    status = ImportStatus("a", "running", "x", 1.0, phase="reading images", done=1500, total=3000)
    assert data_imports.progress_words(status) == "Reading images · 1,500 of 3,000"
    assert data_imports.share(status) == 0.5
    assert data_imports.share(ImportStatus("a", "running", "x", 1.0)) == 0.0
