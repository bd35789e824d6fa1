"""Zips of runs taken in by a process of their own: told, stopped, cut off, and data sets listed once."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from engine.data.dataset import list_datasets
from engine.data.progress import Stopped
from engine.errors import UserError
from engine.export import run_import, taking_in
from engine.export.making import REQUEST, STATUS, UNDER_WAY
from engine.export.run_import import import_runs
from engine.export.run_zip import write_runs_zip
from engine.export.taking_in import TakingIn
from engine.runs.store import RunStore
from engine.settings import settings
from tests.pages.made import make_dataset, make_run


def packed(path: Path, count: int = 1) -> list[str]:
    """The ids of runs that were packed into a zip and then deleted."""
    dataset = make_dataset()
    runs = [make_run(dataset, f"run {seed}", seed) for seed in range(count)]
    write_runs_zip(runs, path)
    for run in runs:
        RunStore().remove(run)
    return runs


def ended(job: str, seconds: float = 90) -> TakingIn:
    deadline = time.monotonic() + seconds
    while (found := taking_in.taking_in(job)).state in UNDER_WAY:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_a_process_takes_the_runs_in_and_tells_which(workspace: Path, tmp_path: Path) -> None:
    runs = packed(tmp_path / "runs.zip", 2)
    job = taking_in.start(tmp_path / "runs.zip")
    found = ended(job)
    assert found.state == "done" and [run.id for run in found.runs] == runs
    assert [run.name for run in found.runs] == ["run 0", "run 1"]
    assert {run.id for run in RunStore().list()} == set(runs)
    assert not (tmp_path / "runs.zip").exists(), "the import has it, and is done with it"
    taking_in.clear(job)
    assert not list(settings().tmp.iterdir())


def test_what_is_wrong_with_a_zip_is_told(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("hello")
    found = ended(taking_in.start(tmp_path / "text.zip"))
    assert found.state == "failed" and "holds no runs of this program" in str(found.error)
    with pytest.raises(UserError, match="no such zip"):
        taking_in.start(tmp_path / "none.zip")


def test_stop_ends_the_import_and_nothing_is_taken_in(workspace: Path, tmp_path: Path) -> None:
    packed(tmp_path / "runs.zip")
    job = taking_in.start(tmp_path / "runs.zip")
    taking_in.stop(job)
    assert ended(job).state == "stopped"
    taking_in.clear(job)
    assert not RunStore().list() and not list(settings().tmp.iterdir())


@pytest.mark.parametrize("asked", [0, 3, 12])
def test_an_import_can_be_stopped_anywhere(workspace: Path, tmp_path: Path, asked: int) -> None:
    packed(tmp_path / "runs.zip", 2)
    looks = 0

    def stop() -> bool:
        nonlocal looks
        looks += 1
        return looks > asked

    with pytest.raises(Stopped):
        import_runs(tmp_path / "runs.zip", stop=stop)
    assert not RunStore().list() and not list(settings().tmp.iterdir())


def test_an_import_whose_process_died_or_is_gone_is_cut_off(workspace: Path) -> None:
    folder = taking_in.job_folder("job")
    folder.mkdir(parents=True)
    (folder / REQUEST).write_text(json.dumps({"started": 1.0}))
    (folder / STATUS).write_text(json.dumps({"state": "running", "phase": "unpacking"}))
    assert taking_in.taking_in("job").state == taking_in.taking_in("gone").state == "interrupted"
    for known in ('{"state": "done", "runs": [{"id": 1}]}', "[1]"):
        (folder / STATUS).write_text(known)
        assert taking_in.taking_in("job").state == "interrupted"


def test_not_all_at_once(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking_in, "start_detached", lambda module, folder: None)
    for number in range(taking_in.MOST_AT_ONCE + 1):
        (tmp_path / f"{number}.zip").write_text("x")
    for number in range(taking_in.MOST_AT_ONCE):
        taking_in.start(tmp_path / f"{number}.zip")
    with pytest.raises(UserError, match="being taken in already"):
        taking_in.start(tmp_path / f"{taking_in.MOST_AT_ONCE}.zip")


def test_data_sets_are_listed_once_for_all_runs(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(tmp_path / "runs.zip", 3)
    times = []
    monkeypatch.setattr(run_import, "list_datasets", lambda: times.append(1) or list_datasets())
    assert [run.missing for run in import_runs(tmp_path / "runs.zip")] == [None] * 3
    assert len(times) == 1
