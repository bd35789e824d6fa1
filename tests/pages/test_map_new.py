"""New pictures on a finished map, on the page: dropped, placed, told about."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine.data.dataset import Dataset
from engine.data.source import Entry
from engine.evaluation import placing
from engine.evaluation.map_result import LatentMap, read_map
from engine.evaluation.new_pictures import read_pictures, side_of
from engine.evaluation.new_points import NewPoints, place_pictures
from engine.methods.latent_map_config import only
from engine.runs import layout
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import check_recipe, make_recipe
from engine.runs.store import RunStore
from engine.settings import settings
from pages.components import map_new
from pages.components.charts import QUIET
from pages.components.map_neighbours import LIT
from tests.pages.made import HOSTILE, fine, make_dataset, open_page, words

NAMES = ("<img src=x onerror=alert(1)>.png", "plain.png")


@pytest.fixture
def dataset(workspace: Path) -> Dataset:
    return make_dataset(HOSTILE[:2], (12, 6, 2))


def map_of(dataset: Dataset, dimensions: int = 2) -> str:
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "latent_map"}
    config = {**only(("pca", "laplacian_eigenmaps")), "dimensions": dimensions}
    recipe = check_recipe(make_recipe({**fields, "config": config, "backbone": "pixels", "image_size": 16}))
    store = RunStore()
    run = store.create(recipe).id
    InlineExecutor(store).submit(run)
    assert store.status(run).state == "done", store.log_tail(run)
    return run


def strange() -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def files(dataset: Dataset) -> list[tuple[str, bytes]]:
    """A picture like none of the set's, and one of its own."""
    return [(NAMES[0], strange()), (NAMES[1], dataset.raw_bytes(0))]


def opened(run: str, dataset: Dataset) -> AppTest:
    app = open_page("latent_maps", run=run, data=dataset.id)
    return fine(app.button_group(key=f"maps.part.{run}").set_value("New images").run())


def press(app: AppTest, words: str) -> AppTest:
    return fine(next(button for button in app.button if button.label == words).click().run())


def placed(run: str, dataset: Dataset) -> tuple[LatentMap, NewPoints]:
    found = read_map(run)
    assert found is not None
    entries = [Entry(name, data) for name, data in files(dataset)]
    return found, place_pictures(found, read_pictures(entries, side_of(found.recipe)))


def test_dropped_pictures_get_a_row_each_and_the_strange_one_is_flagged(dataset: Dataset) -> None:
    run = map_of(dataset)
    app = opened(run, dataset)
    app.file_uploader[0].set_value([(name, data, "image/png") for name, data in files(dataset)])
    app = press(app, "Place them")
    assert "2 new images, 1 of them far from anything seen" in words(app)
    table = app.dataframe[0].value
    assert table["file"].tolist() == list(NAMES) and table["note"].tolist() == [map_new.FAR, ""]
    assert table["distance"][0] > 10 * max(table["distance"][1], 1e-6)
    assert all(picture.startswith("data:image/png;base64,") for picture in table["nearest image"])
    text = words(app)
    assert "Placed by PCA itself" in text and "Laplacian eigenmaps itself was not asked" in text
    app = press(app, "Light up their nearest images on the maps")
    assert app.session_state[LIT.format(run)] == sorted(placed(run, dataset)[1].neighbours[:, 0].tolist())
    assert "2 new images" in words(app), "they stay until others come"


def test_nothing_dropped_and_nothing_readable_are_told(dataset: Dataset) -> None:
    app = opened(map_of(dataset), dataset)
    app = press(app, "Place them")
    assert "No picture was chosen" in words(app)
    app.file_uploader[0].set_value([("a.png", b"no picture", "image/png")])
    app = press(app, "Place them")
    assert "There is no picture to place" in words(app) and not app.dataframe


def test_a_zip_is_placed_and_its_upload_deleted(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run = map_of(dataset)
    settings().uploads.mkdir(parents=True)
    path = settings().uploads / "abcdefghijkmnpqr.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/good.png", strange())
        archive.writestr("a/notes.txt", b"no picture")
    arrived = [path]
    monkeypatch.setattr(map_new, "upload", lambda *args: arrived.pop() if arrived else None)
    app = opened(run, dataset)
    app = fine(app.button_group(key=f"maps.new.way.{run}").set_value("archive").run())
    assert app.dataframe[0].value["file"].tolist() == ["a/good.png"]
    assert "notes.txt" in words(app).replace("\\", "") and not list(settings().uploads.iterdir())
    assert not list(settings().tmp.iterdir()), "what was placed is on the page and nowhere else"


def test_progress_is_shown_and_stop_ends_it(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run = map_of(dataset)
    monkeypatch.setattr(placing, "_begin", lambda folder: None)  # a process that has not said anything yet
    monkeypatch.setattr(placing, "is_locked", lambda path: not (path.parent / placing.STOP).exists())
    app = opened(run, dataset)
    app.file_uploader[0].set_value([("a.png", strange(), "image/png")])
    app = press(app, "Place them")
    assert not app.file_uploader and app.button(key="maps.new.stop").label == "Stop"
    app = fine(app.button(key="maps.new.stop").click().run())
    assert "Stopped: these pictures were not placed" in words(app) and app.file_uploader
    assert not list(settings().tmp.iterdir())


def test_a_process_that_dies_is_told_and_another_can_be_started(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(map_of(dataset), dataset)
    with monkeypatch.context() as patch:
        patch.setattr(placing, "_begin", lambda folder: None)
        app.file_uploader[0].set_value([("a.png", strange(), "image/png")])
        app = press(app, "Place them")
    assert "could not be placed" in words(app) and app.file_uploader
    app.file_uploader[0].set_value([("a.png", strange(), "image/png")])
    assert "1 new image" in words(press(app, "Place them"))


def test_a_map_that_is_being_drawn_waits_with_new_pictures(dataset: Dataset, waiting: None) -> None:
    run = map_of(dataset)
    layout.write_status(RunStore().folder(run), state="queued", created=1e18)
    app = opened(run, dataset)
    assert "once all panels are drawn" in words(app) and not app.file_uploader


@pytest.mark.parametrize("dimensions", [2, 3])
def test_figures_hold_old_points_in_grey_and_new_ones_where_the_maps_above_would(
    dataset: Dataset, dimensions: int
) -> None:
    found, new = placed(map_of(dataset, dimensions), dataset)
    for panel in new.panels:
        figure = map_new.placed_figure(found.aligned()[panel.method], panel, new)
        old, stars = figure.data
        assert old.marker.color == QUIET and len(old.x) == len(found.index) and len(stars.x) == 2
        own = found.aligned()[panel.method][found.index.tolist().index(0)]
        width = np.ptp(found.aligned()[panel.method], axis=0).max()
        assert np.allclose([stars.x[1], stars.y[1]], own[:2], atol=0.01 * width)
        assert "open" in stars.marker.symbol[0] and "open" not in stars.marker.symbol[1]
        assert "<img" not in stars.text[0] and "&lt;img" in stars.text[0]
        assert (stars.type == "scatter3d") == (dimensions == 3)


def test_few_grey_points_are_drawn_of_many() -> None:
    assert map_new.grey_rows(7).tolist() == list(range(7))
    rows = map_new.grey_rows(60_000)
    assert len(rows) == len(set(rows.tolist())) == map_new.MOST_GREY and (np.diff(rows) > 0).all()
