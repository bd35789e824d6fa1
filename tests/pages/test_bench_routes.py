"""The routes of the loss bench: points on the circle, a batch of a run, bad questions."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.errors import UserError
from engine.evaluation.contrast import arrange, circle, contrast
from pages.components import bench_routes, server
from tests.pages.learned import learned_run
from tests.pages.made import make_dataset, make_run


@pytest.fixture
def client(workspace: Path) -> TestClient:
    return TestClient(Starlette(routes=server.routes()))


def ask(client: TestClient, address: str = "/lab/bench", **query: Any) -> dict[str, Any]:
    answer = client.get(address, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def text(angles: np.ndarray) -> str:
    return ",".join(f"{angle:.4f}" for angle in angles)


def test_points_that_were_dragged_are_taken_apart(client: TestClient) -> None:
    angles = arrange("Random", 5, 4).round(4)
    found = ask(client, angles=text(angles), temperature=0.2)
    expected = contrast(circle(angles), 0.2)
    assert found["pairs"] == 5 and found["angles"] == angles.tolist() and found["queue"] == []
    np.testing.assert_allclose(found["similarities"], expected.similarities, atol=6e-4)
    np.testing.assert_allclose(found["probabilities"], expected.probabilities, atol=6e-6)
    np.testing.assert_allclose(found["gradient"], expected.gradient, atol=6e-5)
    np.testing.assert_allclose(found["shares"], expected.shares, atol=6e-5)
    np.testing.assert_allclose(found["losses"], expected.losses, rtol=1e-4)
    assert found["mean"] == pytest.approx(expected.mean, rel=1e-4)
    assert found["chance"] == pytest.approx(math.log(9), rel=1e-4)
    assert found["floor"] < found["best"] < found["mean"]


def test_a_preset_comes_with_its_points_and_a_seed_repeats_it(client: TestClient) -> None:
    first = ask(client, preset="Random", pairs=5, seed=3)
    assert len(first["angles"]) == 10 and first == ask(client, preset="Random", pairs=5, seed=3)
    assert first["angles"] != ask(client, preset="Random", pairs=5, seed=4)["angles"]
    best = ask(client, preset="Spread evenly", pairs=5)
    assert best["mean"] == best["best"] < first["mean"]
    collapsed = ask(client, preset="Collapsed", pairs=5)
    assert collapsed["mean"] == collapsed["chance"] and collapsed["spread"] == 0


def test_a_queue_lies_on_the_circle_too(client: TestClient) -> None:
    found = ask(client, loss="info_nce", preset="Random", pairs=4, keys=6)
    assert len(found["queue"]) == 6 and np.shape(found["similarities"]) == (4, 7)
    assert found["positive"] == [0] * 4 and found["best"] is None
    same = ask(client, loss="info_nce", preset="Random", angles=text(np.array(found["angles"])), keys=6)
    assert same["queue"] == found["queue"]  # another loss for the same points
    again = ask(
        client, loss="info_nce", angles=text(np.array(found["angles"])), queue=text(np.array(found["queue"]))
    )
    assert again["mean"] == pytest.approx(found["mean"], abs=1e-4)


@pytest.mark.parametrize("temperature", [0.02, 2])
@pytest.mark.parametrize("preset", ["Random", "Collapsed", "Spread evenly", "Views apart"])
def test_the_largest_bench_is_quick_and_holds_no_nan(
    client: TestClient, preset: str, temperature: float
) -> None:
    ask(client, preset=preset, pairs=16, temperature=temperature)
    started = time.perf_counter()
    answer = client.get("/lab/bench", params={"preset": preset, "pairs": 16, "temperature": temperature})
    assert time.perf_counter() - started < 0.5  # it takes a hundredth of that on a quiet machine
    assert "NaN" not in answer.text and "Infinity" not in answer.text and "-0.0," not in answer.text
    assert len(answer.content) < 64_000


@pytest.mark.parametrize(
    "query",
    [
        "temperature=0", "temperature=nan", "temperature=inf", "temperature=", "temperature=2.1",
        "temperature=--", "loss=other", "loss=%3Cb%3E", "pairs=1", "pairs=17", "pairs=-1", "pairs=x",
        "preset=Square", "seed=-1", "seed=99999999999", "angles=1,2,3", "angles=1,2", "angles=x",
        "angles=nan,1,2,3", "angles=1e999,1,2,3", "angles=1,2,3,", "angles=" + "0," * 33 + "0",
        "angles=" + "1" * 700, "loss=info_nce&keys=0", "loss=info_nce&keys=33",
        "loss=info_nce&angles=0,1,2,3&keys=0", "loss=info_nce&angles=0,1,2,3&queue=x", "angles=",
        "loss=info_nce&angles=0,1,2,3&queue=" + "0," * 32 + "0",
    ],
)  # fmt: skip
def test_a_wrong_question_is_one_sentence(client: TestClient, query: str) -> None:
    answer = client.get(f"/lab/bench?{query}")
    assert answer.status_code == 400, answer.text
    assert 0 < len(answer.json()["error"]) <= 300 and answer.json()["error"].endswith(".")


class Views:
    """Stands in for the network: the same views for the same seed, and it counts its questions."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    def embedded_views(self, run: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if n > 24:
            raise UserError("This data set has 24 images only: take fewer.")
        self.asked.append((run, n, seed))
        random = np.random.default_rng(seed)
        z = random.normal(size=(2 * n, 8)).astype(np.float32)
        thumbs = np.repeat(np.arange(2 * n, dtype=np.uint8), 8 * 8 * 3).reshape(2 * n, 8, 8, 3)
        return z, random.permutation(100)[:n], thumbs


@pytest.fixture
def views(monkeypatch: pytest.MonkeyPatch) -> Views:
    stand_in, found = ModuleType("engine.training.look_views"), Views()
    stand_in.embedded_views = found.embedded_views  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "engine.training.look_views", stand_in)
    bench_routes._batch.cache_clear()
    return found


@pytest.fixture
def run(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    found = make_run(make_dataset())
    path = workspace / "runs" / found / "encoder.safetensors"
    path.write_bytes(b"weights")
    assert bench_routes.run_store().encoder_path(found) == path
    return found


def test_a_batch_of_a_run_is_embedded_once_for_all_temperatures(
    client: TestClient, views: Views, run: str
) -> None:
    address = f"/lab/runs/{run}/bench"
    warm = ask(client, address, n=4, temperature=0.5, seed=7, pictures=1)
    cold = ask(client, address, n=4, temperature=0.1, seed=7)
    assert views.asked == [(run, 4, 7)]
    z, index, _ = Views().embedded_views(run, 4, 7)
    assert warm["mean"] == pytest.approx(contrast(z, 0.5).mean, rel=1e-4)
    assert cold["mean"] == pytest.approx(contrast(z, 0.1).mean, rel=1e-4)
    assert warm["index"] == index.tolist() and warm["best"] is None
    assert len(warm["pictures"]) == 8 and warm["pictures"][0].startswith("data:image/png;base64,")
    assert "pictures" not in cold and "angles" not in cold


def test_the_queue_of_a_run_is_second_views_of_further_images(
    client: TestClient, views: Views, run: str
) -> None:
    found = ask(client, f"/lab/runs/{run}/bench", n=3, keys=5, loss="info_nce", pictures=1)
    assert views.asked == [(run, 8, 0)]
    z, _, _ = Views().embedded_views(run, 8, 0)
    expected = contrast(z[[0, 1, 2, 8, 9, 10]], 0.5, "info_nce", z[11:])
    assert found["mean"] == pytest.approx(expected.mean, rel=1e-4)
    assert np.shape(found["similarities"]) == (3, 6) and len(found["pictures"]) == 3 + 3 + 5


def test_a_real_run_gives_the_loss_of_its_own_embeddings(client: TestClient) -> None:
    from engine.training.look_views import embedded_views

    run = learned_run(make_dataset(), epochs=1)
    bench_routes._batch.cache_clear()
    found = ask(client, f"/lab/runs/{run}/bench", n=4, temperature=0.5, seed=1, pictures=1)
    z, index, _ = embedded_views(run, 4, 1)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    logits = unit @ unit.T / 0.5
    np.fill_diagonal(logits, -np.inf)
    positive = logits[np.arange(8), np.roll(np.arange(8), 4)]
    expected = float((np.log(np.exp(logits).sum(1)) - positive).mean())
    assert found["mean"] == pytest.approx(expected, rel=1e-4) and found["index"] == index.tolist()
    assert len(set(found["pictures"])) == 8


def test_a_run_that_was_trained_on_is_asked_again(client: TestClient, views: Views, run: str) -> None:
    import os

    ask(client, f"/lab/runs/{run}/bench", n=4)
    os.utime(bench_routes.run_store().encoder_path(run), (1, 1))
    ask(client, f"/lab/runs/{run}/bench", n=4)
    assert len(views.asked) == 2


@pytest.mark.parametrize("query", ["n=1", "n=17", "n=x", "temperature=9", "seed=-1", "loss=info_nce&n=16"])
def test_a_wrong_question_about_a_run_is_one_sentence(
    client: TestClient, views: Views, run: str, query: str
) -> None:
    answer = client.get(f"/lab/runs/{run}/bench?{query}")
    assert answer.status_code == 404 and answer.json()["error"].endswith(".")


@pytest.mark.parametrize("name", ["nothere-0000", "..%2F..", "UPPER", "x" * 300])
def test_a_run_that_is_not_there_is_one_sentence(client: TestClient, views: Views, name: str) -> None:
    answer = client.get(f"/lab/runs/{name}/bench")
    assert answer.status_code == 404 and answer.json()["error"].endswith(".") and not views.asked


def test_a_run_without_an_encoder_is_told(client: TestClient, views: Views) -> None:
    answer = client.get(f"/lab/runs/{make_run(make_dataset())}/bench")
    assert answer.status_code == 404 and "encoder" in answer.json()["error"]
