"""The self-supervised page: every method from its form to its results, and each part of a result."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.data.dataset import Dataset
from engine.data.drawn_sets import build_shapes
from engine.methods import METHODS
from engine.runs.store import RunStore
from pages.components.learned_probes import in_words
from tests.pages.learned import learned_run
from tests.pages.made import HOSTILE, fine, make_dataset, make_unlabelled, open_page, words

PAGE = "self_supervised"
KINDS = [name for name, entry in METHODS.items() if entry.page == "self-supervised"]


@pytest.fixture
def dataset(workspace: Path) -> Dataset:
    return make_dataset(HOSTILE[:2])


@pytest.fixture
def shapes(workspace: Path) -> Dataset:
    return build_shapes("shapes", "Shapes", 32, "drawn", images={"train": 60, "val": 30, "test": 0})


def part(app: AppTest, run: str, name: str) -> AppTest:
    """The app with another part of the results opened."""
    return fine(app.button_group(key=f"learned.part.{run}").set_value(name).run())


def test_without_a_data_set_the_page_says_what_to_do(workspace: Path) -> None:
    assert "Choose a data set" in words(open_page(PAGE))


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_has_a_form_that_can_be_started_and_shows_its_views(dataset: Dataset, kind: str) -> None:
    app = open_page(PAGE, data=dataset.id)
    app = fine(app.selectbox(key="self_supervised.kind").set_value(kind).run())
    assert METHODS[kind].line in words(app)
    assert "The views it will be shown" in words(app)
    assert not app.button(key="compose.start").disabled


def test_start_makes_the_run_that_the_form_says(dataset: Dataset, waiting: None) -> None:
    app = open_page(PAGE, data=dataset.id)
    app = fine(app.number_input(key="compose.simclr.temperature").set_value(0.3).run())
    fine(app.button(key="compose.start").click().run())
    (run,) = RunStore().list()
    recipe = RunStore().recipe(run.id)
    assert (recipe.method, recipe.backbone) == ("simclr", "random:cnn-small")
    assert recipe.config["temperature"] == 0.3
    assert recipe.config["batch_size"] == 8, "16 images fill two batches of 8"
    assert recipe.config["rotation"] == 0.0


def test_on_a_drawn_set_the_views_vary_what_the_set_varies(shapes: Dataset) -> None:
    app = open_page(PAGE, data=shapes.id)
    assert app.number_input(key="compose.simclr.rotation").value == 180
    assert app.number_input(key="compose.simclr.hue").value == 0.5
    assert "rotation" in words(app) and "keeps what its views leave alone" in words(app)


def test_a_transform_is_switched_off_and_on_again(dataset: Dataset) -> None:
    app = open_page(PAGE, data=dataset.id)
    key = "compose.simclr.switches"
    on = list(app.button_group(key=key).value)
    assert "flip" in on and "blur" not in on
    app = fine(app.button_group(key=key).set_value([name for name in on if name != "flip"]).run())
    assert app.number_input(key="compose.simclr.flip").value == 0.0
    app = fine(app.button_group(key=key).set_value(on).run())
    assert app.number_input(key="compose.simclr.flip").value == 0.5


def test_a_broken_recipe_can_be_started_and_says_what_to_watch_for(dataset: Dataset) -> None:
    app = open_page(PAGE, data=dataset.id)
    app = fine(app.selectbox(key="self_supervised.kind").set_value("byol").run())
    assert "Watch for this" not in words(app)
    app = fine(app.toggle(key="compose.byol.predictor").set_value(False).run())
    assert "Watch for this" in words(app) and not app.button(key="compose.start").disabled


def test_a_queue_that_the_batch_does_not_divide_is_refused_with_one_that_it_does(dataset: Dataset) -> None:
    app = open_page(PAGE, data=dataset.id)
    app = fine(app.selectbox(key="self_supervised.kind").set_value("moco").run())
    app = fine(app.number_input(key="compose.moco.queue_size").set_value(13).run())
    assert "multiple" in words(app) and "use 16" in words(app)
    assert app.button(key="compose.start").disabled


@pytest.mark.parametrize("kind", ["simclr", "moco", "byol"])
def test_every_part_of_a_result_can_be_opened(shapes: Dataset, kind: str) -> None:
    run = learned_run(shapes, kind)
    app = open_page(PAGE, data=shapes.id, run=run)
    parts = list(app.button_group(key=f"learned.part.{run}").options)
    assert parts == ["What it learned", "Neighbours", "What does it know?", "Network", "Recipe and downloads"]
    for name in parts:
        app = part(app, run, name)
        assert not app.exception and not app.error and not app.warning, f"{kind}: {name}"
    labels = [metric.label for metric in app.metric]
    assert labels[:3] == ["Nearest neighbours of h", "Linear probe of h", "Without training"]


def test_neighbours_are_counted_by_class(dataset: Dataset) -> None:
    run = learned_run(dataset)
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Neighbours")
    for title in ("Encoder features h", "Embedding z", "Raw pixels"):
        assert f"{title}: " in words(app) and "of 6 of its class" in words(app)
    app = fine(app.button_group(key=f"near.metric.{run}").set_value("euclidean").run())
    assert "of 6 of its class" in words(app)


def test_without_labels_everything_but_the_scores_is_there(workspace: Path) -> None:
    dataset = make_unlabelled(24)
    assert (dataset.labels == -1).all()
    run = learned_run(dataset)
    app = open_page(PAGE, data=dataset.id, run=run)
    assert "no labels, so nothing can be scored" in words(app)
    assert [metric.label for metric in app.metric] == ["Spread of z"]
    app = part(app, run, "Neighbours")
    assert "the 6 nearest" in words(app)


def test_run_again_brings_the_method_and_its_settings_back(dataset: Dataset) -> None:
    run = learned_run(dataset, "byol", predictor=False, epochs=1)
    app = open_page(PAGE, data=dataset.id, run=run)
    app = fine(app.button(key="run.again").click().run())
    assert app.selectbox(key="self_supervised.kind").value == "byol"
    assert app.toggle(key="compose.byol.predictor").value is False


def test_a_deleted_data_set_is_one_sentence(dataset: Dataset) -> None:
    from engine.data.dataset import remove_dataset

    run = learned_run(dataset, epochs=1)
    remove_dataset(dataset.id)
    app = open_page(PAGE, run=run)
    part(app, run, "Neighbours")


def test_the_bench_lies_beside_the_form(dataset: Dataset) -> None:
    app = open_page(PAGE, data=dataset.id, view="bench")
    assert "Each row is an anchor" in words(app)
    app = fine(app.button_group(key="self_supervised.view").set_value("train").run())
    assert "The views it will be shown" in words(app) and "view" not in app.query_params


def test_what_the_head_forgets_is_said_in_words() -> None:
    hue = {"factor": "hue", "chance": 0.0, "scores": {"feature": 0.6, "embedding": 0.1}}
    scale = {"factor": "scale", "chance": 0.0, "scores": {"feature": 0.5, "embedding": 0.45}}
    assert "**hue**: 60% can be read from h, 10% from z" in in_words([scale, hue])
    kept = {"factor": "light", "chance": 0.5, "scores": {"feature": 0.7, "embedding": 0.7}}
    assert "lost no factor" in in_words([kept])
    assert in_words([]) == ""


def test_what_was_learned_becomes_a_backbone_at_the_press_of_a_button(dataset: Dataset) -> None:
    run = learned_run(dataset, epochs=1)
    app = open_page(PAGE, data=dataset.id, run=run)
    app = fine(app.button(key="run.backbone").click().run())
    assert app.title[0].value == "Transfer learning"
    assert app.selectbox(key="backbone.arch").value == f"run:{run}"
