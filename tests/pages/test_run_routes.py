"""The routes of runs: what the live view polls, and the downloads."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.runs.store import RunStore
from pages.components import run_routes
from tests.pages.made import HOSTILE, make_dataset, make_recipe, make_run


@pytest.fixture
def client(workspace: Path) -> TestClient:
    return TestClient(Starlette(routes=run_routes.routes()))


def metrics(client: TestClient, run: str, **query: Any) -> dict[str, Any]:
    answer = client.get(f"/lab/runs/{run}/metrics", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_polling_gives_what_is_new_and_then_nothing(client: TestClient) -> None:
    run = make_run(make_dataset())
    first = metrics(client, run, since=0)
    assert [row["epoch"] for row in first["rows"] if row["kind"] == "epoch"] == [1, 2, 3]
    assert first["status"]["state"] == "done" and first["frames"] == [1, 2, 3]
    second = metrics(client, run, since=first["next"], have=3)
    assert second["rows"] == [] and second["next"] == first["next"] and "pictures" not in second


def test_rows_written_between_two_polls_arrive_once(client: TestClient) -> None:
    store = RunStore()
    run = store.create(make_recipe(make_dataset())).id
    writer = store.writer(run)
    writer.metric({"kind": "epoch", "epoch": 1, "val_loss": 1.0})
    first = metrics(client, run, since=0)
    writer.metric({"kind": "epoch", "epoch": 2, "val_loss": float("nan")})
    second = metrics(client, run, since=first["next"])
    assert [row["epoch"] for row in second["rows"]] == [2] and second["rows"][0]["val_loss"] is None
    assert first["status"]["state"] == "queued"


def test_pictures_tell_prediction_confidence_mistakes_and_doubt(client: TestClient) -> None:
    dataset = make_dataset(HOSTILE)
    pictures = metrics(client, make_run(dataset), since=0, frame=2)["pictures"]
    assert pictures["epoch"] == 2 and len(pictures["items"]) == len(dataset.indices("val"))
    wrong = [item for item in pictures["items"] if "Mistakes" in item["tags"]]
    assert len(wrong) == 1 and wrong[0]["tone"] == "bad" and wrong[0]["value"] == "90%"
    assert {item["label"] for item in pictures["items"]} <= set(HOSTILE), (
        "names arrive as they are, as plain text"
    )
    assert pictures["items"][0]["images"][0].startswith(f"/lab/datasets/{dataset.id}/images/")


def test_a_missing_frame_gives_the_last_one(client: TestClient) -> None:
    assert metrics(client, make_run(make_dataset()), since=0, frame=77)["pictures"]["epoch"] == 3


@pytest.mark.parametrize("run", ["none-such", "..%2f..%2fetc", "A_B", "x" * 300])
def test_a_wrong_id_is_one_sentence(client: TestClient, run: str) -> None:
    for file in ("metrics", "predictions.csv", "encoder.safetensors"):
        answer = client.get(f"/lab/runs/{run}/{file}")
        assert answer.status_code == 404
        if answer.headers["content-type"] == "application/json":
            assert answer.json()["error"].endswith(".") and "/" not in answer.json()["error"]


@pytest.mark.parametrize("since", ["-1", "abc", "1e9", "9" * 40])
def test_a_wrong_offset_is_refused(client: TestClient, since: str) -> None:
    assert (
        client.get(f"/lab/runs/{make_run(make_dataset())}/metrics", params={"since": since}).status_code
        == 404
    )


def test_the_table_of_predictions_agrees_with_the_arrays(client: TestClient) -> None:
    dataset = make_dataset(per_class=(5, 3, 2))
    run = make_run(dataset)
    rows = list(csv.DictReader(io.StringIO(client.get(f"/lab/runs/{run}/predictions.csv").text)))
    stored = RunStore().predictions(run)
    assert stored is not None and len(rows) == len(dataset) == 20
    assert sum(int(row["correct"]) for row in rows) == 19
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    for row, index, p in zip(rows, stored["index"], stored["probabilities"], strict=True):
        assert int(row["image"]) == index and row["label"] == dataset.classes[dataset.labels[index]]
        assert [float(row["p(blue)"]), float(row["p(red)"])] == pytest.approx(p.tolist(), abs=1e-6)


def test_names_cannot_become_formulas_in_a_spreadsheet(client: TestClient) -> None:
    run = make_run(make_dataset(["=1+1", "@cmd", "plain"]))
    rows = list(csv.reader(io.StringIO(client.get(f"/lab/runs/{run}/predictions.csv").text)))
    cells = [cell for row in rows for cell in row]
    assert "'=1+1" in cells and not [cell for cell in cells if cell.startswith(("=", "@"))]


def test_a_run_without_results_has_no_downloads(client: TestClient) -> None:
    run = RunStore().create(make_recipe(make_dataset())).id
    assert "no predictions" in client.get(f"/lab/runs/{run}/predictions.csv").json()["error"]
    assert "no weights" in client.get(f"/lab/runs/{run}/encoder.safetensors").json()["error"]


def test_the_encoder_is_sent_as_a_file(client: TestClient) -> None:
    run = make_run(make_dataset())
    content = np.arange(12, dtype=np.uint8).tobytes()
    RunStore().encoder_path(run).write_bytes(content)
    answer = client.get(f"/lab/runs/{run}/encoder.safetensors")
    assert answer.content == content and f"encoder-{run}.safetensors" in answer.headers["content-disposition"]
