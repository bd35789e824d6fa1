"""The routes of maps: what is sent, under which name, and what cannot be answered."""

from __future__ import annotations

import csv
import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.export import making
from engine.export.map_formats import MAP_FORMATS
from engine.export.maps import write_map
from engine.runs.store import RunStore
from pages.components import map_recipe, map_routes, server
from tests.export.map_runs import coloured_set, map_of, map_run
from tests.export.map_runs import map_recipe as recipe_of
from tests.pages.made import make_run

FILES = {**map_routes.WHOLE, "map.csv": ".csv", "map.parquet": ".parquet"}


@pytest.fixture
def client(workspace: Path) -> TestClient:
    return TestClient(Starlette(routes=server.routes()))


@pytest.fixture
def run(workspace: Path) -> str:
    return map_run(coloured_set())


def sentence(client: TestClient, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 404 and answer.headers["cache-control"] == "no-store", answer.text
    told = str(answer.json()["error"])
    assert 10 < len(told) <= 300 and told.endswith(".")
    return told


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_sent_whole_under_the_name_of_its_run(client: TestClient, run: str, name: str) -> None:
    answer = client.get(f"/lab/runs/{run}/{name}")
    stem, _, ending = name.partition(".")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == MAP_FORMATS[f".{ending}"].media_type
    assert answer.headers["content-disposition"] == f'attachment; filename="{stem}-{run}.{ending}"'
    if name != "map.csv":  # that one is sent while it is written
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["map.html", "map.svg", "map.png", "map.csv"])
def test_what_is_sent_is_what_the_command_line_writes(
    client: TestClient, run: str, name: str, tmp_path: Path
) -> None:
    write_map(run, tmp_path / name)
    assert client.get(f"/lab/runs/{run}/{name}").content == (tmp_path / name).read_bytes()


def test_archives_can_be_opened_and_hold_the_map(client: TestClient, run: str) -> None:
    found = map_of(run)
    arrays = np.load(io.BytesIO(client.get(f"/lab/runs/{run}/map.npz").content))
    np.testing.assert_array_equal(arrays["pca"], found.done[0].positions)
    picture = Image.open(io.BytesIO(client.get(f"/lab/runs/{run}/map.png").content))
    assert picture.mode == "RGB" and min(picture.size) > 600


def test_rows_pick_and_order_the_rows_of_a_table(client: TestClient, run: str) -> None:
    from pyarrow import parquet

    wanted = map_of(run).index[[7, 3, 11]].tolist()
    rows = csv.DictReader(io.StringIO(client.get(f"/lab/runs/{run}/map.csv?rows=7,3,11").text))
    assert [int(row["image"]) for row in rows] == wanted
    data = client.get(f"/lab/runs/{run}/map.parquet?rows=7,3,11").content
    assert parquet.read_table(io.BytesIO(data)).column("image").to_pylist() == wanted
    with zipfile.ZipFile(io.BytesIO(client.get(f"/lab/runs/{run}/map.zip?rows=7,3,11").content)) as images:
        assert len([name for name in images.namelist() if name.endswith(".png")]) == 3


@pytest.mark.parametrize("rows", ["24", "0,99", "-1", "x", "1,", ",", "1;2", "1" * 9])
@pytest.mark.parametrize("name", ["map.csv", "map.parquet", "map.zip"])
def test_rows_that_do_not_exist_are_one_sentence(client: TestClient, run: str, name: str, rows: str) -> None:
    assert "below 24" in sentence(client, f"/lab/runs/{run}/{name}?rows={rows}")


@pytest.mark.parametrize("name", map_routes.WHOLE)
def test_a_file_of_the_whole_map_refuses_rows(client: TestClient, run: str, name: str) -> None:
    assert "whole map" in sentence(client, f"/lab/runs/{run}/{name}?rows=1")


@pytest.mark.parametrize("name", [*FILES, "map.zip", "map.bin"])
def test_an_unknown_run_is_one_sentence(client: TestClient, name: str) -> None:
    sentence(client, f"/lab/runs/nosuchrun/{name}")
    assert "valid run id" in sentence(client, f"/lab/runs/A_B/{name}")


def test_a_run_that_is_no_map_is_one_sentence(client: TestClient) -> None:
    from tests.pages.made import make_dataset

    run = make_run(make_dataset())
    for name in [*FILES, "map.zip", "map.bin"]:
        assert "no map" in sentence(client, f"/lab/runs/{run}/{name}")


def test_a_map_without_a_panel_is_one_sentence(client: TestClient) -> None:
    dataset = coloured_set()
    for run in (RunStore().create(recipe_of(dataset)).id, map_run(dataset, ["pca"], failed="pca")):
        for name in FILES:
            assert "no points yet" in sentence(client, f"/lab/runs/{run}/{name}")


def test_a_full_disk_is_one_sentence(client: TestClient, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(map_routes, "write_bytes", full)
        assert "map.svg cannot be made" in sentence(client, f"/lab/runs/{run}/map.svg")
    assert client.get(f"/lab/runs/{run}/map.svg").status_code == 200, "the next question waits for nobody"


def test_the_projectors_folder_is_made_apart_and_then_sent(client: TestClient, run: str) -> None:
    assert client.get(f"/lab/runs/{run}/projector.zip").status_code == 404
    address = f"/lab/runs/{run}/take/projector"
    assert "not made yet" in sentence(client, address)
    making.start(run, "projector")
    deadline = time.monotonic() + 90
    while making.making(run, "projector").state in making.UNDER_WAY:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    answer = client.get(address)
    assert answer.headers["content-disposition"] == f'attachment; filename="projector-{run}.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as folder:
        assert {"projector/projector_config.pbtxt", "projector/original_space.tsv"} <= set(folder.namelist())


def test_every_format_has_a_button_and_every_button_a_route(client: TestClient, run: str) -> None:
    buttons = {**map_recipe.FIRST, **map_recipe.MORE}
    assert buttons.keys() == MAP_FORMATS.keys() - {".zip"}, "whose features may have to be computed"
    for ending, name in buttons.items():
        assert name.endswith(ending)
        assert client.get(f"/lab/runs/{run}/{name}").status_code == 200
