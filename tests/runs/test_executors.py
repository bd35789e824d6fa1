"""Runs as processes: order, Stop, and every way to die. Real processes, a pretended training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.lock import is_locked
from engine.runs import layout, supervisor, tickets, watch
from engine.runs.executors import InlineExecutor, LocalExecutor, executor
from engine.runs.recipe import Recipe
from engine.runs.store import RunStore
from engine.runs.writer import RunWriter
from tests.runs.conftest import recipe, wait_for
from tests.runs.fake_worker import carry_out

Make = Callable[..., LocalExecutor]


def start(store: RunStore, runner: LocalExecutor, seed: int = 0, **config: object) -> str:
    run_id, _ = store.create_once(recipe(seed, **config))
    runner.submit(run_id)
    return run_id


def ended(store: RunStore, run_id: str) -> Callable[[], bool]:
    return lambda: store.get(run_id).state not in layout.ACTIVE


def training(store: RunStore, run_id: str, epoch: int = 1) -> Callable[[], bool]:
    return lambda: store.get(run_id).state == "running" and store.get(run_id).epoch >= epoch


def unbroken_weight(tmp_path: Path, epochs: int) -> float:
    """What the pretended training gives without any interruption, in this process."""
    store = RunStore(tmp_path / "unbroken")
    run = store.create(recipe(epochs=epochs))
    return float(carry_out(recipe(epochs=epochs), RunWriter(run.folder))["weight"])


def test_a_run_goes_from_queued_to_done(store: RunStore, local: Make) -> None:
    runner = local()
    run_id = start(store, runner)
    assert store.get(run_id).state in ("queued", "running")
    wait_for(ended(store, run_id))
    run = store.get(run_id)
    assert (run.state, run.error, run.epoch, run.attempt) == ("done", None, 3, 1)
    assert run.started and run.finished and run.finished >= run.started and run.bytes
    assert store.results(run_id)
    wait_for(lambda: not is_locked(store.folder(run_id) / layout.LOCK))  # the supervisor ends a moment later
    runner.submit(run_id)
    time.sleep(0.1)
    assert store.get(run_id).attempt == 1, "submitting a finished run changes nothing"


@pytest.mark.parametrize(
    ("kind", "state", "words"),
    [
        ("raise", "failed", "unexpected error"),
        ("memory", "failed", "out of memory: try"),
        ("disk", "failed", "disk is full"),
        ("kill", "interrupted", "killed (SIGKILL) after epoch 1; Resume"),
        ("exit", "failed", "ended unexpectedly"),
        ("hang", "interrupted", "no sign of life"),
    ],
)
def test_each_way_to_die_is_told_and_resuming_equals_an_unbroken_run(
    store: RunStore, local: Make, tmp_path: Path, kind: str, state: str, words: str
) -> None:
    runner = local(hang_after=1.5)
    run_id = start(store, runner, fault=kind)
    wait_for(ended(store, run_id))
    run = store.get(run_id)
    assert run.state == state and run.error and words in run.error and run.epoch == 1
    assert len(run.error) <= 300 and "secret" not in run.error and "/" not in run.error
    if kind == "raise":
        assert "secret detail" in store.log_tail(run_id), "the log has the details"
    runner.submit(run_id)
    wait_for(ended(store, run_id))
    assert store.get(run_id).state == "done" and store.get(run_id).attempt == 2
    assert [row["epoch"] for row in store.curve(run_id)["epochs"]] == [1, 2, 3]
    assert len(store.curve(run_id)["steps"]) == 12
    results = store.results(run_id)
    assert results and results["weight"] == pytest.approx(unbroken_weight(tmp_path, 3), abs=1e-12)


def test_one_slot_keeps_the_order_of_asking(store: RunStore, local: Make) -> None:
    runner = local(slots=1)
    ids = [start(store, runner, seed, epochs=1, step_seconds=0.02) for seed in range(4)]
    places = [store.get(run_id).queue_place for run_id in ids]
    assert [place for place in places if place] == sorted(place for place in places if place)
    for run_id in ids:
        wait_for(ended(store, run_id))
    started = [store.get(run_id).started or 0 for run_id in ids]
    finished = [store.get(run_id).finished or 0 for run_id in ids]
    assert started == sorted(started)
    # the slot is free when the worker has ended, an instant before `finished` is written
    assert all(end - begin < 0.5 for end, begin in zip(finished, started[1:], strict=False))
    assert tickets.tickets(store.root) == []


def test_two_slots_train_two_at_a_time(store: RunStore, local: Make) -> None:
    runner = local(slots=2)
    ids = [start(store, runner, seed, epochs=200, step_seconds=0.02) for seed in range(3)]
    wait_for(lambda: [store.get(run_id).state for run_id in ids] == ["running", "running", "queued"])
    assert store.get(ids[2]).queue_place == 1
    for run_id in ids:
        runner.stop(run_id)
    for run_id in ids:
        wait_for(ended(store, run_id))


def test_stop_while_training_keeps_the_finished_epochs(store: RunStore, local: Make, tmp_path: Path) -> None:
    runner = local()
    run_id = start(store, runner, epochs=40, step_seconds=0.01)
    wait_for(training(store, run_id, 2))
    asked = time.monotonic()
    runner.stop(run_id)
    runner.stop(run_id)
    wait_for(ended(store, run_id))
    assert time.monotonic() - asked < 5
    run = store.get(run_id)
    assert run.state == "stopped" and run.error == f"Stopped by you after epoch {run.epoch}."
    runner.submit(run_id)
    wait_for(ended(store, run_id), 60)
    results = store.results(run_id)
    assert results and results["weight"] == pytest.approx(unbroken_weight(tmp_path, 40), abs=1e-12)


def test_stop_while_waiting_leaves_the_queue(store: RunStore, local: Make) -> None:
    runner = local()
    first = start(store, runner, 0, epochs=500, step_seconds=0.02)
    second = start(store, runner, 1)
    wait_for(training(store, first))
    runner.stop(second)
    wait_for(ended(store, second))
    assert store.get(second).state == "stopped" and store.get(second).attempt == 0
    assert store.get(first).state == "running"
    runner.stop(first, force=True)
    wait_for(ended(store, first))
    assert store.get(first).state == "stopped"


def test_a_training_deaf_to_stop_is_killed(store: RunStore, local: Make) -> None:
    runner = local(term_after=0.3, kill_after=0.8)
    run_id = start(store, runner, fault="deaf")
    wait_for(lambda: store.progress(run_id).get("epoch") == 2)
    runner.stop(run_id)
    wait_for(ended(store, run_id), 5)
    assert store.get(run_id).state == "stopped"


def test_a_killed_worker_reads_as_interrupted_and_resumes(
    store: RunStore, local: Make, tmp_path: Path
) -> None:
    runner = local()
    run_id = start(store, runner, epochs=20, step_seconds=0.01)
    wait_for(training(store, run_id, 2))
    pid = store.status(run_id).pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    wait_for(ended(store, run_id))
    run = store.get(run_id)
    assert run.state == "interrupted" and f"epoch {run.epoch}" in (run.error or "") and run.epoch >= 2
    runner.submit(run_id)
    wait_for(ended(store, run_id))
    results = store.results(run_id)
    assert results and results["weight"] == pytest.approx(unbroken_weight(tmp_path, 20), abs=1e-12)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("both", [False, True])
def test_a_killed_runner_leaves_no_orphan_and_no_running_state(
    store: RunStore, local: Make, both: bool
) -> None:
    runner = local()
    run_id = start(store, runner, epochs=300, step_seconds=0.01)
    wait_for(training(store, run_id))
    status = store.status(run_id)
    assert status.runner and status.pid
    os.kill(status.runner, signal.SIGKILL)
    if both:
        os.kill(status.pid, signal.SIGKILL)
    wait_for(lambda: store.get(run_id).state == "interrupted", 2)
    wait_for(lambda: not alive(status.pid or 0), 5)
    assert runner.reconcile()[run_id] == "interrupted"
    assert layout.read_status(store.folder(run_id))["state"] == "interrupted"
    runner.submit(run_id)
    wait_for(training(store, run_id, store.get(run_id).epoch + 1))
    assert store.status(run_id).attempt == 2
    runner.stop(run_id)
    wait_for(ended(store, run_id))


def test_a_queued_run_whose_runner_died_goes_on_by_itself(store: RunStore, local: Make) -> None:
    runner = local()
    first = start(store, runner, 0, epochs=500, step_seconds=0.02)
    second = start(store, runner, 1)
    wait_for(training(store, first))
    wait_for(lambda: store.status(second).runner is not None)
    os.kill(store.status(second).runner or 0, signal.SIGKILL)
    old = time.time() - 10 * layout.GRACE
    wait_for(lambda: not is_locked(store.folder(second) / layout.LOCK))
    layout.write_status(store.folder(second), submitted=old, created=old)
    assert store.get(second).state == "interrupted"
    assert runner.reconcile() == {first: "running", second: "queued"}
    runner.stop(first)
    wait_for(ended(store, second))
    assert store.get(second).state == "done"


def test_submitting_from_many_tabs_starts_one_worker(store: RunStore, local: Make) -> None:
    runner = local()
    run_id, _ = store.create_once(recipe(epochs=5, step_seconds=0.02))
    threads = [threading.Thread(target=runner.submit, args=(run_id,)) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    wait_for(ended(store, run_id))
    starts = [row for row in store.rows(run_id)[0] if row["kind"] == "start"]
    assert store.get(run_id).state == "done" and len(starts) == 1


def test_the_run_outlives_the_process_that_started_it(store: RunStore, local: Make) -> None:
    code = (
        "from tests.runs.conftest import *; from engine.runs.store import RunStore; s = RunStore();"
        "i, _ = s.create_once(recipe(epochs=20, step_seconds=0.01));"
        "LocalExecutor(s, 1, Options(command=FAKE)).submit(i); print(i, flush=True);"
        "import os; os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True, check=False
    )
    run_id = said.stdout.strip()
    wait_for(ended(store, run_id))
    assert store.get(run_id).state == "done"


def test_probing_a_run_all_the_time_does_not_disturb_its_start(store: RunStore, local: Make) -> None:
    runner = local()
    done = threading.Event()

    def probe() -> None:
        while not done.is_set():
            store.list()

    threads = [threading.Thread(target=probe) for _ in range(2)]
    [thread.start() for thread in threads]
    try:
        run_id = start(store, runner, step_seconds=0.01)
        wait_for(lambda: store.get(run_id).state == "done")
    finally:
        done.set()
        [thread.join() for thread in threads]


def test_inline_carries_out_here(store: RunStore, tmp_path: Path) -> None:
    inline = InlineExecutor(store, carry_out)
    run_id, _ = store.create_once(recipe())
    inline.submit(run_id)
    assert store.get(run_id).state == "done"
    broken, _ = store.create_once(recipe(fault="raise"))
    inline.submit(broken)
    assert store.get(broken).state == "failed" and "secret" not in (store.get(broken).error or "")
    inline.submit(broken)
    assert store.get(broken).state == "done"

    def stop_half_way(made: Recipe, writer: RunWriter) -> dict[str, object]:
        inline.stop(third)
        return carry_out(made, writer)

    third, _ = store.create_once(recipe(seed=3))
    InlineExecutor(store, stop_half_way).submit(third)
    assert store.get(third).state == "stopped"


def test_a_user_error_of_the_training_is_shown_as_it_is(store: RunStore) -> None:
    def refuse(made: Recipe, writer: RunWriter) -> None:
        raise UserError("The data set has one class only: add a second one.")

    run_id, _ = store.create_once(recipe())
    InlineExecutor(store, refuse).submit(run_id)
    assert store.get(run_id).error == "The data set has one class only: add a second one."


def test_the_executor_is_named_by_the_settings(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAB_EXECUTOR", "local")
    assert isinstance(executor(), LocalExecutor)
    monkeypatch.setenv("REPLAB_EXECUTOR", "inline")
    assert isinstance(executor(), InlineExecutor)
    monkeypatch.setenv("REPLAB_EXECUTOR", "ray")
    with pytest.raises(UserError, match="inline, local"):
        executor()


def test_the_worker_gets_its_threads_and_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAB_THREADS", "3")
    monkeypatch.setenv("MY_API_TOKEN", "x")
    env = supervisor.worker_environment(tmp_path)
    assert env["OMP_NUM_THREADS"] == "3" and "MY_API_TOKEN" not in env


def test_a_long_log_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOG_LIMIT", 1000)
    monkeypatch.setattr(watch, "LOG_KEPT", 100)
    log = tmp_path / "log.txt"
    log.write_text("x" * 5000 + "the end")
    watch.cut_log(log)
    assert log.stat().st_size < 200 and log.read_text().endswith("the end")


def test_the_runner_is_light(store: RunStore) -> None:
    code = "import sys, engine.runs.supervisor; print(sorted(sys.modules))"
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert not any(heavy in said.stdout for heavy in ("'torch'", "'numpy'", "'pydantic'", "'streamlit'"))
