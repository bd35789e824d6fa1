"""Run folders: made once, listed truly, readable in any condition, removed without a trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.drawn_sets import build_shapes
from engine.errors import UserError
from engine.lock import release, try_lock
from engine.runs import layout
from engine.runs.store import RunStore
from engine.runs.writer import RunWriter
from tests.runs.conftest import recipe

EVERY_NAME = [
    "<script>alert(1)</script><b>x</b>",
    "**bold** $x^2$ :red[a] [l](javascript:1)",
    "🐝" * 120,
    "../../etc/passwd",
    "a" * 240,
    "=1+1",
]


def finished(store: RunStore, **config: Any) -> str:
    run = store.create(recipe(**config))
    with_metrics(RunWriter(run.folder))
    layout.write_status(run.folder, state="done", started=1.0, finished=2.0)
    return run.id


def with_metrics(writer: RunWriter) -> None:
    writer.metric({"kind": "start", "epoch": 0, "attempt": 1, "time": 0.0})
    for epoch in (1, 2, 3):
        writer.metric({"kind": "step", "epoch": epoch, "step": epoch, "loss": 1.0 / epoch})
        writer.metric({"kind": "epoch", "epoch": epoch, "train_loss": 1.0 / epoch, "kept": epoch < 3})
    writer.frame(1, {"probabilities": np.eye(3, dtype=np.float32)})
    writer.results({"kept_epoch": 2, "bad": float("nan"), "n": np.int64(7)})
    writer.predictions(index=np.arange(5), label=np.zeros(5, np.int64))
    writer.close()


def test_what_was_written_is_read(store: RunStore) -> None:
    run_id = finished(store)
    run = store.get(run_id)
    assert (run.state, run.epoch, run.epochs, run.method) == ("done", 3, 3, "classification")
    assert run.metrics["last"]["epoch"] == 3 and run.metrics["best"]["epoch"] == 2
    assert store.status(run_id).kept_epoch == 2
    assert store.results(run_id) == {"kept_epoch": 2, "bad": None, "n": 7}
    assert store.frames(run_id) == [1]
    assert np.array_equal(store.frame(run_id, 1)["probabilities"], np.eye(3))
    predictions = store.predictions(run_id)
    assert predictions is not None and predictions["index"].tolist() == [0, 1, 2, 3, 4]
    assert store.recipe(run_id) == recipe()
    assert store.damaged(run_id) is None


@pytest.mark.parametrize("name", EVERY_NAME, ids=range(len(EVERY_NAME)))
def test_a_name_is_kept_as_typed_and_never_becomes_a_path(store: RunStore, name: str) -> None:
    run_id = store.create(recipe(), name).id
    assert store.get(run_id).name == name
    store.rename(run_id, name[::-1])
    assert [run.name for run in store.list()] == [name[::-1]]
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert all(set(path.name) <= allowed for path in store.root.rglob("*"))


def test_a_run_without_a_name_is_called_after_its_data_sets_name(store: RunStore) -> None:
    data = build_shapes("shapes", "My *shapes*", 32, "drawn", images={"train": 6, "val": 6, "test": 0})
    named, lost, odd = (
        store.create(recipe().model_copy(update={"dataset": name})).id for name in (data.id, "gone", "../up")
    )
    assert store.get(named).name == "classification · cnn-small · My *shapes*"
    assert store.get(lost).name.endswith(" · gone") and store.get(odd).name.endswith(" · ../up")


def test_a_name_too_long_is_refused(store: RunStore) -> None:
    with pytest.raises(UserError, match="240"):
        store.create(recipe(), "a" * 241)
    assert store.list() == []


@pytest.mark.parametrize("run_id", ["nosuchrun", "../runs", "", ".", "a/b", "A", "x" * 70, ".queue"])
def test_an_id_that_is_no_run_is_refused_everywhere(store: RunStore, run_id: str) -> None:
    store.create(recipe())
    for look in (
        store.get,
        store.status,
        store.recipe,
        store.curve,
        store.results,
        store.remove,
        store.log_tail,
    ):
        with pytest.raises(UserError):
            look(run_id)


def test_rows_go_on_where_the_reader_was_and_leave_an_unfinished_line(store: RunStore) -> None:
    folder = store.create(recipe()).folder
    writer = RunWriter(folder)
    writer.metric({"kind": "step", "epoch": 1, "step": 1, "loss": 1.0})
    rows, offset = store.rows(folder.name)
    assert [row["step"] for row in rows] == [1]
    assert store.rows(folder.name, offset) == ([], offset)
    with open(folder / layout.METRICS, "ab") as file:
        file.write(b'{"kind":"step","ep')
    assert store.rows(folder.name, offset) == ([], offset)
    RunWriter(folder).metric({"kind": "step", "epoch": 1, "step": 2, "loss": np.float32(0.5)})
    rows, end = store.rows(folder.name, offset)
    assert [row["step"] for row in rows] == [2] and end == (folder / layout.METRICS).stat().st_size
    assert store.rows(folder.name, 10**12)[0], "a reader ahead of the file starts again"


def test_the_last_attempt_at_an_epoch_wins(store: RunStore) -> None:
    folder = store.create(recipe()).folder
    writer = RunWriter(folder)
    for epoch, loss in ((1, 1.0), (2, 0.9)):
        writer.metric({"kind": "step", "epoch": epoch, "step": 10 * epoch, "loss": loss})
        writer.metric({"kind": "epoch", "epoch": epoch, "train_loss": loss})
    writer.metric({"kind": "step", "epoch": 3, "step": 30, "loss": 0.8})
    writer.metric({"kind": "step", "epoch": 3, "step": 31, "loss": 0.8})
    writer.metric({"kind": "start", "epoch": 2, "attempt": 2, "time": 0.0})
    writer.metric({"kind": "step", "epoch": 3, "step": 30, "loss": 0.7})
    writer.metric({"kind": "epoch", "epoch": 3, "train_loss": 0.7})
    curve = store.curve(folder.name)
    assert [(row["step"], row["loss"]) for row in curve["steps"]] == [(10, 1.0), (20, 0.9), (30, 0.7)]
    assert [row["train_loss"] for row in curve["epochs"]] == [1.0, 0.9, 0.7]


def test_not_a_number_is_written_as_null(store: RunStore) -> None:
    folder = store.create(recipe()).folder
    RunWriter(folder).metric({"kind": "step", "epoch": 1, "step": 1, "loss": float("nan"), "lr": np.inf})
    line = (folder / layout.METRICS).read_text()
    assert "NaN" not in line and "Infinity" not in line
    assert json.loads(line) == {"kind": "step", "epoch": 1, "step": 1, "loss": None, "lr": None}


SMALL = [layout.STATUS, layout.RECIPE, layout.NAME, layout.PROGRESS, layout.RESULTS]
ARRAYS = [layout.PREDICTIONS, f"{layout.FRAMES}/{layout.frame_name(1)}"]
DAMAGE = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "zeroed": lambda data: b"\0" * len(data),
    "junk": lambda data: bytes(np.random.default_rng(0).integers(0, 256, 4096, dtype=np.uint8)),
    "zero tail": lambda data: data + b"\0" * 4096,
    "a list": lambda data: b"[1,2]",
    "deep": lambda data: b"[" * 100_000,
    "wrong kinds": lambda data: (
        b'{"state":[],"config":3,"last":7,"epoch":{},"name":{},"created":"x","bytes":true}'
    ),
}


@pytest.mark.parametrize("name", [*SMALL, *ARRAYS, layout.METRICS])
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_costs_only_itself(store: RunStore, name: str, kind: str) -> None:
    run_id, other = finished(store), finished(store, epochs=9)
    store.rename(run_id, "named")
    path = store.folder(run_id) / name
    path.write_bytes(DAMAGE[kind](path.read_bytes()))
    run = store.get(run_id)
    assert {item.id for item in store.list()} == {run_id, other}
    assert run.state == ("interrupted" if name == layout.STATUS else "done")
    store.status(run_id), store.progress(run_id), store.rows(run_id), store.log_tail(run_id)
    store.frame(run_id, 1), store.predictions(run_id), store.environment(run_id)
    curve = store.curve(run_id)
    if name != layout.METRICS:
        assert [row["epoch"] for row in curve["epochs"]] == [1, 2, 3]
    if name != layout.RESULTS:
        assert (store.results(run_id) or {}).get("kept_epoch") == 2
    if name == layout.RECIPE:
        with pytest.raises(UserError, match="recipe"):
            store.recipe(run_id)
    torn = kind == "half" and name == layout.METRICS  # looks like a row being written: nothing to report
    if kind in ("junk", "zeroed", "half") and name not in ARRAYS[1:] and not torn:
        assert store.damaged(run_id)
    store.remove(run_id)
    assert [item.id for item in store.list()] == [other]


def test_a_line_of_a_hundred_megabytes_hides_nothing_before_or_after(store: RunStore) -> None:
    folder = store.folder(finished(store))
    with open(folder / layout.METRICS, "ab") as file:
        file.write(b'{"kind":"' + b"x" * 100_000_000)
        file.write(b'"}\n{"kind":"epoch","epoch":4,"train_loss":0.1}\n')
    curve = store.curve(folder.name)
    assert [row["epoch"] for row in curve["epochs"]] == [1, 2, 3, 4] and curve["damaged"]
    notice = store.damaged(folder.name)
    assert notice and layout.METRICS in notice


def test_a_reader_beside_a_writer_never_sees_half_a_row(store: RunStore) -> None:
    folder = store.create(recipe()).folder
    done = threading.Event()

    def write() -> None:
        writer = RunWriter(folder)
        for step in range(2000):
            writer.metric({"kind": "step", "epoch": 1, "step": step, "loss": 0.5})
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen, offset = [], 0
    while not done.is_set() or offset < (folder / layout.METRICS).stat().st_size:
        rows, offset = store.rows(folder.name, offset)
        seen += [row["step"] for row in rows]
    thread.join()
    assert seen == list(range(2000))


def test_a_run_without_a_living_runner_is_not_running(store: RunStore) -> None:
    run = store.create(recipe())
    layout.write_status(run.folder, state="running", started=1.0)
    assert store.get(run.id).state == store.status(run.id).state == "interrupted"
    assert "Resume" in (store.get(run.id).error or "")
    lock = try_lock(run.folder / layout.LOCK)
    assert lock is not None
    assert store.get(run.id).state == "running" and store.get(run.id).error is None
    release(lock)
    assert store.get(run.id).state == "interrupted"


def test_a_queued_run_may_be_without_a_runner_for_moments_only(store: RunStore) -> None:
    run = store.create(recipe())
    assert store.get(run.id).state == "queued"
    old = time.time() - 10 * layout.GRACE
    layout.write_status(run.folder, created=old, submitted=old)
    assert store.get(run.id).state == "interrupted"


def test_an_active_run_is_not_removed(store: RunStore) -> None:
    run = store.create(recipe())
    with pytest.raises(UserError, match="stop it first"):
        store.remove(run.id)
    assert store.get(run.id)
    layout.write_status(run.folder, state="stopped")
    (run.folder / "exports").mkdir()
    (run.folder / "exports" / "weights").write_text("x")
    store.remove(run.id)
    assert [path for path in store.root.rglob("*") if run.id in str(path)] == []


def test_threads_that_press_start_together_make_one_run(store: RunStore) -> None:
    made: list[tuple[str, bool]] = []
    barrier = threading.Barrier(8)

    def press() -> None:
        barrier.wait()
        made.append(RunStore().create_once(recipe()))

    threads = [threading.Thread(target=press) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len({run_id for run_id, _ in made}) == 1 and sum(created for _, created in made) == 1
    assert len(store.list()) == 1
    assert store.create_once(recipe(seed=1))[1], "another seed is another run"


def test_processes_that_press_start_together_make_one_run(store: RunStore) -> None:
    code = (
        "from engine.runs.store import RunStore; from tests.runs.conftest import recipe;"
        "print(RunStore().create_once(recipe()))"
    )
    root = Path(__file__).resolve().parents[2]
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate()[0] for process in processes]
    assert sorted("True" in line for line in said) == [False, False, True]
    assert len(store.list()) == 1


def test_the_newest_run_of_a_recipe_is_found(store: RunStore) -> None:
    first, second = finished(store), finished(store)
    layout.write_status(store.folder(first), created=1.0)
    assert store.find(recipe().digest()) == second
    assert store.find(recipe(seed=5).digest()) is None
    assert store.find(recipe().digest(), frozenset({"failed"})) is None


def test_a_full_disk_refuses_new_runs_with_a_sentence(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAB_MIN_FREE_BYTES", str(10**18))
    with pytest.raises(UserError, match="disk"):
        store.create(recipe())
    assert not store.root.exists() or os.listdir(store.root) == []


def test_listing_reads_a_thousand_runs_once(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [finished(store, epochs=n + 1) for n in range(20)]
    assert len(store.list()) == 20
    reads = []
    load = layout.load_json
    monkeypatch.setattr(layout, "load_json", lambda *a, **k: reads.append(a) or load(*a, **k))
    assert len(store.list()) == 20 and not reads
    store.rename(ids[3], "new")
    assert {run.name for run in store.list()} >= {"new"}
    assert len(reads) < 10
