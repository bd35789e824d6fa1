"""The routes of autoencoders: decoded places, the odd images as table and zip, the decoder, bad questions."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.data.dataset import Dataset
from engine.runs.store import RunStore
from pages.components import code_routes, run_routes
from tests.pages.coded import code_run
from tests.pages.made import HOSTILE, make_dataset, make_run


@pytest.fixture
def client(workspace: Path) -> TestClient:
    return TestClient(Starlette(routes=[*run_routes.routes(), *code_routes.routes()]))


@pytest.fixture
def dataset(workspace: Path) -> Dataset:
    return make_dataset(HOSTILE[:2])


def picture(client: TestClient, run: str, query: str) -> tuple[np.ndarray, float]:
    answer = client.get(f"/lab/runs/{run}/walk.png?{query}")
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content))), float(answer.headers["X-Strangeness"])


def test_a_place_is_decoded_and_its_distance_told(client: TestClient, dataset: Dataset) -> None:
    run = code_run(dataset)
    near, usual = picture(client, run, "at=0,0")
    far, strange = picture(client, run, "at=4,4,4")
    assert near.shape == far.shape == (16, 16, 3)
    assert strange > usual and not np.array_equal(near, far)


def test_an_image_at_its_own_place_is_its_reconstruction(client: TestClient, dataset: Dataset) -> None:
    from engine.training.look import latent_space, rebuild

    run = code_run(dataset)
    space = latent_space(run)
    place = ",".join(f"{value:.5f}" for value in space.map[3])
    made, strangeness = picture(client, run, f"at={place}&base={int(space.index[3])}")
    known = rebuild(run, space.index[3:4])["made"][0]
    assert np.abs(made.astype(int) - known.astype(int)).max() <= 1 and strangeness < 0.05


@pytest.mark.parametrize(
    "query", ["", "at=", "at=x", "at=nan", "at=inf", "at=1e999", "at=" + "1," * 300 + "1", "at=0&base=-1",
              "at=0&base=99999", "at=1,1,1,1,1,1,1,1,1"]
)  # fmt: skip
def test_a_wrong_place_is_one_sentence(client: TestClient, dataset: Dataset, query: str) -> None:
    run = code_run(dataset)
    answer = client.get(f"/lab/runs/{run}/walk.png?{query}")
    assert answer.status_code == 404 and 0 < len(answer.json()["error"]) <= 300


def test_the_odd_images_come_worst_first_as_a_table(client: TestClient, dataset: Dataset) -> None:
    run = code_run(dataset)
    rows = list(csv.DictReader(io.StringIO(client.get(f"/lab/runs/{run}/outliers.csv?n=5").text)))
    errors = [float(row["squared_error"]) for row in rows]
    everything = RunStore().predictions(run)
    assert everything is not None
    assert len(rows) == 5 and errors == sorted(errors, reverse=True)
    assert errors[0] == pytest.approx(float(everything["error"].max()), rel=1e-4)
    one = list(csv.DictReader(io.StringIO(client.get(f"/lab/runs/{run}/outliers.csv?n=99&label=1").text)))
    assert len(one) == 12 and {row["label"] for row in one} == {HOSTILE[1]}


def test_the_odd_images_come_as_a_zip_of_class_folders(client: TestClient, dataset: Dataset) -> None:
    run = code_run(dataset)
    answer = client.get(f"/lab/runs/{run}/outliers.zip?n=4")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
        assert len(names) == 4 and all(name.count("/") == 2 and name.isascii() for name in names)
        assert Image.open(io.BytesIO(archive.read(names[0]))).size == (32, 32)


def test_the_table_of_all_images_holds_errors_and_codes(client: TestClient, dataset: Dataset) -> None:
    run = code_run(dataset, latent_size=3)
    rows = list(csv.DictReader(io.StringIO(client.get(f"/lab/runs/{run}/predictions.csv").text)))
    assert len(rows) == len(dataset)
    assert {"squared_error", "loss", "code_1", "code_3"} <= rows[0].keys() and "code_4" not in rows[0]


def test_the_decoder_is_given_away(client: TestClient, dataset: Dataset) -> None:
    run = code_run(dataset)
    tensors = load(client.get(f"/lab/runs/{run}/decoder.safetensors").content)
    assert tensors["start.0.weight"].shape[1] == 32


@pytest.mark.parametrize("file", ["walk.png?at=0", "outliers.csv", "outliers.zip", "decoder.safetensors"])
def test_a_classifier_has_none_of_it(client: TestClient, dataset: Dataset, file: str) -> None:
    answer = client.get(f"/lab/runs/{make_run(dataset)}/{file}")
    assert answer.status_code == 404 and answer.json()["error"].endswith(".")


def test_pictures_of_a_frame_are_strips_of_three(client: TestClient, dataset: Dataset) -> None:
    run = code_run(dataset)
    pictures = client.get(f"/lab/runs/{run}/metrics?since=0").json()["pictures"]
    assert pictures["wide"] and len(pictures["items"]) == len(dataset.indices("val"))
    assert pictures["items"][0]["images"][0].startswith("data:image/png;base64,")
    assert {item["label"] for item in pictures["items"]} == set(HOSTILE[:2])
