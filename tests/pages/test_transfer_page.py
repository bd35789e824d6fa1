"""The Transfer learning page: from a recipe to a run, its results and what can be done with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.runs.store import RunStore
from tests.pages.made import (
    HOSTILE,
    fine,
    make_dataset,
    make_recipe,
    make_run,
    make_unlabelled,
    open_page,
    words,
)

PAGE = "transfer_learning"


def press(app: AppTest, key: str) -> AppTest:
    return fine(app.button(key=key).click().run())


def test_without_a_data_set_the_page_says_what_to_do(workspace: Path) -> None:
    assert "Choose a data set" in words(open_page(PAGE))


@pytest.mark.parametrize(("classes", "told"), [(("only",), "one class"), ((), "no labels")])
def test_a_set_without_two_classes_is_refused_in_words(
    workspace: Path, classes: tuple[str, ...], told: str
) -> None:
    dataset = make_dataset(classes or ("x",)) if classes else make_unlabelled(3)
    app = open_page(PAGE, data=dataset.id)
    assert told in words(app)
    assert not [button for button in app.button if button.key == "compose.start"]


def test_a_real_training_from_start_to_results(workspace: Path) -> None:
    dataset = make_dataset()
    app = open_page(PAGE, data=dataset.id)
    app.number_input(key="compose.classification.epochs").set_value(2).run()
    press(app, "compose.start")
    run = RunStore().list()[0]
    assert run.state == "done", run.error
    assert app.query_params["run"] == run.id
    assert [tab.label for tab in app.tabs][:3] == ["Overview", "Confusion", "Mistakes"]
    assert "was kept" in words(app) and "One image is 12 points" in words(app)
    assert {"Validation accuracy", "Always the commonest class"} <= {metric.label for metric in app.metric}


def test_a_finished_recipe_is_offered_instead_of_repeated(workspace: Path) -> None:
    dataset = make_dataset()
    app = open_page(PAGE, data=dataset.id)
    app.number_input(key="compose.classification.epochs").set_value(2).run()
    press(app, "compose.start")
    again = open_page(PAGE, data=dataset.id)
    again.number_input(key="compose.classification.epochs").set_value(2).run()
    assert "You ran exactly this" in words(again)
    press(again, "compose.reseed")
    assert "You ran exactly this" not in words(again)
    assert again.number_input(key="compose.classification.seed").value != 0
    again.number_input(key="compose.classification.seed").set_value(0).run()
    press(again, "compose.open")
    assert again.query_params["run"] == RunStore().list()[0].id
    assert len(RunStore().list()) == 1


def test_two_tabs_that_press_start_make_one_run(workspace: Path, waiting: None) -> None:
    dataset = make_dataset()
    tabs = [open_page(PAGE, data=dataset.id) for _ in range(2)]
    for tab in tabs:
        press(tab, "compose.start")
    (run,) = RunStore().list()
    assert [tab.query_params["run"] for tab in tabs] == [run.id] * 2


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("epochs", 0, "Epochs must be within"),
        ("batch_size", -3, "Batch size must be within"),
        ("learning_rate", 0.0, "Learning rate must be within"),
        ("seed", -1, "Seed must be within"),
        ("size.32", 4, "Image size"),
    ],
)
def test_an_impossible_setting_is_told_and_stops_start(
    workspace: Path, field: str, value: float, told: str
) -> None:
    app = open_page(PAGE, data=make_dataset().id)
    fine(app.number_input(key=f"compose.classification.{field}").set_value(value).run())
    assert told in words(app).replace("\\", "")
    assert app.button(key="compose.start").disabled


def test_missing_pretrained_weights_are_told_at_once_with_the_choices(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    app = open_page(PAGE, data=make_dataset().id)
    app.selectbox(key="backbone.arch").set_value("resnet18").run()
    weights = next(group for group in app.button_group if group.key == "weights.resnet18")
    fine(weights.set_value("pretrained").run())
    assert "are not on this machine" in words(app).replace("\\", "")
    assert app.button(key="compose.start").disabled


def train_briefly(app: AppTest) -> str:
    """Train two epochs with what the form says; gives the run's id."""
    app.number_input(key="compose.classification.epochs").set_value(2).run()
    press(app, "compose.start")
    run = RunStore().list()[0]
    assert run.state == "done", run.error
    return run.id


def test_what_a_finished_run_learned_is_a_backbone_for_the_next(workspace: Path) -> None:
    first = train_briefly(open_page(PAGE, data=make_dataset(name="First *set*").id))
    RunStore().rename(first, "My <b>run</b>")
    other = make_dataset(("green", "grey"), name="Second")
    app = open_page(PAGE, data=other.id)
    (label,) = [label for label in app.selectbox(key="backbone.arch").options if "First" in label]
    assert label == "My <b>run</b> · Classification · First *set*"
    fine(app.selectbox(key="backbone.arch").set_value(f"run:{first}").run())
    assert r"has trained on images of First \*set\* at 32 px." in words(app)
    assert "weights of a finished run" in words(app) and "only the head learns" in words(app)
    second = train_briefly(app)
    assert RunStore().recipe(second).backbone == f"run:{first}"
    assert not RunStore().results(second)["random_weights"]

    again = open_page(PAGE, data=other.id, run=second)
    assert any("of the run My" in str(table.value) for table in again.table)
    fine(again.button(key="run.again").click().run())
    assert again.selectbox(key="backbone.arch").value == f"run:{first}"


def test_a_backbone_whose_run_was_deleted_is_left_behind(workspace: Path) -> None:
    dataset = make_dataset()
    first = train_briefly(open_page(PAGE, data=dataset.id))
    app = open_page(PAGE, data=dataset.id)
    fine(app.selectbox(key="backbone.arch").set_value(f"run:{first}").run())
    second = train_briefly(app)
    RunStore().remove(first)
    app = open_page(PAGE, data=dataset.id, run=second)
    assert any("deleted" in str(table.value) for table in app.table)
    fine(app.button(key="run.again").click().run())
    assert app.selectbox(key="backbone.arch").value == "cnn-small"
    assert any("no run" in toast.value for toast in app.toast)


def test_a_browser_that_missed_the_first_page_run_begins_with_the_same_values(workspace: Path) -> None:
    app = open_page(PAGE, data=make_dataset().id)
    for _ in range(2):
        fields = {field.key: field.proto for field in app.number_input}
        for name, value in (("epochs", 15), ("batch_size", 64), ("learning_rate", 0.003), ("size.32", 32)):
            proto = fields[f"compose.classification.{name}"]
            assert proto.default == value and not proto.set_value
        fine(app.run())


def test_a_preset_fills_the_form(workspace: Path) -> None:
    app = open_page(PAGE, data=make_dataset().id)
    fine(app.selectbox(key="compose.classification.preset").set_value("Tutorial").run())
    assert app.number_input(key="compose.classification.batch_size").value == 8
    assert app.selectbox(key="compose.classification.optimizer").value == "sgd"
    assert app.number_input(key="compose.classification.size.32").value == 224


def test_settings_are_remembered_on_other_pages(workspace: Path) -> None:
    dataset = make_dataset()
    app = open_page(PAGE, data=dataset.id)
    app.number_input(key="compose.classification.epochs").set_value(7).run()
    app.switch_page("../runs.py").run()
    app.switch_page(f"../{PAGE}.py")
    app.query_params["data"] = dataset.id
    fine(app.run())
    assert app.number_input(key="compose.classification.epochs").value == 7


def test_run_again_with_changes_brings_the_recipe_back(workspace: Path) -> None:
    dataset = make_dataset()
    run = make_run(dataset, seed=5, epochs=4, learning_rate=0.02, mode="last_block")
    app = open_page(PAGE, data=dataset.id, run=run)
    fine(app.button(key="run.again").click().run())
    assert "run" not in app.query_params
    assert app.number_input(key="compose.classification.epochs").value == 4
    assert app.number_input(key="compose.classification.learning_rate").value == 0.02
    assert app.number_input(key="compose.classification.seed").value == 5
    assert "You ran exactly this" in words(app)


def test_a_run_that_is_gone_is_no_error(workspace: Path) -> None:
    app = open_page(PAGE, data=make_dataset().id, run="abcdefgh")
    assert "is not here any more" in words(app)
    assert "run" not in app.query_params


def test_a_bad_run_id_in_the_address_is_no_error(workspace: Path) -> None:
    assert "is not here any more" in words(open_page(PAGE, data=make_dataset().id, run="../../etc"))


def test_stop_ends_a_queued_run_and_resume_is_offered(workspace: Path, waiting: None) -> None:
    dataset = make_dataset()
    run, _ = RunStore().create_once(make_recipe(dataset))
    app = open_page(PAGE, data=dataset.id, run=run)
    press(app, "run.stop")
    assert RunStore().status(run).stopping or RunStore().get(run).state == "stopped"


def test_a_failed_run_shows_its_sentence_and_resume(workspace: Path) -> None:
    from engine.errors import UserError
    from engine.runs.executors import InlineExecutor

    def fail(recipe: object, writer: object) -> dict[str, object]:
        raise UserError("The loss is <b>not</b> a number.")

    dataset, store = make_dataset(), RunStore()
    run = store.create(make_recipe(dataset)).id
    InlineExecutor(store, fail).submit(run)
    app = open_page(PAGE, data=dataset.id, run=run)
    assert "number" in app.error[0].value and "<b>" not in app.error[0].value
    assert app.button(key="run.resume")


def test_rename_and_delete_with_confirmation(workspace: Path) -> None:
    dataset = make_dataset()
    run = make_run(dataset, "old name")
    app = open_page(PAGE, data=dataset.id, run=run)
    app.text_input(key=f"run.name.{run}").set_value("new *name*")
    rename = next(button for button in app.button if button.label == "Rename")
    fine(rename.click().run())
    assert RunStore().get(run).name == "new *name*"
    press(app, "run.delete")
    assert RunStore().list(), "nothing is deleted before it is confirmed"
    press(app, "delete.sure")
    assert not RunStore().list() and "run" not in app.query_params


def test_a_deleted_data_set_leaves_the_results_readable(workspace: Path) -> None:
    from engine.data.dataset import remove_dataset

    dataset = make_dataset()
    run = make_run(dataset)
    remove_dataset(dataset.id)
    app = open_page(PAGE, run=run)
    assert "has been deleted" in words(app) and "was kept" in words(app)


def test_hostile_names_are_never_markdown(workspace: Path) -> None:
    long = "x" * 110
    dataset = make_dataset([*HOSTILE, long], (4, 3, 2), name=HOSTILE[0])
    run = make_run(dataset, HOSTILE[1])
    for app in (open_page(PAGE, data=dataset.id, run=run), open_page(PAGE, data=dataset.id)):
        for kind in ("markdown", "caption", "subheader", "info", "warning", "error", "title"):
            for element in getattr(app, kind):
                for name in HOSTILE:
                    assert name not in element.value, f"{kind}: {element.value}"
                assert "http://evil" not in element.value
                assert not re.search(r"(?<!\\)<(img|b)\b", element.value)


def test_results_of_a_run_with_a_test_split_tell_to_report_it(workspace: Path) -> None:
    dataset = make_dataset(per_class=(6, 4, 3))
    app = open_page(PAGE, data=dataset.id, run=make_run(dataset))
    assert "report the test accuracy" in words(app)
    assert "Test accuracy" in {metric.label for metric in app.metric}
    value = next(metric.value for metric in app.metric if metric.label == "Validation accuracy")
    assert value == "87.5%"  # 7 of 8: the last validation image is made to fail


def test_charts_of_random_weights_say_so(workspace: Path) -> None:
    dataset = make_dataset()
    app = open_page(PAGE, data=dataset.id, run=make_run(dataset))
    charts = [element.proto.spec for element in app.get("plotly_chart")]
    assert charts and all("from random weights" in spec for spec in charts)
