"""Selections that are held under a key: sent whole, of their own map only, few at a time and for a while."""

from __future__ import annotations

import csv
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import parquet
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.errors import UserError
from pages.components import map_held, map_routes, server
from pages.components.map_held import held_rows, hold
from tests.export.map_runs import coloured_set, map_of, map_run

ROWS = [1, 2, 5, 8, 13, 21]


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    map_held._held.clear()
    yield
    map_held._held.clear()


@pytest.fixture
def client(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(map_routes, "MOST_IN_ADDRESS", len(ROWS) - 1)
    return TestClient(Starlette(routes=server.routes()))


def test_a_selection_too_long_for_an_address_is_sent_whole_in_every_format(client: TestClient) -> None:
    run = map_run(coloured_set())
    asked = map_routes.rows_address(run, ROWS)
    assert asked.startswith("selection=") and len(asked) < 40
    wanted = map_of(run).index[ROWS].tolist()
    rows = csv.DictReader(io.StringIO(client.get(f"/lab/runs/{run}/map.csv?{asked}").text))
    assert [int(row["image"]) for row in rows] == wanted
    data = client.get(f"/lab/runs/{run}/map.parquet?{asked}").content
    assert parquet.read_table(io.BytesIO(data)).column("image").to_pylist() == wanted
    with zipfile.ZipFile(io.BytesIO(client.get(f"/lab/runs/{run}/map.zip?{asked}").content)) as images:
        assert len([name for name in images.namelist() if name.endswith(".png")]) == len(ROWS)
    assert map_routes.rows_address(run, ROWS[:-1]) == "rows=1,2,5,8,13", "a short one needs no key"


@pytest.mark.parametrize("name", ["map.csv", "map.parquet", "map.zip"])
def test_a_selection_of_another_map_or_of_none_is_one_sentence(client: TestClient, name: str) -> None:
    dataset = coloured_set()
    run, other = map_run(dataset), map_run(dataset, ["pca"])
    key = hold(run, ROWS)
    questions = {
        f"/lab/runs/{other}/{name}?selection={key}": "of another map",
        f"/lab/runs/{run}/{name}?selection=nosuchkey": "not held any more",
        f"/lab/runs/{run}/{name}?selection={hold(run, [2, 24])}": "not held any more",  # it has 24 points
        f"/lab/runs/{run}/{name}?selection={key}&rows=1": "leave one of them out",
    }
    for address, words in questions.items():
        answer = client.get(address)
        assert answer.status_code == 404 and words in answer.json()["error"], address


def test_a_file_of_the_whole_map_refuses_a_selection(client: TestClient) -> None:
    run = map_run(coloured_set())
    answer = client.get(f"/lab/runs/{run}/map.html?selection={hold(run, ROWS)}")
    assert answer.status_code == 404 and "whole map" in answer.json()["error"]


def test_the_same_rows_keep_their_key_and_others_get_one_that_cannot_be_guessed() -> None:
    key = hold("one", ROWS)
    assert hold("one", ROWS) == key and held_rows("one", key) == ROWS
    others = {hold("two", ROWS), hold("one", ROWS[1:])}
    assert len(others | {key}) == 3 and all(len(other) >= 16 for other in others)


def test_the_oldest_gives_way_and_one_that_is_drawn_again_is_not_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_held, "MOST", 3)
    first, second, third = (hold("run", [k]) for k in range(3))
    hold("run", [0])
    hold("run", [3])
    assert held_rows("run", first) == [0] and held_rows("run", third) == [2]
    with pytest.raises(UserError, match="not held any more"):
        held_rows("run", second)


def test_a_selection_is_let_go_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(map_held.time, "monotonic", lambda: now[0])
    key = hold("run", ROWS)
    now[0] = map_held.SECONDS - 1
    assert held_rows("run", key) == ROWS and hold("run", ROWS) == key
    now[0] += map_held.SECONDS - 1
    assert held_rows("run", key) == ROWS, "the page that offers it was drawn again"
    now[0] += 1
    with pytest.raises(UserError, match="not held any more"):
        held_rows("run", key)
    assert not map_held._held, "nothing of it stays in memory"


def test_many_at_once_hold_no_more_than_the_bound() -> None:
    def work(k: int) -> None:
        for i in range(60):
            rows = [k, i + 10]
            assert held_rows("run", hold("run", rows)) == rows

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(map_held._held) <= map_held.MOST
