"""The Compare page: from its form to rows that come one by one, each part, and what goes wrong."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine.data.dataset import Dataset, open_dataset
from engine.evaluation.comparison_result import read_comparison
from engine.evaluation.published import PUBLISHED
from engine.export.code import comparison_command
from engine.models import pretrained
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.store import RunStore
from pages.components import compare_charts, estimate
from pages.components.text import duration
from tests.pages.learned import learned_run
from tests.pages.made import HOSTILE, fine, make_dataset, make_run, make_unlabelled, open_page, words

PAGE = "compare"
ENCODERS = "compare.encoders"
QUICK: dict[str, Any] = {"few_labels": False, "structure": False}


@pytest.fixture
def dataset(workspace: Path) -> Dataset:
    return make_dataset(HOSTILE[:2], (12, 6, 10))


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """Recipes whose cost was asked for; a process that times them would take longer than the test."""
    recipes: list[Recipe] = []

    def answer(recipe: Recipe) -> dict[str, Any]:
        recipes.append(recipe)
        parts = [["Linear probes", 61.0]]
        return {"low": 40.0, "high": 150.0, "peak_bytes": 0, "basis": "Timed <b>here</b>.", "parts": parts}

    monkeypatch.setattr(estimate, "run_estimate", answer)
    return recipes


def comparison_recipe(dataset: Dataset, encoders: str, **config: Any) -> Recipe:
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "comparison"}
    return check_recipe(
        make_recipe({**fields, "config": {"encoders": encoders, **config}, "image_size": 32, "seed": 0})
    )


def comparison(dataset: Dataset, encoders: str, **config: Any) -> str:
    store = RunStore()
    run = store.create(comparison_recipe(dataset, encoders, **config)).id
    InlineExecutor(store).submit(run)
    assert store.status(run).state == "done", store.log_tail(run)
    return run


def part(app: AppTest, run: str, name: str) -> AppTest:
    return fine(app.button_group(key=f"compare.part.{run}").set_value(name).run())


def test_without_a_data_set_the_page_says_what_to_do(workspace: Path) -> None:
    assert "Choose a data set" in words(open_page(PAGE))


def test_sets_without_classes_are_told_in_a_sentence(workspace: Path) -> None:
    assert "has no labels: there is nothing to read" in words(open_page(PAGE, data=make_unlabelled(12).id))
    one = make_dataset(("only",), (6, 3, 3), "One")
    assert "has one class: there is nothing to read" in words(open_page(PAGE, data=one.id))


@pytest.mark.parametrize(("split", "lacks"), [("train", "training"), ("test", "validation or test")])
def test_sets_that_cannot_judge_are_told_before_anything_is_started(
    workspace: Path, split: str, lacks: str
) -> None:
    data = make_dataset(HOSTILE[:2], (12, 0, 10))
    unlabel(data, split)
    app = open_page(PAGE, data=data.id)
    assert f"no {lacks} images with a class" in words(app)
    assert "compose.start" not in [button.key for button in app.button]


def unlabel(data: Dataset, split: str, keep: int = 0) -> None:
    """Take the classes of a split's images away, but for the first ones."""
    open_dataset(data.id).labels[data.indices(split)[keep:]] = -1


def test_images_without_a_class_are_not_counted_among_those_that_judge(dataset: Dataset) -> None:
    unlabel(dataset, "test", 7)
    assert "judged by 7 of 7 test images" in words(open_page(PAGE, data=dataset.id))
    unlabel(dataset, "test")
    assert "judged by 12 of 12 validation images" in words(open_page(PAGE, data=dataset.id))


def test_the_form_starts_the_comparison_that_it_says(dataset: Dataset, waiting: None) -> None:
    run = learned_run(dataset)
    app = open_page(PAGE, data=dataset.id)
    assert app.multiselect(key=ENCODERS).value == [f"run:{run}"], "runs on this set are offered first"
    app = fine(app.multiselect(key=ENCODERS).set_value([f"run:{run}", "random:resnet20"]).run())
    app = fine(app.toggle(key="compose.comparison.knn").set_value(False).run())
    assert "**2 encoders**" in words(app) and "20 of 20 test images" in words(app)
    fine(app.button(key="compose.start").click().run())
    (made,) = [one for one in RunStore().list() if one.method == "comparison"]
    recipe = RunStore().recipe(made.id)
    assert recipe.config["encoders"] == f"run:{run},random:resnet20" and recipe.config["knn"] is False


def test_what_it_will_cost_is_told_before_it_is_started(dataset: Dataset, asked: list[Recipe]) -> None:
    app = open_page(PAGE, data=dataset.id)
    assert not asked, "nothing is chosen yet"
    app = fine(app.multiselect(key=ENCODERS).set_value(["random:resnet20"]).run())
    for _ in range(50):
        if "on this machine" in words(app):
            break
        time.sleep(0.05)
        app = fine(app.run())
    (line,) = [one for one in app.caption if "on this machine" in one.value]
    assert f"**{duration(40)} to {duration(150)}**" in line.value and "memory" not in line.value
    assert "<b>" not in line.help and f"Linear probes: {duration(61)}" in line.help
    assert {recipe.method for recipe in asked} == {"comparison"}
    assert asked[-1].config["encoders"] == "random:resnet20"


def test_nothing_chosen_starts_nothing(dataset: Dataset) -> None:
    app = open_page(PAGE, data=dataset.id)
    assert app.multiselect(key=ENCODERS).value == []
    assert "Choose at least one encoder" in words(app) and app.button(key="compose.start").disabled


def test_a_finished_comparison_tells_its_advice_and_every_part(dataset: Dataset) -> None:
    ssl = learned_run(dataset)
    run = comparison(dataset, f"run:{ssl}", draws=2, few_most=2)
    found = read_comparison(run)
    assert found is not None
    app = open_page(PAGE, data=dataset.id, run=run)
    told = words(app)
    begin = found.advice().partition(":")[0]
    assert begin in told and "20 of 20 test images" in told
    assert "without their labels" in told, "what it learned here is said beside its figures"
    for name in ("Few labels", "Cost", "Published", "Recipe and downloads"):
        app = part(app, run, name)
    assert f"python -m engine compare run:{ssl} --data {dataset.id} --seed 0" in app.code[0].value
    app = part(app, run, "All figures")
    (table,) = [frame.value for frame in app.dataframe]
    assert list(table["encoder"]) == [row.title for row in found.rows] and "few 1" in table


def test_published_figures_have_a_panel_and_an_axis_of_their_own(dataset: Dataset) -> None:
    run = comparison(dataset, "random:cnn-small", **QUICK)
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Published")
    assert "Not measured here" in words(app)
    assert all(one.source in words(app) and one.address.startswith("https://") for one in PUBLISHED)
    found = read_comparison(run)
    assert found is not None
    theirs = compare_charts.published_figure("t")
    assert [trace.y for trace in theirs.data] == [tuple(one.method for one in PUBLISHED[::-1])]
    ours = compare_charts.bars_figure(found, "t")
    assert not any("BYOL" in str(trace.name) for trace in ours.data)


def test_bars_carry_their_intervals_and_n(dataset: Dataset) -> None:
    found = read_comparison(comparison(dataset, "random:cnn-small", **QUICK))
    assert found is not None
    figure = compare_charts.bars_figure(found, "t")
    assert [trace.name for trace in figure.data] == ["linear probe", "nearest neighbours"]
    told = [row.figure("linear") for row in found.rows]
    bars = figure.data[0]
    assert list(bars.x) == [one["accuracy"] for one in told if one]
    ends = [x + up for x, up in zip(bars.x, bars.error_x.array, strict=True)]
    assert ends == pytest.approx([one["high"] for one in told if one])
    assert [row[3] for row in bars.customdata] == [20, 20]
    lines = [str(one.text) for one in figure.layout.annotations]
    assert "always the commonest class 50%" in lines


def test_the_few_label_curve_alone_still_gives_bars_and_costs(dataset: Dataset) -> None:
    only = {"linear": False, "knn": False, "structure": False, "few_most": 1, "draws": 2}
    found = read_comparison(comparison(dataset, "random:cnn-small", **only))
    assert found is not None
    (bars,) = compare_charts.bars_figure(found, "t").data
    assert list(bars.x) == [row.few[-1]["mean"] for row in found.rows]
    assert len(compare_charts.cost_figure(found.rows, "t").data) == 1, "pixels are a line"


def test_a_supervised_run_is_the_ceiling(dataset: Dataset) -> None:
    run = make_run(dataset, "My classifier", mode="everything")
    made = comparison(dataset, f"run:{learned_run(dataset)}", **QUICK)
    assert "the ceiling: My classifier" in words(open_page(PAGE, data=dataset.id, run=made))
    found = read_comparison(made)
    assert found is not None and found.ceiling is not None and found.ceiling["run"] == run


def test_an_encoder_whose_run_was_removed_is_told_and_the_others_are_shown(dataset: Dataset) -> None:
    ssl, store = learned_run(dataset), RunStore()
    recipe = comparison_recipe(dataset, f"run:{ssl},random:resnet20", **QUICK)
    store.remove(ssl)
    run = store.create(recipe).id
    InlineExecutor(store).submit(run)
    told = words(open_page(PAGE, data=dataset.id, run=run))
    assert "was not measured: There is no run" in told
    app = open_page(PAGE, data=dataset.id)
    assert app.multiselect(key=ENCODERS).value == []


def test_names_are_shown_letter_by_letter(dataset: Dataset) -> None:
    ssl = learned_run(dataset)
    RunStore().rename(ssl, HOSTILE[0])
    run = comparison(dataset, f"run:{ssl}", **QUICK)
    app = open_page(PAGE, data=dataset.id, run=run)
    assert "<b>bold</b>" not in words(app) and r"\<b\>bold" in words(app)
    found = read_comparison(run)
    assert found is not None
    shown = [str(one.text) for one in compare_charts.bars_figure(found, "t").layout.annotations]
    assert not any("<b>" in text for text in shown) and any("&lt;b&gt;" in text for text in shown)


def test_a_waiting_comparison_shows_that_it_waits(dataset: Dataset, waiting: None) -> None:
    run = RunStore().create(comparison_recipe(dataset, "random:cnn-small")).id
    app = open_page(PAGE, data=dataset.id, run=run)
    assert not app.exception and not app.dataframe


def test_a_failed_comparison_says_why(workspace: Path) -> None:
    data, store = make_dataset(("a", "b"), (6, 0, 0)), RunStore()
    run = store.create(comparison_recipe(data, "random:cnn-small")).id
    InlineExecutor(store).submit(run)
    assert store.status(run).state == "failed"
    assert "no validation or test images" in words(open_page(PAGE, data=data.id, run=run))


def test_the_best_backbone_takes_every_encoder_at_hand(
    dataset: Dataset, waiting: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    pretrained.cache_folder().mkdir(parents=True)
    (pretrained.cache_folder() / "resnet18-f37072fd.pth").touch()
    runs = [learned_run(dataset), make_run(dataset)]
    kept = RunStore().encoder_path(runs[1]).is_file()
    app = open_page(PAGE, data=dataset.id, view="quick")
    assert not kept and "2 of 2 encoders at hand" in words(app), "a run without an encoder has none to offer"
    fine(app.button(key="compose.start").click().run())
    (made,) = [one for one in RunStore().list() if one.method == "comparison"]
    config = RunStore().recipe(made.id).config
    assert config["encoders"] == f"torchvision:resnet18,run:{runs[0]}"
    assert config["few_labels"] is False and config["linear"] is True


def test_without_weights_there_is_no_best_backbone(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", "/nowhere")
    app = open_page(PAGE, data=dataset.id, view="quick")
    told = words(app)
    assert "No weights are at hand" in told and "compose.start" not in [one.key for one in app.button]
    assert "Choose at least one encoder" not in told and "raw pixels and random weights" not in told


def test_a_run_is_compared_from_its_own_page(dataset: Dataset) -> None:
    run = learned_run(dataset)
    app = open_page("self_supervised", data=dataset.id, run=run)
    app = fine(app.button(key="run.compare").click().run())
    assert app.multiselect(key=ENCODERS).value == [f"run:{run}"]


def test_running_it_again_fills_the_form(dataset: Dataset) -> None:
    run = comparison(dataset, "random:resnet20,random:cnn-small", knn=False, **QUICK)
    app = open_page(PAGE, data=dataset.id, run=run)
    app = fine(app.button(key="run.again").click().run())
    assert app.multiselect(key=ENCODERS).value == ["random:resnet20", "random:cnn-small"]
    assert app.toggle(key="compose.comparison.knn").value is False
    assert "You ran exactly this" in words(app)


def test_the_command_line_names_what_is_unusual(dataset: Dataset) -> None:
    found = read_comparison(comparison(dataset, "random:cnn-small", sizes="same", draws=3, **QUICK))
    assert found is not None
    assert comparison_command(found.recipe) == (
        f"python -m engine compare random:cnn-small --data {dataset.id} --seed 0 --set few_labels=false "
        "--set structure=false --set draws=3 --image-size 32"
    )
