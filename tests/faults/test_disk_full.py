"""A disk that is really full (a small tmpfs) where something writes: a sentence, nothing lost, no restart."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine import child
from engine.data import imports
from engine.data.dataset import Dataset, list_datasets
from engine.data.intake import add_dataset
from engine.errors import UserError
from engine.runs import layout, outcome
from engine.runs.executors import InlineExecutor, LocalExecutor
from engine.runs.store import RunStore
from engine.runs.supervisor import Options
from engine.settings import settings
from engine.training import loop
from engine.training.checkpoint import load_checkpoint
from tests.faults.conftest import carried_out, check_best, check_whole, losses, put_shapes, tiny
from tests.runs.conftest import recipe as pretended
from tests.runs.conftest import wait_for

MEBIBYTE = 1024**2
FILLING = (sys.executable, str(Path(__file__).with_name("filling_worker.py")))


@pytest.fixture
def disk(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace on a disk of 24 MiB of its own."""
    workspace.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(workspace)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here: that takes root")
    monkeypatch.setenv("REPLAB_THREADS", "1")
    try:
        yield workspace
    finally:
        subprocess.run(["umount", "-l", str(workspace)], check=False)


def fill(disk: Path) -> Path:
    """Leave no byte free; removing the file that is given makes room again."""
    path = disk / "ballast-of-the-test"
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        for size in (MEBIBYTE, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return path


def pictures(n: int, side: int = 64) -> dict[str, bytes]:
    """Noise, which does not shrink: about 12 kB a picture of 64 px."""
    random, found = np.random.default_rng(0), {}
    for i in range(n):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 255, (side, side, 3), np.uint8)).save(file, "PNG")
        found[f"{'ab'[i % 2]}/{i}.png"] = file.getvalue()
    return found


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_an_upload_is_refused_and_leaves_nothing(disk: Path) -> None:
    from pages.components import upload_routes

    for folder in (settings().uploads, settings().tmp):
        folder.mkdir()
    app = Starlette(routes=upload_routes.routes())
    headers = {"X-Replab": "1", "X-File-Name": "set.zip"}
    with TestClient(app, base_url="http://127.0.0.1:8501") as client:
        body = np.random.default_rng(0).bytes(30 * MEBIBYTE)
        pieces = iter([body[start : start + MEBIBYTE] for start in range(0, len(body), MEBIBYTE)])
        answer = client.put("/lab/upload", content=pieces, headers=headers)
        assert answer.status_code == 507 and "disk" in answer.json()["error"]
        assert list(settings().uploads.iterdir()) == []
        again = client.put("/lab/upload", content=body[:MEBIBYTE], headers=headers)
        assert again.status_code == 200, "no restart is needed"


def test_an_import_is_refused_and_leaves_nothing(disk: Path, tmp_path: Path) -> None:
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - MEBIBYTE))
    with pytest.raises(UserError, match="disk is full"):
        add_dataset(zipped(tmp_path / "large.zip", pictures(200)))
    assert list_datasets() == [] and list(settings().tmp.iterdir()) == []
    assert add_dataset(zipped(tmp_path / "small.zip", pictures(20))).n == 20


def test_an_import_that_cannot_even_begin_says_so(disk: Path, tmp_path: Path) -> None:
    source = zipped(tmp_path / "small.zip", pictures(20))
    filler = fill(disk)
    with pytest.raises(UserError, match="disk"):
        imports.start_import(source)
    filler.unlink()
    assert imports.list_imports() == []
    import_id = imports.start_import(source)
    child._detached[-1].wait()
    assert imports.import_status(import_id).state == "done"


def test_decoding_is_refused_and_leaves_nothing(disk: Path, drawn: Path) -> None:
    dataset = put_shapes(drawn, disk)
    filler = fill(disk)
    run_id = "none"
    with contextlib.suppress(UserError):
        run_id = carried_out(tiny(dataset))
    assert run_id == "none", "no run is made on a full disk"
    filler.unlink()
    store = RunStore()
    run = store.create(tiny(dataset))
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - 500_000))  # pixels take 675 kB
    InlineExecutor(store).submit(run.id)
    told = store.get(run.id)
    assert told.state == "failed" and told.error and "disk is free" in told.error
    assert [path.name for path in (dataset.root / "pixels").iterdir() if path.name != ".lock"] == []


def at_checkpoint(happens: Callable[[], Any], patch: pytest.MonkeyPatch) -> None:
    real = loop.save_checkpoint
    patch.setattr(
        loop, "save_checkpoint", lambda path, state: (state["epoch"] == 2 and happens(), real(path, state))
    )


def at_best(happens: Callable[[], Any], patch: pytest.MonkeyPatch) -> None:
    real, count = loop.save_tensors, [0]

    def save(path: Path, state: Any) -> None:
        count[0] += 1
        if count[0] == 2:
            happens()
        real(path, state)

    patch.setattr(loop, "save_tensors", save)


def at_metrics(happens: Callable[[], Any], patch: pytest.MonkeyPatch) -> None:
    from engine.runs.writer import RunWriter

    real = RunWriter.metric

    def metric(self: RunWriter, row: Any) -> None:
        if row.get("kind") == "epoch" and row["epoch"] == 2:
            happens()
            row = {**row, "note": "x" * 5000}  # a row is smaller than the disk's blocks
        real(self, row)

    patch.setattr(RunWriter, "metric", metric)


def at_results(happens: Callable[[], Any], patch: pytest.MonkeyPatch) -> None:
    from engine.runs.writer import RunWriter

    real = RunWriter.results
    patch.setattr(RunWriter, "results", lambda self, found: (happens(), real(self, found)))


@pytest.mark.parametrize("at", [at_best, at_checkpoint, at_metrics, at_results])
def test_a_training_keeps_what_it_had_and_resumes(
    disk: Path,
    drawn: Path,
    unbroken: list[float],
    at: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = RunStore()
    run = store.create(tiny(put_shapes(drawn, disk)))
    status, filler = layout.write_status, [disk]

    def write_status(folder: Path, **fields: Any) -> dict[str, Any]:
        if fields.get("finished"):  # the worker's own process would leave this to its runner and the ballast
            filler[0].unlink()
        return status(folder, **fields)

    with monkeypatch.context() as patch:
        at(lambda: filler.__setitem__(0, fill(disk)), patch)
        patch.setattr(layout, "write_status", write_status)
        InlineExecutor(store).submit(run.id)
    told = store.get(run.id)
    assert told.state == "failed" and told.error == outcome.FULL_DISK, store.log_tail(run.id)
    saved = load_checkpoint(run.folder / layout.CHECKPOINT)
    assert saved and saved["epoch"] == (4 if at is at_results else 1)
    check_best(run.folder)
    check_whole(run.id)
    assert list(run.folder.rglob(".*.tmp")) == []
    InlineExecutor(store).submit(run.id)
    assert store.get(run.id).state == "done" and losses(run.id) == pytest.approx(unbroken, abs=1e-6)


def test_runner_and_worker_tell_of_a_full_disk_on_that_disk(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    store = RunStore()
    runner = LocalExecutor(store, 1, Options(command=FILLING))
    run_id = store.create(pretended(epochs=3)).id
    runner.submit(run_id)
    wait_for(lambda: store.get(run_id).state not in layout.ACTIVE)
    run = store.get(run_id)
    assert (run.state, run.error) == ("failed", outcome.FULL_DISK) and run.epoch == 1
    assert layout.read_status(store.folder(run_id))["state"] == "failed", "its last word fits in the ballast"
    filler = fill(disk)
    with pytest.raises(UserError, match="disk is full"):  # nothing can begin, and all of it says so
        store.create(pretended(seed=1))
    with pytest.raises(UserError, match="disk is full"):
        store.rename(run_id, "named")
    assert [item.id for item in store.list()] == [run_id]
    with pytest.raises(UserError, match="disk is full"):
        runner.submit(run_id)
    assert runner.reconcile() == {run_id: "failed"}
    filler.unlink()
    (disk / "filler").unlink()
    runner.submit(run_id)
    wait_for(lambda: store.get(run_id).state not in layout.ACTIVE)
    assert store.get(run_id).state == "done"
    assert [row["epoch"] for row in store.curve(run_id)["epochs"]] == [1, 2, 3]


def test_a_log_that_cannot_grow_costs_nothing(disk: Path, drawn: Path) -> None:
    store = RunStore()
    run = store.create(tiny(put_shapes(drawn, disk)))
    writer = store.writer(run.id)
    writer.log("before")
    filler = fill(disk)
    writer.log("x" * 100_000)
    filler.unlink()
    writer.log("after")
    assert store.log_tail(run.id).startswith("before") and store.log_tail(run.id).endswith("after")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="RLIMIT_FSIZE")
def test_a_limit_on_the_size_of_files_reads_as_a_full_disk(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    real, before = loop.save_checkpoint, resource.getrlimit(resource.RLIMIT_FSIZE)

    def save(path: Path, state: Any) -> None:
        if state["epoch"] == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            real(path, state)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", save)
        run_id = carried_out(tiny(shapes, epochs=3))
    store = RunStore()
    assert store.get(run_id).error == outcome.FULL_DISK
    check_whole(run_id)
    InlineExecutor(store).submit(run_id)
    assert store.get(run_id).state == "done"
