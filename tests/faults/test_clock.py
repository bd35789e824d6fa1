"""A clock that jumps a day ahead, an hour back or to 1970: nothing expires or is negative, order is kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cli.watch import outcome
from engine.data import imports
from engine.data.dataset import Dataset
from engine.files import write_json
from engine.lock import try_lock
from engine.runs import layout
from engine.runs.executors import InlineExecutor, LocalExecutor
from engine.runs.store import RunStore
from engine.runs.writer import RunWriter
from pages.components.text import ago, duration
from tests.faults.conftest import carried_out, tiny
from tests.runs.conftest import recipe, wait_for
from tests.runs.fake_worker import carry_out

JUMPS = {"a day ahead": 86_400.0, "an hour back": -3600.0, "to 1970": -time.time() + 5}
Make = Callable[..., LocalExecutor]


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    real = time.time
    return lambda by: monkeypatch.setattr(time, "time", lambda: real() + by)


@pytest.mark.parametrize("by", JUMPS.values(), ids=JUMPS.keys())
def test_waiting_and_running_runs_stay_what_they_are(
    store: RunStore, local: Make, jump: Callable[[float], None], by: float
) -> None:
    runner = local()
    ids = []
    for seed in range(3):
        ids.append(store.create(recipe(seed, epochs=400, step_seconds=0.02)).id)
        runner.submit(ids[-1])
    wait_for(lambda: store.get(ids[0]).epoch >= 1)
    wait_for(lambda: all(store.status(run_id).runner for run_id in ids))
    jump(by)
    states = ["running", "queued", "queued"]
    assert [store.get(run_id).state for run_id in ids] == states
    assert runner.reconcile() == dict(zip(ids, states, strict=True))
    late = store.create(recipe(9, epochs=1)).id
    runner.submit(late)
    assert [store.get(run_id).queue_place for run_id in (*ids[1:], late)] == [1, 2, 3]
    for run_id in reversed(ids):
        runner.stop(run_id)
    wait_for(lambda: store.get(late).state == "done", 60)


@pytest.mark.parametrize("by", JUMPS.values(), ids=JUMPS.keys())
def test_a_jump_in_mid_training_costs_no_epoch_and_no_time_is_negative(
    store: RunStore, jump: Callable[[float], None], by: float
) -> None:
    def jumping(made, writer: RunWriter):  # type: ignore[no-untyped-def]
        jump(by)
        return carry_out(made, writer)

    run = store.create(recipe(epochs=4))
    InlineExecutor(store, jumping).submit(run.id)
    found = store.get(run.id)
    assert found.state == "done" and found.epoch == 4
    assert [row["epoch"] for row in store.curve(run.id)["epochs"]] == [1, 2, 3, 4]
    assert found.seconds is None or found.seconds >= 0
    assert outcome(store, run.id)["seconds"] >= 0
    for text in (ago(found.created), ago(found.started), ago(found.finished), duration(-5.0)):
        assert text and "-" not in text


def test_a_real_training_measures_itself_by_another_clock(
    shapes: Dataset, unbroken: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, looks = time.time, [0]

    def stepping() -> float:  # back by an hour and on by a day, in turns
        looks[0] += 1
        return real() + (86_400 if looks[0] % 2 else -3600)

    with monkeypatch.context() as patch:
        patch.setattr(time, "time", stepping)
        run_id = carried_out(tiny(shapes))
    store = RunStore()
    assert looks[0] > 3 and store.get(run_id).state == "done"
    rows = store.curve(run_id)["epochs"]
    assert [row["val_loss"] for row in rows] == pytest.approx(unbroken, abs=1e-6)
    assert all(0 <= row["seconds"] < 60 for row in rows)


@pytest.mark.parametrize("by", JUMPS.values(), ids=JUMPS.keys())
def test_an_import_under_way_stays_so(workspace: Path, jump: Callable[[float], None], by: float) -> None:
    folder = workspace / "imports" / "abcdefgh"
    folder.mkdir(parents=True)
    request = {"source": "shapes", "source_name": "shapes", "started": time.time(), "options": {}}
    write_json(folder / imports.REQUEST, request)
    write_json(
        folder / imports.STATUS, {"state": "running", "phase": "reading", "done": 3, "total": 9, "note": ""}
    )
    lock = try_lock(folder / imports.LOCK)
    assert lock is not None
    jump(by)
    assert imports.import_status("abcdefgh").state == "running"
    imports.sweep_leftovers()
    assert [status.state for status in imports.list_imports()] == ["running"]
    os.close(lock)
    assert imports.import_status("abcdefgh").state == "interrupted"


def test_a_run_whose_runner_is_being_started_survives_the_next_look(
    store: RunStore, jump: Callable[[float], None], local: Make
) -> None:
    run_id = store.create(recipe(epochs=1)).id
    runner = local()
    runner.submit(run_id)
    jump(86_400.0)  # before its runner holds the lock
    runner.reconcile()
    wait_for(lambda: store.get(run_id).state == "done")
    assert store.get(run_id).attempt == 1 and layout.read_status(store.folder(run_id))["state"] == "done"
