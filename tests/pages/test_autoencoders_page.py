"""The Autoencoders page: every kind from its form to its results, and each part of a result."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.data.dataset import Dataset
from engine.methods import METHODS
from engine.runs.store import RunStore
from pages.components.code_sweep import find, variant
from tests.pages.coded import code_recipe, code_run
from tests.pages.made import HOSTILE, fine, make_dataset, open_page, words

PAGE = "autoencoders"
KINDS = [name for name, entry in METHODS.items() if entry.page == PAGE]


@pytest.fixture
def dataset(workspace: Path) -> Dataset:
    return make_dataset(HOSTILE[:2])


def part(app: AppTest, run: str, name: str) -> AppTest:
    """The app with another part of the results opened."""
    return fine(app.button_group(key=f"code.part.{run}").set_value(name).run())


def test_without_a_data_set_the_page_says_what_to_do(workspace: Path) -> None:
    assert "Choose a data set" in words(open_page(PAGE))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_form_that_can_be_started(dataset: Dataset, kind: str) -> None:
    app = open_page(PAGE, data=dataset.id)
    app = fine(app.selectbox(key="autoencoders.kind").set_value(kind).run())
    assert METHODS[kind].line in words(app)
    assert "What goes in, and what must come out" in words(app)
    assert not app.button(key="compose.start").disabled


def test_start_makes_the_run_that_the_form_says(dataset: Dataset, waiting: None) -> None:
    app = open_page(PAGE, data=dataset.id)
    app = fine(app.number_input(key="compose.autoencoder.latent_size").set_value(7).run())
    app = fine(app.button(key="compose.start").click().run())
    (run,) = RunStore().list()
    recipe = RunStore().recipe(run.id)
    assert (recipe.method, recipe.backbone, recipe.config["latent_size"]) == ("autoencoder", None, 7)
    assert recipe.config["epochs"] == 80, "few images are seen often"


def test_a_code_larger_than_the_image_is_refused_in_the_form(dataset: Dataset) -> None:
    app = open_page(PAGE, data=dataset.id)
    app.number_input(key="compose.autoencoder.latent_size").set_value(1000)
    app = fine(app.number_input(key="compose.autoencoder.size.32").set_value(16).run())
    assert "no smaller than a grey image of 16 px" in words(app) and app.button(key="compose.start").disabled


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_of_every_kinds_result_can_be_opened(dataset: Dataset, kind: str) -> None:
    run = code_run(dataset, kind)
    app = open_page(PAGE, data=dataset.id, run=run)
    parts = list(app.button_group(key=f"code.part.{run}").options)
    assert {"Rebuilt images", "Your picture", "Outliers"} <= set(parts)
    assert ("Walk" in parts) == (kind not in ("colorization", "masked_autoencoder"))
    for name in parts:
        app = part(app, run, name)
        assert not app.exception and not app.error, f"{kind}: {name}"


def test_a_collapsed_posterior_is_told(dataset: Dataset) -> None:
    run = code_run(dataset, "variational_autoencoder", beta=1000.0, epochs=3)
    assert "posterior has collapsed" in words(open_page(PAGE, data=dataset.id, run=run))


def test_the_floor_of_the_cross_entropy_stands_beside_the_loss(dataset: Dataset) -> None:
    run = code_run(dataset, loss="bce")
    app = open_page(PAGE, data=dataset.id, run=run)
    assert any("above its floor of" in str(metric.delta) for metric in app.metric)


def test_the_sweep_queues_each_size_once_and_shows_those_that_are_done(
    dataset: Dataset, waiting: None
) -> None:
    run = code_run(dataset, latent_size=4)
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Code size")
    app = fine(app.button(key=f"sweep.start.{run}").click().run())
    recipe = code_recipe(dataset, latent_size=4)
    sizes = sorted(RunStore().recipe(found.id).config["latent_size"] for found in RunStore().list())
    assert sizes == [1, 2, 4, 8, 16, 32, 64]
    found = find(variant(recipe, 16))
    assert found is not None and found.state == "queued" and "On their way" in words(app)


def test_run_again_brings_the_kind_and_its_settings_back(dataset: Dataset) -> None:
    run = code_run(dataset, "denoising_autoencoder", noise_level=0.6)
    app = open_page(PAGE, data=dataset.id, run=run)
    app = fine(app.button(key="run.again").click().run())
    assert app.selectbox(key="autoencoders.kind").value == "denoising_autoencoder"
    assert app.number_input(key="compose.denoising_autoencoder.noise_level").value == 0.6


def test_a_deleted_data_set_is_one_sentence(dataset: Dataset) -> None:
    from engine.data.dataset import remove_dataset

    run = code_run(dataset)
    remove_dataset(dataset.id)
    app = open_page(PAGE, run=run)
    assert not app.exception
