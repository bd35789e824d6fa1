"""Vectors of one's own: from a file through the form, the run and the map to the card beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.data.dataset import Dataset, list_datasets
from engine.data.vectors import add_vectors, list_vectors, remove_vectors
from engine.errors import UserError
from engine.evaluation.encoding import encode
from engine.evaluation.latent_map import space_of
from engine.evaluation.map_result import read_map
from engine.runs.recipe import check_recipe, make_recipe
from engine.runs.store import RunStore
from engine.settings import settings
from pages.components import map_source, upload_routes
from pages.components.recipe_card import backbone_facts
from tests.pages.made import HOSTILE, fine, make_dataset, open_page, words

X = np.random.default_rng(0).normal(size=(40, 7)).astype(np.float32)


@pytest.fixture
def dataset(workspace: Path) -> Dataset:
    return make_dataset(HOSTILE[:2], (12, 6, 2))


@pytest.fixture
def vectors(dataset: Dataset, tmp_path: Path) -> str:
    np.save(tmp_path / "x.npy", X)
    return add_vectors(tmp_path / "x.npy", dataset.id, HOSTILE[0])


def fields(dataset: Dataset, vectors: str) -> dict[str, object]:
    there = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "image_size": 32}
    return {**there, "method": "latent_map", "backbone": f"vectors:{vectors}"}


def test_vectors_are_features_as_they_are(dataset: Dataset, vectors: str) -> None:
    rows = np.array([3, 0, 39])
    assert np.array_equal(encode(f"vectors:{vectors}", dataset, 32, rows), X[rows])  # type: ignore[arg-type]


def test_more_numbers_than_fit_in_memory_are_refused(
    dataset: Dataset, vectors: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.evaluation.encoding.MOST_BYTES", 4 * 7 * 39)
    with pytest.raises(UserError, match="do not fit in memory"):
        encode(f"vectors:{vectors}", dataset, 32)


def test_only_maps_are_made_of_vectors(dataset: Dataset, vectors: str) -> None:
    recipe = make_recipe(fields(dataset, vectors))
    assert check_recipe(recipe).backbone == f"vectors:{vectors}"
    for method in ("classification", "simclr"):
        with pytest.raises(UserError, match="names no encoder"):
            check_recipe(make_recipe({**fields(dataset, vectors), "method": method, "config": {}}))


def test_the_form_draws_a_map_of_vectors(dataset: Dataset, vectors: str) -> None:
    app = open_page("latent_maps", data=dataset.id)
    app = fine(app.button_group(key="maps.source").set_value("vectors").run())
    assert "40 rows of 7 numbers, in the order of the images" in words(app)
    app = fine(app.button_group(key="maps.methods").set_value(["pca"]).run())
    app = fine(app.number_input(key="compose.latent_map.seed").set_value(3).run())
    app = fine(app.button(key="compose.start").click().run())
    (run,) = RunStore().list()
    assert RunStore().status(run.id).state == "done", RunStore().log_tail(run.id)
    found = read_map(run.id)
    assert found is not None and found.recipe.seed == 3 and found.recipe.backbone == f"vectors:{vectors}"
    assert np.array_equal(space_of(found.recipe, found.index).x, X[found.index])
    app = fine(app.button_group(key=f"maps.part.{run.id}").set_value("New images").run())
    assert "came from outside" in words(app) and not app.file_uploader
    again = next(button for button in app.button if "again" in button.label.lower())
    app = fine(again.click().run())
    assert app.button_group(key="maps.source").value == "vectors"


def test_rows_without_numbers_are_told_before_the_map_and_on_it(dataset: Dataset, tmp_path: Path) -> None:
    x = X.copy()
    x[7], x[9, 0] = np.nan, np.inf
    np.save(tmp_path / "x.npy", x)
    add_vectors(tmp_path / "x.npy", dataset.id, "Mine")
    app = open_page("latent_maps", data=dataset.id)
    app = fine(app.button_group(key="maps.source").set_value("vectors").run())
    assert "2 of them hold values that are no finite numbers: maps leave them out" in words(app)
    app = fine(app.button_group(key="maps.methods").set_value(["pca"]).run())
    app = fine(app.button(key="compose.start").click().run())
    (run,) = RunStore().list()
    assert RunStore().status(run.id).state == "done", RunStore().log_tail(run.id)
    app = open_page("latent_maps", data=dataset.id, run=run.id)
    assert "38 of 40 images ·" in words(app), "not a sample, so no word of a draw"
    assert "2 of 40 images left out: their vectors hold values that are no finite numbers" in words(app)


def test_a_dropped_file_becomes_vectors_or_a_sentence_and_its_upload_goes(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings().uploads.mkdir(parents=True)
    arrived: list[Path] = []
    monkeypatch.setattr(map_source, "upload", lambda *args: arrived.pop() if arrived else None)
    app = open_page("latent_maps", data=dataset.id)
    app = fine(app.button_group(key="maps.source").set_value("vectors").run())
    assert "one row of numbers for each of the 40 images" in words(app)
    assert app.button(key="compose.start").disabled
    for rows, told in ((X[:9], "9 rows"), (X, "40 rows of 7 numbers")):
        path = settings().uploads / "abcdefghijkmnpqr.npy"
        np.save(path, rows)
        arrived.append(path)
        app = fine(app.run())
        assert told in words(app) and not list(settings().uploads.iterdir())
    assert not app.button(key="compose.start").disabled and len(list_vectors()) == 1
    app = fine(app.button(key="maps.vectors.remove").click().run())
    assert list_vectors() == [] and "one row of numbers" in words(app)


def test_vectors_without_images_open_a_data_set_of_their_own(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings().uploads.mkdir(parents=True)
    path = settings().uploads / "abcdefghijkmnpqr.npy"
    arrived: list[Path] = []
    monkeypatch.setattr(map_source, "upload", lambda *args: arrived.pop() if arrived else None)
    app = open_page("latent_maps", data=dataset.id)
    app = fine(app.button_group(key="maps.source").set_value("vectors").run())
    np.save(path, X[:9])
    arrived.append(path)
    app = fine(app.toggle(key="maps.vectors.alone").set_value(True).run())
    (info,) = list_vectors()
    assert info.dataset != dataset.id and len(list_datasets()) == 2 and info.rows == 9
    assert "9 rows of 7 numbers" in words(app) and not app.button(key="compose.start").disabled
    assert not app.toggle(key="maps.vectors.alone").value, "the next file is asked about anew"


def test_the_card_names_vectors_as_long_as_they_are_there(vectors: str) -> None:
    assert backbone_facts(f"vectors:{vectors}") == [("Encoder", f"none: the vectors {HOSTILE[0]}")]
    remove_vectors(vectors)
    assert backbone_facts(f"vectors:{vectors}") == [("Encoder", "none: vectors that were deleted")]


def test_files_of_vectors_may_be_uploaded() -> None:
    for name in ("a.npy", "B.NPZ", "c.parquet"):
        assert upload_routes.suffix_of(name) == name[1:].lower()
