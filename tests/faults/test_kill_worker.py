"""kill -9 of worker and supervisor: in each phase by name, and at random moments."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.data.dataset import Dataset
from engine.runs import layout
from engine.runs.executors import InlineExecutor, LocalExecutor
from engine.runs.store import RunStore
from engine.runs.supervisor import Options
from tests.faults.conftest import alive, carried_out, check_whole, losses, processes_of, put_shapes, tiny
from tests.faults.faulty_worker import PLACES
from tests.runs.conftest import wait_for

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks processes up in /proc")
RARE = ("starting", "between metrics and checkpoint")  # each costs a process that loads torch
WORKER = str(Path(__file__).with_name("faulty_worker.py"))


@pytest.fixture(scope="module")
def broken(
    drawn: Path, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[dict[str, str]]:
    """Place -> a run whose worker was killed there."""
    places = [place for place in PLACES if place not in RARE or pytestconfig.getoption("--slow")]
    with pytest.MonkeyPatch.context() as patch:
        workspace = tmp_path_factory.mktemp("killed") / "workspace"
        for name, value in {"WORKSPACE": str(workspace), "THREADS": "1", "DEVICE": "cpu"}.items():
            patch.setenv(f"REPLAB_{name}", value)
        patch.setenv("REPLAB_MIN_FREE_BYTES", "0")
        patch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
        recipe, store = tiny(put_shapes(drawn, workspace)), RunStore()
        runs = {}
        for place in places:
            runs[place] = store.create(recipe).id
            command = (sys.executable, WORKER, place)
            LocalExecutor(store, 2, Options(command=command)).submit(runs[place])
            if place == "loading data":  # else another would read the images first
                wait_for(lambda: store.get(runs["loading data"]).state not in layout.ACTIVE, 120)
        for place in places:
            wait_for(lambda place=place: store.get(runs[place]).state not in layout.ACTIVE, 200)
        yield runs
        wait_for(lambda: processes_of(workspace) == [], 30)


@pytest.mark.parametrize(
    "place", [pytest.param(place, marks=pytest.mark.slow if place in RARE else ()) for place in PLACES]
)
def test_killed_in_each_phase_then_resumed_to_the_same_end(
    broken: dict[str, str], undisturbed: dict[str, Any], place: str
) -> None:
    run_id, store = broken[place], RunStore()
    run = store.get(run_id)
    assert run.state == "interrupted", store.log_tail(run_id)
    assert run.error and "killed (SIGKILL)" in run.error and "Resume" in run.error
    assert run.epoch == PLACES[place][1] and run.attempt == 1
    check_whole(run_id)
    InlineExecutor(store).submit(run_id)
    check_whole(run_id)
    assert store.get(run_id).state == "done" and store.get(run_id).attempt == 2
    assert losses(run_id) == pytest.approx(undisturbed["losses"], abs=1e-6)
    one, other = store.results(run_id), undisturbed["results"]
    assert one and one["kept_epoch"] == other["kept_epoch"]
    for split, figures in other["splits"].items():
        assert one["splits"][split]["loss"] == pytest.approx(figures["loss"], abs=1e-6)
    assert list(store.folder(run_id).rglob(".*.tmp")) == [], "what was half written is swept"


class Killer:
    """Kills worker, supervisor or both of a run at random moments and checks the run each time."""

    def __init__(self, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
        self.store, self.random = RunStore(), random.Random(seed)
        self.executor = LocalExecutor(self.store, 1)
        self.recipe = tiny(dataset, epochs=40)
        self.whole = losses(carried_out(self.recipe))
        self.kills: dict[str, int] = {}
        monkeypatch.setattr(layout, "GRACE", 0.0)  # as if half a minute had passed at every look

    def round(self, kills: int = 3) -> None:
        """One run, killed so many times, then left to end."""
        run_id = self.store.create(self.recipe).id
        for _ in range(kills):
            self.executor.submit(run_id)
            self._kill(run_id)
            self._check(run_id)
        InlineExecutor(self.store).submit(run_id)
        assert self.store.get(run_id).state == "done"
        check_whole(run_id)
        assert losses(run_id) == pytest.approx(self.whole, abs=1e-6)
        self.store.remove(run_id)

    def _kill(self, run_id: str) -> None:
        """Wait a random while from anywhere between the start and some epochs on, then kill."""
        folder = self.store.folder(run_id)
        if self.random.random() < 0.6:  # most of a short run is loading libraries: training gets its share
            self._until_training(run_id)
        time.sleep(self.random.uniform(0, 1.5))
        status = layout.read_status(folder)
        victim = self.random.choice(["worker", "supervisor", "both"])
        self.kills[victim] = self.kills.get(victim, 0) + 1
        for name, pid in (("supervisor", status.get("runner")), ("worker", status.get("pid"))):
            if pid and victim in (name, "both"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _until_training(self, run_id: str) -> None:
        attempt = layout.read_status(self.store.folder(run_id)).get("attempt", 0)

        def training() -> bool:
            run = self.store.get(run_id)
            told = self.store.progress(run_id).get("phase") == "training"
            return run.state not in layout.ACTIVE or (run.attempt >= attempt and told)

        wait_for(training, 60)

    def _check(self, run_id: str) -> None:
        folder = self.store.folder(run_id)
        wait_for(lambda: processes_of(folder) == [] or self._taken_up(run_id), 60)
        if self._taken_up(run_id):  # the shot came before the process or after the end: nothing was hit
            wait_for(lambda: self.store.get(run_id).state in layout.FINAL, 120)
        self.executor.reconcile()
        if self.store.get(run_id).state in layout.ACTIVE:  # it had waited, and goes on by itself
            wait_for(lambda: self.store.get(run_id).state in layout.FINAL, 120)
        wait_for(lambda: processes_of(folder) == [], 30)
        assert not any(alive(pid) for pid in processes_of(folder))
        check_whole(run_id)

    def _taken_up(self, run_id: str) -> bool:
        """Whether supervisor and worker both live: the shot missed."""
        status = layout.read_status(self.store.folder(run_id))
        return all(alive(status.get(name) or 0) for name in ("runner", "pid"))


def test_killed_at_random_moments(shapes: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    Killer(shapes, monkeypatch, seed=1).round(kills=3)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_at_a_hundred_random_moments(shapes: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds, minutes = int(os.environ.get("FAULT_ROUNDS", "100")), float(os.environ.get("FAULT_MINUTES", "55"))
    killer, end = Killer(shapes, monkeypatch, seed=time.time_ns()), time.monotonic() + 60 * minutes
    while sum(killer.kills.values()) < rounds and time.monotonic() < end:
        killer.round(kills=4)
        print(f"{sum(killer.kills.values())} kills: {killer.kills}", flush=True)
    assert sum(killer.kills.values()) >= min(rounds, 20)
