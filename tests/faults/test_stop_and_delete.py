"""Stop in each phase, twice, and then delete; delete while training; what a run lives from is taken away."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.data.dataset import Dataset, remove_dataset
from engine.errors import UserError
from engine.runs import layout
from engine.runs.executors import InlineExecutor, LocalExecutor
from engine.runs.store import RunStore
from engine.runs.writer import RunWriter
from tests.faults.conftest import check_whole, losses, processes_of, tiny
from tests.runs.conftest import recipe, wait_for

Make = Callable[..., LocalExecutor]
PHASES: dict[str, tuple[dict[str, Any], int]] = {
    "starting": ({"phase": "reading images", "epoch": 0}, 0),
    "loading data": ({"phase": "reading images", "step": 64}, 0),
    "mid-epoch": ({"phase": "training", "epoch": 2, "step": 3}, 1),
    "in validation": ({"phase": "evaluating", "epoch": 2}, 1),
    "at the end of an epoch": ({"phase": "training", "epoch": 2, "step": 5}, 1),
    "evaluating at the end": ({"phase": "evaluating", "finished": 4}, 4),
}


@pytest.fixture
def in_phase(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any], Callable[[], None]], None]:
    """Let something happen, once, when a training says that it is in a phase."""

    def arm(where: dict[str, Any], happens: Callable[[], None]) -> None:
        real, left = RunWriter.progress, [happens]

        def progress(self: RunWriter, *, flush: bool = False, **fields: Any) -> None:
            real(self, flush=flush, **fields)
            said = {**self._progress, "finished": self._progress.get("last", {}).get("epoch")}
            if left and all(said.get(name) == value for name, value in where.items()):
                left.pop()()

        monkeypatch.setattr(RunWriter, "progress", progress)

    return arm


@pytest.mark.parametrize("phase", PHASES)
def test_stopped_twice_then_deleted(
    shapes: Dataset, in_phase: Callable[..., None], unbroken: list[float], phase: str
) -> None:
    where, finished = PHASES[phase]
    store = RunStore()
    inline = InlineExecutor(store)
    run = store.create(tiny(shapes))

    def stop() -> None:
        with pytest.raises(UserError, match="stop it first"):
            store.remove(run.id)
        inline.stop(run.id)
        assert store.status(run.id).stopping
        inline.stop(run.id)
        with pytest.raises(UserError, match="stop it first"):
            store.remove(run.id)

    in_phase(where, stop)
    inline.submit(run.id)
    told = store.get(run.id)
    assert told.state == "stopped" and told.epoch == finished
    when = f"after epoch {finished}" if finished else "before the first epoch was complete"
    assert told.error == f"Stopped by you {when}."
    check_whole(run.id)
    inline.stop(run.id)
    assert store.get(run.id).state == "stopped", "Stop of a stopped run changes nothing"
    inline.submit(run.id)
    assert store.get(run.id).state == "done" and losses(run.id) == pytest.approx(unbroken, abs=1e-6)
    store.remove(run.id)
    assert store.list() == [] and [path for path in store.root.rglob("*") if run.id in str(path)] == []


def test_a_set_that_is_being_learned_from_is_not_deleted(
    shapes: Dataset, in_phase: Callable[..., None]
) -> None:
    store, seen = RunStore(), []

    def delete() -> None:
        in_use = any(run.dataset == shapes.id and run.state in layout.ACTIVE for run in store.list())
        with pytest.raises(UserError, match="stop the run first"):
            remove_dataset(shapes.id, in_use=in_use)
        seen.append(in_use)

    in_phase({"phase": "training", "epoch": 1, "step": 2}, delete)
    run = store.create(tiny(shapes, 1))
    InlineExecutor(store).submit(run.id)
    assert seen == [True] and store.get(run.id).state == "done"


def test_resuming_without_the_set_is_one_sentence_and_the_results_stay(
    shapes: Dataset, in_phase: Callable[..., None]
) -> None:
    store = RunStore()
    run = store.create(tiny(shapes))
    in_phase({"phase": "training", "epoch": 3, "step": 1}, lambda: store.request_stop(run.id))
    InlineExecutor(store).submit(run.id)
    remove_dataset(shapes.id)
    InlineExecutor(store).submit(run.id)
    told = store.get(run.id)
    assert told.state == "failed" and told.error and "no data set 'shapes'" in told.error
    assert len(losses(run.id)) == 2
    check_whole(run.id)


def test_a_run_whose_folder_is_deleted_by_hand_leaves_no_process(
    store: RunStore, local: Make, workspace: Path
) -> None:
    runner = local()
    run = store.create(recipe(epochs=500, step_seconds=0.01))
    other = store.create(recipe(1, epochs=1)).id
    runner.submit(run.id)
    runner.submit(other)
    wait_for(lambda: store.get(run.id).epoch >= 1)
    shutil.rmtree(run.folder, ignore_errors=True)
    shutil.rmtree(run.folder, ignore_errors=True)  # what was written meanwhile
    wait_for(lambda: store.get(other).state == "done")
    wait_for(lambda: processes_of(workspace) == [], 20)
    assert not (run.folder / layout.STATUS).exists()
