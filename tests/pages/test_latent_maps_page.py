"""The maps page: from its form to panels that get ready, and each part of a finished map."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from engine.data.dataset import Dataset, list_datasets
from engine.evaluation.map_result import read_map
from engine.evaluation.selections import list_selections, save_selection
from engine.export.maps import write_bytes
from engine.methods.latent_map_config import only
from engine.projections import PROJECTIONS
from engine.runs import layout
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.store import RunStore
from pages.components import map_panels, map_routes, map_run, map_spaces, map_stage
from pages.components.map_held import held_rows
from pages.components.map_neighbours import LIT, ROW, kept_by
from pages.components.map_panels import colour_fields, label_field, map_bytes, map_version
from pages.components.map_spaces import PINS, titles
from pages.components.map_view import Wanted
from tests.pages.made import HOSTILE, fine, make_dataset, make_unlabelled, open_page, words

PAGE = "latent_maps"


@pytest.fixture
def dataset(workspace: Path) -> Dataset:
    return make_dataset(HOSTILE[:2], (12, 6, 2))


def map_recipe(dataset: Dataset, *methods: str, **config: Any) -> Recipe:
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "latent_map"}
    rest = {"backbone": "pixels", "image_size": 32, "seed": 0}
    return check_recipe(make_recipe({**fields, "config": {**only(methods), **config}, **rest}))


def map_of(dataset: Dataset, *methods: str, **config: Any) -> str:
    store = RunStore()
    run = store.create(map_recipe(dataset, *methods, **config)).id
    InlineExecutor(store).submit(run)
    assert store.status(run).state == "done", store.log_tail(run)
    return run


def part(app: AppTest, run: str, name: str) -> AppTest:
    return fine(app.button_group(key=f"maps.part.{run}").set_value(name).run())


def select(monkeypatch: pytest.MonkeyPatch, rows: list[int]) -> None:
    """What drawing around points does: the component itself needs a browser."""
    monkeypatch.setattr(map_run, "selected_rows", lambda key: rows)


def test_without_a_data_set_the_page_says_what_to_do(workspace: Path) -> None:
    assert "Choose a data set" in words(open_page(PAGE))


def test_the_form_tells_every_method_and_starts_the_run_that_it_says(dataset: Dataset, waiting: None) -> None:
    app = open_page(PAGE, data=dataset.id)
    chosen = app.button_group(key="maps.methods")
    assert list(chosen.value) == ["pca", "kernel_pca", "lle", "isomap", "tsne", "umap"]
    for name in chosen.value:
        assert PROJECTIONS[name].beware in words(app)
    app = fine(chosen.set_value(["pca", "mds"]).run())
    app = fine(app.number_input(key="compose.latent_map.points").set_value(15).run())
    assert "15 of 40 images" in words(app) and "2 2-D maps" in words(app)
    fine(app.button(key="compose.start").click().run())
    (run,) = RunStore().list()
    recipe = RunStore().recipe(run.id)
    assert (recipe.method, recipe.backbone, recipe.config["points"]) == ("latent_map", "pixels", 15)
    assert [name for name in PROJECTIONS if recipe.config[name]] == ["pca", "mds"]


def test_no_method_no_map(dataset: Dataset) -> None:
    app = open_page(PAGE, data=dataset.id)
    app = fine(app.button_group(key="maps.methods").set_value([]).run())
    assert "Choose at least one method" in words(app)
    assert app.button(key="compose.start").disabled


def test_an_encoder_can_be_mapped_in_place_of_pixels(dataset: Dataset, waiting: None) -> None:
    app = open_page(PAGE, data=dataset.id)
    app = fine(app.button_group(key="maps.source").set_value("encoder").run())
    fine(app.button(key="compose.start").click().run())
    (run,) = RunStore().list()
    assert RunStore().recipe(run.id).backbone == "random:cnn-small"


def test_a_finished_map_shows_its_figures_and_its_recipe(dataset: Dataset) -> None:
    run = map_of(dataset, "pca", "isomap")
    app = open_page(PAGE, data=dataset.id, run=run)
    (table,) = [frame.value for frame in app.dataframe]
    assert list(table["map"]) == ["PCA", "Isomap"] and (table["trust"] > 0.5).all()
    assert "40 of 40 images" in words(app) and PROJECTIONS["isomap"].beware in words(app)
    app = part(app, run, "Recipe and downloads")
    assert f"python -m engine project pixels --data {dataset.id}" in app.code[0].value


def test_a_waiting_map_shows_that_it_waits(dataset: Dataset, waiting: None) -> None:
    run = RunStore().create(map_recipe(dataset, "pca")).id
    RunStore().folder(run)
    app = open_page(PAGE, data=dataset.id, run=run)
    assert not app.exception and not app.dataframe


def test_a_failed_map_says_why(dataset: Dataset) -> None:
    store = RunStore()
    run = store.create(map_recipe(dataset, "pca", split="test")).id
    InlineExecutor(store).submit(run)
    assert store.status(run).state == "failed"
    assert "at least 5" in words(open_page(PAGE, data=dataset.id, run=run))


def test_a_clicked_point_shows_its_true_neighbours_and_who_lost_them(dataset: Dataset) -> None:
    run = map_of(dataset, "pca", "isomap")
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Point and neighbours")
    assert "Click a point on any map" in words(app)
    app.session_state[ROW.format(run)] = 3
    app = fine(app.run())
    assert "Nearest in the original space" in words(app) and "true neighbour" in words(app)
    app = fine(app.toggle(key=f"maps.light.{run}").set_value(True).run())
    found = read_map(run)
    assert found is not None
    lit = app.session_state[f"maps.lit.{run}"]
    assert lit == [3, *found.neighbours[3][:12].tolist()]


def test_a_selection_is_judged_kept_and_made_into_a_set(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = map_of(dataset, "pca", "isomap")
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Selection")
    assert "Draw around some points" in words(app)
    found = read_map(run)
    assert found is not None
    rows = [row for row in range(40) if found.label[row] == 0]
    select(monkeypatch, rows)
    app = fine(app.run())
    assert "20 of 40 points" in words(app) and "Is this cluster real?" in words(app)
    assert "Real:" in words(app), "images of two plain colours are two islands"
    app.text_input(key="maps.keep.name").set_value("the first class")
    app = fine([b for b in app.button if b.label == "Keep this selection"][0].click().run())
    assert list_selections(run) == {"the first class": rows}
    fine(app.button(key="maps.derive.go").click().run())
    new = next(found for found in list_datasets() if found.id != dataset.id)
    assert new.n == 20 and len(new.classes) == 1


def test_the_maps_that_keep_a_neighbour_are_told_with_it(dataset: Dataset) -> None:
    found = read_map(map_of(dataset, "pca", "isomap"))
    assert found is not None
    near, row = found.neighbours[3][:12], 3
    kept = kept_by(found, row, near)
    for panel in found.done:
        apart = np.linalg.norm(panel.positions - panel.positions[row], axis=1)  # type: ignore[operator,index]
        nearest = np.argsort(apart, kind="stable")[1 : found.settings.neighbours + 1]
        assert [panel.title in titles for titles in kept] == np.isin(near, nearest).tolist()


def test_a_selection_is_taken_home_in_two_formats(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run = map_of(dataset, "pca")
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Selection")
    select(monkeypatch, [4, 7])
    links = {link.proto.label: link.proto.url for link in fine(app.run()).get("link_button")}
    for ending, title in (("csv", "Table (CSV)"), ("parquet", "Table (Parquet)")):
        assert links[title].endswith(f"/lab/runs/{run}/map.{ending}?rows=4,7")


def test_a_selection_too_long_for_an_address_is_taken_home_too(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = map_of(dataset, "pca")
    monkeypatch.setattr(map_routes, "MOST_IN_ADDRESS", 10)
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Selection")
    rows = list(range(3, 30))
    select(monkeypatch, rows)
    for _ in range(2):
        links = {link.proto.label: link.proto.url for link in fine(app.run()).get("link_button")}
        keys = {
            links[title].partition("selection=")[2]
            for title in ("Table (CSV)", "Table (Parquet)", "Images (zip)")
        }
    (key,) = keys
    assert held_rows(run, key) == rows


def test_a_kept_selection_is_selected_again_on_the_panels(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = map_of(dataset, "pca")
    save_selection(run, "odd ones", [3, 7, 39, 40])  # the map has 40 points
    asked: list[Wanted | None] = []
    monkeypatch.setattr(map_stage, "map_view", lambda *given, wanted, **more: asked.append(wanted))
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Selection")
    assert asked[-1] is None
    app.session_state[LIT.format(run)] = [1, 2]
    app = fine(app.button(key="maps.select.0").click().run())
    wish = asked[-1]
    assert wish is not None and wish.rows == (3, 7, 39) and app.session_state[LIT.format(run)] == []
    assert fine(app.run()) and asked[-1] == wish, "the wish stands until the browser tells that it is done"
    monkeypatch.setattr(map_stage, "selected_rows", lambda key: [3, 7, 39])
    select(monkeypatch, [3, 7, 39])
    app = fine(app.run())
    assert asked[-1] is None and "3 of 40 points" in words(app)
    monkeypatch.setattr(map_stage, "selected_rows", lambda key: [])
    fine(app.button(key="maps.select.0").click().run())
    assert asked[-1] is not None and asked[-1].turn != wish.turn, "and the next wish is another one"


def test_each_film_is_told_in_the_words_of_its_method(dataset: Dataset) -> None:
    run = map_of(dataset, "pca", "tsne", "mds", tsne_iterations=50, tsne_early_iterations=50)
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Replay")
    films = app.button_group(key=f"maps.replay.{run}")
    assert list(films.options) == ["t-SNE", "MDS"] and PROJECTIONS["tsne"].film in words(app)
    app = fine(films.set_value("MDS").run())
    assert PROJECTIONS["mds"].film in words(app) and "Groups form early" not in words(app)
    assert all(entry.film != "" for name, entry in PROJECTIONS.items() if name in ("tsne", "umap", "mds"))


def test_a_film_ends_where_its_panel_shows_the_points(dataset: Dataset) -> None:
    run = map_of(dataset, "pca", "mds")
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Replay")
    (chart,) = app.get("plotly_chart")
    figure = json.loads(chart.proto.spec)
    found = read_map(run)
    assert found is not None
    shown = found.aligned()["mds"]
    film = [drawn["data"][0] for drawn in figure["frames"]]
    assert np.stack([numbers(film[-1]["x"]), numbers(film[-1]["y"])], axis=1) == pytest.approx(
        shown, abs=1e-3
    )
    layout_of = figure["frames"][-1]["layout"]
    for axis, at in zip(("xaxis", "yaxis"), shown.T, strict=True):
        low, high = layout_of[axis]["range"]
        assert low < at.min() and at.max() < high
        assert (low + high) / 2 == pytest.approx((at.min() + at.max()) / 2, abs=1e-3), "in the middle"


def test_a_film_that_is_damaged_is_one_sentence_and_the_map_stays(dataset: Dataset) -> None:
    run = map_of(dataset, "pca", "mds")
    path = layout.map_path(RunStore().folder(run), "mds")
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "frames": arrays["frames"][:, :5]})
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Replay")
    assert "film of this panel" in words(app) and "40 of 40 images" in words(app)


def test_a_map_of_noise_says_so_wherever_it_is_opened(dataset: Dataset) -> None:
    real, noise = map_of(dataset, "pca"), map_of(dataset, "pca", noise=True)
    RunStore().rename(noise, "Groups of mine")
    for run, says in ((real, False), (noise, True)):
        app = open_page(PAGE, data=dataset.id, run=run)
        assert app.title[0].value == ("Latent maps of noise" if says else "Latent maps")
        assert ("Gaussian noise" in words(app)) == says
        found = read_map(run)
        assert found is not None
        for ending in (".html", ".svg"):
            file = io.BytesIO()
            write_bytes(found, ending, file)
            title = re.search(r"<(h1|text)[^>]*>([^<]*)", file.getvalue().decode())
            assert title is not None and title[2].startswith("Noise of the size of ") == says


def test_points_without_labels_have_none_whatever_they_can_be_coloured_by(workspace: Path) -> None:
    plain, labelled = make_unlabelled(24), make_dataset(HOSTILE[:2], (12, 6, 2))
    for dataset in (plain, labelled):
        run = map_of(dataset, "pca")
        found = read_map(run)
        assert found is not None
        data = map_bytes(run, found, dataset, ("pca",))
        header = json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])
        assert (header["labels"] is None) == (dataset is plain)
        assert "split" in [field["name"] for field in header["colours"]]


def test_more_classes_than_can_be_coloured_are_still_named(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_panels, "MAX_CLASSES", 1)
    run = map_of(dataset, "pca")
    found = read_map(run)
    assert found is not None
    data = map_bytes(run, found, dataset, ("pca",))
    header = json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])
    assert "class" not in [field["name"] for field in header["colours"]]
    assert len(header["labels"]["names"]) == 2


def numbers(told: Any) -> np.ndarray:
    """An array of a Plotly figure, plain or packed."""
    if isinstance(told, dict):
        return np.frombuffer(base64.b64decode(told["bdata"]), told["dtype"]).astype(float)
    return np.asarray(told, float)


def test_a_selection_is_asked_about_by_other_seeds_where_the_method_has_one(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = map_of(dataset, "pca", "tsne", tsne_iterations=50, tsne_early_iterations=50)
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Selection")
    found = read_map(run)
    assert found is not None
    select(monkeypatch, [row for row in range(40) if found.label[row] == 0])
    app = fine(app.run())
    assert "PCA draws the same map with every seed" in words(app)
    app = fine(app.button_group(key=f"maps.cluster.{run}").set_value("t-SNE").run())
    app = fine(app.button(key="maps.seeds.tsne.draw").click().run())
    others = [RunStore().recipe(other.id) for other in RunStore().list() if other.id != run]
    assert sorted(recipe.config["redraw"] for recipe in others) == [1, 2, 3]
    assert all(recipe.config["tsne"] and not recipe.config["pca"] for recipe in others)
    assert "t-SNE keeps it together with all 3 other seeds" in words(app)
    assert "seed 1 100%, seed 2 100%, seed 3 100%; by chance 49%" in words(app)


def test_maps_that_are_asked_for_can_be_stopped_and_taken_up_again(dataset: Dataset, waiting: None) -> None:
    run = RunStore().create(map_recipe(dataset, "isomap")).id
    InlineExecutor(RunStore()).submit(run)
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Film strip")
    app = fine(app.button(key="maps.strip.draw").click().run())
    asked = [other.id for other in RunStore().list() if other.id != run]
    assert len(asked) == 3, "the map itself is one of the four"
    assert not [button for button in app.button if button.key == "maps.strip.draw"]
    fine(app.button(key="maps.strip.draw.stop").click().run())
    assert all(RunStore().status(other).stopping for other in asked)
    for other in asked:
        layout.write_status(RunStore().folder(other), state="stopped", error="Stopped by you.")
    app = fine(app.run())
    fine(app.button(key="maps.strip.draw").click().run())
    assert {other.id for other in RunStore().list()} == {run, *asked}, "they go on; none is made anew"


def test_a_selection_can_be_mapped_alone(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run = map_of(dataset, "pca", pca_whiten=True)
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Selection")
    select(monkeypatch, list(range(5, 25)))
    app = fine(app.run())
    fine(app.button(key="maps.derive.map").click().run())
    (other,) = [found for found in RunStore().list() if found.id != run]
    alone, whole = read_map(other.id), read_map(run)
    assert alone is not None and whole is not None
    assert len(alone.index) == 20 and alone.recipe.dataset != dataset.id
    assert alone.recipe.config["pca_whiten"] is True and alone.done


def test_unlabelled_images_are_mapped_too(workspace: Path) -> None:
    dataset = make_unlabelled(24)
    run = map_of(dataset, "pca")
    app = open_page(PAGE, data=dataset.id, run=run)
    (table,) = [frame.value for frame in app.dataframe]
    assert "hit" not in table and "24 of 24 images" in words(app)


def test_the_pack_changes_its_address_with_what_it_shows(dataset: Dataset) -> None:
    run = map_of(dataset, "pca", "isomap")
    found = read_map(run)
    assert found is not None
    both, one = (map_version(run, found.progress, shown) for shown in (("pca", "isomap"), ("pca",)))
    assert both != one and both == map_version(run, found.progress, ("pca", "isomap"))
    assert len(map_bytes(run, found, dataset, ("pca", "isomap"))) > len(
        map_bytes(run, found, dataset, ("pca",))
    )


def test_points_are_coloured_by_all_that_is_known(dataset: Dataset) -> None:
    found = read_map(map_of(dataset, "pca", "isomap"))
    assert found is not None
    fields = {field.name: field for field in colour_fields(found, dataset, label_field(found, dataset))}
    assert {"class", "split", "trust in PCA", "trust in Isomap"} <= set(fields)
    assert tuple(fields["class"].names) == dataset.classes
    assert fields["trust in PCA"].values.tolist() == found.panels[0].kept.tolist()  # type: ignore[union-attr]


def test_run_again_fills_the_form_with_the_recipe(dataset: Dataset) -> None:
    run = map_of(dataset, "pca", "mds", points=30)
    app = open_page(PAGE, data=dataset.id, run=run)
    app = fine(app.button(key="run.again").click().run())
    assert list(app.button_group(key="maps.methods").value) == ["pca", "mds"]
    assert app.number_input(key="compose.latent_map.points").value == 30


def test_noise_of_the_same_size_is_drawn_beside_at_the_press_of_a_button(dataset: Dataset) -> None:
    run = map_of(dataset, "pca")
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Noise")
    app = fine(app.button(key="maps.noise").click().run())
    (noise,) = [other for other in RunStore().list() if other.id != run]
    assert RunStore().recipe(noise.id).config["noise"] is True
    (table,) = [frame.value for frame in app.dataframe]
    real, drawn = read_map(run), read_map(noise.id)
    assert real is not None and drawn is not None
    assert table["trust"][0] == pytest.approx(drawn.panels[0].quality["trustworthiness"])
    assert drawn.panels[0].quality["trustworthiness"] != real.panels[0].quality["trustworthiness"]


def test_the_same_images_are_laid_side_by_side_in_every_space(dataset: Dataset) -> None:
    map_of(dataset, "pca")
    app = open_page(PAGE, data=dataset.id, view="spaces")
    assert "at least two encoders" in words(app)
    store = RunStore()
    recipe = map_recipe(dataset, "pca").model_copy(update={"backbone": "random:cnn-small"})
    InlineExecutor(store).submit(store.create(recipe).id)
    map_of(dataset, "pca", noise=True)
    app = fine(app.run())
    assert "40 images that all of these maps show" in words(app)
    app.session_state[PINS.format(dataset.id)] = [2, 5]
    assert "2 of 10 pinned" in words(fine(app.run()))


def test_a_film_strip_draws_one_method_with_several_values(dataset: Dataset) -> None:
    run = map_of(dataset, "pca", "isomap")
    app = part(open_page(PAGE, data=dataset.id, run=run), run, "Film strip")
    assert "neighbours 5, 10, 20, 50" in words(app)
    fine(app.button(key="maps.strip.draw").click().run())
    others = [RunStore().recipe(other.id) for other in RunStore().list() if other.id != run]
    assert sorted(recipe.config["isomap_n_neighbors"] for recipe in others) == [5, 10, 20, 50]
    assert all(recipe.config["isomap"] and not recipe.config["pca"] for recipe in others)
    assert {recipe.seed for recipe in others} == {0}
    runs = tuple(other.id for other in RunStore().list() if other.id != run)
    packed = map_spaces._packed(runs, "isomap", "isomap_n_neighbors")
    assert b'"Neighbours 50"' in packed and b'"Neighbours 5"' in packed


def test_spaces_are_called_by_their_encoder(dataset: Dataset) -> None:
    runs = [map_of(dataset, "pca"), map_of(dataset, "isomap"), map_of(dataset, "pca", noise=True)]
    maps = [found for found in map(read_map, runs) if found is not None]
    assert titles(maps) == ["Raw pixels", "Raw pixels 2", "noise like Raw pixels"]
